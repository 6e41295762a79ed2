//! The plugin's configuration: which repositories are governed, whose word is taken, and how much may be fetched.

use std::collections::BTreeMap;
use std::fmt::Display;

use linkgate_image::pattern::{Pattern, PatternError};
use linkgate_image::{Image, ManifestDigest};
use linkgate_verifier::json;
use linkgate_verifier::request::{Content, Key, NamedKey, Options, Request, Subject, Trust};
use linkgate_verifier::signature::Pure;
use linkgate_verifier::verdict::{self, Code};
use linkgate_verifier::verify;
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest as _, Sha256};

/// What an operator decided.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The registry, as the proxy reaches it.
    pub registry: Registry,
    /// What becomes of repositories that no pattern governs.
    pub ungoverned: Ungoverned,
    /// How long is remembered what was decided.
    pub cache: Cache,
    /// How much one pull may cost.
    pub limits: Limits,
    /// The names that the layout has for an image; any if there is none.
    pub subject: Vec<String>,
    /// What an operator should know of it.
    pub advice: Vec<String>,
    /// SHA-256 of the text of the configuration: what was decided by another one is another's decision.
    pub fingerprint: [u8; 32],
    governed: Vec<Pattern>,
    layout: Content,
    trust: Trust,
    parameters: BTreeMap<String, String>,
    options: Options,
}

/// A registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The proxy's name for where it is.
    pub cluster: String,
    /// The host that requests name.
    pub authority: String,
    /// How patterns and messages write it, as images' names do; the authority if it is not given.
    #[serde(default)]
    pub name: String,
    /// The header `authorization` of what the filter itself asks. A client's is never used for that.
    #[serde(default)]
    pub authorization: Option<String>,
}

/// What becomes of what no pattern governs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ungoverned {
    /// It is refused.
    #[default]
    Deny,
    /// Pulls of it pass.
    Allow,
}

/// How long decisions are remembered.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// An accepted image, and its blobs; never longer than its verdict holds.
    pub accepted_seconds: u32,
    /// A refused one.
    pub refused_seconds: u32,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            accepted_seconds: 300,
            refused_seconds: 5,
        }
    }
}

/// How much one pull may cost.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// From request to decision.
    pub milliseconds: u32,
    /// Requests to the registry.
    pub fetches: u32,
    /// Bytes of links and sublayouts, together.
    pub evidence_bytes: u64,
    /// For the judgement itself, within those of the decision. Signatures that are not checked by then are not believed.
    pub judgement_milliseconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            milliseconds: 10_000,
            fetches: 256,
            evidence_bytes: 16 << 20,
            judgement_milliseconds: 2_000,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    registry: Registry,
    repositories: Vec<String>,
    #[serde(default)]
    ungoverned: Ungoverned,
    layout: serde_json::Value,
    #[serde(default)]
    owners: Vec<Key>,
    #[serde(default)]
    functionaries: Vec<NamedKey>,
    #[serde(default, deserialize_with = "some_names")]
    subject: Vec<String>,
    #[serde(default)]
    subject_steps: Vec<String>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    cache: Cache,
    #[serde(default)]
    limits: Limits,
}

/// Names, one at least: an empty list would mean any product, as none at all does.
fn some_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::deserialize(deserializer)?;
    if names.is_empty() {
        return Err(de::Error::custom(
            "`subject` names nothing: leave it out, or name a product",
        ));
    }
    Ok(names)
}

impl Configuration {
    /// Reads the plugin's configuration, and tries its layout and keys. `now`, in seconds since 1970, is for advice only:
    /// whatever depends on the time is judged at each pull, for a proxy that starts at another time must not end for it.
    pub fn read(text: &[u8], now: i64) -> Result<Self, String> {
        let form = |error: &dyn Display| format!("not of the documented form: {error}");
        let written: Written = serde_json::from_slice(text).map_err(|error| form(&error))?;
        // Of a member that stands twice, one of two readers may take the first.
        json::text(text).and_then(json::check).map_err(|error| form(&error))?;
        let registry = written.registry.checked()?;
        if written.repositories.is_empty() {
            return Err("`repositories` is empty: it governs nothing".to_owned());
        }
        let limits = written.limits;
        if limits.milliseconds == 0 || limits.fetches == 0 || limits.judgement_milliseconds == 0 {
            return Err("`limits`: `milliseconds`, `fetches` and `judgement_milliseconds` must not be 0".to_owned());
        }
        let pattern = |written: &String| {
            let wrong =
                |error: PatternError| format!("`repositories`: the pattern `{written}` cannot be used: {error}");
            written.parse::<Pattern>().map_err(wrong)
        };
        let governed: Result<Vec<_>, String> = written.repositories.iter().map(pattern).collect();
        let trust = match (written.owners, written.functionaries) {
            (owners, functionaries) if !owners.is_empty() && functionaries.is_empty() => Trust::SignedBy(owners),
            (owners, functionaries) if owners.is_empty() && !functionaries.is_empty() => Trust::Asserted(functionaries),
            _ => return Err("either `owners` or `functionaries` must be given: whose word is taken?".to_owned()),
        };
        let mut read = Self {
            registry,
            ungoverned: written.ungoverned,
            cache: written.cache,
            limits,
            subject: written.subject,
            advice: Vec::new(),
            fingerprint: Sha256::digest(text).into(),
            governed: governed?,
            layout: layout(written.layout)?,
            trust,
            parameters: written.parameters,
            options: Options {
                strict: written.strict,
                subject_steps: written.subject_steps,
                summary_link: false,
            },
        };
        read.advice = read.tried(now)?;
        Ok(read)
    }

