//! Distinct prefixes and what their uses add up to: the one place where events become statistics.
//!
//! A table interns prefixes by their text (a hash of 3 ns; the 128-bit key is digested once, when a prefix is first seen) and
//! keeps per prefix one [`Tally`] and one decayed sum a rung, in columns that never move.

mod chunks;
mod fold;
mod scopes;
mod slots;

use crate::{IndexSpec, PrefixKey, PrefixStats, Tally, stats::parent_key};
use chunks::Chunks;
use scopes::Scopes;
use slots::Slots;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Which part of the prefixes a table holds: those whose hash falls into part `index` of `count`.
///
/// Tables of different shards have no prefix in common, so threads can each fold their own shard of the same batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Number of this part, below `count`.
    pub index: u32,
    /// Number of parts, at least 1.
    pub count: u32,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    #[inline]
    fn holds(self, hash: u64) -> bool {
        ((hash >> 32) * u64::from(self.count)) >> 32 == u64::from(self.index)
    }
}

/// A growing set of prefixes with their statistics.
#[derive(Debug, Clone)]
pub struct PrefixTable {
    spec: IndexSpec,
    scopes: Scopes,
    /// Prefix and parent ids, end to end.
    text: String,
    entries: Chunks<Entry>,
    keys: Chunks<PrefixKey>,
    /// One sum a rung.
    sums: Chunks<f64>,
    slots: Slots,
    parent_conflicts: u64,
}

/// What the fold touches of a prefix, beside its sums: two cache lines.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Entry {
    prefix_id: TextRef,
    parent_id: TextRef,
    scope: u32,
    tally: Tally,
}

impl Entry {
    const NONE: Entry = Entry { prefix_id: TextRef::NONE, parent_id: TextRef::NONE, scope: 0, tally: Tally::EMPTY };
}

/// Offset (40 bits) and length (24 bits) in the table's text; the empty string is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TextRef(u64);

impl TextRef {
    const NONE: TextRef = TextRef(0);

    #[inline]
    fn range(self) -> std::ops::Range<usize> {
        let start = (self.0 >> 24) as usize;
        start..start + (self.0 & 0xff_ffff) as usize
    }
}

/// One prefix of a table.
#[derive(Debug, Clone, Copy)]
pub struct TableRow<'a> {
    /// Digest of the names.
    pub key: PrefixKey,
    /// Number of tenant and model, see [`PrefixTable::names`].
    pub scope: u32,
    /// Names the prefix within tenant and model.
    pub prefix_id: &'a str,
    /// Whose prefix it is.
    pub tenant: &'a str,
    /// Of which model.
    pub model_id: &'a str,
    /// The prefix that this one extends.
    pub parent_id: Option<&'a str>,
    /// Counts, extents, times.
    pub tally: &'a Tally,
    /// One decayed sum a rung, as of the landmark of the last use.
    pub sums: &'a [f64],
}

/// One prefix of a table without its texts, which lie elsewhere in memory: what ranking and grouping look at.
#[derive(Debug, Clone, Copy)]
pub struct Totals<'a> {
    /// Digest of the names.
    pub key: PrefixKey,
    /// Number of tenant and model, see [`PrefixTable::names`].
    pub scope: u32,
    /// Counts, extents, times.
    pub tally: &'a Tally,
    /// One decayed sum a rung, as of the landmark of the last use.
    pub sums: &'a [f64],
    /// Length of the prefix id.
    pub prefix_id_bytes: usize,
    /// Length of the parent's id; 0 for none.
    pub parent_id_bytes: usize,
}

impl TableRow<'_> {
    /// An owned copy.
    pub fn to_stats(&self) -> PrefixStats {
        PrefixStats {
            prefix_id: self.prefix_id.to_owned(),
            tenant: self.tenant.to_owned(),
            model_id: self.model_id.to_owned(),
            parent_id: self.parent_id.map(str::to_owned),
            tally: *self.tally,
            decayed: self.sums.to_vec(),
        }
    }
}

impl PrefixTable {
    /// An empty table whose numbers mean what `spec` says.
    pub fn new(spec: IndexSpec) -> PrefixTable {
        PrefixTable {
            scopes: Scopes::new(),
            text: String::new(),
            entries: Chunks::new(1),
            keys: Chunks::new(1),
            sums: Chunks::new(spec.ladder.len()),
            slots: Slots::new(),
            spec,
            parent_conflicts: 0,
        }
    }

    /// What the numbers mean.
    pub fn spec(&self) -> &IndexSpec {
        &self.spec
    }

    /// Number of prefixes. At most 2^32 - 2.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no prefix.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often an event or a merged part named another parent than the one known.
    pub fn parent_conflicts(&self) -> u64 {
        self.parent_conflicts
    }

