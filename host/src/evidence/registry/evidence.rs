//! Links that are attached to images.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use linkgate_image::Image;

use super::Registry;
use super::fault::Fault;
use crate::evidence::artifact::{LAYERS, pieces};
use crate::evidence::{About, Answer, Piece, Source};

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

    async fn pieces(&self, about: &About) -> Result<Vec<Piece>, Fault> {
        // What is no image is in no repository, unless one is given.
        let Some(repository) = self.repository.as_ref().or(about.image.as_ref()) else {
            return Ok(Vec::new());
        };
        let (referrers, attestations) = tokio::try_join!(
            self.registry.referrers(repository, &about.digest),
            self.registry.attestations(repository, &about.digest)
        )?;
        let artifacts = referrers.into_iter().map(|digest| repository.at(digest));
        let manifests: Vec<_> = stream::iter(artifacts)
            .map(|artifact| async move { self.registry.get_manifest(&artifact).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        // A list under a tag may still name what was removed.
        let about_it = manifests.iter().flatten().filter_map(|manifest| {
            let artifact = manifest.says.artifact()?;
            artifact.is_evidence_about(&about.digest).then_some(artifact)
        });
        let tagged = attestations.iter().filter_map(|manifest| manifest.says.artifact());
        let pieces = about_it
            .chain(tagged)
            .flat_map(|artifact| pieces(artifact, Some(repository)));
        let pieces: Vec<Piece> = pieces.take(LAYERS + 1).collect();
        if pieces.len() > LAYERS {
            return Err(Fault::many(repository, LAYERS, "links"));
        }
        Ok(pieces)
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

    fn list<'a>(&'a self, about: &'a About) -> Answer<'a, Vec<Piece>> {
        let pieces = Box::pin(self.pieces(about));
        Box::pin(async move { pieces.await.map_err(|fault| self.failed(&fault)) })
    }

    fn fetch<'a>(&'a self, piece: &'a Piece) -> Answer<'a, Bytes> {
        Box::pin(async move {
            let repository = piece.at.as_ref().or(self.repository.as_ref());
            let repository = repository.ok_or_else(|| self.failed(&format!("`{}` is in no repository", piece.name)))?;
            let blob = self.registry.blob(repository, &piece.digest, piece.size).await;
            blob.map_err(|fault| self.failed(&fault))
        })
    }
}
