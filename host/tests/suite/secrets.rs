//! What unlocks keys: no child gets it, and a command line that shows it is warned of.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread;

use crate::place::{Place, code, stderr};

/// Sets both secrets.
fn with_secrets(command: &mut Command) -> &mut Command {
    command
        .env("PKCS11_PIN", "the-pin")
        .env("LINKGATE_KEY_PASSWORD", "the-password")
}

/// No secret is in the environment that was written down, nor in that of the process that wrote it down for.
#[track_caller]
fn assert_kept(place: &Place, file: &str) {
    let seen = fs::read(place.folder.join(file)).unwrap();
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("PATH="), "{seen}");
    for secret in ["the-pin", "the-password", "PKCS11_PIN", "LINKGATE_KEY_PASSWORD"] {
        assert!(!seen.contains(secret), "{seen}");
    }
}

#[test]
fn a_credential_helper_gets_none() {
    let place = Place::new(&[]);
    let helper = place.folder.join("docker-credential-spy");
    fs::write(
        &helper,
        "#!/bin/sh\nenv > seen\nprintf '{\"Username\":\"u\",\"Secret\":\"s\"}'\n",
    )
    .unwrap();
    fs::set_permissions(&helper, Permissions::from_mode(0o755)).unwrap();
    // A registry that wants to know who asks.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"r\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    place.write("config.json", &format!("{{\"credHelpers\": {{\"{host}\": \"spy\"}}}}"));
    let path = format!("{}:{}", place.folder.display(), std::env::var("PATH").unwrap());
    let image = format!("{host}/app:1");
    let mut fetch = place.command(
        "linkgate",
        &[
            "fetch",
            &image,
            "out",
            "--plain-http",
            &host,
            "--registry-config",
            "config.json",
        ],
    );
    let output = with_secrets(&mut fetch).env("PATH", path).output().unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert_kept(&place, "seen");
}

#[test]
fn no_command_gets_any() {
    for arguments in [
        &["run", "-n", "step", "-k", "../key"][..],
        &["run", "-n", "step", "-k", "../key", "-s", "--run-timeout", "60"],
        &["mock", "--name", "step"],
    ] {
        let place = Place::new(&[]);
        // It looks at its own environment, and at that of the process that started it.
        let script = "env > seen; cat /proc/$PPID/environ >> seen 2> /dev/null || true";
        let mut run = place.command("linkgate", &[arguments, &["--", "sh", "-c", script]].concat());
        if rustix::process::getuid().is_root() {
            // It may read everything.
            run = place.command("linkgate", &[arguments, &["--", "sh", "-c", "env > seen"]].concat());
        }
        let output = with_secrets(&mut run).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert_kept(&place, "seen");
    }
}

#[test]
fn the_demo_gives_none_to_its_shell() {
    let place = Place::new(&[]);
    let bin = place.folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let tar = bin.join("tar");
    fs::write(&tar, "#!/bin/sh\nenv > ../seen\nexit 1\n").unwrap();
    fs::set_permissions(&tar, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut demo = place.command("linkgate", &["demo"]);
    let output = with_secrets(&mut demo).env("PATH", path).output().unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert_kept(&place, "seen");
    // Its keys are for everybody to look at.
    let key = fs::read_to_string(place.folder.join("linkgate-demo/alice")).unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"), "{key}");
}

#[test]
fn the_environment_still_unlocks() {
    let place = Place::new(&[]);
    let linkgate = |arguments: &[&str]| {
        with_secrets(&mut place.command("linkgate", arguments))
            .output()
            .unwrap()
    };
    assert_eq!(code(&linkgate(&["keygen", "-n", "key"])), 0);
    let key = fs::read_to_string(place.folder.join("key")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{key}");
    let output = linkgate(&["run", "-n", "step", "-k", "key", "-x", "-m", "key.pub"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_ne!(
        code(&place.linkgate(&["run", "-n", "step", "-k", "key", "-x", "-m", "key.pub"])),
        0
    );
}

#[test]
fn a_password_on_the_command_line_is_warned_of() {
    let place = Place::new(&["a"]);
    place.write("layout.json", r#"{"_type": "layout", "expires": "2126-01-01T00:00:00Z", "readme": "", "keys": {}, "steps": [], "inspect": []}"#);
    for arguments in [
        &["keygen", "-n", "key", "-P", "secret"][..],
        &["key", "show", "key", "--password", "secret"],
        &["run", "-n", "step", "-k", "key", "-P", "secret", "-x", "-m", "a"],
        &["record", "start", "step", "-k", "key", "-Psecret", "-m", "a"],
        &["record", "stop", "step", "-k", "key", "--password=secret", "-p", "a"],
        &[
            "sign",
            "-f",
            "layout.json",
            "-k",
            "key",
            "-P",
            "secret",
            "-o",
            "root.layout",
        ],
    ] {
        let output = place.linkgate(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(
            said.contains("warning: the password stands on the command line"),
            "{arguments:?}: {said}"
        );
        assert!(!said.contains("secret"), "{said}");
    }
    let quiet = place.linkgate(&["run", "-n", "step", "-k", "key", "-P", "secret", "-x", "-m", "a", "-q"]);
    assert_eq!((code(&quiet), stderr(&quiet).as_str()), (0, ""));
}