    /// Bytes of memory in use.
    pub fn memory_bytes(&self) -> usize {
        self.text.len()
            + self.entries.memory_bytes()
            + self.keys.memory_bytes()
            + self.sums.memory_bytes()
            + self.slots.memory_bytes()
    }

    /// A prefix by its number; numbers count up from 0 in the order of first sight.
    #[inline]
    pub fn row(&self, number: usize) -> Option<TableRow<'_>> {
        (number < self.len()).then(|| self.at(number))
    }

    /// All prefixes in the order of first sight.
    #[inline]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = TableRow<'_>> + Clone {
        (0..self.len()).map(|number| self.at(number))
    }

    /// Inlined where it is used, so that what the caller does not look at costs nothing.
    #[inline]
    fn at(&self, number: usize) -> TableRow<'_> {
        let entry = self.entries.get(number).unwrap_or(&Entry::NONE);
        let (tenant, model_id) = self.scopes.names(entry.scope);
        TableRow {
            key: self.keys.get(number).copied().unwrap_or_default(),
            scope: entry.scope,
            prefix_id: self.str(entry.prefix_id),
            tenant,
            model_id,
            parent_id: (entry.parent_id != TextRef::NONE).then(|| self.str(entry.parent_id)),
            tally: &entry.tally,
            sums: self.sums.row(number),
        }
    }

    #[inline]
    fn str(&self, text: TextRef) -> &str {
        self.text.get(text.range()).unwrap_or("")
    }

    fn push_text(&mut self, text: &str) -> TextRef {
        let start = self.text.len() as u64;
        self.text.push_str(text);
        if text.is_empty() { TextRef::NONE } else { TextRef(start << 24 | text.len() as u64) }
    }

    /// A prefix by its number, without its texts.
    #[inline]
    pub fn totals(&self, number: usize) -> Option<Totals<'_>> {
        let entry = self.entries.get(number)?;
        Some(Totals {
            key: self.keys.get(number).copied()?,
            scope: entry.scope,
            tally: &entry.tally,
            sums: self.sums.row(number),
            prefix_id_bytes: entry.prefix_id.range().len(),
            parent_id_bytes: entry.parent_id.range().len(),
        })
    }

    /// The id of a prefix by its number, and that of its parent.
    #[inline]
    pub fn ids(&self, number: usize) -> Option<(&str, Option<&str>)> {
        let entry = self.entries.get(number)?;
        let parent_id = (entry.parent_id != TextRef::NONE).then(|| self.str(entry.parent_id));
        Some((self.str(entry.prefix_id), parent_id))
    }

    /// Number of pairs of tenant and model. A pair may be left without prefixes.
    pub fn scopes(&self) -> u32 {
        self.scopes.len()
    }

    /// Tenant and model of a scope.
    pub fn names(&self, scope: u32) -> Option<(&str, &str)> {
        (scope < self.scopes.len()).then(|| self.scopes.names(scope))
    }

    /// The number of a tenant and model, if the table knows them.
    pub fn scope(&self, tenant: &str, model_id: &str) -> Option<u32> {
        self.scopes.find(tenant, model_id)
    }

    /// The number of the prefix with this id in a scope, in the bands that a range starting at `(layer, page_start)` has.
    pub fn find(&self, scope: u32, prefix_id: &str, layer: u32, page_start: u32) -> Option<usize> {
        if scope >= self.scopes.len() {
            return None;
        }
        let bands = self.spec.key_policy.bands(layer, page_start);
        let (tenant, model_id) = self.scopes.names(scope);
        let hash = hash(prefix_id.as_bytes(), Scopes::hash(tenant, model_id), bands);
        self.probe(hash, scope, prefix_id.as_bytes(), bands).ok()
    }

    /// The number of a prefix, or the free place where it belongs.
    #[inline]
    fn probe(&self, hash: u64, scope: u32, prefix_id: &[u8], bands: (u32, u32)) -> Result<usize, usize> {
        self.slots.find(hash, |number| self.is(number, scope, prefix_id, bands))
    }

    /// Whether a number is that of a prefix.
    #[inline]
    fn is(&self, number: usize, scope: u32, prefix_id: &[u8], bands: (u32, u32)) -> bool {
        let Some(entry) = self.entries.get(number) else { return false };
        let Some(known) = self.text.as_bytes().get(entry.prefix_id.range()) else { return false };
        entry.scope == scope && same(known, prefix_id) && self.bands(entry) == bands
    }

    /// The bands are not stored: whatever an entry counted lies in the same ones.
    #[inline]
    fn bands(&self, entry: &Entry) -> (u32, u32) {
        self.spec.key_policy.bands(entry.tally.layer_min, entry.tally.page_start)
    }

    fn insert(&mut self, place: usize, hash: u64, key: PrefixKey, scope: u32, prefix_id: &str) -> usize {
        let number = self.entries.len();
        let prefix_id = self.push_text(prefix_id);
        self.entries.push(Entry { prefix_id, scope, ..Entry::NONE });
        self.keys.push(key);
        self.sums.push(0.0);
        self.slots.fill(place, hash, number);
        number
    }

    fn name_parent(&mut self, number: usize, parent_id: &str) {
        let Some(&Entry { parent_id: known, scope, .. }) = self.entries.get(number) else { return };
        let named = known != TextRef::NONE;
        let known = self.str(known);
        if same(known.as_bytes(), parent_id.as_bytes()) {
            return;
        }
        if named {
            let (tenant, model_id) = self.scopes.names(scope);
            let keep = parent_key(tenant, model_id, known) <= parent_key(tenant, model_id, parent_id);
            self.parent_conflicts += 1;
            if keep {
                return;
            }
        }
        let parent_id = self.push_text(parent_id);
        if let Some(entry) = self.entries.get_mut(number) {
            entry.parent_id = parent_id;
        }
    }

    /// Forgets the parent of a prefix: how a link that would close a cycle is rejected.
    pub fn drop_parent(&mut self, number: usize) {
        if let Some(entry) = self.entries.get_mut(number) {
            entry.parent_id = TextRef::NONE;
        }
    }

    /// Adds what another part of a prefix's history counted, and returns the prefix's number. Names, tally and sums as in
    /// [`PrefixStats`]; `sums` holds one sum a rung.
    pub fn merge(
        &mut self,
        [tenant, model_id, prefix_id]: [&str; 3],
        parent_id: Option<&str>,
        tally: &Tally,
        sums: &[f64],
    ) -> usize {
        self.slots.reserve(1);
        let bands = self.spec.key_policy.bands(tally.layer_min, tally.page_start);
        let scope = self.scopes.intern(tenant, model_id);
        let hash = hash(prefix_id.as_bytes(), Scopes::hash(tenant, model_id), bands);
        let number = match self.probe(hash, scope, prefix_id.as_bytes(), bands) {
            Ok(number) => number,
            Err(place) => self.insert_new(place, hash, scope, prefix_id, bands),
        };
        self.merge_into(number, parent_id, tally, sums);
        number
    }

    /// As [`merge`](Self::merge), for a prefix whose number is known.
    pub fn merge_into(&mut self, number: usize, parent_id: Option<&str>, tally: &Tally, sums: &[f64]) {
        let Some(entry) = self.entries.get_mut(number) else { return };
        let own = self.sums.row_mut(number);
        if entry.tally.hit_count == 0 {
            own.iter_mut().zip(sums).for_each(|(own, sum)| *own = *sum);
        } else {
            self.spec.ladder.merge(entry.tally.last_seen_ms, own, tally.last_seen_ms, sums);
        }
        entry.tally.merge(tally);
        if let Some(parent_id) = parent_id {
            self.name_parent(number, parent_id);
        }
    }
}

