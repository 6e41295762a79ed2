//! Who one is to a registry: names and passwords, or the tokens that they are exchanged for (OCI distribution's "Token
//! Authentication Specification", and its OAuth 2 form for identity tokens).

use http_auth::{ChallengeRef, parse_challenges};
use linkgate_image::Image;
use reqwest::header::{CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use super::Registry;
use super::credentials::Secret;
use super::fault::Fault;
use super::lead::{Reach, host};
use super::request::{Reply, Request};

/// What a request does with a repository, which tokens are given out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Pull,
    Push,
}

/// The `Authorization` header of a request.
#[derive(Clone)]
pub(super) enum Authorization {
    /// The request has none.
    Anonymous,
    /// A name and a password.
    Basic(String, String),
    /// A token.
    Bearer(String),
}

/// What an authorization is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Access {
    registry: String,
    repository: String,
    pushes: bool,
}

/// What a registry wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// A token server's answer; older ones call the token by the second name.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// Bytes of an answer that holds a token, or nothing of interest.
const TOKEN_BYTES: usize = 1 << 20;

/// Bytes of a token. It travels in a header, and servers take no larger ones.
const TOKEN: usize = 64 << 10;

/// What an entry that is kept takes beside its texts.
const ENTRY: usize = 256;

/// How many bytes an authorization takes where it is kept.
pub(super) fn weight(access: &Access, authorization: &Authorization) -> u32 {
    let texts = match authorization {
        Authorization::Anonymous => 0,
        Authorization::Basic(name, password) => name.len() + password.len(),
        Authorization::Bearer(token) => token.len(),
    };
    let bytes = ENTRY + access.registry.len() + access.repository.len() + texts;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Access {
    fn new(image: &Image, operation: Operation) -> Self {
        Self {
            registry: image.registry().to_owned(),
            repository: image.repository().to_owned(),
            pushes: operation == Operation::Push,
        }
    }

    /// As token servers are asked for it.
    fn scope(&self) -> String {
        let actions = if self.pushes { "pull,push" } else { "pull" };
        format!("repository:{}:{actions}", self.repository)
    }
}

impl Registry {
    /// What requests about a repository carry. It is asked for once, however many wait for it.
    pub(super) async fn authorization(&self, image: &Image, operation: Operation) -> Result<Authorization, Fault> {
        let first = async {
            let mut root = Request::get(self, image, "", &"an answer", TOKEN_BYTES)?;
            root.url = self.root(image)?;
            let reply = self.send_as(&root, &Authorization::Anonymous).await?;
            self.answer(image, operation, &reply).await
        };
        let known = self.authorizations.try_get_with(Access::new(image, operation), first);
        known.await.map_err(|fault| Fault::clone(&fault))
    }

    /// What a refusal asks for, and later requests will carry.
    pub(super) async fn authorize(
        &self,
        image: &Image,
        operation: Operation,
        refusal: &Reply,
    ) -> Result<Authorization, Fault> {
        let authorization = self.answer(image, operation, refusal).await?;
        let access = Access::new(image, operation);
        self.authorizations.insert(access, authorization.clone()).await;
        Ok(authorization)
    }

    /// The answer to a challenge; without one, nobody in particular.
    async fn answer(&self, image: &Image, operation: Operation, reply: &Reply) -> Result<Authorization, Fault> {
        let Some(challenge) = challenge(&reply.headers) else {
            return Ok(Authorization::Anonymous);
        };
        let secret = self.credentials.find(image).await?;
        match (challenge, secret) {
            (Challenge::Bearer { realm, service }, secret) => {
                let (realm, client) = self.realm(image, &realm, reply)?;
                let scope = Access::new(image, operation).scope();
                let sent = token_request(&client, &realm, service.as_deref(), &scope, secret.as_ref());
                self.token(sent, &host(&realm), secret.is_none()).await
            }
            (Challenge::Basic, Some(Secret::Password(name, password))) => Ok(Authorization::Basic(name, password)),
            // An identity token is for token servers only.
            (Challenge::Basic, Some(Secret::Identity(_)) | None) => Ok(Authorization::Anonymous),
        }
    }

    /// Where tokens are to be had, and the client that asks there. What is read over TLS is not answered in the clear.
    fn realm(&self, image: &Image, realm: &str, reply: &Reply) -> Result<(Url, Client), Fault> {
        let url = Url::parse(realm).ok().filter(|url| {
            let is_plain = url.scheme() == "http" && reply.url.scheme() == "http";
            url.scheme() == "https" || is_plain
        });
        let url = url.ok_or_else(|| Fault::Realm {
            host: image.registry().to_owned(),
            realm: linkgate_verifier::verdict::shown(realm),
        })?;
        let led = self.led(Reach::Anyone, reply, url);
        let (url, elsewhere) = led.map_err(|astray| Fault::astray(image.registry(), "a token", astray))?;
        Ok((url, elsewhere.unwrap_or_else(|| self.clients.load().http.clone())))
    }

    /// The token that a token server answers a request with. What it redirects to is not asked: the request holds secrets.
    async fn token(&self, sent: RequestBuilder, host: &str, anonymous: bool) -> Result<Authorization, Fault> {
        let reply = self.exchange(sent, host, "a token", TOKEN_BYTES).await?;
        if reply.status != StatusCode::OK {
            return Err(Fault::of_status(host, anonymous, &reply));
        }
        let token: Option<Token> = serde_json::from_slice(&reply.body).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        let host = host.to_owned();
        match token {
            None => Err(Fault::Token { host }),
            Some(mut token) if token.len() <= TOKEN => {
                token.shrink_to_fit();
                Ok(Authorization::Bearer(token))
            }
            Some(_) => {
                let (what, most) = ("a token".to_owned(), TOKEN);
                Err(Fault::TooLarge { host, what, most })
            }
        }
    }
}

fn token_request(
    client: &Client,
    realm: &Url,
    service: Option<&str>,
    scope: &str,
    secret: Option<&Secret>,
) -> RequestBuilder {
    let mut asked = realm.clone();
    if let Some(service) = service {
        asked.query_pairs_mut().append_pair("service", service);
    }
    asked.query_pairs_mut().append_pair("scope", scope);
    match secret {
        None => client.get(asked),
        Some(Secret::Password(name, password)) => client.get(asked).basic_auth(name, Some(password)),
        Some(Secret::Identity(token)) => {
            let mut form = asked.query_pairs_mut();
            form.append_pair("grant_type", "refresh_token");
            form.append_pair("client_id", "linkgate");
            form.append_pair("refresh_token", token);
            drop(form);
            let form = asked.query().unwrap_or_default().to_owned();
            let sent = client.post(realm.clone());
            sent.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form)
        }
    }
}

