//! Where a list of a registry goes on: headers `link` (RFC 8288, "Link Serialisation in HTTP Headers"; OCI distribution
//! specification 1.1, "Listing Referrers").
//!
//! A list that ends too early hides what contradicts. So each header is read to its end, and one that is not of RFC 8288's
//! grammar, or that can be read in two ways, is an error, and not the end of the list.

use alloc::collections::BTreeSet;

use linkgate_verifier::verdict::shown;

use crate::prelude::*;

/// Pages of one list.
pub const PAGES: usize = 32;

/// Bytes of one link's target, and links in one answer.
const TARGET_BYTES: usize = 2_000;
const LINKS: usize = 64;

/// Why it is not known where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// What is no header `link`.
    #[error("a header `link` that cannot be read: {0}")]
    Unreadable(&'static str),
    /// A next page that is none of this list.
    #[error("its next page is at another place than its own: `{0}`")]
    Elsewhere(String),
    /// A next page that was read before.
    #[error("its pages lead back to one that was read")]
    Loop,
    /// More than [`PAGES`].
    #[error("it has more than {PAGES} pages")]
    Many,
}

/// Where a list is that was read in part.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// `http` or `https`; none where that is not known, and either may be said.
    pub scheme: Option<&'a str>,
    /// The registry's host, with its port if that is not the scheme's own.
    pub authority: &'a str,
    /// The list's path, without a query.
    pub path: &'a str,
}

/// The pages of one list that were read.
#[derive(Clone, Debug)]
pub struct Pages(BTreeSet<String>);

impl Pages {
    /// A list of which the page of this query is read first: `?` and what follows, or nothing.
    pub fn new(query: &str) -> Self {
        Self([query.to_owned()].into())
    }

    /// The query of the page that follows the one whose answer had these headers `link`, with its `?` and to be asked for
    /// at the list's path; none if that was the last page.
    pub fn next<'h>(
        &mut self,
        headers: impl IntoIterator<Item = &'h [u8]>,
        place: &Place<'_>,
    ) -> Result<Option<String>, LinkError> {
        let mut next: Option<String> = None;
        let mut reader = Reader { rest: &[], links: 0 };
        for header in headers {
            reader.rest = header;
            while let Some(target) = reader.next_target()? {
                let query = place.query(target)?;
                if next.as_ref().is_some_and(|other| *other != query) {
                    return Err(LinkError::Unreadable("it has two next pages"));
                }
                next = Some(query);
            }
        }
        match &next {
            Some(query) if self.0.contains(query) => Err(LinkError::Loop),
            Some(_) if self.0.len() >= PAGES => Err(LinkError::Many),
            Some(query) => {
                self.0.insert(query.clone());
                Ok(next)
            }
            None => Ok(None),
        }
    }
}

impl Place<'_> {
    /// The query of a reference to a page of the list (RFC 3986, "Reference Resolution").
    fn query(&self, target: &str) -> Result<String, LinkError> {
        let elsewhere = || LinkError::Elsewhere(shown(target));
        let end = target.find('?').unwrap_or(target.len());
        let (before, query) = target.split_at_checked(end).unwrap_or_default();
        let path = match before.split_once("//") {
            Some((start, rest)) if start.is_empty() || start.ends_with(':') => {
                let (authority, path) = rest
                    .find('/')
                    .and_then(|at| rest.split_at_checked(at))
                    .unwrap_or((rest, ""));
                if !self.is_own(start.strip_suffix(':'), authority) {
                    return Err(elsewhere());
                }
                path
            }
            _ => before,
        };
        let (folder, name) = self.path.rsplit_once('/').unwrap_or_default();
        let is_list = match path {
            // `?n=2` is about the same path, and nothing at all about the same page.
            "" => before.is_empty() && !query.is_empty(),
            path if path.starts_with('/') => decoded(path).as_deref() == Some(self.path),
            // A name that holds a colon would be read as a scheme, unless `./` is before it.
            path => match path.strip_prefix("./") {
                Some(rest) => decoded(rest).as_deref() == Some(name),
                None => !path.contains(':') && decoded(path).as_deref() == Some(name),
            },
        };
        if is_list && !folder.is_empty() {
            Ok(query.to_owned())
        } else {
            Err(elsewhere())
        }
    }

    /// Whether an absolute target, or one without a scheme that names a host, is in the same registry.
    fn is_own(&self, scheme: Option<&str>, authority: &str) -> bool {
        let port = |scheme: &str| {
            if scheme.eq_ignore_ascii_case("https") {
                ":443"
            } else {
                ":80"
            }
        };
        let is_known =
            scheme.is_none_or(|scheme| ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)));
        let is_same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let is_scheme = scheme.zip(self.scheme).is_none_or(|(said, own)| is_same(said, own));
        let bare = |authority: &str| {
            let scheme = scheme.or(self.scheme);
            let bare = scheme.and_then(|scheme| authority.strip_suffix(port(scheme)));
            bare.unwrap_or(authority).to_ascii_lowercase()
        };
        is_known && is_scheme && bare(authority) == bare(self.authority)
    }
}

