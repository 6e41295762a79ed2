//! Requests to a registry, and answers that are read no further than their bounds.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use linkgate_image::{Image, answer};
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use tokio::time::timeout;

use super::Registry;
use super::address::Kind;
use super::authorization::{Authorization, Operation};
use super::fault::Fault;
use super::lead::{Astray, REDIRECTIONS, Reach, host, is_redirection, location};
use crate::record::link;

/// A request about a repository.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    /// The repository.
    pub(super) image: &'a Image,
    pub(super) operation: Operation,
    pub(super) method: Method,
    pub(super) url: Url,
    /// The client that asks there, if that is at another host than the registry's.
    pub(super) elsewhere: Option<Client>,
    /// Who may answer it.
    pub(super) reach: Reach,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Bytes,
    /// What is asked for, in messages.
    pub(super) what: String,
    /// The bytes that the answer may have.
    pub(super) most: usize,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where it came from in the end.
    pub(super) url: Url,
    pub(super) body: Bytes,
    /// Whether nobody said who asked.
    pub(super) anonymous: bool,
    /// The kind of address that the registry has.
    pub(super) kind: Kind,
    /// The host that it came from, if that is not the registry's: then it is no word of the registry's.
    pub(super) elsewhere: Option<String>,
}

impl<'a> Request<'a> {
    /// A reading request to `place` in a repository: `manifests/TAG`, say.
    pub(super) fn get(
        registry: &Registry,
        image: &'a Image,
        place: &str,
        what: &dyn Display,
        most: usize,
    ) -> Result<Self, Fault> {
        Ok(Self {
            image,
            operation: Operation::Pull,
            method: Method::GET,
            url: registry.url(image, place)?,
            elsewhere: None,
            reach: Reach::Own,
            headers: Vec::new(),
            body: Bytes::new(),
            what: what.to_string(),
            most,
        })
    }

    /// The same about what is checked by its digest, whoever sends it.
    #[must_use]
    pub(super) fn by_digest(mut self) -> Self {
        self.reach = Reach::Anyone;
        self
    }

    /// The same with a header.
    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The request as a client sends it to a place, as somebody.
    fn to(&self, client: &Client, url: &Url, authorization: &Authorization) -> RequestBuilder {
        let mut sent = client.request(self.method.clone(), url.clone());
        for (name, value) in &self.headers {
            sent = sent.header(name, value);
        }
        if ![Method::GET, Method::HEAD].contains(&self.method) {
            sent = sent.body(self.body.clone());
        }
        match authorization {
            Authorization::Anonymous => sent,
            Authorization::Basic(name, password) => sent.basic_auth(name, Some(password)),
            Authorization::Bearer(token) => sent.bearer_auth(token),
        }
    }
}

