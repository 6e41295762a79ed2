//! What verbs that speak with registries share.

use std::future::Future;

use anyhow::Context as _;
use tokio::runtime::Builder;

/// Does what waits for registries.
pub(super) fn block_on<F: Future>(future: F) -> anyhow::Result<F::Output> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot wait for the network")?;
    let output = runtime.block_on(future);
    // Whoever still hangs (a resolver of names, say) is not waited for.
    runtime.shutdown_background();
    Ok(output)
}
