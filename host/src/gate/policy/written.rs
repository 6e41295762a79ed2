//! A policy as operators write it: its YAML, and what each field of it means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use linkgate_image::Image;
use linkgate_verifier::request::Trust;
use serde::{Deserialize, Deserializer, de};

use super::keys::Keys;
use super::{Mode, Problem};
use crate::evidence::Source;
use crate::evidence::directory::{self, ConfigMap, Directory};
use crate::evidence::image_layout::ImageLayout;
use crate::evidence::registry::RegistryEvidence;
use crate::gate::context::Context;
use crate::gate::template::Template;

/// A policy as operators write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Written {
    #[expect(dead_code, reason = "reading it is checking it")]
    api_version: ApiVersion,
    #[expect(dead_code, reason = "reading it is checking it")]
    kind: Kind,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) images: Vec<String>,
    #[serde(default)]
    pub(super) artifacts: Vec<String>,
    #[serde(default)]
    pub(super) namespaces: Vec<String>,
    pub(super) layout: PathBuf,
    #[serde(default)]
    keys: Vec<String>,
    trust: Option<Vouching>,
    #[serde(default)]
    functionaries: BTreeMap<String, String>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) inspections: BTreeMap<String, Vec<String>>,
    #[serde(default, deserialize_with = "some_names")]
    subject: OneOrMany,
    #[serde(default)]
    pub(super) subject_steps: Vec<String>,
    #[serde(default)]
    pub(super) strict: bool,
    #[serde(default)]
    pub(super) mode: Mode,
    #[serde(default)]
    evidence: Vec<WrittenSource>,
}

/// A name, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// Names, one at least: an empty list would mean any product, as none at all does.
fn some_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMany, D::Error> {
    match OneOrMany::deserialize(deserializer)? {
        OneOrMany::Many(names) if names.is_empty() => Err(de::Error::custom(
            "`subject` names nothing: leave it out, or name a product",
        )),
        names => Ok(names),
    }
}

#[derive(Debug, Deserialize)]
enum ApiVersion {
    #[serde(rename = "linkgate.dev/v1")]
    V1,
}

#[derive(Debug, Deserialize)]
enum Kind {
    Policy,
}

/// Who vouches for a layout that nobody signed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Vouching {
    /// Whoever may write the `ConfigMap` that the policy is mounted from.
    Configmap,
}

/// A source of evidence as operators write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum WrittenSource {
    Registry(WrittenRegistry),
    Directory(String),
    OciLayout(PathBuf),
    ConfigMap(PathBuf),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenRegistry {
    repository: Option<String>,
}

impl Written {
    /// Reads a policy's YAML.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        serde_saphyr::from_str(text).map_err(|error| {
            let cause = error.without_snippet().to_string();
            // In one line.
            Problem::Form(cause.split_whitespace().collect::<Vec<_>>().join(" "))
        })
    }

    /// Why its layout is to be believed, with the keys read.
    pub(super) fn trust(&self, keys: &mut Keys<'_>) -> Result<Trust, Problem> {
        match (&self.trust, self.keys.is_empty()) {
            (None, true) => Err(Problem::Trust("nowhere")),
            (Some(_), false) => Err(Problem::Trust("twice")),
            (None, false) => {
                // Functionaries only name signers in what is said.
                keys.functionaries(&self.functionaries)?;
                Ok(Trust::SignedBy(keys.owners(&self.keys)?))
            }
            (Some(Vouching::Configmap), true) if self.functionaries.is_empty() => Err(Problem::Trust(
                "`trust: configmap` but not by which `functionaries`, and so not",
            )),
            (Some(Vouching::Configmap), true) => Ok(Trust::Asserted(keys.functionaries(&self.functionaries)?)),
        }
    }

    /// What the product that is the image may be called.
    pub(super) fn subject(&self) -> Result<Vec<Template>, Problem> {
        let names = match &self.subject {
            OneOrMany::One(name) => std::slice::from_ref(name),
            OneOrMany::Many(names) => names,
        };
        let templates = names.iter().map(|name| name.parse());
        templates.collect::<Result<_, _>>().map_err(|cause| Problem::Parameter {
            name: "subject".to_owned(),
            cause,
        })
    }

    /// The values of its layout's parameters.
    pub(super) fn templates(&self) -> Result<BTreeMap<String, Template>, Problem> {
        self.parameters
            .iter()
            .map(|(name, text)| {
                let template = text.parse().map_err(|cause| Problem::Parameter {
                    name: name.clone(),
                    cause,
                })?;
                Ok((name.clone(), template))
            })
            .collect()
    }

    /// Where its evidence is.
    pub(super) fn sources(&self, folder: &Path, context: &Context) -> Result<Vec<Arc<dyn Source>>, Problem> {
        let registry = |repository: Option<Image>| -> Arc<dyn Source> {
            Arc::new(RegistryEvidence::new(Arc::clone(&context.registry), repository))
        };
        if self.evidence.is_empty() {
            if self.images.is_empty() {
                return Err(Problem::Source(
                    "it does not say where the evidence of its artifacts is: name `evidence`".to_owned(),
                ));
            }
            return Ok(vec![registry(None)]);
        }
        self.evidence
            .iter()
            .map(|source| {
                Ok(match source {
                    WrittenSource::Registry(written) => {
                        let repository = written.repository.as_deref().map(str::parse).transpose()?;
                        if repository.is_none() && !self.artifacts.is_empty() {
                            return Err(Problem::Source(
                                "artifacts that are no images have no registry of their own: name the `repository` of their evidence"
                                    .to_owned(),
                            ));
                        }
                        registry(repository)
                    }
                    WrittenSource::Directory(path) => {
                        if let Some(unknown) = directory::unknown_placeholder(path) {
                            return Err(Problem::Source(format!(
                                "the directory `{path}` has the placeholder `{unknown}`; there are {{IMAGE_NAME}}, {{IMAGE_DIGEST_HEX}}, {{ARTIFACT_NAME}} and {{NAMESPACE}}"
                            )));
                        }
                        let path = folder.join(path).to_string_lossy().into_owned();
                        if !directory::is_there(&path) {
                            return Err(Problem::Source(format!("the directory `{path}` is not there")));
                        }
                        Arc::new(Directory::new(path, context.evidence, context.memory.clone()))
                    }
                    WrittenSource::OciLayout(path) => Arc::new(ImageLayout::new(folder.join(path), context.memory.clone())),
                    WrittenSource::ConfigMap(path) => Arc::new(ConfigMap::new(
                        folder.join(path),
                        context.evidence,
                        context.memory.clone(),
                    )),
                })
            })
            .collect()
    }
}