impl Registry {
    /// Sends a request as whom the credentials say, once more if an older token has expired.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Reply, Fault> {
        let authorization = self.authorization(request.image, request.operation).await?;
        let reply = self.send_as(request, &authorization).await?;
        // What others want to see is not the registry's to be shown.
        if reply.status != StatusCode::UNAUTHORIZED || reply.elsewhere.is_some() {
            return Ok(reply);
        }
        match self.authorize(request.image, request.operation, &reply).await? {
            Authorization::Anonymous => Ok(reply),
            authorization => self.send_as(request, &authorization).await,
        }
    }

    /// Sends a request as somebody, and again where the registry leads to, as nobody at another host.
    pub(super) async fn send_as(&self, request: &Request<'_>, authorization: &Authorization) -> Result<Reply, Fault> {
        // On the heap: it is large, and many wait at one time.
        let following = Box::pin(self.follow(request, authorization));
        let followed = timeout(Duration::from_secs(self.seconds), following);
        followed.await.unwrap_or_else(|_| {
            Err(Fault::Slow {
                host: request.image.registry().to_owned(),
                seconds: self.seconds,
            })
        })
    }

    async fn follow(&self, request: &Request<'_>, authorization: &Authorization) -> Result<Reply, Fault> {
        let registry = request.image.registry();
        let astray = |astray| Fault::astray(registry, &request.what, astray);
        let is_reading = [Method::GET, Method::HEAD].contains(&request.method);
        let reach = if is_reading { request.reach } else { Reach::Own };
        let (mut url, mut elsewhere, mut kind) = (request.url.clone(), request.elsewhere.clone(), None);
        let clients = self.clients.load_full();
        for _ in 0..=REDIRECTIONS {
            let other = elsewhere.as_ref().map(|_| host(&url));
            let (client, authorization) = match &elsewhere {
                None => (&clients.http, authorization),
                Some(client) => (client, &Authorization::Anonymous),
            };
            let sent = request.to(client, &url, authorization);
            let asked = other.as_deref().unwrap_or(registry);
            let mut reply = self.exchange(sent, asked, &request.what, request.most).await?;
            reply.anonymous = matches!(authorization, Authorization::Anonymous);
            reply.elsewhere.clone_from(&other);
            // That of the registry, whoever it led to.
            reply.kind = *kind.get_or_insert_with(|| clients.others.kind(&url, reply.kind));
            if !is_redirection(&request.method, reply.status) {
                return Ok(reply);
            }
            let to = location(&reply).ok_or_else(|| Fault::Place {
                host: asked.to_owned(),
                what: request.what.clone(),
            })?;
            (url, elsewhere) = self.led(reach, &reply, to).map_err(astray)?;
        }
        Err(astray(Astray::new(&url, "that is one redirection too many")))
    }

    /// A place that an answer names, if what is asked for there may come from it, with the client for it if that is at
    /// another host.
    pub(super) fn led(&self, reach: Reach, reply: &Reply, to: Url) -> Result<(Url, Option<Client>), Astray> {
        let is_own = reply.elsewhere.is_none() && to.origin() == reply.url.origin();
        let client = match (is_own, reach) {
            (true, _) => Astray::of_credentials(&to).map_or(Ok(None), Err),
            (false, Reach::Own) => Err(Astray::new(&to, "only the registry itself is asked for that")),
            (false, Reach::Anyone) => self.clients.load().others.client(reply.kind, &reply.url, &to).map(Some),
        };
        Ok((to, client?))
    }

    /// Sends what was put together, and reads the answer of a host.
    pub(super) async fn exchange(
        &self,
        sent: RequestBuilder,
        host: &str,
        what: &str,
        most: usize,
    ) -> Result<Reply, Fault> {
        let failed = |error| Fault::of_transport(host, self.seconds, &error);
        let too_large = || Fault::TooLarge {
            host: host.to_owned(),
            what: what.to_owned(),
            most,
        };
        if link::now().0 < 0 {
            return Err(Fault::Clock { host: host.to_owned() });
        }
        let mut response = sent.send().await.map_err(failed)?;
        let kind = response
            .remote_addr()
            .map_or(Kind::Public, |address| Kind::of(address.ip()));
        let announced = response
            .content_length()
            .and_then(|length| usize::try_from(length).ok());
        let mut body = self.memory.buffer(announced.unwrap_or_default().min(most));
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > most {
                return Err(too_large());
            }
            body.extend(&chunk).map_err(|no_room| Fault::NoRoom {
                host: host.to_owned(),
                no_room,
            })?;
        }
        Ok(Reply {
            status: response.status(),
            headers: response.headers().clone(),
            url: response.url().clone(),
            body: body.finish(),
            anonymous: true,
            kind,
            elsewhere: None,
        })
    }
}

impl Reply {
    /// What a registry calls the reason of its refusal.
    pub(super) fn codes(&self) -> Vec<String> {
        answer::codes(&self.body)
    }

    /// Whether a registry says that there is no such thing. A 404 by itself may come from anything on the way, and what
    /// another host does not have the registry may have.
    pub(super) fn is_absence(&self) -> bool {
        self.elsewhere.is_none() && answer::is_unknown(self.status.as_u16(), &self.body)
    }
}

#[cfg(test)]
impl From<Url> for Reply {
    /// An empty answer of a registry in the Internet.
    fn from(url: Url) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            url,
            body: Bytes::new(),
            anonymous: true,
            kind: Kind::Public,
            elsewhere: None,
        }
    }
}
