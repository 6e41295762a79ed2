//! Links that are being attached to an image: an artifact that names it as its subject.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use linkgate_image::evidence::{EMPTY, IN_TOTO, STEP, TITLE, fallback_tag};
use linkgate_image::manifest::{MANIFEST_BYTES, OCI_INDEX, OCI_MANIFEST};
use linkgate_image::{Image, ManifestDigest};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};

use super::authorization::Operation;
use super::fault::Fault;
use super::lead::{Reach, location};
use super::request::Request;
use super::{Registry, failed};
use crate::evidence::SourceError;
use crate::evidence::manifest::Manifest;

/// A link or layout that is to be attached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Its path among the evidence.
    pub name: String,
    /// Its digest.
    pub digest: ManifestDigest,
    /// The step that it is of.
    pub step: Option<String>,
    /// [`IN_TOTO`] or [`DSSE`](linkgate_image::evidence::DSSE)
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Bytes,
}

/// An artifact of links about an image. The same links make the same artifact: no time is in it.
#[derive(Clone, Debug)]
pub struct Attachment {
    subject: ManifestDigest,
    links: Vec<Link>,
    manifest: Bytes,
    /// Its digest.
    pub digest: ManifestDigest,
}

/// What became of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// All of it was there already.
    Before,
    /// It was pushed, and the registry lists it.
    Listed,
    /// It was pushed, and listed under a tag, since the registry lists no referrers.
    Tagged,
}

/// The configuration of an artifact that needs none.
const CONFIG: &[u8] = b"{}";

/// Where a registry says that it lists a manifest among the referrers of its subject.
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// How often a list under a tag is looked at, and written again when others write it, too.
const ATTEMPTS: u32 = 16;

/// How long it must stay as it was written, at least. Others may have read it before and write it a moment later.
const PAUSE: Duration = Duration::from_millis(150);

/// And how many times as long as the slowest reading and writing took: others are not answered sooner by that registry, and
/// some later.
const ROUNDS: u32 = 3;

/// How many times as long as a round those who lost wait at most, so that many do not meet again.
const SPREAD: u32 = 32;

impl Attachment {
    /// The artifact of links about the image of a manifest.
    pub fn new(image: &Manifest, mut links: Vec<Link>) -> Self {
        links.sort();
        links.dedup();
        let layers: Vec<Value> = links.iter().map(layer).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": IN_TOTO,
            "config": {"mediaType": EMPTY, "digest": ManifestDigest::of(CONFIG).to_string(), "size": CONFIG.len()},
            "layers": layers,
            "subject": {
                "mediaType": image.says.media_type,
                "digest": image.digest.to_string(),
                "size": image.bytes.len(),
            },
        });
        let manifest = Bytes::from(manifest.to_string());
        Self {
            subject: image.digest.clone(),
            links,
            digest: ManifestDigest::of(&manifest),
            manifest,
        }
    }

    /// The links, in the artifact's order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    fn descriptor(&self) -> Value {
        json!({
            "mediaType": OCI_MANIFEST,
            "digest": self.digest.to_string(),
            "size": self.manifest.len(),
            "artifactType": IN_TOTO,
        })
    }
}

fn layer(link: &Link) -> Value {
    let mut annotations = BTreeMap::from([(TITLE, link.name.as_str())]);
    annotations.extend(link.step.as_deref().map(|step| (STEP, step)));
    json!({
        "mediaType": link.media_type,
        "digest": link.digest.to_string(),
        "size": link.bytes.len(),
        "annotations": annotations,
    })
}

impl Registry {
    /// Pushes an attachment into a repository. `done` is told of bytes that are there.
    pub async fn attach(
        &self,
        repository: &Image,
        attachment: &Attachment,
        done: impl Fn(u64),
    ) -> Result<Attached, SourceError> {
        let attached = self.push(repository, attachment, done).await;
        attached.map_err(|fault| failed(repository, &fault))
    }

    async fn push(&self, repository: &Image, attachment: &Attachment, done: impl Fn(u64)) -> Result<Attached, Fault> {
        let listed = self.referrers(repository, &attachment.subject).await?;
        let at = repository.at(attachment.digest.clone());
        if listed.contains(&attachment.digest) && self.get_manifest(&at).await?.is_some() {
            // Under a tag it may not stay: whoever had read that before it was written may be about to write.
            if !self.lists(repository, attachment).await? {
                self.list_under_tag(repository, attachment).await?;
            }
            return Ok(Attached::Before);
        }
        self.push_blob(repository, Bytes::from_static(CONFIG)).await?;
        for link in &attachment.links {
            self.push_blob(repository, link.bytes.clone()).await?;
            done(link.bytes.len() as u64);
        }
        if self
            .put_manifest(&at, OCI_MANIFEST, attachment.manifest.clone())
            .await?
        {
            return Ok(Attached::Listed);
        }
        self.list_under_tag(repository, attachment).await?;
        Ok(Attached::Tagged)
    }

