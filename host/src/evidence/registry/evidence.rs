//! Links that are attached to images.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use linkgate_image::Image;
use linkgate_image::manifest::Artifact;

use super::Registry;
use super::fault::Fault;
use crate::evidence::artifact::{LAYERS, pieces};
use crate::evidence::{About, Answer, Listed, Piece, Source};

/// Manifests that are asked for at one time.
const AT_ONCE: usize = 8;

/// The evidence in an image's repository, or in one that holds it for all images.
#[derive(Clone, Debug)]
pub struct RegistryEvidence {
    registry: Arc<Registry>,
    repository: Option<Image>,
}

impl RegistryEvidence {
    /// The evidence in `repository`, or if none is given in that of the image that it is sought about.
    pub fn new(registry: Arc<Registry>, repository: Option<Image>) -> Self {
        Self { registry, repository }
    }

    async fn pieces(&self, about: &About) -> Result<Listed, Fault> {
        // What is no image is in no repository, unless one is given.
        let Some(repository) = self.repository.as_ref().or(about.image.as_ref()) else {
            return Ok(Listed::new(self.registry.memory.nothing()));
        };
        let (referrers, attestations) = tokio::try_join!(
            self.registry.referrers(repository, &about.digest),
            self.registry.attestations(repository, &about.digest)
        )?;
        let artifacts = referrers.into_iter().map(|digest| repository.at(digest));
        // Of each manifest only the links are kept: one may have 4 MiB, and there may be many.
        let mut each = pin!(
            stream::iter(artifacts)
                .map(|artifact| async move {
                    let manifest = self.registry.get_manifest(&artifact).await?;
                    // A list under a tag may still name what was removed.
                    let artifact = manifest.as_ref().and_then(|manifest| manifest.says.artifact());
                    let about_it = artifact.filter(|artifact| artifact.is_evidence_about(&about.digest));
                    self.links(repository, about_it)
                })
                .buffered(AT_ONCE)
        );
        let tagged = attestations.as_ref().and_then(|manifest| manifest.says.artifact());
        let mut listed = self.links(repository, tagged)?;
        drop(attestations);
        while let Some(more) = each.try_next().await? {
            listed.join(more);
            if listed.pieces.len() > LAYERS {
                return Err(Fault::many(repository, LAYERS, "links"));
            }
        }
        Ok(listed)
    }

    /// The links that an artifact names.
    fn links(&self, repository: &Image, artifact: Option<&Artifact>) -> Result<Listed, Fault> {
        let mut listed = Listed::new(self.registry.memory.nothing());
        for piece in artifact
            .into_iter()
            .flat_map(|artifact| pieces(artifact, Some(repository)))
        {
            if listed.pieces.len() == LAYERS {
                return Err(Fault::many(repository, LAYERS, "links"));
            }
            let listing = listed.push(piece);
            listing.map_err(|no_room| Fault::no_room(repository, no_room))?;
        }
        Ok(listed)
    }
}

impl Source for RegistryEvidence {
    fn name(&self) -> String {
        match &self.repository {
            Some(repository) => format!("registry {}", repository.name()),
            None => "the image's own registry".to_owned(),
        }
    }

    fn scope(&self, about: &About) -> String {
        let image = about.image.as_ref().map(Image::to_string);
        image.unwrap_or_else(|| about.digest.to_string())
    }

    fn list<'a>(&'a self, about: &'a About) -> Answer<'a, Listed> {
        let pieces = Box::pin(self.pieces(about));
        Box::pin(async move { pieces.await.map_err(|fault| fault.of_source(self.name())) })
    }

    fn fetch<'a>(&'a self, piece: &'a Piece) -> Answer<'a, Bytes> {
        Box::pin(async move {
            let repository = piece.at.as_ref().or(self.repository.as_ref());
            let repository = repository.ok_or_else(|| self.failed(&format!("`{}` is in no repository", piece.name)))?;
            let blob = self.registry.blob(repository, &piece.digest, piece.size).await;
            blob.map_err(|fault| fault.of_source(self.name()))
        })
    }
}
