//! One request of a registry's client, as the proxy hands it over.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use linkgate_image::ManifestDigest;
use linkgate_image::manifest::{MANIFEST_BYTES, Manifest};
use linkgate_image::path::{self, Reference, Wanted};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::collection::{self, Call, Collection, Reply};
use crate::configuration::{Configuration, Ungoverned};
use crate::denial::{Denial, Kind};
use crate::judgement::{judge, seconds};
use crate::measure::{Metrics, count, record};
use crate::memory::{About, Fact, Memory, PARTS, Parts, Store};

/// What is known about the request so far.
#[derive(Default)]
pub(crate) struct Stream {
    configuration: Option<Rc<Configuration>>,
    metrics: Metrics,
    started: Duration,
    is_head: bool,
    repository: String,
    calls: BTreeMap<u32, Call>,
    image: Option<(ManifestDigest, Manifest)>,
    evidence: Option<Collection>,
    /// The manifest that may be delivered, once that is decided.
    pinned: Option<ManifestDigest>,
    /// Whether a manifest is held back until its bytes are known to be those.
    is_checking: bool,
    is_over: bool,
}

const OTHER: &str = "the registry answered with something else than the manifest that was judged";
const UNCONFIGURED: &str = "the filter is not configured, so nothing passes";

struct Shared;

impl Store for Shared {
    fn load(&self, slot: &str) -> Option<Vec<u8>> {
        hostcalls::get_shared_data(slot).ok()?.0
    }

    fn save(&self, slot: &str, bytes: &[u8]) {
        // What is not remembered is asked again.
        let _ = hostcalls::set_shared_data(slot, Some(bytes), None);
    }
}

impl Stream {
    pub(crate) fn new(configuration: Rc<Configuration>, metrics: Metrics) -> Self {
        Self {
            configuration: Some(configuration),
            metrics,
            ..Self::default()
        }
    }

    /// A header of the request, if it is text: the proxy hands on other bytes too.
    fn request_header(&self, name: &str) -> Option<String> {
        String::from_utf8(self.get_http_request_header_bytes(name)?).ok()
    }