    /// Whether the registry itself lists an attachment among the referrers of its subject.
    async fn lists(&self, repository: &Image, attachment: &Attachment) -> Result<bool, Fault> {
        let listed = self.listed_referrers(repository, &attachment.subject).await?;
        Ok(listed.contains(&attachment.digest))
    }

    /// Pushes a blob unless it is there: where to is asked, and then it is sent in one piece.
    async fn push_blob(&self, repository: &Image, blob: Bytes) -> Result<(), Fault> {
        let digest = ManifestDigest::of(&blob);
        let there = self.push_request(repository, &format!("blobs/{digest}"), Method::HEAD)?;
        if self.send(&there.by_digest()).await?.status == StatusCode::OK {
            return Ok(());
        }
        let mut request = self.push_request(repository, "blobs/uploads/", Method::PUT)?;
        request = request.with(CONTENT_TYPE, "application/octet-stream".to_owned());
        request.body = blob;
        (request.url, request.elsewhere) = self.upload_place(repository).await?;
        request.url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let reply = self.send(&request).await?;
        if reply.status.is_success() {
            Ok(())
        } else {
            Err(Fault::of_status(repository.registry(), reply.anonymous, &reply))
        }
    }

    /// Where a blob is to be sent, with the client for it if that is another host. Storage there is told where the blob
    /// belongs by its address, and not who sends it.
    async fn upload_place(&self, repository: &Image) -> Result<(Url, Option<Client>), Fault> {
        let request = self.push_request(repository, "blobs/uploads/", Method::POST)?;
        let reply = self.send(&request).await?;
        if reply.status != StatusCode::ACCEPTED {
            return Err(Fault::of_status(repository.registry(), reply.anonymous, &reply));
        }
        let place = location(&reply).ok_or_else(|| Fault::Location {
            host: repository.registry().to_owned(),
        })?;
        let led = self.led(Reach::Anyone, &reply, place);
        led.map_err(|astray| Fault::astray(repository.registry(), "a blob that is pushed", astray))
    }

    /// Puts a manifest under its digest or tag. Whether the registry lists it as a referrer.
    async fn put_manifest(&self, at: &Image, media_type: &str, manifest: Bytes) -> Result<bool, Fault> {
        let name = at
            .digest()
            .map_or_else(|| at.tag().unwrap_or("latest").to_owned(), ToString::to_string);
        let request = self.push_request(at, &format!("manifests/{name}"), Method::PUT)?;
        let mut request = request.with(CONTENT_TYPE, media_type.to_owned());
        request.body = manifest;
        let reply = self.send(&request).await?;
        if reply.status.is_success() {
            Ok(reply.headers.contains_key(OCI_SUBJECT))
        } else {
            Err(Fault::of_status(at.registry(), reply.anonymous, &reply))
        }
    }

    fn push_request<'a>(&self, image: &'a Image, place: &str, method: Method) -> Result<Request<'a>, Fault> {
        let request = Request::get(self, image, place, &"an answer", MANIFEST_BYTES)?;
        let mut request = request.with(ACCEPT, "*/*".to_owned());
        request.operation = Operation::Push;
        request.method = method;
        Ok(request)
    }

    /// Adds an attachment to the index under the tag of its subject, until it is seen to stay there: whoever else adds to it
    /// at the same time may write over it. It stays where it is still listed after all who had read the index before it was
    /// written have had the time to write theirs, as the registry's own answers measure it.
    async fn list_under_tag(&self, repository: &Image, attachment: &Attachment) -> Result<(), Fault> {
        let tag = fallback_tag(&attachment.subject);
        let mut slowest = Duration::ZERO;
        let mut waited = None;
        for attempt in 0..ATTEMPTS {
            let began = Instant::now();
            let index = self.tagged(repository, &attachment.subject).await?;
            let is_listed = index
                .as_ref()
                .is_some_and(|index| index.says.manifests().contains(&attachment.digest));
            if !is_listed {
                let index = with(index.as_ref(), attachment);
                self.put_manifest(&repository.tagged(&tag), OCI_INDEX, index).await?;
            }
            let round = began.elapsed();
            // What is only read is half a round.
            slowest = slowest.max(if is_listed { round * 2 } else { round });
            if is_listed && waited.is_some_and(|waited| waited >= quiet(slowest)) {
                return Ok(());
            }
            let mut pause = quiet(slowest);
            if !is_listed {
                // Those who lose look again, and write, at different times.
                let others = SPREAD.min(1 << attempt);
                pause += slowest.max(PAUSE) * others * lot(&attachment.digest, attempt) / 256;
            }
            tokio::time::sleep(pause).await;
            waited = Some(pause);
        }
        Err(Fault::Lost {
            host: repository.registry().to_owned(),
            tag,
        })
    }
}

