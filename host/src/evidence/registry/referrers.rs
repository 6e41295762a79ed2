//! What is said to be about an image: the referrers API, the tag that stands for it in older registries, and cosign's.

use std::collections::BTreeSet;

use linkgate_image::evidence::{IN_TOTO, attestation_tag, fallback_tag};
use linkgate_image::link::{Pages, Place};
use linkgate_image::manifest::{MANIFEST_BYTES, OCI_INDEX};
use linkgate_image::{Image, ManifestDigest};
use reqwest::header::{ACCEPT, HeaderValue, LINK};
use reqwest::{StatusCode, Url};

use super::Registry;
use super::fault::Fault;
use super::lead::host;
use super::request::{Reply, Request};
use crate::evidence::artifact::REFERRERS;
use crate::evidence::manifest::Manifest;

impl Registry {
    /// The artifacts that may be evidence about a subject, each once.
    pub(super) async fn referrers(
        &self,
        repository: &Image,
        subject: &ManifestDigest,
    ) -> Result<Vec<ManifestDigest>, Fault> {
        let (listed, tagged) = tokio::try_join!(
            self.listed_referrers(repository, subject),
            self.tagged_referrers(repository, subject)
        )?;
        let found: BTreeSet<ManifestDigest> = listed.into_iter().chain(tagged).collect();
        if found.len() > REFERRERS {
            return Err(Fault::many(repository, REFERRERS, "referrers"));
        }
        Ok(found.into_iter().collect())
    }

    /// What cosign's older tag leads to.
    pub(super) async fn attestations(
        &self,
        repository: &Image,
        subject: &ManifestDigest,
    ) -> Result<Option<Manifest>, Fault> {
        let tag = attestation_tag(subject);
        let manifest = self.get_manifest(&repository.tagged(&tag)).await?;
        match manifest {
            Some(index) if index.says.is_index() => Err(Fault::Tag {
                host: repository.registry().to_owned(),
                tag,
                is: "an index",
            }),
            manifest => Ok(manifest),
        }
    }

    /// The index that clients keep under a tag, where the registry does not.
    pub(super) async fn tagged(&self, repository: &Image, subject: &ManifestDigest) -> Result<Option<Manifest>, Fault> {
        let tag = fallback_tag(subject);
        let manifest = self.get_manifest(&repository.tagged(&tag)).await?;
        match manifest {
            Some(image) if !image.says.is_index() => Err(Fault::Tag {
                host: repository.registry().to_owned(),
                tag,
                is: "no index",
            }),
            manifest => Ok(manifest),
        }
    }

    async fn tagged_referrers(
        &self,
        repository: &Image,
        subject: &ManifestDigest,
    ) -> Result<Vec<ManifestDigest>, Fault> {
        let tagged = self.tagged(repository, subject).await?;
        Ok(tagged.iter().flat_map(candidates).collect())
    }

    /// What the referrers API lists; nothing where there is none. It answers 404 then, in whatever words: of what is no
    /// registry at all the tags tell.
    pub(super) async fn listed_referrers(
        &self,
        repository: &Image,
        subject: &ManifestDigest,
    ) -> Result<Vec<ManifestDigest>, Fault> {
        let what = format!("a page of the referrers of {subject}");
        let place = format!("referrers/{subject}");
        let request = Request::get(self, repository, &place, &what, MANIFEST_BYTES)?;
        let mut request = request.with(ACCEPT, OCI_INDEX.to_owned());
        request.url.query_pairs_mut().append_pair("artifactType", IN_TOTO);
        let first = request.url.clone();
        let mut pages = Pages::new(&first.query().map(|query| format!("?{query}")).unwrap_or_default());
        let mut found = Vec::new();
        loop {
            let reply = self.send(&request).await?;
            // Elsewhere, and where a page was listed, it is a page that is missing.
            if reply.status == StatusCode::NOT_FOUND && reply.url == first {
                return Ok(found);
            }
            found.extend(candidates(&listing(self, repository, &what, &reply)?));
            if found.len() > REFERRERS {
                return Err(Fault::many(repository, REFERRERS, "referrers"));
            }
            match next(repository, &mut pages, &reply)? {
                Some(url) => request.url = url,
                None => return Ok(found),
            }
        }
    }
}

/// Those of an index that may lead to evidence. Nothing else of what it says about them is kept: it may be long.
fn candidates(index: &Manifest) -> Vec<ManifestDigest> {
    let listed = index.says.index().iter();
    listed
        .filter(|descriptor| descriptor.may_be_evidence())
        .map(|descriptor| descriptor.digest.clone())
        .collect()
}

/// A page of a list of referrers, which is an index.
fn listing(registry: &Registry, repository: &Image, what: &str, reply: &Reply) -> Result<Manifest, Fault> {
    let host = repository.registry();
    if reply.status != StatusCode::OK {
        return Err(Fault::of_status(host, reply.anonymous, reply));
    }
    let digest = ManifestDigest::of(&reply.body);
    let page = registry.read_manifest(repository, what.to_owned(), reply.body.clone(), digest)?;
    if page.says.is_index() {
        Ok(page)
    } else {
        Err(Fault::Status {
            host: host.to_owned(),
            status: reply.status.as_u16(),
            code: " and no index".to_owned(),
        })
    }
}

/// Where a list goes on, at the place where this page of it is.
fn next(repository: &Image, pages: &mut Pages, reply: &Reply) -> Result<Option<Url>, Fault> {
    let authority = host(&reply.url);
    let place = Place {
        scheme: Some(reply.url.scheme()),
        authority: &authority,
        path: reply.url.path(),
    };
    let links = reply.headers.get_all(LINK).iter().map(HeaderValue::as_bytes);
    let next = pages.next(links, &place).map_err(|cause| Fault::Pages {
        host: repository.registry().to_owned(),
        cause,
    })?;
    Ok(next.map(|query| {
        let mut url = reply.url.clone();
        url.set_query(query.strip_prefix('?'));
        url
    }))
}
