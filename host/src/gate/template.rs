//! Values of parameters, with placeholders that a request fills.

use std::fmt;
use std::str::FromStr;

use crate::evidence::About;

/// A parameter's value: text with placeholders. `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    written: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Image,
    Digest,
    Namespace,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder that nothing fills.
    #[error("`{{{0}}}` is filled by nothing; there are {{IMAGE_NAME}}, {{IMAGE_DIGEST}} and {{NAMESPACE}}")]
    Unknown(String),
    /// A brace that is neither doubled nor around a name.
    #[error("a lone brace: `{{{{` and `}}}}` stand for braces")]
    Brace,
}

/// A placeholder that has no value for an artifact: whoever asked did not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{{{0}}}` has no value here: whoever asks did not say it")]
pub struct Unfilled(pub &'static str);

impl Template {
    /// The value for an artifact. With an empty placeholder it would be another pattern than its author meant.
    pub fn fill(&self, about: &About) -> Result<String, Unfilled> {
        let mut value = String::new();
        for piece in &self.pieces {
            let (placeholder, filled) = match piece {
                Piece::Text(text) => {
                    value.push_str(text);
                    continue;
                }
                Piece::Image => ("IMAGE_NAME", about.name.clone().unwrap_or_default()),
                Piece::Digest => ("IMAGE_DIGEST", about.digest.to_string()),
                Piece::Namespace => ("NAMESPACE", about.namespace.clone()),
            };
            if filled.is_empty() {
                return Err(Unfilled(placeholder));
            }
            value.push_str(&filled);
        }
        Ok(value)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(written: &str) -> Result<Self, TemplateError> {
        let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), written);
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                text.push_str(brace);
                rest = after;
                continue;
            }
            let (name, after) = match brace {
                "{" => rest.split_once('}').ok_or(TemplateError::Brace)?,
                _ => return Err(TemplateError::Brace),
            };
            pieces.push(Piece::Text(std::mem::take(&mut text)));
            pieces.push(match name {
                "IMAGE_NAME" => Piece::Image,
                "IMAGE_DIGEST" => Piece::Digest,
                "NAMESPACE" => Piece::Namespace,
                other => return Err(TemplateError::Unknown(other.to_owned())),
            });
            rest = after;
        }
        text.push_str(rest);
        pieces.push(Piece::Text(text));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Self {
            written: written.to_owned(),
            pieces,
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use linkgate_image::ManifestDigest;

    use super::*;

    #[test]
    fn filled_by_a_request() {
        let about = About {
            image: None,
            name: Some("r.example/app".to_owned()),
            digest: ManifestDigest::of(b"test"),
            namespace: "prod".to_owned(),
        };
        let digest = about.digest.to_string();
        for (written, value) in [
            ("", ""),
            ("plain", "plain"),
            ("{IMAGE_NAME}", "r.example/app"),
            ("{NAMESPACE}/{IMAGE_DIGEST}!", &format!("prod/{digest}!")),
            ("{{IMAGE_NAME}}", "{IMAGE_NAME}"),
        ] {
            assert_eq!(written.parse::<Template>().unwrap().fill(&about).as_deref(), Ok(value));
        }
    }

    #[test]
    fn an_empty_placeholder_is_no_value() {
        let about = About {
            image: None,
            name: None,
            digest: ManifestDigest::of(b"test"),
            namespace: String::new(),
        };
        for (written, placeholder) in [("{NAMESPACE}/*", "NAMESPACE"), ("{IMAGE_NAME}", "IMAGE_NAME")] {
            assert_eq!(
                written.parse::<Template>().unwrap().fill(&about),
                Err(Unfilled(placeholder))
            );
        }
        assert_eq!("".parse::<Template>().unwrap().fill(&about).as_deref(), Ok(""));
    }

    #[test]
    fn what_nothing_fills_is_refused() {
        assert_eq!(
            "{IMAGE}".parse::<Template>(),
            Err(TemplateError::Unknown("IMAGE".to_owned()))
        );
        for wrong in ["{", "}", "a}b", "{IMAGE_NAME"] {
            assert_eq!(wrong.parse::<Template>(), Err(TemplateError::Brace), "{wrong}");
        }
    }
}
