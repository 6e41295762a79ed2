//! What surrounds the work: aliases, completions, manual pages and help.

use std::fs;
use std::process::Command;

use crate::place::{Place, code, stderr};

#[test]
fn aliases_never_take_anothers_place() {
    let place = Place::new(&["bin/other"]);
    let install = || place.linkgate(&["install-aliases", "bin"]);
    assert_eq!(code(&install()), 0);
    assert_eq!(code(&install()), 0);
    let version = Command::new(place.folder.join("bin/in-toto-run"))
        .arg("--version")
        .output()
        .unwrap();
    assert!(
        String::from_utf8(version.stdout)
            .unwrap()
            .starts_with("in-toto-run (linkgate")
    );

    for name in place.names("bin").into_iter().filter(|name| name != "other") {
        fs::remove_file(place.folder.join("bin").join(name)).unwrap();
    }
    place.write("bin/in-toto-mock", "mine");
    let refused = install();
    assert_eq!(code(&refused), 2);
    assert!(
        stderr(&refused).contains("`bin/in-toto-mock` exists already"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(place.names("bin"), ["in-toto-mock", "other"]);
    assert_eq!(code(&place.linkgate(&["install-aliases", "new/bin"])), 0);
    assert!(place.names("new/bin").contains(&"in-toto-run".to_owned()));
    place.write("file", "");
    let refused = place.linkgate(&["install-aliases", "file"]);
    assert_eq!(code(&refused), 2);
    assert!(
        stderr(&refused).contains("`file` is not a folder"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn completions_and_manual_pages() {
    let place = Place::new(&[]);
    for shell in ["bash", "zsh", "fish"] {
        let script = String::from_utf8(place.linkgate(&["completions", shell]).stdout).unwrap();
        for word in ["start", "stop", "elvish"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert!(place.linkgate(&["man"]).stdout.starts_with(b".ie"));
    assert_eq!(code(&place.linkgate(&["man", "."])), 0);
    assert!(
        place.names(".").contains(&"linkgate-run.1".to_owned()),
        "{:?}",
        place.names(".")
    );
    assert_eq!(code(&place.linkgate(&["man", "new/man1"])), 0);
    assert!(place.names("new/man1").contains(&"linkgate.1".to_owned()));
}

#[test]
fn every_verb_shows_examples() {
    let place = Place::new(&[]);
    for verb in [
        "run",
        "record",
        "mock",
        "match-products",
        "install-aliases",
        "completions",
        "man",
    ] {
        let help = String::from_utf8(place.linkgate(&[verb, "--help"]).stdout).unwrap();
        assert!(help.contains("Examples:"), "{verb}");
    }
}
