//! Which addresses a registry may lead to.
//!
//! Whoever answers for a registry would otherwise choose what is asked inside of the network that the reader is in: its own
//! loopback, a cloud's metadata, a neighbour that asks nobody for a password. What counts is the address that is connected
//! to: a name is resolved once, by [`Near`], and may mean another one a moment later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// What kind of place an address is (IANA's registries of special-purpose addresses).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anywhere in the Internet.
    Public,
    /// A private network, a carrier's included.
    Private,
    /// This machine.
    Loopback,
    /// What is on the same wire, and what clouds tell their machines about themselves.
    LinkLocal,
    /// No address of a host: unspecified, multicast, reserved, for documentation.
    Nowhere,
}

impl Kind {
    /// The kinds that a registry's own address may be of.
    pub(super) const OWN: [Self; 4] = [Self::Public, Self::Private, Self::Loopback, Self::LinkLocal];

    /// What an address is.
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Self::Private,
            [0 | 224..=255, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _] => Self::Nowhere,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let v4 = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Self::of_v4(Ipv4Addr::new(a, b, c, d))
        };
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            // Addresses that stand for one of the older kind: mapped, compatible, translated (RFC 6052), by 6to4.
            [0, 0, 0, 0, 0, 0xffff | 0, high, low]
            | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            | [0x2002, high, low, ..] => v4(high, low),
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            // Local translation (RFC 8215) is a network's own.
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Self::Private,
            // Teredo, benchmarks, ORCHID and documentation.
            [0x2001, 0 | 2 | 0x10..=0x2f | 0xdb8, ..] | [0x3fff, ..] => Self::Nowhere,
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Nowhere,
        }
    }

    /// Whether a registry at an address of this kind may lead to that address: to a public one always, to others only where
    /// it is itself.
    pub(super) fn may_lead_to(self, address: IpAddr) -> bool {
        let kind = Self::of(address);
        kind == Self::Public || kind == self && kind != Self::Nowhere
    }
}

/// Resolves names to those of their addresses that a registry at an address of that kind may lead to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near(pub(super) Kind);

/// A name none of whose addresses may be connected to.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{INSIDE}")]
pub(super) struct Inside;

/// Why such a place is not asked.
pub(super) const INSIDE: &str = "it is at an address of this machine or of its network, and the registry is not";

impl Resolve for Near {
    fn resolve(&self, name: Name) -> Resolving {
        let near = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let taken: Vec<SocketAddr> = found.filter(|address| near.may_lead_to(address.ip())).collect();
            if taken.is_empty() {
                return Err(Inside.into());
            }
            let taken: Addrs = Box::new(taken.into_iter());
            Ok(taken)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_addresses() {
        for (kind, addresses) in [
            (
                Kind::Public,
                "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.0.1 172.32.0.1 192.167.0.1 \
                 223.255.255.255 2606:4700::1111 ::ffff:1.1.1.1 64:ff9b::101:101 2002:101:101::1",
            ),
            (
                Kind::Private,
                "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 fc00::1 fd00:ec2::254 fec0::1 \
                 ::ffff:10.0.0.1 ::10.0.0.1 64:ff9b::a00:1 64:ff9b:1::1 2002:a00:1::",
            ),
            (
                Kind::Loopback,
                "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::",
            ),
            (
                Kind::LinkLocal,
                "169.254.169.254 fe80::1 febf::1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe",
            ),
            (
                Kind::Nowhere,
                "0.0.0.0 0.1.2.3 :: ::ffff:0.0.0.0 224.0.0.1 255.255.255.255 240.0.0.1 192.0.2.1 198.18.0.1 ff02::1 \
                 2001:db8::1 2001::1 100::1 5f00::1 ::2:3:4",
            ),
        ] {
            for address in addresses.split_whitespace() {
                assert_eq!(Kind::of(address.parse().unwrap()), kind, "{address}");
            }
        }
    }

    #[test]
    fn a_registry_leads_outside_or_where_it_is() {
        let allowed = |kind: Kind, address: &str| kind.may_lead_to(address.parse().unwrap());
        for kind in Kind::OWN {
            assert!(allowed(kind, "1.1.1.1"));
            assert!(!allowed(kind, "0.0.0.0"));
            assert_eq!(allowed(kind, "::1"), kind == Kind::Loopback);
            assert_eq!(allowed(kind, "::ffff:10.0.0.1"), kind == Kind::Private);
            assert_eq!(allowed(kind, "169.254.169.254"), kind == Kind::LinkLocal);
        }
        assert!(!allowed(Kind::Nowhere, "0.0.0.0"));
    }

    #[tokio::test]
    async fn names_mean_addresses_that_may_be_asked() {
        let found = |kind| Near(kind).resolve("localhost".parse().unwrap());
        let error = found(Kind::Public).await.err().unwrap();
        assert!(error.downcast_ref::<Inside>().is_some(), "{error}");
        assert!(
            found(Kind::Loopback)
                .await
                .unwrap()
                .all(|address| address.ip().is_loopback())
        );
    }
}
