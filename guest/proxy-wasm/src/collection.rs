//! Which evidence about an image is still to be fetched, and what was.
//!
//! Nothing that a registry says is believed: whoever can add to it can keep an image from being accepted, and can take away
//! nothing that contradicts. What it could not say is told from what it does not have.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use linkgate_image::ManifestDigest;
use linkgate_image::answer::is_unknown;
use linkgate_image::evidence::{attestation_tag, fallback_tag};
use linkgate_image::link::{Pages, Place};
use linkgate_image::manifest::{ACCEPTED, Artifact, Descriptor, MANIFEST_BYTES, Manifest, OCI_INDEX};
use linkgate_image::path::Reference;
use linkgate_verifier::request::{Content, Document};

use crate::configuration::Limits;
use crate::denial::{Denial, Kind};

/// Requests that are under way at one time.
const AT_ONCE: usize = 8;

/// What the registry answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The status; 0 if there was no answer.
    pub status: u16,
    /// The headers `link`, each as it came.
    pub links: Vec<Vec<u8>>,
    /// The body.
    pub body: Vec<u8>,
}

/// A request to the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its path.
    pub path: String,
    /// What it accepts.
    pub accept: &'static str,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Image(Reference),
    /// The first page of that list, and those after it.
    Referrers,
    Page,
    Fallback,
    Attestations,
    Evidence(ManifestDigest),
    Link {
        name: String,
        digest: ManifestDigest,
        size: u64,
    },
}

/// The evidence about one image.
#[derive(Debug)]
pub struct Collection {
    authority: String,
    repository: String,
    subject: ManifestDigest,
    waiting: VecDeque<Call>,
    pages: Pages,
    under_way: usize,
    fetches_left: u32,
    bytes_left: u64,
    seen: BTreeSet<ManifestDigest>,
    links: BTreeMap<(String, String), Vec<u8>>,
    wanted: BTreeSet<(String, String)>,
}

/// A request for the image itself.
pub fn image(repository: &str, reference: &Reference) -> Call {
    Call {
        path: format!("/v2/{repository}/manifests/{reference}"),
        accept: ACCEPTED,
        what: What::Image(reference.clone()),
    }
}

/// The digest that the image's manifest has.
pub fn resolved(call: &Call, reply: &Reply) -> Result<ManifestDigest, Denial> {
    let What::Image(reference) = &call.what else {
        return Err(down(call, "the filter lost its place"));
    };
    if is_unknown(reply.status, &reply.body) {
        return Err(Denial::new(
            Kind::Unknown,
            format!("{}: the registry has no such image", call.path),
        ));
    }
    bounded(call, reply, MANIFEST_BYTES as u64)?;
    Ok(match reference {
        Reference::Tag(_) => ManifestDigest::of(&reply.body),
        Reference::Digest(digest) => checked(call, reply, digest)?.clone(),
    })
}

/// The image's manifest, of no more parts than can be remembered.
pub fn read(call: &Call, reply: &Reply, parts: usize) -> Result<Manifest, Denial> {
    let manifest = Manifest::read(&reply.body);
    let manifest = manifest.map_err(|cause| Denial::new(Kind::Rejected, format!("{}: {cause}", call.path)))?;
    if manifest.blobs().len().max(manifest.manifests().len()) > parts {
        let message = format!("{}: more than {parts} parts", call.path);
        return Err(Denial::new(Kind::Undecided, message));
    }
    Ok(manifest)
}

impl Collection {
    /// Begins with what lists evidence: the referrers API, the tag that stands for it in older registries, and cosign's.
    /// `authority` is the host by which the registry is asked.
    pub fn new(authority: &str, repository: &str, subject: ManifestDigest, limits: Limits) -> Self {
        let referrers = "?artifactType=application%2Fvnd.in-toto%2Bjson";
        let tag = |tag: String, what| Call {
            path: format!("/v2/{repository}/manifests/{tag}"),
            accept: ACCEPTED,
            what,
        };
        let waiting = [
            Call {
                path: format!("/v2/{repository}/referrers/{subject}{referrers}"),
                accept: OCI_INDEX,
                what: What::Referrers,
            },
            tag(fallback_tag(&subject), What::Fallback),
            tag(attestation_tag(&subject), What::Attestations),
        ];
        Self {
            authority: authority.to_owned(),
            repository: repository.to_owned(),
            waiting: waiting.into(),
            pages: Pages::new(referrers),
            under_way: 0,
            fetches_left: limits.fetches,
            bytes_left: limits.evidence_bytes,
            seen: BTreeSet::new(),
            links: BTreeMap::new(),
            wanted: BTreeSet::new(),
            subject,
        }
    }

