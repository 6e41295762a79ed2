//! Lists by name: one search, one sort and one check for what stands twice, whatever the list holds.
//!
//! A list stays where it is; its index holds names and places. Equal names stand in the order of the list, so that
//! whatever an index gives is the same everywhere.

use crate::prelude::*;

/// The places of a list's items by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index<'n>(Vec<(&'n str, usize)>);

impl<'n> Index<'n> {
    /// An index of the names of a list's items, in the order of the list.
    pub fn new(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self::some(names.into_iter().enumerate().map(|(place, name)| (place, Some(name))))
    }

    /// An index of those items of a list that have a name here.
    pub fn some(names: impl IntoIterator<Item = (usize, Option<&'n str>)>) -> Self {
        let mut index = Self(Vec::new());
        for (place, name) in names {
            index.0.extend(name.map(|name| (name, place)));
        }
        index.sort();
        index
    }

    fn sort(&mut self) {
        // Nearly every list stands in order: tools write their objects so.
        if !self.0.is_sorted() {
            sort(&mut self.0);
        }
    }

    /// The first place of a name.
    pub fn get(&self, name: &str) -> Option<usize> {
        let at = self.0.partition_point(|(other, _)| *other < name);
        self.0
            .get(at)
            .filter(|(other, _)| *other == name)
            .map(|(_, place)| *place)
    }

    /// Every place of a name, in order.
    pub fn places(&self, name: &str) -> impl Iterator<Item = usize> {
        let first = self.0.partition_point(|(other, _)| *other < name);
        let same = self.0.get(first..).unwrap_or_default();
        same.iter()
            .take_while(move |(other, _)| *other == name)
            .map(|(_, place)| *place)
    }

    /// The place of the first item whose name stands before it in the list.
    pub fn twice(&self) -> Option<usize> {
        self.pairs().map(|(_, (_, place))| place).min()
    }

    /// The first name in order that stands twice.
    pub fn first_twice(&self) -> Option<&'n str> {
        self.pairs().map(|((name, _), _)| name).next()
    }

    /// Names that stand twice, with both places.
    fn pairs(&self) -> impl Iterator<Item = ((&'n str, usize), (&'n str, usize))> {
        let pairs = self.0.iter().copied().zip(self.0.iter().copied().skip(1));
        pairs.filter(|((name, _), (next, _))| name == next)
    }

    /// Names and places in order of the names.
    pub fn as_slice(&self) -> &[(&'n str, usize)] {
        &self.0
    }

    /// The places in order of their names.
    pub fn into_order(self) -> Order {
        Order(self.0.into_iter().map(|(_, place)| place).collect())
    }
}

/// The places of all items of a list, in another order.
pub struct Order(Vec<usize>);

impl Order {
    /// Brings the list that was indexed into this order.
    pub fn apply<T>(mut self, list: &mut [T]) {
        for start in 0..self.0.len() {
            // The item that stood at `start` travels along its cycle to where it belongs.
            let mut at = start;
            while let Some(next) = self.0.get_mut(at) {
                let from = core::mem::replace(next, at);
                if from == start {
                    break;
                }
                list.swap(at, from);
                at = from;
            }
        }
    }
}

/// Merges runs of growing length: little code, and quick where a list does not fit the processor's cache.
pub(crate) fn sort<T: Ord + Copy>(list: &mut Vec<T>) {
    let mut merged = Vec::with_capacity(list.len());
    let mut width = 1;
    while width < list.len() {
        for pair in list.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let (Some((first, left_rest)), Some((second, right_rest))) = (left.split_first(), right.split_first())
            {
                if first <= second {
                    merged.push(*first);
                    left = left_rest;
                } else {
                    merged.push(*second);
                    right = right_rest;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        core::mem::swap(list, &mut merged);
        merged.clear();
        width *= 2;
    }
}

/// Puts a name into an ordered list in which each stands once; says whether it was not there.
pub fn insert(names: &mut Vec<String>, name: String) -> bool {
    let at = names.partition_point(|other| *other < name);
    let new = names.get(at) != Some(&name);
    if new {
        names.insert(at, name);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_and_twice() {
        let index = Index::new(["b", "a", "c", "a", "b"]);
        assert_eq!(index.get("a"), Some(1));
        assert_eq!(index.get("b"), Some(0));
        assert_eq!(index.get(""), None);
        assert_eq!(index.get("d"), None);
        assert_eq!(index.twice(), Some(3));
        assert_eq!(index.first_twice(), Some("a"));
        assert_eq!(Index::new(["b", "a"]).twice(), None);
    }

    #[test]
    fn ordered() {
        for names in [
            &["d", "b", "a", "c"][..],
            &["b", "a", "b", "a", "c"],
            &["a"],
            &[],
            &["c", "a", "b"],
        ] {
            let mut list: Vec<(usize, &str)> = names.iter().copied().enumerate().collect();
            Index::new(names.iter().copied()).into_order().apply(&mut list);
            assert!(list.is_sorted_by_key(|(place, name)| (*name, *place)), "{list:?}");
            assert_eq!(list.len(), names.len());
        }
    }
}
