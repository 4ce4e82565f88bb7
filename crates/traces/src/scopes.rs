//! The tenants and models of one piece, each pair with its number.

use crate::words::{load, load_two};
use prefix_indexer_models::Span;

/// Places of the hash index: a power of two.
const PLACES: usize = 512;

/// Pairs remembered. Those that come after so many take the place of all: a pair may have two numbers.
const REMEMBERED: usize = PLACES / 2;

/// Most names are no longer, so that comparing this much of them is comparing all of them.
const START: usize = 24;

/// Where the strings of a piece are: in its text, or behind it.
#[derive(Clone, Copy)]
pub(crate) struct Strings<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) behind: &'a [u8],
}

/// Pairs by a hash of how their names begin.
pub(crate) struct Scopes {
    /// Position in `known` plus one; 0 is free.
    places: [u16; PLACES],
    known: Vec<Scope>,
    /// The pair that was asked for last, if it is of short names: the blocks of a request follow each other.
    last: Option<([(u128, usize); 2], u32)>,
}

/// Bytes of a short name.
const SHORT: usize = 16;

struct Scope {
    starts: [[u64; 3]; 2],
    tenant: Span,
    model_id: Span,
    number: u32,
}

impl Scopes {
    pub(crate) fn new() -> Scopes {
        Scopes { places: [0; PLACES], known: Vec::new(), last: None }
    }

    /// The number of a pair; `new` gives one that is not known its number.
    #[inline]
    pub(crate) fn number(
        &mut self,
        strings: Strings<'_>,
        tenant: Span,
        model_id: Span,
        new: impl FnOnce() -> u32,
    ) -> u32 {
        let names = [strings.short(tenant), strings.short(model_id)];
        if let Some((last, number)) = self.last
            && last == names
        {
            return number;
        }
        let number = self.find(strings, tenant, model_id, new);
        self.last = (names[0].1.max(names[1].1) <= SHORT).then_some((names, number));
        number
    }

    #[inline(never)]
    fn find(&mut self, strings: Strings<'_>, tenant: Span, model_id: Span, new: impl FnOnce() -> u32) -> u32 {
        let starts = [strings.start(tenant), strings.start(model_id)];
        let mut place = home(starts);
        while let Some(at) = self.places[place].checked_sub(1) {
            let known = &self.known[usize::from(at)];
            if known.starts == starts
                && strings.is_same(tenant, known.tenant)
                && strings.is_same(model_id, known.model_id)
            {
                return known.number;
            }
            place = (place + 1) % PLACES;
        }
        if self.known.len() == REMEMBERED {
            self.known.clear();
            self.places.fill(0);
            place = home(starts);
        }
        let number = new();
        self.known.push(Scope { starts, tenant, model_id, number });
        self.places[place] = self.known.len() as u16;
        number
    }
}

/// Where a pair belongs.
#[inline]
fn home([tenant, model_id]: [[u64; 3]; 2]) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |[a, b, c]: [u64; 3]| (a ^ b.rotate_left(23) ^ c.rotate_left(41)).wrapping_mul(MIX);
    let mixed = mix(tenant).wrapping_add(mix(model_id).rotate_left(32)).wrapping_mul(MIX);
    (mixed >> 32) as usize % PLACES
}

fn length(span: Span) -> usize {
    span.end.wrapping_sub(span.start) as usize
}

impl<'a> Strings<'a> {
    /// What holds a string, and where in it the string begins.
    #[inline]
    fn place(self, span: Span) -> (&'a [u8], usize) {
        let start = span.start as usize;
        match start.checked_sub(self.text.len()) {
            None => (self.text, start),
            Some(start) => (self.behind, start),
        }
    }

    /// The first [`SHORT`] bytes of a string, and the length of all of it.
    #[inline]
    fn short(self, span: Span) -> (u128, usize) {
        let ((bytes, at), length) = (self.place(span), length(span));
        let mask = u128::MAX.checked_shr(8 * SHORT.saturating_sub(length) as u32).unwrap_or(0);
        (load_two(bytes, at) & mask, length)
    }

    /// The first [`START`] bytes of a string; zeros behind its end.
    #[inline]
    fn start(self, span: Span) -> [u64; 3] {
        const MASKS: [[u64; 3]; START + 1] = {
            let mut masks = [[0; 3]; START + 1];
            let mut length = 1;
            while length <= START {
                masks[length] = masks[length - 1];
                masks[length][(length - 1) / 8] |= 0xff << (8 * ((length - 1) % 8));
                length += 1;
            }
            masks
        };
        let (bytes, at) = self.place(span);
        let masks = &MASKS[length(span).min(START)];
        let word = |index: usize| load(bytes, at + 8 * index) & masks[index];
        [word(0), word(1), word(2)]
    }

    /// Whether two strings that begin alike are the same.
    #[inline]
    fn is_same(self, one: Span, other: Span) -> bool {
        length(one) == length(other) && (length(one) <= START || self.bytes(one) == self.bytes(other))
    }

    fn bytes(self, span: Span) -> &'a [u8] {
        let (bytes, at) = self.place(span);
        bytes.get(at..at + length(span)).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Whether in the text or behind it, pairs have a number each as long as they are remembered.
        #[test]
        fn pairs_are_told_apart(
            names in proptest::collection::vec("[ab]{0,3}|[ab]{22,27}", 2..40),
            asked in proptest::collection::vec((0usize..40, 0usize..40), 0..200),
            split in 0usize..40,
        ) {
            let (mut all, mut spans, mut text_length) = (String::new(), Vec::new(), 0);
            for (index, name) in names.iter().enumerate() {
                if index == split {
                    text_length = all.len();
                }
                spans.push(Span { start: all.len() as u32, end: (all.len() + name.len()) as u32 });
                all.push_str(name);
            }
            let (text, behind) = all.as_bytes().split_at(text_length);
            let (mut scopes, mut numbers) = (Scopes::new(), HashMap::new());
            for (tenant, model_id) in asked {
                let (tenant, model_id) = (tenant % names.len(), model_id % names.len());
                let next = numbers.len() as u32;
                let expected = *numbers.entry((&names[tenant], &names[model_id])).or_insert(next);
                let found = scopes.number(Strings { text, behind }, spans[tenant], spans[model_id], || next);
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn more_pairs_than_are_remembered_have_numbers() {
        let text: String = (0..2000).map(|number| format!("{number:08}")).collect();
        let span = |number: u32| Span { start: 8 * number, end: 8 * number + 8 };
        let (mut scopes, mut given) = (Scopes::new(), Vec::new());
        for number in (0..2000).chain(0..2000) {
            let strings = Strings { text: text.as_bytes(), behind: b"" };
            let next = given.len() as u32;
            let found = scopes.number(strings, span(number), span(0), || {
                given.push(number);
                next
            });
            assert_eq!(given[found as usize], number);
        }
        assert!(given.len() > 2000);
    }
}