    /// `REGISTRY/REPOSITORY`, as names of images have it.
    pub fn image(&self, repository: &str) -> String {
        let written = format!("{}/{repository}", self.registry.name);
        // One that is too long for an image's name stays as it is.
        let image = written.parse::<Image>();
        image.map_or(written, |image| image.name())
    }

    /// Whether a pattern governs a repository. Here, unlike in the gate's policies, `web/**` governs `web`, too: `**` is any
    /// number of parts, and where the others pass, to govern less would be to let more pass.
    pub fn governs(&self, repository: &str) -> bool {
        let name = self.image(repository);
        self.governed.iter().any(|pattern| pattern.covers(&name))
    }

    /// The question about subjects. `{IMAGE_NAME}` and `{IMAGE_DIGEST}` in values of parameters are filled in.
    pub fn request(&self, image: &str, digest: &ManifestDigest, subjects: Vec<Subject>, now: i64) -> Request {
        let fill = |value: &String| {
            let parts = value
                .split("{IMAGE_NAME}")
                .map(|part| part.replace("{IMAGE_DIGEST}", &digest.to_string()));
            parts.collect::<Vec<_>>().join(image)
        };
        Request {
            layout: self.layout.clone(),
            trust: self.trust.clone(),
            documents: Vec::new(),
            inspections: Vec::new(),
            parameters: self
                .parameters
                .iter()
                .map(|(name, value)| (name.clone(), fill(value)))
                .collect(),
            subjects,
            options: self.options.clone(),
            now,
        }
    }

    /// A layout that could accept nothing at any time is an error now, and not at the first pull. What may be otherwise at
    /// another time, or was not meant, is told.
    fn tried(&self, now: i64) -> Result<Vec<String>, String> {
        let request = |now| self.request("registry.example/app", &ManifestDigest::of(b""), Vec::new(), now);
        let mut advice = Vec::new();
        match verify::plan(&request(0), &mut Pure) {
            Ok(plan) => {
                if let Some(inspection) = plan.inspections.first() {
                    return Err(format!(
                        "`layout`: it has the inspection `{}`, and a proxy runs no commands",
                        inspection.name
                    ));
                }
                let answer = verify::verify(&request(0), &mut Pure);
                advice.extend(verdict::absent_thresholds(&answer).map(str::to_owned));
            }
            // In 1970 already.
            Err(undecided) if undecided.code == Code::LayoutExpired => {}
            Err(undecided) => return Err(format!("`layout`: {}", undecided.message)),
        }
        let judged = verify::plan(&request(now), &mut Pure);
        advice.extend(
            judged
                .err()
                .map(|undecided| format!("every pull is refused: {}", undecided.message)),
        );
        Ok(advice)
    }
}

impl Registry {
    /// The registry, if patterns can say which it is: they have names as images' references have them.
    fn checked(mut self) -> Result<Self, String> {
        if self.cluster.is_empty() || self.authority.is_empty() {
            return Err("`registry`: `cluster` and `authority` must not be empty".to_owned());
        }
        if self.name.is_empty() {
            self.name.clone_from(&self.authority);
        }
        let image = format!("{}/image", self.name).parse::<Image>();
        if image.is_ok_and(|image| image.registry() == self.name) {
            return Ok(self);
        }
        Err(format!(
            "`registry`: `{}` is no host as names of images have it, lower-case, with a domain, without the port 443: \
             give it such a `name`",
            self.name
        ))
    }
}

