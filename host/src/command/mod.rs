//! One verb a file; what several verbs take stands in [`recording`], [`registries`] and [`signing`].

pub(crate) mod aliases;
pub(crate) mod attach;
pub(crate) mod completions;
pub(crate) mod component;
pub(crate) mod demo;
pub(crate) mod fetch;
pub(crate) mod hsm;
pub(crate) mod key;
pub(crate) mod keygen;
pub(crate) mod man;
pub(crate) mod match_products;
pub(crate) mod mock;
pub(crate) mod record;
mod recording;
mod registries;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod sign;
mod signing;
pub(crate) mod verify;
pub(crate) mod version;

/// Words as a POSIX shell reads them back.
pub(crate) fn quoted<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(&byte);
    let quoted = words.into_iter().map(|word| {
        let word = word.as_ref();
        if !word.is_empty() && word.bytes().all(is_plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