/// The challenge that can be answered best.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let texts = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let challenges: Vec<Challenge> = texts
        .filter_map(|text| parse_challenges(text).ok())
        .flatten()
        .filter_map(|challenge| known(&challenge))
        .collect();
    let bearer = challenges.iter().find(|challenge| **challenge != Challenge::Basic);
    bearer.or(challenges.first()).cloned()
}

fn known(challenge: &ChallengeRef<'_>) -> Option<Challenge> {
    let parameter = |wanted: &str| {
        let found = challenge
            .params
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.to_unescaped())
    };
    if challenge.scheme.eq_ignore_ascii_case("Basic") {
        Some(Challenge::Basic)
    } else if challenge.scheme.eq_ignore_ascii_case("Bearer") {
        Some(Challenge::Bearer {
            realm: parameter("realm")?,
            service: parameter("service"),
        })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::registry::Options;

    fn challenge_in(texts: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(WWW_AUTHENTICATE, text.parse().unwrap());
        }
        challenge(&headers)
    }

    #[test]
    fn what_is_read_over_tls_is_not_answered_in_the_clear() {
        let options = Options {
            plain_http: vec!["plain.example".to_owned()],
            ..Options::default()
        };
        let registry = Registry::new(&options, crate::memory::Memory::unbounded()).unwrap();
        for (image, realm, taken) in [
            ("r.example/app", "https://t.example/token", true),
            ("r.example/app", "https://r.example/token", true),
            ("r.example/app", "http://t.example/token", false),
            ("r.example/app", "https://user@t.example/token", false),
            ("r.example/app", "https://user@r.example/token", false),
            ("r.example/app", "https://127.0.0.1/token", false),
            ("r.example/app", "https://[::ffff:10.0.0.1]/token", false),
            ("plain.example/app", "http://t.example/token", true),
            ("plain.example/app", "http://169.254.169.254/token", false),
            ("plain.example/app", "file:///etc/passwd", false),
            ("r.example/app", "token", false),
        ] {
            let image: Image = image.parse().unwrap();
            let reply = Reply::from(registry.root(&image).unwrap());
            assert_eq!(registry.realm(&image, realm, &reply).is_ok(), taken, "{realm}");
        }
    }

    #[test]
    fn tokens_before_passwords() {
        let bearer = Some(Challenge::Bearer {
            realm: "https://t.example/token".to_owned(),
            service: Some("r.example".to_owned()),
        });
        let text = r#"Bearer realm="https://t.example/token",service="r.example",scope="x""#;
        assert_eq!(challenge_in(&[text]), bearer);
        assert_eq!(challenge_in(&["Basic realm=\"r\"", text]), bearer);
        assert_eq!(challenge_in(&["basic realm=r"]), Some(Challenge::Basic));
        assert_eq!(challenge_in(&["Negotiate"]), None);
        assert_eq!(challenge_in(&["Bearer service=x"]), None);
        assert_eq!(challenge_in(&[]), None);
    }
}
