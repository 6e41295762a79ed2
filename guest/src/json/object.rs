//! Objects: no key stands twice in one, and the canonical form has its members in order of code points (RFC 8259, section 4).

use alloc::borrow::Cow;

use super::{JsonError, Reader};
use crate::index::Index;
use crate::limits;

/// A key of the object that is being read, and where its member begins in the canonical form.
pub(super) struct Member<'a> {
    key: Cow<'a, str>,
    begins: usize,
}

/// An object that is being read.
struct Object {
    /// The place of its first member among those of all open objects.
    first: usize,
    /// Where its first member begins in the canonical form.
    body: usize,
    /// Whether its keys ascend so far.
    ordered: bool,
}

impl<'a> Reader<'a> {
    /// Reads an object; `member` is called with each key and must read that member's value.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.borrowed_object(|reader, key| member(reader, &key)).map(drop)
    }

    /// [`Reader::object`] for callers that keep the keys. Returns whether these ascend as they stand.
    pub fn borrowed_object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut object = self.open_object()?;
        while let Some(key) = self.next_key(&mut object)? {
            member(self, key)?;
        }
        Ok(object.ordered)
    }

    fn open_object(&mut self) -> Result<Object, JsonError> {
        self.open(b'{', "an object")?;
        Ok(Object {
            first: self.members.len(),
            body: self.written(),
            ordered: true,
        })
    }

    /// Reads the next key of an object up to its value, or closes the object.
    fn next_key(&mut self, object: &mut Object) -> Result<Option<Cow<'a, str>>, JsonError> {
        let first = self.members.len() == object.first;
        if !self.another(first, b'}', "`,` or `}`")? {
            if !object.ordered {
                self.order_members(object.first, object.body)?;
            }
            self.members.truncate(object.first);
            self.close('}');
            return Ok(None);
        }
        self.white_space();
        let begins = self.written();
        let key = self.string()?;
        let last = self.members.get(object.first..).and_then(<[_]>::last);
        object.ordered &= last.is_none_or(|last| *last.key < *key);
        self.members.push(Member {
            key: key.clone(),
            begins,
        });
        self.white_space();
        self.punctuation(b':', "`:`")?;
        self.emit(':');
        Ok(Some(key))
    }

    /// Sorts the members of the object that is being closed, refuses a key that stands twice, and puts the canonical
    /// form into order of code points. Only reached for objects whose keys do not ascend as they stand.
    #[cold]
    fn order_members(&mut self, first: usize, body: usize) -> Result<(), JsonError> {
        // The members are sorted and their bytes moved, those of inner objects again at each level.
        self.values((self.members.len() - first) / 2 + (self.written() - body) / limits::MOVED_BYTES)?;
        let members = self.members.get(first..).unwrap_or_default();
        let index = Index::new(members.iter().map(|member| &*member.key));
        if index.twice().is_some() {
            return Err(JsonError::DuplicateKey { offset: self.position });
        }
        if let Some(canonical) = &mut self.canonical {
            let unordered = canonical.split_off(body);
            let begin = |place| members.get(place).map(|member: &Member<'_>| member.begins - body);
            for (at, (_, place)) in index.as_slice().iter().enumerate() {
                if at > 0 {
                    canonical.push(',');
                }
                // A member ends before the comma of the next.
                let begins = begin(*place).unwrap_or_default();
                let ends = begin(place + 1).map_or(unordered.len(), |next| next - 1);
                canonical.push_str(unordered.get(begins..ends).unwrap_or_default());
            }
        }
        Ok(())
    }
}
