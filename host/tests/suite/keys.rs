//! Key files as other tools write them, and what is signed with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use linkgate::checker::Native;
use linkgate::key::{Password, read_private, read_public};
use linkgate::metadata::{Document, Others, Verification, seal};
use linkgate::signer::{FileSigner, Signer, load, pkcs11};
use linkgate_verifier::envelope::Form;
use linkgate_verifier::limits::Budget;
use linkgate_verifier::signature::{Checked, Pure, check};
use serde_json::json;
use zeroize::Zeroizing;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys").join(name)
}

/// The keyids that securesystemslib gives these keys.
fn keyids() -> BTreeMap<String, String> {
    serde_json::from_str(&std::fs::read_to_string(path("keyids.json")).unwrap()).unwrap()
}

fn secret() -> Password {
    Password::Given(Zeroizing::new("secret".to_owned()))
}

fn signer(name: &str) -> FileSigner {
    FileSigner::open(&path(name), &secret()).unwrap()
}

const PRIVATE: [&str; 12] = [
    "ed25519.pem",
    "ed25519.der",
    "ed25519-encrypted.pem",
    "ed25519-encrypted.der",
    "ed25519.json",
    "p256-sec1.pem",
    "p256-sec1-parameters.pem",
    "p384-sec1.der",
    "p521.pem",
    "rsa.pem",
    "rsa-pkcs1.pem",
    "rsa-pkcs1.der",
];

#[test]
fn private_keys_sign_what_the_verifier_accepts() {
    let keyids = keyids();
    for name in PRIVATE {
        let signer = signer(name);
        assert_eq!(signer.keyid(), keyids[name], "{name}");
        let signature = signer.sign(b"message").unwrap();
        let key = signer.public_key();
        let budget = Budget::default();
        assert_eq!(
            check(key, b"message", &signature, &budget, &mut Pure),
            Ok(Checked::Valid),
            "{name}"
        );
        assert_eq!(
            check(key, b"message", &signature, &budget, &mut Native),
            Ok(Checked::Valid),
            "{name}"
        );
        assert_eq!(
            check(key, b"massage", &signature, &budget, &mut Native),
            Ok(Checked::Invalid),
            "{name}"
        );
    }
}

#[test]
fn public_keys() {
    let keyids = keyids();
    for name in [
        "ed25519.pub",
        "ed25519.pub.der",
        "p521.pub",
        "rsa-pkcs1.pub",
        "rsa-pkcs1.pub.der",
    ] {
        let keys = read_public(&path(name)).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].key.keyid(), keyids[name], "{name}");
        assert_eq!(keys[0].keyid, None);
    }
    let declared = read_public(&path("ed25519.pub.json")).unwrap();
    assert_eq!(declared[0].keyid, Some("ab".repeat(32)));
    assert_eq!(declared[0].label, "ed25519.pub");
    let two = read_public(&path("two.json")).unwrap();
    let wanted = BTreeSet::from(["ed25519.pub", "p521.pub"].map(|name| keyids[name].clone()));
    assert_eq!(
        two.iter().map(|file| file.key.keyid()).collect::<Vec<_>>(),
        wanted.into_iter().collect::<Vec<_>>()
    );
    assert_eq!(two[0].label, format!("two:{:.8}", two[0].key.keyid()));
}

#[test]
fn errors_say_what_was_found_and_what_to_do() {
    for (name, wanted) in [
        ("missing", "cannot be read"),
        ("ed25519.pub", "a public key, but signing needs the private one"),
        ("ed25519.pub.der", "a public key, but signing needs the private one"),
        ("ed25519.pub.json", "a public key, but signing needs the private one"),
        ("rsa-pkcs1.pub.der", "a public key, but signing needs the private one"),
        ("two.json", "2 keys, where one is needed"),
        ("rsa-old-encryption.pem", "-CBC in OpenSSL's traditional form"),
        (
            "rsa-old-encryption.pem",
            "openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW",
        ),
        ("ed25519-3des.pem", "encrypted with DES-EDE3-CBC, which is not read"),
        ("ed25519-pbes1.der", "encrypted with PBE-SHA1-3DES, which is not read"),
        ("ed25519-old-encryption.json", "docs/migrate_key.py"),
        ("ed25519-openssh.pem", "ssh-keygen -p -m PKCS8"),
        ("make.py", "no key was found in it"),
        ("keyids.json", "its JSON is no key"),
    ] {
        let error = read_private(&path(name), &secret()).err().unwrap().to_string();
        assert!(error.contains(wanted) && error.contains(name), "{error}");
    }
    for (name, wanted) in [
        ("ed25519.pem", "a private key, but checking needs the public one"),
        ("ed25519.der", "a private key, but checking needs the public one"),
        (
            "ed25519-encrypted.der",
            "a private key, but checking needs the public one",
        ),
        ("ed25519-pbes1.der", "a private key, but checking needs the public one"),
        ("p384-sec1.der", "a private key, but checking needs the public one"),
        ("rsa-pkcs1.der", "a private key, but checking needs the public one"),
        ("ed25519-openssh.pub", "ssh-keygen -e -m PKCS8"),
        ("make.py", "no key was found in it"),
    ] {
        let error = read_public(&path(name)).err().unwrap().to_string();
        assert!(error.contains(wanted) && error.contains(name), "{error}");
    }
    let wrong = Password::Given(Zeroizing::new("wrong".to_owned()));
    let error = read_private(&path("ed25519-encrypted.pem"), &wrong).err().unwrap();
    assert!(error.to_string().contains("the password is wrong"), "{error}");
    let error = load("pkcs11:token=x", &secret(), &pkcs11::Options::default())
        .err()
        .unwrap()
        .to_string();
    let wanted = if cfg!(feature = "pkcs11") {
        "neither `object` nor `id` says which key it is"
    } else {
        "cargo install --path host --features pkcs11"
    };
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn private_keys_that_cannot_sign_are_refused_as_public_ones_are() {
    for (name, wanted) in [
        ("ed448.pem", "the key's algorithm `Ed448 (1.3.101.113)` is none of"),
        ("x25519.pem", "the key's algorithm `X25519 (1.3.101.110)` is none of"),
        ("dsa.pem", "the key's algorithm `DSA (1.2.840.10040.4.1)` is none of"),
        (
            "rsa-pss.pem",
            "the key's algorithm `RSA-PSS (1.2.840.113549.1.1.10)` is none of",
        ),
        ("secp256k1.pem", "the key's curve `secp256k1 (1.3.132.0.10)` is none of"),
        (
            "secp256k1-sec1.pem",
            "the key's curve `secp256k1 (1.3.132.0.10)` is none of",
        ),
        ("rsa-1024.pem", "the RSA modulus has 1024 bits, not 2048 to 8192"),
        ("rsa-damaged.der", "the private key is damaged: it is no sound RSA key"),
    ] {
        let error = FileSigner::open(&path(name), &secret()).unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains(name), "{error}");
    }
}