    /// What is to be asked now.
    pub fn next_call(&mut self) -> Result<Option<Call>, Denial> {
        if self.under_way >= AT_ONCE {
            return Ok(None);
        }
        let Some(call) = self.waiting.pop_front() else {
            return Ok(None);
        };
        self.fetches_left = self.fetches_left.checked_sub(1).ok_or_else(|| {
            let message = format!(
                "{}: more evidence than `limits.fetches` allows to ask for",
                self.repository
            );
            Denial::new(Kind::Undecided, message)
        })?;
        self.under_way += 1;
        Ok(Some(call))
    }

    /// Whether there is nothing more to ask for.
    pub fn is_complete(&self) -> bool {
        self.under_way == 0 && self.waiting.is_empty()
    }

    /// Takes an answer.
    pub fn take(&mut self, call: &Call, reply: Reply) -> Result<(), Denial> {
        self.under_way = self.under_way.saturating_sub(1);
        match &call.what {
            // A registry without that API answers so, in whatever words: of what is no registry at all the tags tell. One that
            // listed a page has it.
            What::Referrers if reply.status == 404 => Ok(()),
            // A tag that nobody gave, and a list that names what was removed.
            What::Fallback | What::Attestations | What::Evidence(_) if is_unknown(reply.status, &reply.body) => Ok(()),
            What::Referrers | What::Page | What::Fallback => {
                bounded(call, &reply, MANIFEST_BYTES as u64)?;
                let page = manifest(call, &reply)?;
                if !page.is_index() {
                    return Err(down(call, "it is no index"));
                }
                page.index().iter().for_each(|descriptor| self.list(descriptor));
                match call.what {
                    // A manifest has no pages.
                    What::Fallback => Ok(()),
                    _ => self.go_on(call, &reply),
                }
            }
            What::Attestations => {
                bounded(call, &reply, MANIFEST_BYTES as u64)?;
                match manifest(call, &reply)?.artifact() {
                    Some(artifact) => self.want(call, artifact),
                    None => Err(down(call, "it is an index")),
                }
            }
            What::Evidence(digest) => {
                bounded(call, &reply, MANIFEST_BYTES as u64)?;
                checked(call, &reply, digest)?;
                match manifest(call, &reply)?.artifact() {
                    Some(artifact) if artifact.is_evidence_about(&self.subject) => self.want(call, artifact),
                    _ => Ok(()),
                }
            }
            What::Link { name, digest, size } => {
                // What was said is what was allowed.
                bounded(call, &reply, *size)?;
                checked(call, &reply, digest)?;
                self.links.insert((name.clone(), digest.to_string()), reply.body);
                Ok(())
            }
            What::Image(_) => Err(down(call, "the filter lost its place")),
        }
    }

    /// The documents, equal ones once, in an order that the registry does not choose. Those that only have one name are all
    /// there, each under that name.
    pub fn documents(self) -> Vec<Document> {
        let each = self.links.into_iter().map(|((name, _), bytes)| Document {
            name,
            content: Content(bytes),
        });
        each.collect()
    }

    fn list(&mut self, descriptor: &Descriptor) {
        if descriptor.may_be_evidence() && self.seen.insert(descriptor.digest.clone()) {
            self.waiting.push_back(Call {
                path: format!("/v2/{}/manifests/{}", self.repository, descriptor.digest),
                accept: ACCEPTED,
                what: What::Evidence(descriptor.digest.clone()),
            });
        }
    }

    /// The next page of the list of referrers.
    fn go_on(&mut self, call: &Call, reply: &Reply) -> Result<(), Denial> {
        let path = format!("/v2/{}/referrers/{}", self.repository, self.subject);
        let place = Place {
            // The cluster's to know.
            scheme: None,
            authority: &self.authority,
            path: &path,
        };
        let next = self.pages.next(reply.links.iter().map(Vec::as_slice), &place);
        if let Some(query) = next.map_err(|cause| down(call, &cause.to_string()))? {
            self.waiting.push_back(Call {
                path: format!("{path}{query}"),
                what: What::Page,
                ..call.clone()
            });
        }
        Ok(())
    }

