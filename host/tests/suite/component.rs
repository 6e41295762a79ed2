//! The packagings as other people's hosts get them: the component's imports and bounds, and sizes.

use std::path::Path;
use std::time::Duration;

use linkgate::runtime::{Arithmetic, Bounds, COMPONENT, Verifier};
use linkgate_packagings::{CORE_MODULE, ENVOY_FILTER, KUBEWARDEN_POLICY};
use linkgate_verifier::request::{Content, Document, Key, Options, Request, Trust};
use linkgate_verifier::verdict::Code;

#[test]
fn it_imports_signatures_and_nothing_else() {
    let verifier = Verifier::load(Bounds::default(), 1).expect("the component loads");
    let (imports, exports) = verifier.interface();
    assert_eq!(imports, ["linkgate:verifier/signatures@0.1.0"]);
    assert_eq!(exports, ["linkgate:verifier/verification@0.1.0"]);
}

#[test]
fn it_is_a_component() {
    // The magic number, and version 13 of layer 1: a component, no core module.
    assert_eq!(COMPONENT.get(..8), Some(b"\0asm\x0d\0\x01\0".as_slice()));
}

#[test]
fn it_is_small() {
    assert!(COMPONENT.len() <= 400_000, "{} bytes", COMPONENT.len());
}

#[test]
fn core_modules_are_such_and_small() {
    // The filter has the standard library and its own reading of manifests; the policy reads Kubernetes' objects.
    for (module, name, most) in [
        (CORE_MODULE, "core", 400_000),
        (KUBEWARDEN_POLICY, "kubewarden", 495_000),
        (ENVOY_FILTER, "proxy-wasm", 660_000),
    ] {
        assert_eq!(module.get(..8), Some(b"\0asm\x01\0\0\0".as_slice()), "{name}");
        assert!(module.len() <= most, "{name}: {} bytes", module.len());
    }
}

#[test]
fn they_do_not_tell_where_they_were_built() {
    let home = std::env::home_dir().expect("a home folder");
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), Into::into);
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = [cargo, here.canonicalize().expect("the project's folder")];
    for (module, name) in [
        (COMPONENT, "component"),
        (CORE_MODULE, "core"),
        (KUBEWARDEN_POLICY, "kubewarden"),
        (ENVOY_FILTER, "proxy-wasm"),
    ] {
        for folder in &folders {
            let folder = folder.to_str().expect("a folder's name in UTF-8").as_bytes();
            let found = module.windows(folder.len()).any(|bytes| bytes == folder);
            assert!(!found, "{name} names {}", String::from_utf8_lossy(folder));
        }
    }
}

/// A request with a document of so many bytes.
fn request(bytes: usize) -> Request {
    Request {
        layout: Content(b"{}".to_vec()),
        trust: Trust::SignedBy(vec![Key::new(
            None,
            "ed25519".into(),
            "ed25519".into(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".into(),
        )]),
        documents: vec![Document {
            name: "a.link".into(),
            content: Content(vec![b' '; bytes]),
        }],
        inspections: Vec::new(),
        parameters: [].into(),
        subjects: Vec::new(),
        options: Options::default(),
        now: 0,
    }
}

fn code(bounds: Bounds, bytes: usize) -> Code {
    let verifier = Verifier::load(bounds, 1).expect("the component loads");
    let answer = verifier.verify(&request(bytes), &Arithmetic::Native).answer;
    answer.expect_err("no such request is decided").code
}

#[test]
fn what_memory_does_not_hold_is_undecided() {
    let bounds = Bounds {
        memory: 8 << 20,
        ..Bounds::default()
    };
    assert_eq!(code(bounds, 100), Code::LayoutMalformed);
    assert_eq!(code(bounds, 16 << 20), Code::VerifierStopped);
}

#[test]
fn a_deadline_is_undecided() {
    let bounds = Bounds {
        deadline: Duration::ZERO,
        ..Bounds::default()
    };
    assert_eq!(code(bounds, 31 << 20), Code::VerifierStopped);
}

#[test]
fn a_process_may_have_several_verifiers() {
    let verifiers = [(); 3].map(|()| Verifier::load(Bounds::default(), 1).expect("the component loads"));
    for verifier in verifiers {
        let answer = verifier.verify(&request(10), &Arithmetic::Native).answer;
        assert_eq!(answer.expect_err("undecided").code, Code::LayoutMalformed);
    }
}

#[test]
fn one_verifier_answers_many_threads() {
    let verifier = Verifier::load(Bounds::default(), 4).expect("the component loads");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let answer = verifier.verify(&request(10), &Arithmetic::Native).answer;
                    assert_eq!(answer.expect_err("undecided").code, Code::LayoutMalformed);
                }
            });
        }
    });
}