/// `{"text": ".."}`, `{"base64": ".."}`, or the layout's envelope itself.
fn layout(written: serde_json::Value) -> Result<Content, String> {
    let object = written.as_object().ok_or("`layout` is no object")?;
    if object.contains_key("text") || object.contains_key("base64") {
        return serde_json::from_value(written).map_err(|error| format!("`layout`: {error}"));
    }
    Ok(Content(written.to_string().into_bytes()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub(crate) fn written() -> Value {
        let key = json!({"keytype": "ed25519", "scheme": "ed25519",
            "keyval": {"public": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"}});
        json!({
            "registry": {"cluster": "registry", "authority": "r.example"},
            "repositories": ["r.example/web/**"],
            "layout": {"_type": "layout", "expires": "2030-01-01T00:00:00Z", "inspect": [],
                "steps": [{"name": "build", "pubkeys": ["bob"], "expected_products": [["ALLOW", "{a}"]]}]},
            "functionaries": [{"label": "bob", "key": key}],
            "parameters": {"a": "{IMAGE_NAME}"},
        })
    }

    pub(crate) fn read(written: &Value) -> Result<Configuration, String> {
        Configuration::read(written.to_string().as_bytes(), 1_790_000_000)
    }

    #[test]
    fn what_depends_on_the_time_is_told_and_no_error() {
        let mut changed = written();
        assert!(read(&changed).unwrap().advice.is_empty());
        for expires in ["2020-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1900-01-01T00:00:00Z"] {
            changed["layout"]["expires"] = json!(expires);
            let advice = read(&changed).unwrap().advice;
            assert!(
                advice[0].starts_with("every pull is refused: the layout expired at "),
                "{advice:?}"
            );
        }
        let text = written().to_string();
        for now in [-1, i64::MIN, i64::MAX] {
            let advice = Configuration::read(text.as_bytes(), now).unwrap().advice;
            assert!(advice[0].contains("is the clock set?"), "{advice:?}");
        }
    }

    #[test]
    fn a_forgotten_threshold_is_told() {
        let carol = json!({"keytype": "ed25519", "scheme": "ed25519",
            "keyval": {"public": "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"}});
        let mut changed = written();
        changed["functionaries"]
            .as_array_mut()
            .unwrap()
            .push(json!({"label": "carol", "key": carol}));
        changed["layout"]["steps"][0]["pubkeys"] = json!(["bob", "carol"]);
        for strict in [false, true] {
            changed["strict"] = json!(strict);
            assert_eq!(
                read(&changed).unwrap().advice,
                ["step `build` has no `threshold`: any 1 of its 2 keys is enough"]
            );
        }
        changed["layout"]["steps"][0]["threshold"] = json!(1);
        assert!(read(&changed).unwrap().advice.is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let sound = read(&written()).unwrap();
        assert!(sound.governs("web/app") && !sound.governs("other/app"));
        // All that lies under it, and itself.
        assert!(sound.governs("web") && !sound.governs("website"));
        assert_eq!(sound.ungoverned, Ungoverned::Deny);
        for (pointer, member, value, said) in [
            ("", "mode", json!("warn"), "unknown field `mode`"),
            ("/registry", "tls", json!(true), "unknown field `tls`"),
            ("/registry", "cluster", json!(""), "must not be empty"),
            ("", "repositories", json!([]), "governs nothing"),
            ("/registry", "name", json!("registry"), "`registry` is no host"),
            ("/registry", "name", json!("R.example:443"), "without the port 443"),
            (
                "",
                "repositories",
                json!(["R/a"]),
                "`R/a` cannot be used: names of images are lower-case",
            ),
            ("", "repositories", json!(["r.example/[a]"]), "no other wildcards"),
            ("", "repositories", json!(["app"]), "write `docker.io/library/app`"),
            ("", "ungoverned", json!("warn"), "warn"),
            ("", "functionaries", json!([]), "whose word"),
            ("", "layout", json!("x"), "no object"),
            ("", "layout", json!({"text": "x", "base64": "eA=="}), "`layout`"),
            ("", "layout", json!({"text": "x"}), "`layout`"),
            (
                "",
                "parameters",
                json!({"b": ""}),
                "no value is given for the parameter `{a}`",
            ),
            ("", "subject", json!([]), "`subject` names nothing"),
            ("", "subject", json!(null), "null"),
            ("", "subject_steps", json!(["ship"]), "is no step"),
            (
                "/layout",
                "inspect",
                json!([{"name": "untar", "run": ["tar"]}]),
                "runs no commands",
            ),
            ("", "limits", json!({"fetches": 0}), "must not be 0"),
            ("", "cache", json!({"seconds": 1}), "unknown field"),
        ] {
            let mut changed = written();
            changed.pointer_mut(pointer).unwrap()[member] = value;
            let error = read(&changed).unwrap_err();
            assert!(error.contains(said), "{said}: {error}");
        }
        let mut hub = written();
        hub["registry"]["name"] = json!("docker.io");
        hub["repositories"] = json!(["docker.io/library/*"]);
        let hub = read(&hub).unwrap();
        assert!(hub.governs("nginx") && hub.governs("library/nginx") && !hub.governs("bitnami/nginx"));
        let twice = written()
            .to_string()
            .replacen('{', r#"{"strict":true,"strict":false,"#, 1);
        assert!(Configuration::read(twice.as_bytes(), 0).is_err());
    }
}