#[test]
fn sealed_metadata_verifies_by_every_signer_in_both_forms() {
    let layout = json!({"_type": "layout", "readme": "\u{e9}\n\"\\", "steps": [], "n": 1});
    let signers = ["ed25519.pem", "p521.pem", "rsa.pem"].map(signer);
    let signers: Vec<&dyn Signer> = signers.iter().map(|signer| signer as &dyn Signer).collect();
    for form in [Form::Metablock, Form::Dsse] {
        let text = seal(&layout, form, &signers).unwrap();
        let document = Document::read(text.clone()).unwrap();
        assert_eq!(document.form(), Some(form));
        for signer in &signers {
            assert_eq!(document.verify(signer.public_key(), None).unwrap(), Verification::Valid);
        }
        let other = signer("p384-sec1.der");
        assert_eq!(
            document.verify(other.public_key(), None).unwrap(),
            Verification::Missing
        );
        let added = Document::read(document.sign(&[&other], Others::Keep, form).unwrap()).unwrap();
        for signer in signers.iter().copied().chain([&other as &dyn Signer]) {
            assert_eq!(added.verify(signer.public_key(), None).unwrap(), Verification::Valid);
        }
        let replaced = Document::read(document.sign(&[&other], Others::Drop, form).unwrap()).unwrap();
        assert_eq!(replaced.verify(other.public_key(), None).unwrap(), Verification::Valid);
        assert_eq!(
            replaced.verify(signers[0].public_key(), None).unwrap(),
            Verification::Missing
        );
        assert!(seal(&json!({"_type": "layout", "n": 1.5}), form, &signers).is_err());
    }
    let changed = seal(&layout, Form::Metablock, &signers)
        .unwrap()
        .replace("\"n\": 1", "\"n\": 2");
    let changed = Document::read(changed).unwrap();
    assert_eq!(
        changed.verify(signers[0].public_key(), None).unwrap(),
        Verification::Invalid
    );
}

#[test]
fn what_was_signed_keeps_its_bytes() {
    let signer = signer("ed25519.pem");
    let payload = r#"{ "_type":"link" , "name":"a","big":1180591620717411303424,
  "materials" : { } }"#;
    for text in [
        format!(r#"{{"signed":{payload}, "signatures":[{{"keyid":"00","sig":"11","other_headers":"22"}}]}}"#),
        format!(r#"{{"signatures" : [ ] ,"signed":{payload}}}"#),
    ] {
        let document = Document::read(text).unwrap();
        assert_eq!(document.name(), Some("a"));
        let again = document.sign(&[&signer], Others::Keep, Form::Dsse).unwrap();
        assert!(again.contains(payload), "{again}");
        assert_eq!(
            again.contains("other_headers"),
            document.sign(&[], Others::Keep, Form::Dsse).unwrap().contains("22")
        );
        let again = Document::read(again).unwrap();
        assert_eq!(again.verify(signer.public_key(), None).unwrap(), Verification::Valid);
    }
}

#[test]
fn bare_metadata_gets_an_envelope() {
    let signer = signer("ed25519.pem");
    for bare in [
        r#" {"steps":[],"_type":"layout"} "#,
        // More digits than a model of numbers holds: the text is kept.
        r#"{"steps":[1180591620717411303424],"_type":"layout"}"#,
    ] {
        for form in [Form::Metablock, Form::Dsse] {
            let document = Document::read(bare.to_owned()).unwrap();
            assert_eq!(document.form(), None);
            assert_eq!(
                document.verify(signer.public_key(), None).unwrap(),
                Verification::Missing
            );
            let sealed = Document::read(document.sign(&[&signer], Others::Drop, form).unwrap()).unwrap();
            assert_eq!(sealed.form(), Some(form));
            assert_eq!(sealed.verify(signer.public_key(), None).unwrap(), Verification::Valid);
        }
    }
    for refused in [
        r#"{"steps":[],"_type":"layout","signatures":[]}"#,
        r#"{"steps":[],"_type":"statement"}"#,
        r#"{"steps":[]}"#,
        r#"{"steps":[],"_type":"layout","_type":"layout"}"#,
        "{}",
        "[]",
    ] {
        assert!(Document::read(refused.to_owned()).is_err(), "{refused}");
    }
}
