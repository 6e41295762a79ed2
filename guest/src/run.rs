//! Runs of bytes that mean nothing to the reader of JSON text. Most of a document is such bytes, so that they are looked at
//! eight at a time.

/// How many bytes stand for themselves in a string: up to the first quote, backslash or control character.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    run_length(bytes, special, |byte| byte == b'"' || byte == b'\\' || byte < 0x20)
}

/// How many bytes lie between strings and brackets: up to the first quote, bracket or brace.
pub(crate) fn span_length(bytes: &[u8]) -> usize {
    run_length(bytes, delimiters, |byte| {
        matches!(byte, b'"' | b'[' | b']' | b'{' | b'}')
    })
}

/// How many bytes come before the first that ends a run.
#[inline]
fn run_length(bytes: &[u8], ends_in: impl Fn(u64) -> u64, ends: impl Fn(u8) -> bool) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = ends_in(u64::from_le_bytes(*word));
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    words.len() * 8 + tail.iter().position(|&byte| ends(byte)).unwrap_or(tail.len())
}

const ONES: u64 = u64::MAX / 255;
const HIGHS: u64 = ONES << 7;

/// Bytes below a bound of at most 0x80 have their high bit, from the lowest such byte on; bits above that one, and below
/// the high bits, mean nothing.
#[inline]
const fn below(word: u64, bound: u64) -> u64 {
    word.wrapping_sub(ONES * bound) & !word
}

/// The high bit of the lowest byte that is a quote, a backslash or a control character; bits above it mean nothing.
#[inline]
const fn special(word: u64) -> u64 {
    let quotes = below(word ^ (ONES * 0x22), 1);
    let backslashes = below(word ^ (ONES * 0x5c), 1);
    (quotes | backslashes | below(word, 0x20)) & HIGHS
}

/// The high bit of the lowest byte that is a quote, a bracket or a brace; bits above it mean nothing.
#[inline]
const fn delimiters(word: u64) -> u64 {
    let quotes = below(word ^ (ONES * 0x22), 1);
    // A bracket and its brace differ in one bit.
    let opening = below((word | (ONES * 0x20)) ^ (ONES * 0x7b), 1);
    let closing = below((word | (ONES * 0x20)) ^ (ONES * 0x7d), 1);
    (quotes | opening | closing) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn runs_end_where_their_bytes_say() {
        for place in 0..19 {
            for byte in 0..=255_u8 {
                for filler in [b'a', 0x7f, 0x80, 0xff, b'Z', b'|'] {
                    let mut bytes = [filler; 19];
                    bytes[place] = byte;
                    let ends = |found: bool| if found { place } else { 19 };
                    let special = byte == b'"' || byte == b'\\' || byte < 0x20;
                    assert_eq!(plain_length(&bytes), ends(special), "{bytes:x?}");
                    assert_eq!(span_length(&bytes), ends(b"\"[]{}".contains(&byte)), "{bytes:x?}");
                }
            }
        }
    }

    #[test]
    fn plain_bytes_end_where_they_should() {
        for before in 0..20 {
            for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
                for after in [
                    b"".as_slice(),
                    b"abcdefghijk",
                    b"\"\"\"\"\"\"\"\"\"",
                    "é\u{7f}\u{80}".as_bytes(),
                ] {
                    for plain in [b'!', b'#', b'[', b']', b' ', 0x7f, 0xa2, 0xdc, 0x80, 0xff] {
                        let bytes = [vec![plain; before], vec![special], after.to_vec()].concat();
                        assert_eq!(plain_length(&bytes), before, "{bytes:?}");
                        assert_eq!(plain_length(&vec![plain; before]), before);
                    }
                }
            }
        }
    }
}
