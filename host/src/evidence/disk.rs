//! Reading files where a disk that hangs keeps nobody else waiting.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::SourceError;

/// How many reads of one source are under way at once. Those that never end keep that many threads, and leave other
/// sources and the verifier theirs.
const READERS: usize = 32;

/// A source's share of the threads that may wait for disks.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Semaphore>);

impl Disk {
    /// A share of its own.
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(READERS)))
    }

    /// Reads on a thread of its own. It keeps its place until the read has ended, whether or not somebody still waits.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        name: &str,
        read: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let failed = |cause: String| SourceError {
            source_name: name.to_owned(),
            cause,
            no_room: None,
        };
        let place = Arc::clone(&self.0).acquire_owned().await;
        let place = place.map_err(|error| failed(error.to_string()))?;
        let reading = tokio::task::spawn_blocking(move || {
            let read = read();
            drop(place);
            read
        });
        reading.await.unwrap_or_else(|error| Err(failed(error.to_string())))
    }
}