    fn want(&mut self, call: &Call, artifact: &Artifact) -> Result<(), Denial> {
        for layer in artifact.links() {
            let name = layer.link_name();
            if !self.wanted.insert((name.clone(), layer.digest.to_string())) {
                continue;
            }
            self.bytes_left = self.bytes_left.checked_sub(layer.size).ok_or_else(|| {
                let message = format!("{}: more evidence than `limits.evidence_bytes`", call.path);
                Denial::new(Kind::Undecided, message)
            })?;
            self.waiting.push_back(Call {
                path: format!("/v2/{}/blobs/{}", self.repository, layer.digest),
                accept: "*/*",
                what: What::Link {
                    name,
                    digest: layer.digest.clone(),
                    size: layer.size,
                },
            });
        }
        Ok(())
    }
}

fn down(call: &Call, cause: &str) -> Denial {
    let message = format!(
        "no answer from the registry, so nothing is known: {}: {cause}",
        call.path
    );
    Denial::new(Kind::SourceDown, message)
}

fn bounded(call: &Call, reply: &Reply, most: u64) -> Result<(), Denial> {
    match reply.status {
        200 if reply.body.len() as u64 <= most => Ok(()),
        200 => Err(down(call, "it is too large")),
        0 => Err(down(
            call,
            "it did not answer in time, or with more than the proxy takes",
        )),
        status => Err(down(call, &format!("it answered {status}"))),
    }
}

fn checked<'d>(call: &Call, reply: &Reply, digest: &'d ManifestDigest) -> Result<&'d ManifestDigest, Denial> {
    if digest.is_of(&reply.body) {
        Ok(digest)
    } else {
        Err(down(call, "it sent other bytes than those of that digest"))
    }
}

fn manifest(call: &Call, reply: &Reply) -> Result<Manifest, Denial> {
    Manifest::read(&reply.body).map_err(|cause| down(call, &cause.to_string()))
}

#[cfg(test)]
mod tests {
    use linkgate_image::evidence::{EMPTY, IN_TOTO};

    use super::*;

