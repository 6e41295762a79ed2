//! What people are shown: values by others stand on one line, do nothing to a terminal, and give no orders to a CI system.

use std::fs;
use std::process::Output;

use linkgate::key::Password;
use linkgate::signer::{FileSigner, Signer as _};
use serde_json::{Value, json};

use crate::place::{Place, code};

/// What breaks lines, erases a screen, sets a title, turns the direction of writing, hides itself, and gives orders.
const HOSTILE: &str = "x\n::error::FORGED\r##[error]FORGED\u{1b}[2J\u{1b}]0;t\u{7}\u{202e}\u{2066}\u{2028}FORGED\u{2029}\u{9b}31m\u{200b}\u{feff}\u{ad}\u{e0041}\u{fe0f}";

/// Each line is harmless.
#[track_caller]
fn assert_harmless(output: &Output, what: &str) {
    for bytes in [&output.stdout, &output.stderr] {
        let text = str::from_utf8(bytes).expect(what);
        for line in text.split('\n') {
            assert_eq!(linkgate::terminal::harmless(line), line, "{what}");
            assert!(
                !line.starts_with("FORGED") && !line.starts_with("error::"),
                "{what}: {line}"
            );
        }
    }
}

/// A document by the keys of these files beside the place.
pub(crate) fn signed(place: &Place, payload: &Value, keys: &[&str]) -> String {
    let keys = keys
        .iter()
        .map(|key| FileSigner::open(&place.folder.join("..").join(key), &Password::default()).unwrap());
    let keys: Vec<FileSigner> = keys.collect();
    let signers: Vec<&dyn linkgate::signer::Signer> = keys.iter().map(|key| key as _).collect();
    linkgate::metadata::seal(payload, linkgate_verifier::envelope::Form::Metablock, &signers).unwrap()
}

/// A chain of one step in which everything that may have a hostile name has one.
fn chain() -> Place {
    let place = Place::new(&[]);
    assert_eq!(code(&place.linkgate(&["key", "show", "--json", "../key"])), 0);
    let keys = place.linkgate(&["key", "show", "--json", "../key"]).stdout;
    let mut keys: Value = serde_json::from_slice(&keys).unwrap();
    let keyid = keys.as_object().unwrap().keys().next().unwrap().clone();
    // A label is no keyid, and may be anything.
    let mut key = keys[&keyid].take();
    key["keyid"] = json!(HOSTILE);
    // A step's name has no control characters, and may turn the direction of writing.
    let step = "\u{202e}##[error]step\u{200b}";
    let layout = json!({
        "_type": "layout", "expires": "2126-01-01T00:00:00Z", HOSTILE: HOSTILE, "readme": HOSTILE,
        "keys": {HOSTILE: key},
        "steps": [{
            "_type": "step", "name": step, "pubkeys": [HOSTILE], "threshold": 1,
            "expected_command": [HOSTILE],
            "expected_materials": [["DISALLOW", "*"]],
            "expected_products": [["REQUIRE", HOSTILE], ["DISALLOW", "y*"]]
        }],
        "inspect": [],
    });
    place.write("root.layout", &signed(&place, &layout, &["other"]));
    let digest = json!({"sha256": "00".repeat(32)});
    let link = json!({
        "_type": "link", "name": step, "command": ["a", HOSTILE], "materials": {HOSTILE: digest}, "products": {format!("y{HOSTILE}"): digest},
        "byproducts": {}, "environment": {},
    });
    place.write("links/a.link", &signed(&place, &link, &["key"]));
    let mut stray = link;
    stray["name"] = json!(HOSTILE);
    place.write(
        "links/stray.link",
        &json!({"signed": stray, "signatures": [{"keyid": HOSTILE, "sig": HOSTILE}]}).to_string(),
    );
    place.write(&format!("links/{HOSTILE}.link"), HOSTILE);
    let public = FileSigner::open(&place.folder.join("../other"), &Password::default()).unwrap();
    place.write("owner.pub", &public.public_key().spki_pem());
    fs::write(
        place.folder.join(format!("{HOSTILE}.pub")),
        public.public_key().spki_pem(),
    )
    .unwrap();
    place
}

