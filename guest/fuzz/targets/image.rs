//! Images, wherever they are named: what is read is read by others alike, and once read has one form.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linkgate_image::link::{LinkError, Pages, Place};
use linkgate_image::manifest::Manifest;
use linkgate_image::object::{Kind, changed_images};
use linkgate_image::path::{self, Wanted};
use linkgate_image::pattern::Pattern;
use linkgate_image::{Image, answer};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    manifest(bytes);
    pages(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    image(first);
    pattern(first, second);
    pull(first);
    object(text);
    answer::is_unknown(404, bytes);
});

/// A list goes on at its own path, and at no page twice.
fn pages(headers: &[u8]) {
    let place = Place {
        scheme: Some("https"),
        authority: "r.example",
        path: "/v2/a/referrers/sha256:0",
    };
    let mut pages = Pages::new("");
    let mut next = || pages.next(headers.split(|byte| *byte == b'\n'), &place);
    if let Ok(Some(query)) = next() {
        assert!(query.starts_with('?'));
        assert_eq!(next(), Err(LinkError::Loop));
    }
}

/// The one form of a reference is read as itself, and its name is a pattern of it alone.
fn image(text: &str) {
    let Ok(image) = text.parse::<Image>() else { return };
    assert_eq!(image.to_string().parse::<Image>().as_ref(), Ok(&image));
    let name = image.name();
    let own: Pattern = name.parse().expect("a name is a pattern");
    assert!(own.matches(&name) && own.covers(&name) && !own.matches(&format!("{name}x")));
}

fn pattern(written: &str, name: &str) {
    if let Ok(pattern) = written.parse::<Pattern>() {
        assert!(!pattern.matches(name) || pattern.covers(name));
    }
}

/// A path that is understood has no second spelling.
fn pull(path: &str) {
    match path::parse(path) {
        Some(Wanted::Manifest {
            repository,
            reference,
            query,
        }) => {
            assert_eq!(path, format!("/v2/{repository}/manifests/{reference}{query}"));
        }
        Some(Wanted::Blob { repository, digest }) => {
            let plain = path.split_once('?').map_or(path, |(plain, _)| plain);
            assert_eq!(plain, format!("/v2/{repository}/blobs/{digest}"));
        }
        Some(Wanted::Ping) | None => {}
    }
}

/// Another reader of JSON finds the same digests in the same places.
fn manifest(bytes: &[u8]) {
    let Ok(read) = Manifest::read(bytes) else { return };
    // It refuses numbers that are too large for it, also where nobody reads them.
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let listed = |list: &Value| -> Vec<String> {
        let members = list.as_array().into_iter().flatten();
        members
            .map(|member| member["digest"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let found = if read.is_index() {
        read.manifests()
    } else {
        read.blobs()
    };
    let expected = if read.is_index() {
        listed(&value["manifests"])
    } else {
        [
            listed(&Value::Array(vec![value["config"].clone()])),
            listed(&value["layers"]),
        ]
        .concat()
    };
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

/// What an object is said to name stands where it is said to stand.
fn object(text: &str) {
    for (group, kind) in [("", "Pod"), ("apps", "Deployment"), ("batch", "CronJob")] {
        let kind = Kind {
            group: group.to_owned(),
            kind: kind.to_owned(),
        };
        let Ok(named) = changed_images("CREATE", &kind, Some(text), None) else {
            continue;
        };
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            continue;
        };
        for image in named {
            let there = value
                .pointer(&image.pointer)
                .and_then(Value::as_str)
                .unwrap_or_default();
            assert_eq!(there, image.image);
        }
        let unchanged = changed_images("UPDATE", &kind, Some(text), Some(text));
        assert_eq!(unchanged.map(|brought| brought.len()), Ok(0));
    }
}
