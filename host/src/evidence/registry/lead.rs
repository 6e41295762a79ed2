//! Where a registry may lead who asks it: by a redirection, to its token server, to where a blob is to be sent.
//!
//! What is checked by its digest may come from anywhere, and registries keep blobs with other hosts. What is not (lists,
//! tags) only the registry itself says. Credentials for a registry are told to it and to the token server that it names, and
//! to nobody that it leads to otherwise.

use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use linkgate_verifier::verdict::shown;
use reqwest::header::LOCATION;
use reqwest::{Client, Method, StatusCode, Url};
use url::Host;

use super::address::{INSIDE, Kind, Near};
use super::request::Reply;
use super::{RegistryError, client};

/// Storage behind a registry is one redirection away, seldom two.
pub(super) const REDIRECTIONS: usize = 5;

/// Who may answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The registry, by its host and port.
    Own,
    /// Whoever it names: what comes back is checked by its digest, or is a token.
    Anyone,
}

/// Why what a registry names is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Astray {
    /// The host that it names, in messages.
    pub(super) to: String,
    pub(super) why: &'static str,
}

impl Astray {
    pub(super) fn new(to: &Url, why: &'static str) -> Self {
        Self { to: host(to), why }
    }

    /// That a place holds a name or a password, which would be sent there.
    pub(super) fn of_credentials(to: &Url) -> Option<Self> {
        let has_any = !to.username().is_empty() || to.password().is_some();
        has_any.then(|| Self::new(to, "it holds a name or a password"))
    }
}

/// The clients for other hosts than the registry's. None follows redirections by itself, nor connects to an address that a
/// registry may not lead to.
#[derive(Debug)]
pub(super) struct Others {
    /// One for each kind of address that a registry may have.
    near: [Client; Kind::OWN.len()],
    /// The one that goes by the proxies of the environment, which then connect.
    proxied: Client,
    proxies: Matcher,
}

impl Others {
    pub(super) fn new(authorities: &[Vec<u8>], timeout: Duration, proxied: Client) -> Result<Self, RegistryError> {
        let [public, private, loopback, link_local] = Kind::OWN.map(|kind| {
            client(authorities, timeout, |builder| {
                builder.no_proxy().dns_resolver(Near(kind))
            })
        });
        Ok(Self {
            near: [public?, private?, loopback?, link_local?],
            proxied,
            proxies: Matcher::from_system(),
        })
    }

    /// The kind of address that a registry has, if whoever answered for it has this kind.
    pub(super) fn kind(&self, registry: &Url, answered: Kind) -> Kind {
        // A proxy's own address says nothing about the registry.
        if self.is_proxied(registry) {
            Kind::Public
        } else {
            answered
        }
    }

    /// The client for a place at another host that a registry at an address of that kind names in an answer from `from`.
    pub(super) fn client(&self, kind: Kind, from: &Url, to: &Url) -> Result<Client, Astray> {
        let astray = |why| Err(Astray::new(to, why));
        let is_secure = to.scheme() == "https" || to.scheme() == "http" && from.scheme() == "http";
        if !is_secure {
            return astray("it is in the clear, or no place of the web");
        }
        if let Some(astray) = Astray::of_credentials(to) {
            return Err(astray);
        }
        let is_proxied = self.is_proxied(to);
        let is_outside = match to.host() {
            Some(Host::Ipv4(address)) => kind.may_lead_to(address.into()),
            Some(Host::Ipv6(address)) => kind.may_lead_to(address.into()),
            // A proxy resolves names for itself, and would take this one for its own machine.
            Some(Host::Domain(name)) => !is_proxied || !is_localhost(name),
            None => false,
        };
        if !is_outside {
            return astray(INSIDE);
        }
        let of_kind = Kind::OWN.iter().zip(&self.near).find(|(own, _)| **own == kind);
        // An address of no kind that a registry has is no reason to let it lead further than others.
        let (_, near) = of_kind.unwrap_or((&Kind::Public, &self.near[0]));
        Ok(if is_proxied { &self.proxied } else { near }.clone())
    }

