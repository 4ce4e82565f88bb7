//! Distinct prefixes and what their uses add up to: the one place where events become statistics.
//!
//! A table interns prefixes by their text (a hash of 3 ns; the 128-bit key is digested once, when a prefix is first seen) and
//! keeps per prefix one [`Tally`] and one decayed sum a rung. Folding is laid out for memory latency: a block of
//! events looks up its slots, then its entries, then applies them, so that the cache misses of a block overlap.

mod scopes;

use crate::{EventBatch, IndexSpec, PrefixKey, PrefixStats, Tally, batch::Use, clock::Clock, stats::parent_key};
use scopes::Scopes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Events that are looked up together.
const BLOCK: usize = 128;

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
    entries: Vec<Entry>,
    /// One sum a rung, entry after entry.
    sums: Vec<f64>,
    /// Open addressing with linear probing: upper half of the hash, then entry number plus one; 0 is free.
    slots: Vec<u64>,
    parent_conflicts: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: PrefixKey,
    prefix_id: TextRef,
    parent_id: TextRef,
    scope: u32,
    tally: Tally,
}

/// Offset (40 bits) and length (24 bits) in the table's text; the empty string is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TextRef(u64);

impl TextRef {
    const NONE: TextRef = TextRef(0);

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
    /// Number of tenant and model among the table's [scopes](PrefixTable::scopes).
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
            spec,
            scopes: Scopes::default(),
            text: String::new(),
            entries: Vec::new(),
            sums: Vec::new(),
            slots: vec![0; 1024],
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
        self.entries.is_empty()
    }

    /// How often an event or a merged part named another parent than the one known.
    pub fn parent_conflicts(&self) -> u64 {
        self.parent_conflicts
    }

    /// Bytes of memory in use.
    pub fn memory_bytes(&self) -> usize {
        self.text.len()
            + self.entries.len() * size_of::<Entry>()
            + size_of_val(self.sums.as_slice())
            + size_of_val(self.slots.as_slice())
    }

    /// A prefix by its number; numbers count up from 0 in the order of first sight.
    pub fn row(&self, number: usize) -> Option<TableRow<'_>> {
        let entry = self.entries.get(number)?;
        let (tenant, model_id) = self.scopes.names(entry.scope);
        let rungs = self.spec.ladder.len();
        Some(TableRow {
            key: entry.key,
            scope: entry.scope,
            prefix_id: self.str(entry.prefix_id),
            tenant,
            model_id,
            parent_id: (entry.parent_id != TextRef::NONE).then(|| self.str(entry.parent_id)),
            tally: &entry.tally,
            sums: self.sums.get(number * rungs..(number + 1) * rungs).unwrap_or(&[]),
        })
    }

    /// All prefixes in the order of first sight.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = TableRow<'_>> + Clone {
        let rungs = self.spec.ladder.len();
        self.entries.iter().zip(self.sums.chunks_exact(rungs)).map(|(entry, sums)| {
            let (tenant, model_id) = self.scopes.names(entry.scope);
            TableRow {
                key: entry.key,
                scope: entry.scope,
                prefix_id: self.str(entry.prefix_id),
                tenant,
                model_id,
                parent_id: (entry.parent_id != TextRef::NONE).then(|| self.str(entry.parent_id)),
                tally: &entry.tally,
                sums,
            }
        })
    }

    fn str(&self, text: TextRef) -> &str {
        self.text.get(text.range()).unwrap_or("")
    }

    fn push_text(&mut self, text: &str) -> TextRef {
        let start = self.text.len() as u64;
        self.text.push_str(text);
        if text.is_empty() { TextRef::NONE } else { TextRef(start << 24 | text.len() as u64) }
    }

    /// Tenants and models, each pair once, by number. A pair may be left without prefixes.
    pub fn scopes(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        (0..self.scopes.len()).map(|scope| self.scopes.names(scope))
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
        self.probe(hash(prefix_id, Scopes::hash(tenant, model_id), bands), scope, prefix_id, bands).ok()
    }

    /// Hashes of the prefixes that the events of a batch name, for [`fold`](Self::fold). They depend on the text and the key
    /// policy only, so they can be computed once and used for several shards.
    pub fn hashes(spec: &IndexSpec, batch: &EventBatch, hashes: &mut Vec<u64>) {
        let seeds: Vec<u64> = batch
            .scopes()
            .iter()
            .map(|scope| Scopes::hash(batch.str(scope.tenant), batch.str(scope.model_id)))
            .collect();
        hashes.clear();
        hashes.extend((0..batch.len()).map(|index| {
            let seed = seeds[batch.scope_at(index) as usize];
            hash(batch.prefix_id_at(index), seed, batch.bands_at(index, spec))
        }));
    }

    /// Counts those events of a batch that belong to `shard`, in order, and reports the number of each one's prefix.
    /// `hashes` are those of [`hashes`](Self::hashes). Some 100 ns an event once the table outgrows the caches.
    pub fn fold(&mut self, batch: &EventBatch, hashes: &[u64], shard: Shard, mut touched: impl FnMut(u32)) {
        let scopes: Vec<u32> = batch
            .scopes()
            .iter()
            .map(|scope| self.scopes.intern(batch.str(scope.tenant), batch.str(scope.model_id)))
            .collect();
        let mut clock = Clock::new(&self.spec.ladder);
        let mut mine = Vec::with_capacity(BLOCK);
        let mut index = 0;
        while index < hashes.len().min(batch.len()) {
            mine.clear();
            while let Some(&hash) = hashes.get(index)
                && mine.len() < BLOCK
            {
                if shard.holds(hash) {
                    mine.push((index, hash));
                }
                index += 1;
            }
            self.reserve(mine.len());
            self.warm(&mine);
            for &(index, hash) in &mine {
                let scope = scopes[batch.scope_at(index) as usize];
                let number = self.find_or_insert(batch, index, hash, scope);
                let event = batch.use_at(index, self.spec.utility);
                self.add(number, &event, &mut clock);
                if let Some(parent) = batch.parent_id_at(index) {
                    self.name_parent(number, parent);
                }
                touched(number as u32);
            }
        }
    }

    /// The events whose prefix is not in the table, by position, several of one prefix included. `hashes` are those of
    /// [`hashes`](Self::hashes).
    ///
    /// Whoever keeps totals elsewhere [merges](Self::merge) them in for these before the [fold](Self::fold), so that an event
    /// meets the same state as in a table that was never emptied.
    pub fn unknown(&self, batch: &EventBatch, hashes: &[u64], unknown: &mut Vec<u32>) {
        unknown.clear();
        let scopes: Vec<Option<u32>> = batch
            .scopes()
            .iter()
            .map(|scope| self.scopes.find(batch.str(scope.tenant), batch.str(scope.model_id)))
            .collect();
        for (index, &hash) in hashes.iter().enumerate().take(batch.len()) {
            let bands = batch.bands_at(index, &self.spec);
            let known = scopes[batch.scope_at(index) as usize]
                .is_some_and(|scope| self.probe(hash, scope, batch.prefix_id_at(index), bands).is_ok());
            if !known {
                unknown.push(index as u32);
            }
        }
    }

    /// Loads what the events of a block will need; the loads do not depend on each other, so they overlap.
    fn warm(&self, block: &[(usize, u64)]) {
        let mask = self.slots.len() - 1;
        let mut slots = [0; BLOCK];
        for (slot, &(_, hash)) in slots.iter_mut().zip(block) {
            *slot = self.slots[hash as usize & mask];
        }
        let mut seen = 0;
        for &slot in slots.iter().take(block.len()) {
            let number = (slot as u32).wrapping_sub(1) as usize;
            if let Some(entry) = self.entries.get(number) {
                let text = self.text.as_bytes().get(entry.prefix_id.range().start);
                let sum = self.sums.get(number * self.spec.ladder.len());
                seen ^= entry.tally.last_seen_ms
                    ^ u64::from(text.copied().unwrap_or(0))
                    ^ sum.copied().unwrap_or(0.0).to_bits();
            }
        }
        std::hint::black_box(seen);
    }

    fn find_or_insert(&mut self, batch: &EventBatch, index: usize, hash: u64, scope: u32) -> usize {
        let prefix_id = batch.prefix_id_at(index);
        let bands = batch.bands_at(index, &self.spec);
        match self.probe(hash, scope, prefix_id, bands) {
            Ok(number) => number,
            Err(slot) => {
                let (tenant, model_id) = self.scopes.names(scope);
                let key = PrefixKey::new(self.spec.key_policy, tenant, model_id, prefix_id, bands.0, bands.1);
                self.insert(slot, hash, key, scope, prefix_id)
            }
        }
    }

    /// The number of a prefix, or the free slot where it belongs.
    #[inline]
    fn probe(&self, hash: u64, scope: u32, prefix_id: &str, bands: (u32, u32)) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut position = hash as usize & mask;
        loop {
            let slot = self.slots[position];
            if slot == 0 {
                return Err(position);
            }
            if slot >> 32 == hash >> 32 {
                let number = (slot as u32 - 1) as usize;
                let entry = &self.entries[number];
                if entry.scope == scope && self.str(entry.prefix_id) == prefix_id && self.bands(entry) == bands {
                    return Ok(number);
                }
            }
            position = (position + 1) & mask;
        }
    }

    /// The bands are not stored: whatever an entry counted lies in the same ones.
    fn bands(&self, entry: &Entry) -> (u32, u32) {
        self.spec.key_policy.bands(entry.tally.layer_min, entry.tally.page_start)
    }

    fn insert(&mut self, slot: usize, hash: u64, key: PrefixKey, scope: u32, prefix_id: &str) -> usize {
        let number = self.entries.len();
        let prefix_id = self.push_text(prefix_id);
        self.entries.push(Entry { key, prefix_id, parent_id: TextRef::NONE, scope, tally: Tally::EMPTY });
        self.sums.resize(self.sums.len() + self.spec.ladder.len(), 0.0);
        self.slots[slot] = (hash >> 32) << 32 | (number as u64 + 1);
        number
    }

    /// Keeps the slots at most three quarters full with `more` new prefixes.
    fn reserve(&mut self, more: usize) {
        let needed = self.entries.len() + more;
        if needed * 4 <= self.slots.len() * 3 {
            return;
        }
        let size = (needed * 4 / 3 + 1).next_power_of_two().max(self.slots.len() * 2);
        self.slots = Vec::new(); // freed before the larger one is made
        self.slots.resize(size, 0);
        for number in 0..self.entries.len() {
            let entry = &self.entries[number];
            let (tenant, model_id) = self.scopes.names(entry.scope);
            let hash = hash(self.str(entry.prefix_id), Scopes::hash(tenant, model_id), self.bands(entry));
            let mut position = hash as usize & (size - 1);
            while self.slots[position] != 0 {
                position = (position + 1) & (size - 1);
            }
            self.slots[position] = (hash >> 32) << 32 | (number as u64 + 1);
        }
    }

    #[inline]
    fn add(&mut self, number: usize, event: &Use, clock: &mut Clock) {
        clock.set(event.timestamp_ms);
        let rungs = self.spec.ladder.len();
        let tally = &mut self.entries[number].tally;
        let last_ms = (tally.hit_count > 0).then_some(tally.last_seen_ms);
        clock.add(last_ms, &mut self.sums[number * rungs..(number + 1) * rungs], event.weight);
        tally.add(event);
    }

    fn name_parent(&mut self, number: usize, parent_id: &str) {
        let entry = self.entries[number];
        let known = self.str(entry.parent_id);
        if known == parent_id {
            return;
        }
        if entry.parent_id != TextRef::NONE {
            let (tenant, model_id) = self.scopes.names(entry.scope);
            let keep = parent_key(tenant, model_id, known) <= parent_key(tenant, model_id, parent_id);
            self.parent_conflicts += 1;
            if keep {
                return;
            }
        }
        let parent_id = self.push_text(parent_id);
        self.entries[number].parent_id = parent_id;
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
        self.reserve(1);
        let bands = self.spec.key_policy.bands(tally.layer_min, tally.page_start);
        let scope = self.scopes.intern(tenant, model_id);
        let hash = hash(prefix_id, Scopes::hash(tenant, model_id), bands);
        let number = match self.probe(hash, scope, prefix_id, bands) {
            Ok(number) => number,
            Err(slot) => {
                let key = PrefixKey::new(self.spec.key_policy, tenant, model_id, prefix_id, bands.0, bands.1);
                self.insert(slot, hash, key, scope, prefix_id)
            }
        };
        self.merge_into(number, parent_id, tally, sums);
        number
    }

    /// As [`merge`](Self::merge), for a prefix whose number is known.
    pub fn merge_into(&mut self, number: usize, parent_id: Option<&str>, tally: &Tally, sums: &[f64]) {
        let rungs = self.spec.ladder.len();
        let Some(entry) = self.entries.get_mut(number) else { return };
        let own = &mut self.sums[number * rungs..(number + 1) * rungs];
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
fn hash(prefix_id: &str, scope: u64, bands: (u32, u32)) -> u64 {
    let bands = (u64::from(bands.0) << 32 | u64::from(bands.1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    xxh3_64_with_seed(prefix_id.as_bytes(), scope ^ bands)
}