    fn clock(&self) -> Duration {
        self.get_current_time().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn now(&self) -> i64 {
        seconds(self.clock())
    }

    fn configuration(&self) -> Result<Rc<Configuration>, Denial> {
        self.configuration
            .clone()
            .ok_or_else(|| Denial::new(Kind::SourceDown, UNCONFIGURED))
    }

    /// Whether the request may go on now, or else must wait.
    fn begin(&mut self) -> Result<bool, Denial> {
        self.started = self.clock();
        let configuration = self.configuration()?;
        let method = self.request_header(":method").unwrap_or_default();
        if method != "GET" && method != "HEAD" {
            let message = "only images are pulled through this proxy: GET and HEAD pass";
            return Err(Denial::new(Kind::Method, message));
        }
        self.is_head = method == "HEAD";
        let refused = |message: &str| Err(Denial::new(Kind::Refused, message));
        let wanted = self.request_header(":path").as_deref().and_then(path::parse);
        let (repository, blob, reference) = match wanted {
            Some(Wanted::Ping) => return Ok(true),
            Some(Wanted::Blob { repository, digest }) => (repository, Some(digest), None),
            Some(Wanted::Manifest {
                repository, reference, ..
            }) => (repository, None, Some(reference)),
            None => return refused("this path does not pass: only images are pulled through this proxy"),
        };
        self.repository = repository;
        let image = configuration.image(&self.repository);
        if !configuration.governs(&self.repository) {
            return match configuration.ungoverned {
                Ungoverned::Allow => Ok(true),
                Ungoverned::Deny => refused(&format!("{image}: no policy governs it")),
            };
        }
        let memory = self.memory(&configuration);
        if let Some(blob) = blob {
            return match memory.get(About::Blob(&blob.to_string()), self.now()) {
                Some((Fact::Part, _)) => Ok(true),
                _ => refused(&format!(
                    "{image}@{blob}: no image that was accepted a short while ago has this blob: pull its manifest first"
                )),
            };
        }
        let Some(reference) = reference else {
            return refused("this path does not pass");
        };
        // Parts of bodies cannot be checked, nor can packed ones, nor what a client is told that it has already.
        for name in [
            "range",
            "if-range",
            "accept-encoding",
            "if-none-match",
            "if-modified-since",
        ] {
            self.set_http_request_header(name, None);
        }
        if let Reference::Digest(digest) = &reference
            && self.remembered(&configuration, digest)?
        {
            return Ok(true);
        }
        let call = collection::image(&self.repository, &reference);
        self.ask(&configuration, call)?;
        Ok(false)
    }

    fn memory<'a>(&'a self, configuration: &'a Configuration) -> Memory<'a, Shared> {
        Memory {
            store: &Shared,
            fingerprint: &configuration.fingerprint,
            repository: &self.repository,
        }
    }

    /// Whether a manifest is known to be accepted; one that is known to be refused is refused again.
    fn remembered(&mut self, configuration: &Configuration, digest: &ManifestDigest) -> Result<bool, Denial> {
        let (memory, now) = (self.memory(configuration), self.now());
        let accepted = memory.get(About::Accepted(digest), now);
        if let Some((Fact::Accepted(parts), until)) = accepted {
            // Their slots may have been overwritten.
            memory.accept(digest, parts, now, until);
            count(self.metrics.cache_hits);
            self.pin(digest);
            return Ok(true);
        }
        if let Some((Fact::Refused(denial), _)) = memory.get(About::Refused(digest), now) {
            count(self.metrics.cache_hits);
            return Err(denial);
        }
        Ok(false)
    }

    /// From here on the request is for that digest, whatever its tag means a moment later.
    fn pin(&mut self, digest: &ManifestDigest) {
        let path = format!("/v2/{}/manifests/{digest}", self.repository);
        self.set_http_request_header(":path", Some(&path));
        self.pinned = Some(digest.clone());
        count(self.metrics.accepted);
        self.timed();
    }

    fn timed(&self) {
        let taken = self.clock().saturating_sub(self.started);
        let milliseconds = u64::try_from(taken.as_millis()).unwrap_or(u64::MAX);
        record(self.metrics.decision_ms, milliseconds);
    }

    fn ask(&mut self, configuration: &Configuration, call: Call) -> Result<(), Denial> {
        let registry = &configuration.registry;
        let taken = self.clock().saturating_sub(self.started);
        let limit = Duration::from_millis(configuration.limits.milliseconds.into());
        let left = limit
            .checked_sub(taken)
            .filter(|left| left.as_millis() > 0)
            .ok_or_else(|| {
                let message = format!("{}: no decision within {} ms", self.repository, limit.as_millis());
                Denial::new(Kind::SourceDown, message)
            })?;
        let mut headers = vec![
            (":method", "GET"),
            (":path", &call.path),
            (":authority", &registry.authority),
            ("accept", call.accept),
            ("user-agent", concat!("linkgate-proxy-wasm/", env!("CARGO_PKG_VERSION"))),
        ];
        if let Some(authorization) = &registry.authorization {
            headers.push(("authorization", authorization));
        }
        let asked = self.dispatch_http_call(&registry.cluster, headers, None, Vec::new(), left);
        let token = asked.map_err(|_| {
            let message = format!("the proxy cannot reach the cluster `{}`", registry.cluster);
            Denial::new(Kind::SourceDown, message)
        })?;
        self.calls.insert(token, call);
        Ok(())
    }

    /// Takes an answer of the registry. Whether the request may go on now, or else must wait.
    fn go_on(&mut self, token: u32, reply: Reply) -> Result<bool, Denial> {
        let configuration = self.configuration()?;
        let lost = || Denial::new(Kind::SourceDown, "an answer that nothing was asked for");
        let call = self.calls.remove(&token).ok_or_else(lost)?;
        if let Some(evidence) = &mut self.evidence {
            evidence.take(&call, reply)?;
        } else if self.meet(&configuration, &call, &reply)? {
            return Ok(true);
        }
        while let Some(call) = self.evidence.as_mut().map_or(Ok(None), Collection::next_call)? {
            self.ask(&configuration, call)?;
        }
        if self.evidence.as_ref().is_some_and(Collection::is_complete) {
            self.decide(&configuration)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads the image's manifest. Whether it is known to be accepted, or else its evidence must be fetched.
    fn meet(&mut self, configuration: &Configuration, call: &Call, reply: &Reply) -> Result<bool, Denial> {
        let digest = collection::resolved(call, reply)?;
        if self.remembered(configuration, &digest)? {
            return Ok(true);
        }
        let manifest = collection::read(call, reply, PARTS)
            .inspect_err(|denial| self.refuse(configuration, &digest, denial, i64::MAX))?;
        let (memory, now) = (self.memory(configuration), self.now());
        if let Some((Fact::Part, until)) = memory.get(About::Manifest(&digest.to_string()), now) {
            // The index that it belongs to was accepted as a whole.
            memory.accept(&digest, parts(&manifest), now, until);
            count(self.metrics.cache_hits);
            self.pin(&digest);
            return Ok(true);
        }
        count(self.metrics.cache_misses);
        let evidence = Collection::new(
            &configuration.registry.authority,
            &self.repository,
            digest.clone(),
            configuration.limits,
        );
        self.evidence = Some(evidence);
        self.image = Some((digest, manifest));
        Ok(false)
    }

    fn decide(&mut self, configuration: &Configuration) -> Result<(), Denial> {
        let lost = || Denial::new(Kind::SourceDown, "the filter lost its place");
        let evidence = self.evidence.take().ok_or_else(lost)?;
        let (digest, manifest) = self.image.take().ok_or_else(lost)?;
        let image = configuration.image(&self.repository);
        let (now, before) = (self.now(), self.clock());
        let judged = judge(
            configuration,
            &image,
            &digest,
            &manifest.manifests(),
            evidence.documents(),
            &|| self.clock(),
        );
        let taken = self.clock().saturating_sub(before);
        record(
            self.metrics.verification_us,
            u64::try_from(taken.as_micros()).unwrap_or(u64::MAX),
        );
        let valid_until = judged.valid_until.unwrap_or(i64::MAX);
        if let Err(denial) = judged.result {
            self.refuse(configuration, &digest, &denial, valid_until);
            return Err(denial);
        }
        let until = now.saturating_add(configuration.cache.accepted_seconds.into());
        let memory = self.memory(configuration);
        memory.accept(&digest, parts(&manifest), now, until.min(valid_until));
        self.pin(&digest);
        Ok(())
    }

    /// Remembers a refusal, so that the next who asks costs less.
    fn refuse(&self, configuration: &Configuration, digest: &ManifestDigest, denial: &Denial, valid_until: i64) {
        let now = self.now();
        let until = now.saturating_add(configuration.cache.refused_seconds.into());
        let fact = Fact::Refused(denial.clone());
        let memory = self.memory(configuration);
        memory.put(About::Refused(digest), fact, now, until.min(valid_until));
    }

    /// Tells the client that what the registry sent is not handed on.
    fn withhold(&mut self, message: &str) -> Action {
        self.deny(&Denial::new(Kind::SourceDown, message));
        Action::Pause
    }

    fn deny(&mut self, denial: &Denial) {
        self.is_over = true;
        self.calls.clear();
        self.metrics.denied(denial.kind);
        if !matches!(denial.kind, Kind::Method | Kind::Refused) {
            self.timed();
        }
        let headers = vec![("content-type", "application/json")];
        self.send_http_response(denial.status(), headers, Some(denial.body().as_bytes()));
    }
}

fn parts(manifest: &Manifest) -> Parts {
    let are_manifests = manifest.is_index();
    let digests = if are_manifests {
        manifest.manifests()
    } else {
        manifest.blobs()
    };
    Parts {
        digests: digests.iter().map(ToString::to_string).collect(),
        are_manifests,
    }
}

/// The values of the headers of one name, which the proxy hands over in small letters.
fn named<'h>(headers: &'h [(String, Vec<u8>)], name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let named = headers.iter().filter(move |(other, _)| other == name);
    named.map(|(_, value)| value.as_slice())
}

impl Context for Stream {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _: usize) {
        if self.is_over {
            return;
        }
        // Without headers there was no answer; to ask for them then would be a trap.
        let mut given = if headers > 0 {
            self.get_http_call_response_headers_bytes()
        } else {
            Vec::new()
        };
        let status = named(&given, ":status")
            .next()
            .and_then(|status| str::from_utf8(status).ok()?.parse().ok());
        given.retain(|(name, _)| name == "link");
        let reply = Reply {
            status: status.unwrap_or(0),
            links: given.into_iter().map(|(_, link)| link).collect(),
            body: if headers > 0 {
                self.get_http_call_response_body(0, body).unwrap_or_default()
            } else {
                Vec::new()
            },
        };
        match self.go_on(token, reply) {
            Ok(true) => self.resume_http_request(),
            Ok(false) => {}
            Err(denial) => self.deny(&denial),
        }
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, is_end: bool) -> Action {
        let begun = if is_end {
            self.begin()
        } else {
            Err(Denial::new(Kind::Refused, "no pull has a body"))
        };
        match begun {
            Ok(true) => Action::Continue,
            Ok(false) => Action::Pause,
            Err(denial) => {
                self.deny(&denial);
                Action::Pause
            }
        }
    }

    /// Nothing that follows may carry on a request that waits, or was refused.
    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        Action::Pause
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        Action::Pause
    }

