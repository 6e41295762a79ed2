//! The little of DER (X.690, section 10) that public keys and ECDSA signatures need.
//!
//! Lengths are definite and in their shortest form, integers too, and nothing may be left over: one value has one
//! encoding, so that no two readers differ on what a key or a signature is.

use crate::prelude::*;

/// Tag of an INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// Tag of a BIT STRING.
pub(crate) const BIT_STRING: u8 = 0x03;
/// Tag of a NULL.
pub(crate) const NULL: u8 = 0x05;
/// Tag of an OBJECT IDENTIFIER.
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
/// Tag of a SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;

/// What is left of some DER. Every method gives nothing where something else stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the one SEQUENCE that `bytes` are.
    pub(crate) fn document(bytes: &'a [u8]) -> Option<Self> {
        let mut outer = Self(bytes);
        let content = outer.sequence()?;
        outer.end()?;
        Some(content)
    }

    /// The content of the next value, which has this tag.
    pub(crate) fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length)?;
        (found == tag).then(|| {
            self.0 = rest;
            content
        })
    }

    /// The content of the next value, a SEQUENCE.
    pub(crate) fn sequence(&mut self) -> Option<Self> {
        self.value(SEQUENCE).map(Self)
    }

    /// The next value, an INTEGER that is not negative: big-endian, without leading zeros (0 is empty).
    pub(crate) fn unsigned(&mut self) -> Option<&'a [u8]> {
        match self.value(INTEGER)? {
            [0] => Some(&[]),
            [0, magnitude @ ..] if magnitude.first()? >= &0x80 => Some(magnitude),
            magnitude @ [0x01..=0x7f, ..] => Some(magnitude),
            _ => None,
        }
    }

    /// The next value, a BIT STRING of whole octets.
    pub(crate) fn octets(&mut self) -> Option<&'a [u8]> {
        match self.value(BIT_STRING)? {
            [0, octets @ ..] => Some(octets),
            _ => None,
        }
    }

    /// That nothing is left.
    pub(crate) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// A length of up to three octets (16 MiB), and what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, shortest, rest) = match bytes {
        [short @ 0..=0x7f, rest @ ..] => (usize::from(*short), 0, rest),
        [0x81, a, rest @ ..] => (usize::from(*a), 0x80, rest),
        [0x82, a, b, rest @ ..] => (usize::from(*a) << 8 | usize::from(*b), 0x100, rest),
        [0x83, a, b, c, rest @ ..] => (
            usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c),
            0x1_0000,
            rest,
        ),
        _ => return None,
    };
    (length >= shortest).then_some((length, rest))
}

/// The encoding of a value whose content is these parts, one after the other. They are shorter than 64 KiB.
pub(crate) fn encode(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [.., high, low] = content.len().to_be_bytes();
    let mut encoded = match (high, low) {
        (0, 0..=0x7f) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    encoded.extend_from_slice(&content);
    encoded
}

/// The encoding of the INTEGER with this magnitude, big-endian and without leading zeros.
pub(crate) fn encode_unsigned(magnitude: &[u8]) -> Vec<u8> {
    let sign: &[u8] = match magnitude.first() {
        None | Some(0x80..) => &[0],
        Some(_) => &[],
    };
    encode(INTEGER, &[sign, magnitude])
}

/// The dotted form of an OBJECT IDENTIFIER's content, for messages.
pub(crate) fn dotted(content: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0_u64;
    for byte in content {
        arc = arc.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            arcs.push(arc);
            arc = 0;
        }
    }
    let first = arcs.first().copied().unwrap_or_default();
    let root = (first / 40).min(2);
    [root, first - root * 40]
        .into_iter()
        .chain(arcs.into_iter().skip(1))
        .map(|arc| arc.to_string())
        .collect::<Vec<_>>()
        .join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (bytes, wanted) in [
            (&[2, 1, 0][..], Some(&[][..])),
            (&[2, 1, 1], Some(&[1])),
            (&[2, 2, 0, 0x80], Some(&[0x80])),
            // Negative, not shortest, empty, cut, another tag.
            (&[2, 1, 0x80], None),
            (&[2, 2, 0, 0x7f], None),
            (&[2, 2, 0, 0], None),
            (&[2, 0], None),
            (&[2, 2, 1], None),
            (&[3, 1, 1], None),
            (&[], None),
        ] {
            assert_eq!(Der(bytes).unsigned(), wanted, "{bytes:02x?}");
            if let Some(magnitude) = wanted {
                assert_eq!(encode_unsigned(magnitude), bytes);
            }
        }
    }

    #[test]
    fn lengths() {
        for (bytes, wanted) in [
            (&[0x7f][..], Some(0x7f)),
            (&[0x81, 0x80], Some(0x80)),
            (&[0x82, 1, 0], Some(0x100)),
            (&[0x83, 1, 0, 0], Some(0x1_0000)),
            (&[0x80], None),
            (&[0x81, 0x7f], None),
            (&[0x82, 0, 0xff], None),
            (&[0x83, 0, 0xff, 0xff], None),
            (&[0x84, 1, 0, 0, 0], None),
        ] {
            assert_eq!(length(bytes).map(|(length, _)| length), wanted, "{bytes:02x?}");
        }
        for size in [0, 127, 128, 255, 256, 65_535] {
            let encoded = encode(SEQUENCE, &[&vec![7; size]]);
            assert_eq!(Der::document(&encoded).map(|content| content.0.len()), Some(size));
        }
    }

    #[test]
    fn nothing_may_be_left_over() {
        assert!(Der::document(&[0x30, 0]).is_some());
        assert!(Der::document(&[0x30, 0, 0]).is_none());
        assert!(Der::document(&[0x30, 1]).is_none());
    }

    #[test]
    fn object_identifiers() {
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]), "1.2.840.10045.2.1");
        assert_eq!(dotted(&[0x88, 0x37]), "2.999");
        assert_eq!(dotted(&[]), "0.0");
    }
}