#[inline]
fn hash(prefix_id: &[u8], scope: u64, bands: (u32, u32)) -> u64 {
    let bands = (u64::from(bands.0) << 32 | u64::from(bands.1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    xxh3_64_with_seed(prefix_id, scope ^ bands)
}

/// Equality of short strings by their ends, which overlap: ids are too short for a call to pay.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    macro_rules! ends_are_the_same {
        ($word:ty) => {
            if let (Some(a_start), Some(a_end), Some(b_start), Some(b_end)) =
                (a.first_chunk(), a.last_chunk(), b.first_chunk(), b.last_chunk())
            {
                let differs = |a: &[u8; size_of::<$word>()], b: &[u8; size_of::<$word>()]| {
                    <$word>::from_ne_bytes(*a) ^ <$word>::from_ne_bytes(*b)
                };
                return differs(a_start, b_start) | differs(a_end, b_end) == 0;
            }
        };
    }
    let length = a.len();
    if length != b.len() {
        return false;
    }
    match length {
        16..=32 => ends_are_the_same!(u128),
        8..16 => ends_are_the_same!(u64),
        _ => {}
    }
    a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_two_cache_lines() {
        assert_eq!((size_of::<Entry>(), align_of::<Entry>()), (128, 64));
    }

    #[test]
    fn sameness_is_equality() {
        let text: Vec<u8> = (0..100).collect();
        for len in 0..100 {
            assert!(same(&text[..len], &text.clone()[..len]));
            assert!(!same(&text[..len], &text[..len + 1]));
            for place in 0..len {
                let mut other = text[..len].to_vec();
                other[place] ^= 64;
                assert!(!same(&text[..len], &other), "{place} of {len}");
            }
        }
    }
}