    fn on_http_response_headers(&mut self, _: usize, is_end: bool) -> Action {
        let Some(pinned) = self.pinned.as_ref().filter(|_| !self.is_over) else {
            return Action::Continue;
        };
        let headers = self.get_http_response_headers_bytes();
        let status = named(&headers, ":status").next().unwrap_or_default();
        let digest = pinned.to_string();
        let is_other = named(&headers, "docker-content-digest").any(|said| said != digest.as_bytes());
        // What it is and how it is packed decides how its bytes are read, and clients do not agree on which of two counts. The
        // proxy makes one header of two of some names.
        let is_twice =
            |name| named(&headers, name).nth(1).is_some() || named(&headers, name).any(|said| said.contains(&b','));
        let is_ambiguous = ["docker-content-digest", "content-type"].into_iter().any(is_twice);
        let is_packed = named(&headers, "content-encoding").next().is_some();
        match status {
            b"200" if is_other || is_ambiguous || is_packed => self.withhold(OTHER),
            b"200" if is_end == self.is_head => {
                // What a `HEAD` is answered with has no bytes to check; the bytes of all else are known before they pass.
                self.is_checking = !is_end;
                if is_end { Action::Continue } else { Action::Pause }
            }
            b"200" => self.withhold("the registry sent no manifest where it should, or one where it should not"),
            // An error is no manifest, and leads to none.
            [b'4' | b'5', _, _] => Action::Continue,
            // A redirect, say: what lies there was not judged, and a client that has a tag would not know.
            _ => self.withhold(OTHER),
        }
    }

    fn on_http_response_body(&mut self, size: usize, is_end: bool) -> Action {
        let Some(pinned) = self.pinned.clone().filter(|_| self.is_checking && !self.is_over) else {
            return Action::Continue;
        };
        if size <= MANIFEST_BYTES && !is_end {
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, size).unwrap_or_default();
        if size <= MANIFEST_BYTES && pinned.is_of(&body) {
            self.is_checking = false;
            return Action::Continue;
        }
        self.withhold("the registry sent other bytes than those that were judged")
    }

    /// A body that trailers follow has no end of its own, and they would let it go unchecked. No registry sends any.
    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        if self.is_checking && !self.is_over {
            return self.withhold("the registry sent trailers after the manifest, and no registry does");
        }
        Action::Continue
    }
}