#[test]
fn reports() {
    let place = chain();
    let owner = format!("{HOSTILE}.pub");
    for arguments in [
        vec!["-k", "owner.pub"],
        vec!["-k", "owner.pub", "--verbose"],
        vec!["-k", &owner, "--strict"],
        vec![
            "-k",
            "owner.pub",
            "--functionary-key",
            &owner,
            "--subject",
            "root.layout",
        ],
        vec!["--trust-layout", "--functionary-key", &owner],
        vec!["-k", "owner.pub", "--at", "1970-01-01T00:00:00Z"],
    ] {
        let all = [vec!["verify", "-l", "root.layout", "-d", "links"], arguments.clone()].concat();
        let output = place.linkgate(&all);
        assert_ne!(code(&output), 0, "{arguments:?}");
        assert_harmless(&output, &format!("{arguments:?}"));
    }
    let output = place.linkgate(&["verify", "-l", "root.layout", "-d", "links", "-k", "owner.pub"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("\\u{202e}#\\u{23}[error]step\\u{200b}") && text.contains("x\\n::error::FORGED\\r#\\u{23}"),
        "{text}"
    );
    let output = place
        .command(
            "in-toto-verify",
            &[
                "-l",
                "root.layout",
                "--verification-keys",
                "owner.pub",
                "--link-dir",
                "links",
            ],
        )
        .output()
        .unwrap();
    assert_eq!(code(&output), 1);
    assert_harmless(&output, "in-toto-verify");
}

#[test]
fn every_commands_values() {
    let place = chain();
    let hostile = HOSTILE;
    let option = format!("--{HOSTILE}");
    let equals = format!("--subject={HOSTILE}");
    let in_folder = format!("nowhere/{HOSTILE}");
    let token = format!("pkcs11:object={HOSTILE};x=y");
    let image = format!("NAME={HOSTILE}");
    for arguments in [
        vec![hostile],
        vec![&option],
        vec!["verify", hostile],
        vec!["verify", &option],
        vec!["verify", "-l", hostile, "-k", "owner.pub"],
        vec!["verify", "-l", "root.layout", "-k", hostile],
        vec!["verify", "-l", "root.layout", "-k", "owner.pub", "-d", hostile],
        vec!["verify", "-l", "root.layout", "-k", "owner.pub", &equals],
        vec!["verify", "-l", "root.layout", "-k", "owner.pub", "--param", hostile],
        vec!["verify", "-l", "root.layout", "-k", "owner.pub", "--at", hostile],
        vec!["verify", "-l", "root.layout", "-k", "owner.pub", "--format", hostile],
        vec!["verify", "-l", "root.layout", "-k", &token],
        vec!["verify", "--request", hostile],
        vec!["run", "-n", hostile, "-k", "../key", "--", "true"],
        vec!["run", "-n", "a", "-k", hostile, "--", "true"],
        vec!["run", "-n", "a", "-k", "../key", "-d", hostile, "--", "true"],
        vec!["run", "-n", "a", "-k", "../key", "-m", hostile, "--", "true"],
        vec![
            "run",
            "-n",
            "a",
            "-k",
            "../key",
            "--material-image",
            &image,
            "--",
            "true",
        ],
        vec!["run", "-n", "a", "-k", "../key", "--base-path", hostile, "--", "true"],
        vec!["run", "-n", "a", "-k", "../key", "--run-timeout", hostile, "--", "true"],
        vec!["run", "-n", "a", "-k", "../key", "--", hostile],
        vec!["run", "-n", "\u{202e}::error::a", "-k", "../key", "-x"],
        vec!["record", hostile],
        vec!["record", "start", hostile, "-k", "../key"],
        vec!["record", "start", "\u{202e}a", "-k", "../key", "-m", "owner.pub"],
        vec!["record", "stop", "\u{202e}a", "-k", "../other"],
        vec!["mock", "--name", "a", "--", hostile],
        vec!["match-products", "-l", "links/a.link"],
        vec!["match-products", "-l", hostile],
        vec!["sign", "-f", hostile, "-k", "../key"],
        vec!["sign", "-f", "root.layout", "-k", "../key", "-o", &in_folder],
        vec![
            "sign",
            "--verify",
            "-f",
            "root.layout",
            "-k",
            &format!("{HOSTILE}.pub"),
            "owner.pub",
            "../key.pub",
        ],
        vec!["keygen", "-n", &in_folder],
        vec!["keygen", "-t", hostile],
        vec!["key", "show", hostile],
        vec!["key", "show", &format!("{HOSTILE}.pub")],
        vec!["hsm", "list", "--pkcs11-module", hostile],
        vec!["hsm", "public", hostile],
        vec!["attach", hostile, "links"],
        vec!["attach", "localhost:1/a", "links"],
        vec!["attach", "localhost:1/a", hostile],
        vec!["fetch", hostile, "out"],
        vec!["serve", "--policies", hostile, "--self-signed", "localhost"],
        vec!["serve", "--policies", ".", "--log-level", hostile],
        vec!["serve", "--policies", ".", "--listen", hostile],
        vec!["install-aliases", &format!("links/a.link/{HOSTILE}")],
        vec!["demo", "links"],
        vec!["man", &format!("links/a.link/{HOSTILE}")],
        vec!["completions", hostile],
    ] {
        let output = place.linkgate(&arguments);
        assert_harmless(&output, &format!("{arguments:?}"));
        assert!(!output.stderr.is_empty() || !output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_usage_error_says_what_is_wrong_of_a_word_that_is_told_in_another_way() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new(&[]);
    let output = place
        .command("linkgate", &["verify", "--subject"])
        .arg(std::ffi::OsStr::from_bytes(b"\xff\n::error::"))
        .output()
        .unwrap();
    assert_eq!(code(&output), 2);
    assert_harmless(&output, "no UTF-8");
    let output = place.linkgate(&["verify", "-l", "a", "-k", "b", "--format", "json\u{200b}"]);
    assert_eq!(code(&output), 2);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("invalid value 'json\\u{200b}' for '--format"), "{text}");
}

#[test]
fn what_an_inspection_prints() {
    let place = Place::new(&["a"]);
    let keys: Value = serde_json::from_slice(&place.linkgate(&["key", "show", "--json", "../key"]).stdout).unwrap();
    let script = "printf '::error::FORGED\\n\\tx\\r##[error]FORGED\\n\\342\\200\\256FORGED\\033[2J\\n'; exit 1";
    let layout = json!({
        "_type": "layout", "expires": "2126-01-01T00:00:00Z", "readme": "", "keys": keys, "steps": [],
        "inspect": [{"_type": "inspection", "name": "look", "run": ["sh", "-c", script], "expected_materials": [], "expected_products": []}],
    });
    place.write("root.layout", &signed(&place, &layout, &["other"]));
    let public = FileSigner::open(&place.folder.join("../other"), &Password::default()).unwrap();
    place.write("owner.pub", &public.public_key().spki_pem());
    let output = place.linkgate(&["verify", "-l", "root.layout", "-k", "owner.pub"]);
    assert_harmless(&output, "inspection");
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "  | ::error::FORGED\n",
        "  |     x\\r#\\u{23}[error]FORGED\n",
        "  | \\u{202e}FORGED\\u{1b}[2J\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn json_of_a_commands_own() {
    let place = Place::new(&[]);
    let public = FileSigner::open(&place.folder.join("../key"), &Password::default()).unwrap();
    let key = json!({"keyid": HOSTILE, "keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public.public_key().public_text()}});
    place.write("declared.json", &key.to_string());
    let output = place.linkgate(&["key", "show", "--json", "declared.json"]);
    assert_eq!(code(&output), 0);
    let text = str::from_utf8(&output.stdout).unwrap();
    assert!(
        text.chars()
            .all(|character| character == '\n' || (' '..='~').contains(&character)),
        "{text:?}"
    );
    let shown: Value = serde_json::from_str(text).unwrap();
    assert_eq!(shown[HOSTILE]["keyid"], HOSTILE);
}