    fn is_proxied(&self, url: &Url) -> bool {
        let uri = url.as_str().parse();
        uri.is_ok_and(|uri| self.proxies.intercept(&uri).is_some())
    }
}

/// Where an answer leads by its one header `location`; nothing if that is missing or could be read in two ways.
pub(super) fn location(reply: &Reply) -> Option<Url> {
    let mut all = reply.headers.get_all(LOCATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else {
        return None;
    };
    let text = only.to_str().ok()?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let mut url = reply.url.join(text).ok().filter(|_| is_plain && !text.is_empty())?;
    url.set_fragment(None);
    Some(url)
}

/// Whether an answer is a redirection of a request by that method, which stays one.
pub(super) fn is_redirection(method: &Method, status: StatusCode) -> bool {
    match status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => {
            [Method::GET, Method::HEAD].contains(method)
        }
        _ => false,
    }
}

/// A place's host, and its port if it has one of its own.
pub(super) fn host(url: &Url) -> String {
    let name = shown(url.host_str().unwrap_or_default());
    url.port().map_or_else(|| name.clone(), |port| format!("{name}:{port}"))
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn others() -> Others {
        let plain = client(&[], Duration::from_secs(1), |builder| builder).unwrap();
        Others::new(&[], Duration::from_secs(1), plain).unwrap()
    }

    #[test]
    fn other_hosts() {
        let others = others();
        let leads = |kind, from: &str, to: &str| {
            let (from, to) = (Url::parse(from).unwrap(), Url::parse(to).unwrap());
            others.client(kind, &from, &to).map(drop).map_err(|astray| astray.why)
        };
        for to in [
            "https://s.example/x",
            "https://1.1.1.1/x",
            "https://[2606:4700::1]:444/",
        ] {
            assert_eq!(leads(Kind::Public, "https://r.example/", to), Ok(()), "{to}");
            assert_eq!(leads(Kind::Nowhere, "https://r.example/", to), Ok(()), "{to}");
        }
        for to in [
            "http://s.example/x",
            "file:///etc/passwd",
            "data:,x",
            "https://user@s.example/",
            "https://:word@s.example/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://0.0.0.0/",
            "https://[::]/",
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.1/",
            "https://100.100.100.200/",
            "https://[fd00:ec2::254]/",
        ] {
            assert!(leads(Kind::Public, "https://r.example/", to).is_err(), "{to}");
        }
        // In the clear only from a registry that is.
        assert_eq!(leads(Kind::Public, "http://r.example/", "http://s.example/"), Ok(()));
        assert!(leads(Kind::Loopback, "https://127.0.0.1:1/", "http://127.0.0.1:2/").is_err());
        assert_eq!(
            leads(Kind::Loopback, "http://127.0.0.1:1/", "http://127.0.0.1:2/"),
            Ok(())
        );
        assert_eq!(
            leads(Kind::Loopback, "http://127.0.0.1:1/", "http://169.254.169.254/"),
            Err(INSIDE)
        );
    }

    #[test]
    fn places_are_read_in_one_way() {
        let read = |locations: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for location in locations {
                headers.append(LOCATION, location.parse().unwrap());
            }
            let url = Url::parse("https://r.example/v2/a/blobs/x").unwrap();
            let reply = Reply {
                headers,
                ..Reply::from(url)
            };
            location(&reply).map(|url| url.to_string())
        };
        for (location, url) in [
            ("/x?y#z", "https://r.example/x?y"),
            ("y", "https://r.example/v2/a/blobs/y"),
            ("//s.example/x", "https://s.example/x"),
            ("https://s.example:8443/x", "https://s.example:8443/x"),
        ] {
            assert_eq!(read(&[location]).as_deref(), Some(url), "{location}");
        }
        for wrong in [
            &[][..],
            &[""],
            &["/x", "/x"],
            &["\\\\s.example\\x"],
            &["/\\s.example"],
            &["https://s.example /"],
            &["/x\ty"],
            &["https://[::1/"],
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