    const UNKNOWN: &str = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"x"}]}"#;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            links: Vec::new(),
            body: body.as_bytes().to_owned(),
        }
    }

    fn descriptor(content: &str, kind: &str) -> String {
        let (digest, size) = (ManifestDigest::of(content.as_bytes()), content.len());
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}"#)
    }

    fn begun(limits: Limits) -> (Collection, Vec<Call>) {
        let mut collection = Collection::new("r.example", "a", ManifestDigest::of(b"image"), limits);
        let calls = std::iter::from_fn(|| collection.next_call().unwrap()).collect();
        (collection, calls)
    }

    fn evidence(link: &str, subject: &str) -> String {
        let (config, layer) = (descriptor("{}", EMPTY), descriptor(link, IN_TOTO));
        let subject = descriptor(subject, "t");
        format!(r#"{{"artifactType":"{IN_TOTO}","config":{config},"layers":[{layer}],"subject":{subject}}}"#)
    }

    #[test]
    fn a_registry_that_has_nothing() {
        let (mut collection, calls) = begun(Limits::default());
        assert_eq!(calls.len(), 3);
        for call in &calls {
            assert!(!collection.is_complete());
            collection.take(call, reply(404, UNKNOWN)).unwrap();
        }
        assert!(collection.is_complete() && collection.documents().is_empty());
    }

    #[test]
    fn links_of_the_image_and_of_no_other() {
        let (mine, others) = (evidence("link", "image"), evidence("other", "another image"));
        let listed = [&mine, &others].map(|manifest| descriptor(manifest, "t")).join(",");
        let (mut collection, calls) = begun(Limits::default());
        let list = format!(r#"{{"manifests":[{listed}]}}"#);
        // Listed twice, they are fetched once.
        collection.take(&calls[0], reply(200, &list)).unwrap();
        collection.take(&calls[1], reply(200, &list)).unwrap();
        collection.take(&calls[2], reply(404, UNKNOWN)).unwrap();
        for manifest in [&mine, &others] {
            let call = collection.next_call().unwrap().unwrap();
            collection.take(&call, reply(200, manifest)).unwrap();
        }
        let call = collection.next_call().unwrap().unwrap();
        assert_eq!(call.path, format!("/v2/a/blobs/{}", ManifestDigest::of(b"link")));
        assert!(collection.take(&call, reply(200, "lunk")).is_err());
        collection.take(&call, reply(200, "link")).unwrap();
        assert!(collection.is_complete());
        let documents = collection.documents();
        assert_eq!(documents.len(), 1);
        assert_eq!(documents[0].content.0, b"link");
    }

    #[test]
    fn what_is_no_answer() {
        let (image, index) = (evidence("link", "image"), r#"{"manifests":[]}"#.to_owned());
        let large = " ".repeat(MANIFEST_BYTES + 1);
        for at in 0..3 {
            // Lists are indexes, and cosign's tag leads to none.
            let other = if at == 2 { &index } else { &image };
            for (status, body) in [
                (0, ""),
                (200, ""),
                (200, "{}"),
                (200, other.as_str()),
                (200, &large),
                (206, &index),
                (302, ""),
                (401, ""),
                (500, ""),
            ] {
                let (mut collection, calls) = begun(Limits::default());
                let denial = collection.take(&calls[at], reply(status, body)).unwrap_err();
                assert_eq!(denial.kind, Kind::SourceDown, "{at} {status}");
            }
            let (mut collection, calls) = begun(Limits::default());
            // Of the referrers API any words will do.
            assert_eq!(collection.take(&calls[at], reply(404, "<html>")).is_ok(), at == 0);
        }
    }

    fn page(links: &[&str]) -> Reply {
        Reply {
            links: links.iter().map(|link| link.as_bytes().to_owned()).collect(),
            ..reply(200, r#"{"manifests":[]}"#)
        }
    }

    #[test]
    fn pages_stay_in_their_list() {
        let here = format!("/v2/a/referrers/{}", ManifestDigest::of(b"image"));
        for (target, follows) in [
            (format!("{here}?n=2"), true),
            (format!("https://r.example{here}?n=2"), true),
            (format!("http://R.example:80{here}?n=2"), true),
            ("?n=2".to_owned(), true),
            ("/v2/b/referrers/x?n=2".to_owned(), false),
            ("http://elsewhere/v2/".to_owned(), false),
            ("//elsewhere/v2/".to_owned(), false),
        ] {
            let (mut collection, calls) = begun(Limits::default());
            let page = page(&[
                r#"</v2/>; rel="prev""#,
                &format!(r#"<{target}>; rel = "next prefetch""#),
            ]);
            let taken = collection.take(&calls[0], page).map_err(|denial| denial.kind);
            assert_eq!(taken, follows.then_some(()).ok_or(Kind::SourceDown), "{target}");
            let next = collection.next_call().unwrap().map(|call| call.path);
            assert_eq!(next, follows.then(|| format!("{here}?n=2")), "{target}");
        }
    }

    #[test]
    fn a_list_ends_where_it_says_so() {
        for (second, kind) in [
            (reply(404, UNKNOWN), Kind::SourceDown),
            (reply(404, "<html>"), Kind::SourceDown),
            (reply(302, ""), Kind::SourceDown),
            (page(&["<?n=2>; rel=next"]), Kind::SourceDown),
            (page(&["<?n=3; rel=next"]), Kind::SourceDown),
        ] {
            let (mut collection, calls) = begun(Limits::default());
            collection.take(&calls[0], page(&["<?n=2>; rel=next"])).unwrap();
            let call = collection.next_call().unwrap().unwrap();
            assert_eq!(collection.take(&call, second).unwrap_err().kind, kind);
        }
        // The index under a tag is one manifest.
        let (mut collection, calls) = begun(Limits::default());
        collection.take(&calls[1], page(&["<?n=2>; rel=next"])).unwrap();
        assert!(collection.next_call().unwrap().is_none());
    }

    #[test]
    fn bounds() {
        let mut few = Collection::new(
            "r.example",
            "a",
            ManifestDigest::of(b"image"),
            Limits {
                fetches: 2,
                ..Limits::default()
            },
        );
        assert!(few.next_call().is_ok() && few.next_call().is_ok() && few.next_call().is_err());
        let limits = Limits {
            evidence_bytes: 3,
            ..Limits::default()
        };
        let (mut collection, calls) = begun(limits);
        let denial = collection
            .take(&calls[2], reply(200, &evidence("link", "image")))
            .unwrap_err();
        assert_eq!(denial.kind, Kind::Undecided);
        // Who says that it is less than it is has it left out of no sum.
        let (mut collection, calls) = begun(Limits::default());
        let less = evidence("link", "image").replace(r#""size":4"#, r#""size":3"#);
        collection.take(&calls[2], reply(200, &less)).unwrap();
        let call = collection.next_call().unwrap().unwrap();
        let denial = collection.take(&call, reply(200, "link")).unwrap_err();
        assert_eq!(denial.kind, Kind::SourceDown);
    }
}
