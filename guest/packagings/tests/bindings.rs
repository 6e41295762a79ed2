//! The component's bindings are those that wit-bindgen makes of the contract.

use std::path::Path;
use std::{env, fs};

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator as _};

/// The bindings are kept in the repository: to make them takes a parser of WIT, which takes longer to build than the
/// component. `WRITE_BINDINGS=1` makes them anew.
#[test]
fn bindings_are_those_of_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(root.join("wit")).expect("the contract is WIT");
    let world = resolve
        .select_world(&[package], Some("verifier"))
        .expect("the contract has its world");
    let options = wit_bindgen_rust::Opts {
        format: true,
        ..wit_bindgen_rust::Opts::default()
    };
    let mut files = Files::default();
    options
        .build()
        .generate(&mut resolve, world, &mut files)
        .expect("bindings can be made of the contract");
    let (_, made) = files.iter().next().expect("the bindings are one file");
    let kept = root.join("guest/component/src/bindings.rs");
    if env::var_os("WRITE_BINDINGS").is_some() {
        fs::write(&kept, made).expect("the bindings can be written");
    }
    let kept = fs::read(&kept).expect("the bindings are kept");
    assert!(
        kept == made,
        "wit/verifier.wit or wit-bindgen changed: \
        run `WRITE_BINDINGS=1 cargo test --release --package linkgate-packagings`"
    );
}
