//! What `run`, `record`, `mock` and `match-products` promise, seen from outside: the real binary in real folders.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use linkgate::key::Password;
use linkgate::record::hash::Digest;
use linkgate::record::link::RECORDER;
use linkgate::signer::FileSigner;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::place::{Place, code, stderr};

/// How the keyid of the key beside a place begins.
const KEYID8: &str = "9f4c4054";

impl Place {
    /// `run -n step -k ../key` and these arguments.
    fn run(&self, arguments: &[&str]) -> Output {
        self.linkgate(&[&["run", "-n", "step", "-k", "../key"], arguments].concat())
    }

    fn link(&self, name: &str) -> Value {
        let link: Value = serde_json::from_slice(&fs::read(self.folder.join(name)).unwrap()).unwrap();
        link["signed"].clone()
    }

    fn step(&self) -> Value {
        self.link(&format!("step.{KEYID8}.link"))
    }
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// It failed with this code and said this, and left nothing besides what was there.
#[track_caller]
fn assert_refused(place: &Place, output: &Output, wanted: i32, message: &str) {
    assert_eq!(code(output), wanted, "{}", stderr(output));
    assert!(stderr(output).contains(message), "{}", stderr(output));
    let left = place.names(".");
    assert!(left.iter().all(|name| !name.contains("link")), "{left:?}");
}

#[test]
fn a_run_is_recorded() {
    let place = Place::new(&["src/a", "src/b/c", "Makefile"]);
    let output = place.run(&[
        "-m",
        "src/**",
        "Makefile",
        "-p",
        "out,src/a",
        "-s",
        "--",
        "sh",
        "-c",
        "echo hi; echo err >&2; cp src/a out",
    ]);
    assert_eq!(
        (code(&output), output.stdout.as_slice()),
        (0, &b"hi\n"[..]),
        "{}",
        stderr(&output)
    );
    let link = place.step();
    assert_eq!(link["_type"], "link");
    assert_eq!(link["name"], "step");
    assert_eq!(keys(&link["materials"]), ["Makefile", "src/a", "src/b/c"]);
    assert_eq!(
        link["products"]["out"],
        json!({"sha256": Digest::of(b"src/a").to_string()})
    );
    assert_eq!(keys(&link["products"]), ["out", "src/a"]);
    assert_eq!(
        link["byproducts"],
        json!({"return-value": 0, "stdout": "hi\n", "stderr": "err\n"})
    );
    assert_eq!(link["command"][0], "sh");
    assert_eq!(link["environment"]["recorder"], RECORDER);
    assert!(link["environment"]["started"].as_str() <= link["environment"]["finished"].as_str());
}

#[test]
fn streams_pass_through_and_are_kept_only_if_asked() {
    let place = Place::new(&[]);
    let output = place.run(&["-q", "--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!(
        (output.stdout.as_slice(), stderr(&output).as_str()),
        (&b"out\n"[..], "err\n")
    );
    assert_eq!(
        place.step()["byproducts"],
        json!({"return-value": 0, "stdout": "", "stderr": ""})
    );
}

#[test]
fn no_command() {
    let place = Place::new(&["a"]);
    assert_eq!(code(&place.run(&["-m", "a", "-x"])), 0);
    assert_eq!(
        (place.step()["command"].clone(), place.step()["byproducts"].clone()),
        (json!([]), json!({}))
    );
    // The same files at the same moment are looked at once; others are not.
    let place = Place::new(&["a", "b"]);
    assert_eq!(code(&place.run(&["-m", "a", "-p", "a", "-x"])), 0);
    let step = place.step();
    assert_eq!(step["products"]["a"]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(step["materials"], step["products"]);
    let place = Place::new(&["a", "b"]);
    assert_eq!(code(&place.run(&["-m", "a", "-p", "a,b", "-x"])), 0);
    let products = place.step()["products"].clone();
    assert_eq!(
        products.as_object().map(|products| products.keys().cloned().collect()),
        Some(vec!["a".to_owned(), "b".to_owned()])
    );
}

#[test]
fn what_lies_above_is_recorded_so() {
    let place = Place::new(&["a"]);
    assert_eq!(code(&place.run(&["-m", "d/.././../key", "-x"])), 0);
    let materials = place.step()["materials"].clone();
    assert_eq!(
        materials["../key"]["sha256"].as_str().map(str::len),
        Some(64),
        "{materials}"
    );
}

#[test]
fn a_failed_command_leaves_no_link() {
    let place = Place::new(&["a"]);
    for (script, wanted) in [("exit 3", 3), ("kill -9 $$", 137)] {
        let output = place.run(&["-m", "a", "--", "sh", "-c", script]);
        assert_refused(&place, &output, wanted, "no link is written");
        assert!(!stderr(&output).contains("is still there"), "{}", stderr(&output));
    }
    let output = place.run(&["--record-failure", "-m", "a", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(code(&output), 137);
    assert_eq!(place.step()["byproducts"]["return-value"], 137);
    for (options, wanted) in [(&[][..], 1), (&["--run-timeout", "1"][..], 124)] {
        let command = ["-m", "a", "--", "sh", "-c", "sleep 3; exit 1"];
        let output = place.run(&[options, &command].concat());
        assert_eq!(code(&output), wanted);
        let wanted = format!("`step.{KEYID8}.link` is still there, from an earlier run");
        assert!(stderr(&output).contains(&wanted), "{}", stderr(&output));
    }
}

#[test]
fn in_toto_run_has_its_own_ways_with_failure() {
    let place = Place::new(&["a"]);
    let output = place
        .command(
            "in-toto-run",
            &[
                "--step",
                "step",
                "--signing-key",
                "../key",
                "-m",
                "a",
                "none",
                "--",
                "sh",
                "-c",
                "kill -9 $$",
            ],
        )
        .output()
        .unwrap();
    assert_eq!(code(&output), 247);
    assert_eq!(place.step()["byproducts"]["return-value"], -9);
    assert_eq!(stderr(&output), "warning: `none` does not exist and is not recorded\n");
}

#[test]
fn the_workflow_line_of_old() {
    let place = Place::new(&["src/main.c"]);
    fs::create_dir(place.folder.join("links")).unwrap();
    fs::copy(
        place.folder.parent().unwrap().join("key"),
        place.folder.join("builder-key"),
    )
    .unwrap();
    let output = place
        .command(
            "in-toto-run",
            &[
                "--key-path",
                "builder-key",
                "--links-dir",
                "links/",
                "--materials",
                "src/",
                "--products",
                "myapp.tar",
                "--",
                "tar",
                "cf",
                "myapp.tar",
                "src",
            ],
        )
        .env("GITHUB_JOB", "build")
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let link = place.link(&format!("links/build.{KEYID8}.link"));
    assert_eq!(
        (keys(&link["materials"]), keys(&link["products"])),
        (vec!["src/main.c"], vec!["myapp.tar"])
    );
}

#[test]
fn usage_errors() {
    let place = Place::new(&["a"]);
    for (arguments, message) in [
        (&["run", "-k", "../key", "-x"][..], "no step name"),
        (
            &["run", "-n", "a/b", "-k", "../key", "-x"],
            "the step name `a/b` is none",
        ),
        (&["run", "-n", "a", "-x"], "no signing key"),
        (&["run", "-n", "a", "-k", "../key"], "no command"),
        (&["run", "-n", "a", "-g", "-x"], "GPG keys are not supported"),
        (
            &["run", "-n", "a", "--gpg", "8465A1E2", "-x"],
            "GPG keys are not supported",
        ),
        (
            &["run", "-n", "a", "-k", "../key", "-x", "--product-image", "a"],
            "is not NAME=oci-layout:DIR",
        ),
        (
            &["record", "-k", "../key", "start", "a", "-p", "a"],
            "products are recorded at the stop",
        ),
        (
            &["record", "-k", "../key", "stop", "a", "-m", "a"],
            "materials are recorded at the start",
        ),
        (&["record", "-k", "../key", "pause", "a"], "invalid value 'pause'"),
    ] {
        assert_refused(&place, &place.linkgate(arguments), 2, message);
        let tool = format!("in-toto-{}", arguments[0]);
        assert_refused(
            &place,
            &place.command(&tool, &arguments[1..]).output().unwrap(),
            2,
            message,
        );
    }
}

#[test]
fn a_missing_output_folder_stops_it_before_the_command() {
    let place = Place::new(&["a"]);
    for (name, wanted) in [("linkgate run", 2), ("in-toto-run", 1)] {
        let (name, verb) = name
            .split_once(' ')
            .map_or((name, None), |(name, verb)| (name, Some(verb)));
        let mut arguments: Vec<&str> = verb.into_iter().collect();
        arguments.extend(["-n", "step", "-k", "../key", "-d", "none", "--", "touch", "mark"]);
        let output = place.command(name, &arguments).output().unwrap();
        assert_refused(
            &place,
            &output,
            wanted,
            "the folder `none` does not exist; create it first",
        );
        assert!(!place.folder.join("mark").exists());
    }
}

#[test]
fn what_cannot_be_recorded_is_named() {
    let place = Place::new(&["d/inner/a"]);
    symlink("nothing", place.folder.join("dangling")).unwrap();
    symlink("round2", place.folder.join("round1")).unwrap();
    symlink("round1", place.folder.join("round2")).unwrap();
    symlink("..", place.folder.join("d/inner/up")).unwrap();
    // Opens, and fails when it is read, even for root.
    symlink("/proc/self/mem", place.folder.join("mem")).unwrap();
    Command::new("mkfifo").arg(place.folder.join("pipe")).status().unwrap();
    for (arguments, message) in [
        (&["-m", "none", "-x"][..], "`none` does not exist"),
        (&["-m", "dangling", "-x"], "`dangling` is a link to nothing"),
        (
            &["-m", "round1", "-x"],
            "the symbolic link `round1` leads back to itself",
        ),
        (
            &["-m", "d", "--follow-symlink-dirs", "-x"],
            "the link `d/inner/up` leads back to a folder that it is in",
        ),
        (&["-m", "mem", "-x"], "cannot read `mem`"),
        (&["-m", "pipe", "-x"], "`pipe` is not a regular file"),
        (
            &["-m", "d/inner/a", "--lstrip-paths", "d/inner/a", "-x"],
            "`d/inner/a` would be recorded as ``, which verifiers refuse",
        ),
        (&["-m", "*.none", "-x"], "no file matches `*.none`"),
        (&["-m", "ostree:main", "-x"], "OSTree references are not supported"),
        (&["-m", "d", "--lstrip-paths", "d", "d/", "-x"], "`d/` begins with `d`"),
        (
            &["-m", "a", "--base-path", "none", "-x"],
            "the base path `none` is not a folder",
        ),
        (&["-p", "none", "--", "true"], "`none` does not exist"),
    ] {
        assert_refused(&place, &place.run(arguments), 2, message);
    }
}

#[test]
fn an_unreadable_file_is_named() {
    let place = Place::new(&["secret"]);
    fs::set_permissions(place.folder.join("secret"), fs::Permissions::from_mode(0o0)).unwrap();
    if File::open(place.folder.join("secret")).is_ok() {
        // Root reads everything; `mem` above stands for this case then.
        return;
    }
    assert_refused(
        &place,
        &place.run(&["-m", ".", "-x"]),
        2,
        "cannot read `secret`: Permission denied",
    );
}

#[test]
fn a_file_that_changes_is_not_recorded() {
    let place = Place::new(&[]);
    let path = place.folder.join("growing");
    // Holes are read as zeros: long enough to hash that it grows meanwhile.
    File::create(&path).unwrap().set_len(256 << 20).unwrap();
    let done = AtomicBool::new(false);
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::options().append(true).open(&path).unwrap();
            while !done.load(Ordering::Relaxed) {
                file.write_all(b"x").unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        });
        let output = place.run(&["-m", "growing", "-x"]);
        done.store(true, Ordering::Relaxed);
        output
    });
    assert_refused(&place, &output, 2, "`growing` changed while it was read");
}

#[test]
fn a_command_out_of_time_is_killed_with_its_children() {
    let script = "(sleep 3; touch mark) & sleep 30";
    // Whatever else this machine does may hold up one of them, but not each.
    let is_in_time = (0..5).any(|_| {
        let place = Place::new(&["a"]);
        let start = Instant::now();
        let output = place.run(&["--run-timeout", "1", "-s", "-m", "a", "--", "sh", "-c", script]);
        let took = start.elapsed();
        assert_refused(
            &place,
            &output,
            124,
            "`sh` did not end within 1 s and was killed with all it had started",
        );
        if took >= Duration::from_secs(3) {
            return false;
        }
        thread::sleep(Duration::from_millis(3500).saturating_sub(start.elapsed()));
        assert!(!place.folder.join("mark").exists());
        true
    });
    assert!(is_in_time);
}

#[test]
fn a_signal_ends_a_command_in_its_own_group_too() {
    let place = Place::new(&["a"]);
    let arguments = [
        "run",
        "-n",
        "step",
        "-k",
        "../key",
        "--run-timeout",
        "60",
        "-m",
        "a",
        "--",
        "sh",
        "-c",
        "touch mark; exec sleep 30",
    ];
    let child = place
        .command("linkgate", &arguments)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !place.folder.join("mark").exists() {
        thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    assert_refused(&place, &child.wait_with_output().unwrap(), 143, "no link is written");
}

#[test]
fn images_are_recorded_by_their_digest() {
    let place = Place::new(&["app.tar"]);
    let manifest = r#"{"schemaVersion":2}"#;
    let digest = Digest::of(manifest.as_bytes()).to_string();
    place.write("image/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    place.write(&format!("image/blobs/sha256/{digest}"), manifest);
    let index =
        json!({"schemaVersion": 2, "manifests": [{"digest": format!("sha256:{digest}"), "size": manifest.len()}]});
    place.write("image/index.json", &index.to_string());
    let output = place.run(&["-m", "app.tar", "--product-image", "myapp:1.0.0=oci-layout:image", "-x"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(place.step()["products"], json!({"myapp:1.0.0": {"sha256": digest}}));

    let archive = tar(&place, &["-C", "image", "."]);
    let output = place.run(&[
        "--material-image",
        &format!("myapp:1.0.0=docker-archive:{archive}"),
        "-x",
    ]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(place.step()["materials"], json!({"myapp:1.0.0": {"sha256": digest}}));
}

#[test]
fn an_image_archive_without_a_manifest_is_refused() {
    let place = Place::new(&["manifest.json"]);
    let archive = tar(&place, &["manifest.json"]);
    let output = place.run(&["--product-image", &format!("a=docker-archive:{archive}"), "-x"]);
    assert_refused(&place, &output, 2, "skopeo copy docker-archive:FILE oci:DIR:TAG");
}

fn tar(place: &Place, arguments: &[&str]) -> &'static str {
    let made = Command::new("tar")
        .args(["cf", "image.tar"])
        .args(arguments)
        .current_dir(&place.folder)
        .status()
        .unwrap();
    assert!(made.success());
    "image.tar"
}

#[test]
fn names_and_contents_as_the_options_say() {
    let place = Place::new(&["src/a", "src/b.log", "src/deep/c", "src/x.link"]);
    place.write("src/lines", "one\r\ntwo\r");
    let arguments = [
        "-m",
        "src",
        "--base-path",
        ".",
        "--lstrip-paths",
        "src/",
        "--exclude",
        "*.log",
        "deep/",
        "--normalize-line-endings",
        "-x",
    ];
    assert_eq!(code(&place.run(&arguments)), 0);
    let materials = place.step()["materials"].clone();
    assert_eq!(keys(&materials), ["a", "lines", "x.link"]);
    assert_eq!(materials["lines"]["sha256"], Digest::of(b"one\ntwo\n").to_string());
    let output = place.run(&["-m", "src/**", "--base-path", "src/..", "-x", "--use-dsse"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn a_record_from_start_to_stop() {
    for form in [&[][..], &["--use-dsse"]] {
        let place = Place::new(&["a"]);
        fs::create_dir(place.folder.join("links")).unwrap();
        let start = [&["record", "start", "step", "-k", "../key", "-m", "a"], form].concat();
        assert_eq!(code(&place.linkgate(&start)), 0);
        assert_eq!(
            place.names("."),
            [
                format!(".step.{KEYID8}.link-unfinished"),
                "a".to_owned(),
                "links".to_owned()
            ]
        );
        place.write("b", "b");
        let stop = [
            "record",
            "--key",
            "../key",
            "--links-dir",
            "links/",
            "stop",
            "step",
            "-p",
            "a,b",
        ];
        let output = place.linkgate(&stop);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert_eq!(place.names("."), ["a", "b", "links"]);
        assert_eq!(place.names("links"), [format!("step.{KEYID8}.link")]);
        if form.is_empty() {
            let link = place.link(&format!("links/step.{KEYID8}.link"));
            assert_eq!(
                (keys(&link["materials"]), keys(&link["products"])),
                (vec!["a"], vec!["a", "b"])
            );
            assert_eq!(keys(&link["environment"]), ["finished", "recorder", "started"]);
        }
    }
}

#[test]
fn a_record_of_the_folder_leaves_out_links_keys_and_git() {
    let place = Place::new(&["a", ".git/config", "old.link", "my.pub", "deep/your.pub"]);
    fs::copy(
        place.folder.parent().unwrap().join("key"),
        place.folder.join("builder-key"),
    )
    .unwrap();
    let start = ["--key", "builder-key", "start", "build"];
    let output = place.command("in-toto-record", &start).output().unwrap();
    assert_eq!(code(&output), 0);
    assert!(
        stderr(&output).contains("recording the current folder, less links, keys and .git"),
        "{}",
        stderr(&output)
    );
    let link = place.link(&format!(".build.{KEYID8}.link-unfinished"));
    assert_eq!(keys(&link["materials"]), ["a"]);
    assert_eq!(
        code(
            &place
                .command("in-toto-record", &["--key", "builder-key", "stop", "build"])
                .output()
                .unwrap()
        ),
        0
    );
}

#[test]
fn an_unfinished_record_that_cannot_be_trusted() {
    let place = Place::new(&["a", "b"]);
    let name = format!(".step.{KEYID8}.link-unfinished");
    let path = place.folder.join(&name);
    let stop = ["record", "stop", "step", "-k", "../key", "-p", "a"];
    let refused = |message: &str| {
        let output = place.linkgate(&stop);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert!(!place.folder.join(format!("step.{KEYID8}.link")).exists());
    };
    refused("is not here: start the record first");

    assert_eq!(
        code(&place.linkgate(&["record", "start", "step", "-k", "../key", "-m", "a"])),
        0
    );
    let sound = fs::read_to_string(&path).unwrap();
    fs::write(&path, sound.replacen("\"a\"", "\"b\"", 1)).unwrap();
    refused("has no valid signature by the key");
    fs::write(&path, &sound[..sound.len() - 2]).unwrap();
    refused("is malformed");

    assert_eq!(
        code(&place.linkgate(&["record", "start", "step", "-k", "../other", "-m", "a"])),
        0
    );
    let others = place
        .names(".")
        .into_iter()
        .find(|other| other.starts_with(".step.") && *other != name)
        .unwrap();
    fs::rename(place.folder.join(others), &path).unwrap();
    refused("has no valid signature by the key");

    assert_eq!(
        code(&place.linkgate(&["record", "start", "another", "-k", "../key", "-m", "a"])),
        0
    );
    fs::rename(place.folder.join(format!(".another.{KEYID8}.link-unfinished")), &path).unwrap();
    refused("is not an unfinished record of the step `step`");

    fs::write(&path, sound).unwrap();
    assert_eq!(code(&place.linkgate(&stop)), 0);
}

#[test]
fn mock_and_match_products() {
    let place = Place::new(&["a"]);
    let output = place.linkgate(&["mock", "-n", "m", "--", "sh", "-c", "echo hi; cp a b; exit 5"]);
    assert_eq!(
        (code(&output), output.stdout.as_slice()),
        (0, &b"hi\n"[..]),
        "{}",
        stderr(&output)
    );
    let link = place.link("m.link");
    assert_eq!(
        (keys(&link["materials"]), keys(&link["products"])),
        (vec!["a"], vec!["a", "b"])
    );
    assert_eq!(link["byproducts"]["return-value"], 5);

    let matched = |arguments: &[&str]| {
        let output = place.command("in-toto-match-products", arguments).output().unwrap();
        (code(&output), String::from_utf8(output.stdout).unwrap())
    };
    let same = "Local artifacts match products in passed link.\n".to_owned();
    assert_eq!(matched(&["-v", "-l", "m.link"]), (0, same.clone()));
    assert_eq!(matched(&["-l", "m.link"]), (0, String::new()));
    place.write("a", "changed");
    place.write("c", "new");
    fs::remove_file(place.folder.join("b")).unwrap();
    let different = "Local artifacts don't match products in passed link.\nOnly in products: b\nNot in products: c\nHashes differ: a\n";
    assert_eq!(matched(&["-v", "-l", "m.link"]), (1, different.to_owned()));
    assert_eq!(matched(&["-l", "m.link"]), (1, String::new()));
    assert_eq!(matched(&["-l", "none.link"]), (1, String::new()));
    assert_eq!(matched(&["-v"]).0, 2);
    assert_eq!(code(&place.linkgate(&["match-products", "-l", "none.link"])), 2);
}

#[test]
fn only_an_unfinished_record_is_finished() {
    let place = Place::new(&["src/a"]);
    fs::create_dir(place.folder.join("old")).unwrap();
    let unfinished = place.folder.join(format!(".step.{KEYID8}.link-unfinished"));
    let stop = || place.linkgate(&["record", "stop", "step", "-k", "../key", "-p", "src"]);
    let start = || {
        assert_eq!(
            code(&place.linkgate(&["record", "start", "step", "-k", "../key", "-m", "src"])),
            0
        );
    };
    // Links by the same key for the same step, each with the materials of its time: of a command, of none, of a record, and
    // of records without products, one of them as in-toto makes it.
    let link = format!("old/step.{KEYID8}.link");
    for arguments in [
        &["run", "-n", "step", "-m", "src", "-p", "src", "-d", "old", "--", "true"][..],
        &["run", "-n", "step", "-m", "src", "-d", "old", "-x"],
        &["record", "stop", "step", "-p", "src", "-d", "old"],
        &["record", "stop", "step", "-p", "src", "--exclude", "*", "-d", "old"],
    ] {
        if arguments[0] == "record" {
            start();
        }
        let made = place.linkgate(&[&arguments[..3], &["-k", "../key"], &arguments[3..]].concat());
        assert_eq!(code(&made), 0, "{}", stderr(&made));
        start();
        fs::copy(place.folder.join(&link), &unfinished).unwrap();
        let output = stop();
        assert_refused_record(&output, arguments);
    }
    let signer = FileSigner::open(&place.folder.join("../key"), &Password::default()).unwrap();
    let form = linkgate_verifier::envelope::Form::Metablock;
    let mut payload = json!({"_type": "link", "name": "step", "command": [], "materials": {}, "products": {}, "byproducts": {}, "environment": {}});
    fs::write(
        &unfinished,
        linkgate::metadata::seal(&payload, form, &[&signer]).unwrap(),
    )
    .unwrap();
    assert_refused_record(&stop(), &["as in-toto makes it"]);
    payload["environment"] = json!({"started": "2026-01-01T00:00:00Z"});
    payload["more"] = json!({});
    fs::write(
        &unfinished,
        linkgate::metadata::seal(&payload, form, &[&signer]).unwrap(),
    )
    .unwrap();
    assert_refused_record(&stop(), &["with more"]);
    start();
    assert_eq!(code(&stop()), 0);
}

#[track_caller]
fn assert_refused_record(output: &Output, what: &[&str]) {
    assert_eq!(code(output), 2, "{what:?}");
    let said = stderr(output);
    assert!(
        said.contains("is not an unfinished record of the step `step`"),
        "{what:?}: {said}"
    );
}
