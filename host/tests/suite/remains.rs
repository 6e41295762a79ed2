//! What commands leave behind where they are ended, and where they cannot write.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use linkgate::key::Password;
use linkgate::signer::{FileSigner, Signer as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::place::{Place, code, stderr};
use crate::shown::signed;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_mins(1);

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Sends a signal as soon as there is anything in a folder, and says whether that ended the process.
fn ended_at_the_first_file(mut child: Child, place: &Place, folder: &str, number: Signal) -> bool {
    let begun = Instant::now();
    while place.names(folder).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "nothing was made");
    }
    signal(&child, number);
    let status = child.wait().unwrap();
    assert!(status.success() || status.signal() == Some(number.as_raw()), "{status}");
    !status.success()
}

#[test]
fn a_signal_leaves_no_half_of_a_key() {
    for number in [Signal::TERM, Signal::INT, Signal::HUP] {
        // It may come when both halves are there.
        let has_ended = (0..20).any(|_| {
            let place = Place::new(&[]);
            let mut keygen = place.command("linkgate", &["keygen", "-P", "password", "-n", "key"]);
            let child = keygen.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            let ended = ended_at_the_first_file(child, &place, ".", number);
            let wanted: &[&str] = if ended { &[] } else { &["key", "key.pub"] };
            assert_eq!(place.names("."), wanted, "{number:?}");
            ended
        });
        assert!(has_ended, "{number:?}");
    }
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let place = Place::new(&[]);
    let script = format!(
        "trap '' TERM HUP; exec {} keygen -P password -n key",
        env!("CARGO_BIN_EXE_linkgate")
    );
    for number in [Signal::TERM, Signal::HUP] {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script])
            .current_dir(&place.folder)
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        let child = shell.spawn().unwrap();
        assert!(!ended_at_the_first_file(child, &place, ".", number));
        assert_eq!(place.names("."), ["key", "key.pub"]);
        fs::remove_file(place.folder.join("key")).unwrap();
        fs::remove_file(place.folder.join("key.pub")).unwrap();
    }
}

#[test]
fn a_signal_leaves_no_copy_for_inspections() {
    let place = Place::new(&[]);
    for number in 0..4_000 {
        place.write(&format!("delivery/{}/{number}", number % 40), "x");
    }
    let layout = layout(&place, "true");
    place.write("root.layout", &layout);
    fs::create_dir(place.folder.join("temporary")).unwrap();
    let has_ended = (0..20).any(|_| {
        let mut verify = place.command(
            "linkgate",
            &[
                "verify",
                "-l",
                "root.layout",
                "-k",
                "owner.pub",
                "--inspect-dir",
                "delivery",
            ],
        );
        verify.env("TMPDIR", place.folder.join("temporary"));
        let child = verify.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let ended = ended_at_the_first_file(child, &place, "temporary", Signal::TERM);
        assert!(place.names("temporary").is_empty());
        ended
    });
    assert!(has_ended);
}

/// A layout that asks for an inspection, by the owner whose key is written beside it.
fn layout(place: &Place, script: &str) -> String {
    let owner = FileSigner::open(&place.folder.join("../other"), &Password::default()).unwrap();
    place.write("owner.pub", &owner.public_key().spki_pem());
    let keys: Value = serde_json::from_slice(&place.linkgate(&["key", "show", "--json", "../key"]).stdout).unwrap();
    let inspection =
        json!({"name": "look", "run": ["sh", "-c", script], "expected_materials": [], "expected_products": []});
    let layout = json!({
        "_type": "layout", "expires": "2126-01-01T00:00:00Z", "readme": "", "keys": keys, "steps": [], "inspect": [inspection],
    });
    signed(place, &layout, &["other"])
}

#[test]
fn keygen_says_how_to_go_on() {
    let place = Place::new(&["a.pub", "b", ".linkgate-Ab12Cd"]);
    for (name, means) in [
        (
            "a",
            "`a.pub` exists already and is not overwritten, and there is no `a` beside it",
        ),
        ("b", "`openssl pkey -in b -pubout -out b.pub` writes that half"),
    ] {
        let output = place.linkgate(&["keygen", "-n", name]);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(means), "{}", stderr(&output));
    }
    let output = place.linkgate(&["keygen", "-n", "c"]);
    assert_eq!(code(&output), 0);
    assert!(
        stderr(&output).contains("warning: `./.linkgate-Ab12Cd` was left by a command that was killed"),
        "{}",
        stderr(&output)
    );
    assert_eq!(place.names("."), [".linkgate-Ab12Cd", "a.pub", "b", "c", "c.pub"]);
}

#[test]
fn signing_in_place_keeps_mode_and_owner() {
    let place = Place::new(&[]);
    let path = place.folder.join("root.layout");
    for mode in [0o600, 0o640, 0o664, 0o755] {
        place.write("root.layout", &layout(&place, "true"));
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        // Only the superuser may give files away.
        let given = std::os::unix::fs::chown(&path, Some(12_345), Some(54_321)).is_ok();
        let before = fs::metadata(&path).unwrap();
        for more in [&[][..], &["-o", "root.layout"]] {
            let output = place.linkgate(&[&["sign", "-f", "root.layout", "-k", "../other"], more].concat());
            assert_eq!(code(&output), 0, "{}", stderr(&output));
            let after = fs::metadata(&path).unwrap();
            assert_eq!(
                (after.mode(), after.uid(), after.gid()),
                (before.mode(), before.uid(), before.gid()),
                "{mode:o} {given}"
            );
        }
    }
}

/// A folder that takes no file, whoever asks.
const READ_ONLY: &str = "/proc/self";

#[test]
fn a_folder_that_takes_nothing_is_noticed_first() {
    let place = Place::new(&["src/a"]);
    let file = format!("{READ_ONLY}/file");
    let marker = place.folder.join("ran");
    let script = format!("touch {}", marker.display());
    place.write("root.layout", &layout(&place, &script));
    for arguments in [
        vec![
            "run", "-n", "step", "-k", "../key", "-d", READ_ONLY, "--", "sh", "-c", &script,
        ],
        vec!["record", "start", "step", "-k", "../key", "-m", "src", "-d", READ_ONLY],
        vec!["sign", "-f", "root.layout", "-k", "no-such-key", "-o", &file],
        vec!["keygen", "-n", &file],
        vec!["fetch", "localhost:1/app:1", &file, "--plain-http", "localhost:1"],
        vec!["verify", "-l", "root.layout", "-k", "owner.pub", "--receipt", &file],
        vec![
            "verify",
            "-l",
            "root.layout",
            "-k",
            "owner.pub",
            "--save-request",
            &file,
        ],
    ] {
        let output = place.linkgate(&arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        let said = stderr(&output);
        assert!(
            said.contains(&format!("cannot write into the folder `{READ_ONLY}`: ")),
            "{arguments:?}: {said}"
        );
        assert!(!marker.exists(), "{arguments:?}");
        assert!(
            place.names(".").iter().all(|name| !name.contains("unfinished")),
            "{arguments:?}"
        );
    }
    assert_eq!(
        code(&place.linkgate(&["verify", "-l", "root.layout", "-k", "owner.pub"])),
        0
    );
    assert!(marker.exists());
}
