//! Requests to a registry, and answers that are read no further than their bounds.

use std::fmt::Display;

use bytes::{Bytes, BytesMut};
use linkgate_image::{Image, answer};
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, RequestBuilder, StatusCode, Url};

use super::Registry;
use super::authorization::{Authorization, Operation};
use super::fault::Fault;

/// A request about a repository.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    /// The repository.
    pub(super) image: &'a Image,
    pub(super) operation: Operation,
    pub(super) method: Method,
    pub(super) url: Url,
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
            headers: Vec::new(),
            body: Bytes::new(),
            what: what.to_string(),
            most,
        })
    }

    /// The same with a header.
    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Registry {
    /// Sends a request as whom the credentials say, once more if an older token has expired.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Reply, Fault> {
        let authorization = self.authorization(request.image, request.operation).await?;
        let reply = self.send_as(request, &authorization).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        match self.authorize(request.image, request.operation, &reply.headers).await? {
            Authorization::Anonymous => Ok(reply),
            authorization => self.send_as(request, &authorization).await,
        }
    }

    /// Sends a request as somebody.
    pub(super) async fn send_as(&self, request: &Request<'_>, authorization: &Authorization) -> Result<Reply, Fault> {
        let mut sent = self.http.request(request.method.clone(), request.url.clone());
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        if ![Method::GET, Method::HEAD].contains(&request.method) {
            sent = sent.body(request.body.clone());
        }
        sent = match authorization {
            Authorization::Anonymous => sent,
            Authorization::Basic(name, password) => sent.basic_auth(name, Some(password)),
            Authorization::Bearer(token) => sent.bearer_auth(token),
        };
        let mut reply = self
            .exchange(sent, request.image.registry(), &request.what, request.most)
            .await?;
        reply.anonymous = matches!(authorization, Authorization::Anonymous);
        Ok(reply)
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
        let mut response = sent.send().await.map_err(failed)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > most {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status: response.status(),
            headers: response.headers().clone(),
            url: response.url().clone(),
            body: body.freeze(),
            anonymous: true,
        })
    }
}

impl Reply {
    /// What a registry calls the reason of its refusal.
    pub(super) fn codes(&self) -> Vec<String> {
        answer::codes(&self.body)
    }

    /// Whether a registry says that there is no such thing. A 404 by itself may come from anything on the way.
    pub(super) fn is_absence(&self) -> bool {
        answer::is_unknown(self.status.as_u16(), &self.body)
    }
}