/// A path without what is percent-encoded in it and needs not to be. Nothing if it holds other bytes than a path of a
/// registry may.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut decoded = String::new();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let byte = u8::try_from(digit()? * 16 + digit()?).ok()?;
            // An encoded slash is no slash.
            (byte != b'/' && byte != b'%').then_some(byte)?
        } else {
            byte
        };
        decoded.push(char::from(byte));
    }
    Some(decoded)
}

/// Reads the links of a header from left to right.
struct Reader<'h> {
    rest: &'h [u8],
    links: usize,
}

/// What a link's parameters say.
#[derive(Default)]
struct Said {
    /// Whether it has a relation, and whether that is the next page.
    relation: Option<bool>,
    /// Whether it is said to be about another resource than the one that was asked for.
    is_anchored: bool,
}

impl<'h> Reader<'h> {
    /// The target of the next link of the header that is a next page; nothing at the header's end.
    fn next_target(&mut self) -> Result<Option<&'h str>, LinkError> {
        loop {
            // Elements of a list may be empty (RFC 9110, "Lists").
            while self.takes(b',') || self.skips_blanks() {}
            if self.rest.is_empty() {
                return Ok(None);
            }
            self.links += 1;
            if self.links > LINKS {
                return Err(LinkError::Unreadable("it has too many links"));
            }
            let target = self.target()?;
            let said = self.parameters()?;
            match said.relation {
                None => return Err(LinkError::Unreadable("a link without `rel`")),
                Some(true) if said.is_anchored => return Err(LinkError::Unreadable("a next page of something else")),
                Some(true) => return Ok(Some(target)),
                Some(false) => {}
            }
        }
    }

    /// `<TARGET>`
    fn target(&mut self) -> Result<&'h str, LinkError> {
        if !self.takes(b'<') {
            return Err(LinkError::Unreadable("a link that begins without `<`"));
        }
        let end = self.rest.iter().position(|byte| *byte == b'>');
        let end = end.ok_or(LinkError::Unreadable("a `<` without `>`"))?;
        let target = self.split(end);
        self.takes(b'>');
        let text = core::str::from_utf8(target).ok().filter(|text| is_reference(text));
        text.ok_or(LinkError::Unreadable("a target that is no URI"))
    }

    /// `; NAME=VALUE` any number of times, up to the next link.
    fn parameters(&mut self) -> Result<Said, LinkError> {
        let mut said = Said::default();
        loop {
            self.skips_blanks();
            if self.rest.is_empty() || self.rest.first() == Some(&b',') {
                return Ok(said);
            }
            if !self.takes(b';') {
                return Err(LinkError::Unreadable("a `;` or `,` is missing"));
            }
            self.skips_blanks();
            let name = self.token();
            if name.is_empty() {
                return Err(LinkError::Unreadable("a parameter without a name"));
            }
            self.skips_blanks();
            let value = if self.takes(b'=') {
                self.skips_blanks();
                self.value()?
            } else {
                Vec::new()
            };
            if name.eq_ignore_ascii_case(b"rel") {
                // Readers take the first (RFC 8288, "Relation Type"), and not all of them do.
                if said.relation.is_some() {
                    return Err(LinkError::Unreadable("a link with two `rel`"));
                }
                said.relation = Some(is_next(&value)?);
            }
            said.is_anchored |= name.eq_ignore_ascii_case(b"anchor");
        }
    }

    /// A token, or a quoted string without its quotes.
    fn value(&mut self) -> Result<Vec<u8>, LinkError> {
        if !self.takes(b'"') {
            let token = self.token();
            return match token {
                [] => Err(LinkError::Unreadable("a parameter without a value after its `=`")),
                token => Ok(token.to_vec()),
            };
        }
        let mut value = Vec::new();
        loop {
            let byte = match self.first() {
                Some(b'"') => return Ok(value),
                Some(b'\\') => self.first(),
                byte => byte,
            };
            match byte {
                Some(byte) if byte == b'\t' || byte >= b' ' && byte != 0x7f => value.push(byte),
                _ => return Err(LinkError::Unreadable("a `\"` without a second one")),
            }
        }
    }

    /// The bytes of a token (RFC 9110, "Tokens"), or none.
    fn token(&mut self) -> &'h [u8] {
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let end = self.rest.iter().position(|byte| !is_token(byte));
        self.split(end.unwrap_or(self.rest.len()))
    }

    fn skips_blanks(&mut self) -> bool {
        let end = self.rest.iter().position(|byte| ![b' ', b'\t'].contains(byte));
        !self.split(end.unwrap_or(self.rest.len())).is_empty()
    }

    fn takes(&mut self, wanted: u8) -> bool {
        let is_there = self.rest.first() == Some(&wanted);
        self.split(usize::from(is_there));
        is_there
    }

    fn first(&mut self) -> Option<u8> {
        self.split(self.rest.len().min(1)).first().copied()
    }

    fn split(&mut self, at: usize) -> &'h [u8] {
        let (before, after) = self.rest.split_at_checked(at).unwrap_or((self.rest, &[]));
        self.rest = after;
        before
    }
}