/// How long an index must stay as it was written where the slowest reading and writing took that long.
fn quiet(slowest: Duration) -> Duration {
    PAUSE.max(slowest * ROUNDS)
}

/// A number below 256 that differs between attachments, and from attempt to attempt.
fn lot(digest: &ManifestDigest, attempt: u32) -> u32 {
    let at = 2 * attempt as usize;
    let digits = digest.hex().get(at..at + 2);
    digits
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .unwrap_or_default()
}

/// An index with an attachment added. What else it lists stays as it is.
fn with(index: Option<&Manifest>, attachment: &Attachment) -> Bytes {
    let empty = || json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []});
    let written = index.and_then(|index| serde_json::from_slice(&index.bytes).ok());
    let mut index: Value = written.unwrap_or_else(empty);
    if !index["manifests"].is_array() {
        index["manifests"] = json!([]);
    }
    if let Some(listed) = index["manifests"].as_array_mut() {
        listed.push(attachment.descriptor());
    }
    Bytes::from(index.to_string())
}

#[cfg(test)]
mod tests {
    use linkgate_image::manifest::Descriptor;

    use super::*;
    use crate::memory::Memory;

    fn link(name: &str, bytes: &'static [u8]) -> Link {
        Link {
            name: name.to_owned(),
            digest: ManifestDigest::of(bytes),
            step: Some("build".to_owned()),
            media_type: IN_TOTO,
            bytes: Bytes::from_static(bytes),
        }
    }

    fn image() -> Manifest {
        let text = r#"{"schemaVersion":2,"config":{"mediaType":"c","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}}"#;
        Manifest::read(
            Bytes::from_static(text.as_bytes()),
            ManifestDigest::of(text.as_bytes()),
            &Memory::unbounded(),
        )
        .unwrap()
    }

    #[test]
    fn the_same_links_make_the_same_artifact() {
        let (a, b) = (link("a.link", b"1"), link("b.link", b"2"));
        let attachment = Attachment::new(&image(), vec![a.clone(), b.clone()]);
        let again = Attachment::new(&image(), vec![b, a.clone(), a]);
        assert_eq!(attachment.digest, again.digest);
        let read = Manifest::read(
            attachment.manifest.clone(),
            attachment.digest.clone(),
            &Memory::unbounded(),
        )
        .unwrap();
        let artifact = read.says.artifact().unwrap();
        assert!(artifact.is_evidence_about(&image().digest));
        let names: Vec<String> = artifact.links().map(Descriptor::link_name).collect();
        assert_eq!(names, ["a.link", "b.link"]);
    }

    #[test]
    fn others_have_the_time_that_the_registry_takes() {
        assert_eq!(quiet(Duration::ZERO), PAUSE);
        assert_eq!(quiet(Duration::from_secs(2)), Duration::from_secs(6));
        let digests: Vec<ManifestDigest> = (0..64_u8).map(|number| ManifestDigest::of(&[number])).collect();
        for attempt in 0..ATTEMPTS {
            let lots: std::collections::BTreeSet<u32> = digests.iter().map(|digest| lot(digest, attempt)).collect();
            assert!(lots.len() > 32 && lots.iter().all(|lot| *lot < 256), "{lots:?}");
        }
    }

    #[test]
    fn an_index_keeps_what_others_wrote() {
        let attachment = Attachment::new(&image(), vec![link("a.link", b"1")]);
        let first = with(None, &attachment);
        let first = Manifest::read(first.clone(), ManifestDigest::of(&first), &Memory::unbounded()).unwrap();
        assert_eq!(first.says.manifests(), std::slice::from_ref(&attachment.digest));
        let other = ManifestDigest::of(b"other");
        let text = format!(
            r#"{{"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"t","digest":"{other}","size":5,"x":1}}],"y":2}}"#
        );
        let there = Manifest::read(Bytes::from(text), other.clone(), &Memory::unbounded()).unwrap();
        let added = with(Some(&there), &attachment);
        let value: Value = serde_json::from_slice(&added).unwrap();
        assert_eq!((&value["y"], &value["manifests"][0]["x"]), (&json!(2), &json!(1)));
        let added = Manifest::read(added, other.clone(), &Memory::unbounded()).unwrap();
        assert_eq!(added.says.manifests(), [other, attachment.digest]);
    }
}