/// Whether one of the relations is that to the next page.
fn is_next(relations: &[u8]) -> Result<bool, LinkError> {
    let mut each = relations
        .split(u8::is_ascii_whitespace)
        .filter(|relation| !relation.is_empty())
        .peekable();
    if each.peek().is_none() {
        return Err(LinkError::Unreadable("a `rel` that says nothing"));
    }
    Ok(each.any(|relation| relation.eq_ignore_ascii_case(b"next")))
}

/// Whether a text has only what URIs and references to them consist of, and leads to no part of a page.
fn is_reference(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte);
    let is_encoded = |part: &str| {
        let mut digits = part.bytes();
        [digits.next(), digits.next()]
            .iter()
            .all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit()))
    };
    text.len() <= TARGET_BYTES && text.bytes().all(is_known) && text.split('%').skip(1).all(is_encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place {
        scheme: Some("https"),
        authority: "r.example",
        path: "/v2/a/referrers/sha256:00",
    };

    fn next(headers: &[&str]) -> Result<Option<String>, LinkError> {
        let headers = headers.iter().map(|header| header.as_bytes());
        Pages::new("?first").next(headers, &PLACE)
    }

    #[test]
    fn headers_as_the_rfc_has_them() {
        let here = PLACE.path;
        for (headers, query) in [
            (&[r#"<HERE?n=1>; rel="next""#][..], "?n=1"),
            (&["<HERE?n=1>;rel=next"], "?n=1"),
            (&[r#"<HERE?n=1>; rel = "next""#], "?n=1"),
            (&["<HERE?n=1>;\tREL=next"], "?n=1"),
            (&[r#"<HERE?n=1>; title="x, <y>; rel=prev"; rel="NEXT""#], "?n=1"),
            (&[r#"<HERE?n=1>; rel="next prefetch""#], "?n=1"),
            (&[r#"<HERE?n=1>; rel="prefetch  next""#], "?n=1"),
            (&[r#"<HERE?n=1>; rel="n\ext""#], "?n=1"),
            (&["<HERE?n=1>; crossorigin; rel=next; title*=UTF-8''x"], "?n=1"),
            (&[r#"<HERE?n=0>; rel="prev", <HERE?n=2>; rel="next""#], "?n=2"),
            (
                &[r#",, <HERE?n=2>; rel="next", , <https://x/>; rel="preload","#],
                "?n=2",
            ),
            (&[r#"<HERE?n=1,2>; rel="next", </v2/b>; rel="prev""#], "?n=1,2"),
            (&[r#"<HERE?n=0>; rel="prev""#, r#"<HERE?n=2>; rel="next""#], "?n=2"),
            (&["", "<HERE?n=2>; rel=next", "<HERE?n=2>; rel=next"], "?n=2"),
            (&["<?n=1>; rel=next"], "?n=1"),
            (&["<HERE>; rel=next"], ""),
            (&["<./sha256:00?n=1>; rel=next"], "?n=1"),
            (&["<sha256%3A00?n=1>; rel=next"], "?n=1"),
            (&["</v2/a/referrers/sha256%3a00?a=%2F>; rel=next"], "?a=%2F"),
            (&["<https://r.exampleHERE?n=1>; rel=next"], "?n=1"),
            (&["<HTTPS://R.example:443HERE?n=1>; rel=next"], "?n=1"),
            (&["<//r.exampleHERE?n=1>; rel=next"], "?n=1"),
            (&["<//r.example:443HERE?n=1>; rel=next"], "?n=1"),
        ] {
            let headers: Vec<String> = headers.iter().map(|header| header.replace("HERE", here)).collect();
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            assert_eq!(next(&headers), Ok(Some(query.to_owned())), "{headers:?}");
        }
        for none in [
            &[][..],
            &[""],
            &[" , ,"],
            &[r#"</v2/b>; rel="prev""#],
            &[r#"</v2/b>; rel="nextpage""#],
            &[r#"</v2/b>; rel="%6eext""#],
            &[r#"</v2/b>; rel=prev; title="rel=next""#],
            &["</v2/b>; rel=prev; anchor=\"#x\""],
        ] {
            assert_eq!(next(none), Ok(None), "{none:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_the_end() {
        for wrong in [
            "<?n=1; rel=next",
            "?n=1; rel=next",
            "?n=1>; rel=next",
            "<?n=1> rel=next",
            "<?n=1>",
            "<?n=1>; rel",
            "<?n=1>; rel=",
            "<?n=1>; rel=\"\"",
            "<?n=1>; rel=\"next",
            "<?n=1>; rel=\"next\\",
            "<?n=1>; rel=next next",
            "<?n=1>; rel=next <?n=2>; rel=next",
            "<?n=1>; rel=\"next\"x",
            "<?n=1>; =next",
            "<?n=1>; rel=next;",
            "<?n=1>; rel=prev; rel=next",
            "<?n=1>; rel=next; anchor=\"/v2/b\"",
            "<?n= 1>; rel=next",
            "<?n=1\t>; rel=next",
            "<?n=1\n>; rel=next",
            "<?n=1#2>; rel=next",
            "<?n=%1>; rel=next",
            "<?n=\\1>; rel=next",
            "<?n=ä>; rel=next",
            "<\\\\r.example\\v2>; rel=next",
            "<?n=1>; rel=next, x",
            "<?n=1>; rel=next, <?n=2>; rel=next",
            "<a <b>>; rel=prev",
        ] {
            let error = next(&[wrong]);
            assert!(matches!(error, Err(LinkError::Unreadable(_))), "{wrong}: {error:?}");
        }
        let long = format!("<?{}>; rel=next", "n".repeat(TARGET_BYTES));
        let many = "<x>; rel=prev,".repeat(LINKS + 1);
        for wrong in [long.as_str(), many.as_str()] {
            assert!(matches!(next(&[wrong]), Err(LinkError::Unreadable(_))));
        }
        assert!(next(&["<?n=1>; rel=next", "<?n=2>; rel=next"]).is_err());
    }

    #[test]
    fn pages_stay_in_their_list() {
        for wrong in [
            "/v2/b/referrers/sha256:00?n=1",
            "/v2/a/referrers/sha256:01?n=1",
            "/v2/a/referrers/../referrers/sha256:00?n=1",
            "/v2/a/referrers/sha256:00/?n=1",
            "/v2/a/referrers%2Fsha256:00?n=1",
            "/v2/a/referrers/sha256%253A00?n=1",
            "//v2/a/referrers/sha256:00?n=1",
            "///v2/a/referrers/sha256:00?n=1",
            "sha256:00?n=1",
            "",
            "https://r.example?n=1",
            "https://r.example@x.example/v2/a/referrers/sha256:00?n=1",
            "https://x@r.example/v2/a/referrers/sha256:00?n=1",
            "https://x.example/v2/a/referrers/sha256:00?n=1",
            "https://r.example.:443/v2/a/referrers/sha256:00?n=1",
            "https://r.example:80/v2/a/referrers/sha256:00?n=1",
            "https://r.example:/v2/a/referrers/sha256:00?n=1",
            "http://r.example/v2/a/referrers/sha256:00?n=1",
            "http://r.example:443/v2/a/referrers/sha256:00?n=1",
            "file:///v2/a/referrers/sha256:00?n=1",
            "//x.example/v2/a/referrers/sha256:00?n=1",
            "https:/v2/a/referrers/sha256:00?n=1",
        ] {
            let error = next(&[&format!("<{wrong}>; rel=next")]);
            assert!(matches!(error, Err(LinkError::Elsewhere(_))), "{wrong}: {error:?}");
        }
        // Whoever does not know the scheme asks by its own.
        let either = Place { scheme: None, ..PLACE };
        for scheme in ["http", "https"] {
            let link = format!("<{scheme}://r.example{}?n=1>; rel=next", PLACE.path);
            assert!(Pages::new("").next([link.as_bytes()], &either).is_ok(), "{link}");
        }
    }

    #[test]
    fn pages_end() {
        let page = |pages: &mut Pages, query: &str| {
            let header = format!("<{}{query}>; rel=next", PLACE.path);
            pages.next([header.as_bytes()], &PLACE)
        };
        let mut pages = Pages::new("?n=0");
        assert_eq!(page(&mut pages, "?n=0"), Err(LinkError::Loop));
        assert_eq!(page(&mut pages, ""), Ok(Some(String::new())));
        assert_eq!(page(&mut pages, ""), Err(LinkError::Loop));
        for number in 2..PAGES {
            assert!(page(&mut pages, &format!("?n={number}")).is_ok());
        }
        assert_eq!(page(&mut pages, "?n=x"), Err(LinkError::Many));
    }
}
