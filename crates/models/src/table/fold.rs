//! Counting the events of a batch: the loop that everything else waits for.
//!
//! A table outgrows the caches, so the loop is laid out for memory latency: the events of a block first look up their slots,
//! entries, sums and names all together, so that the misses overlap, and then are applied one after the other.

use super::{PrefixTable, Shard, hash, scopes::Scopes};
use crate::{EventBatch, IndexSpec, PrefixKey, batch::Use, clock::Clock};

/// Events that are looked up together. What they touch fits into the nearest cache.
const BLOCK: usize = 64;

impl PrefixTable {
    /// Hashes of the prefixes that the events of a batch name, for [`fold`](Self::fold). They depend on the text and the key
    /// policy only, so they can be computed once and used for several shards. Some 10 ns an event.
    pub fn hashes(spec: &IndexSpec, batch: &EventBatch, hashes: &mut Vec<u64>) {
        let seeds: Vec<u64> = batch
            .scopes()
            .iter()
            .map(|scope| Scopes::hash(batch.str(scope.tenant), batch.str(scope.model_id)))
            .collect();
        hashes.clear();
        hashes.extend((0..batch.len()).map(|index| {
            let seed = seeds[batch.scope_at(index) as usize];
            hash(batch.prefix_id_bytes_at(index), seed, batch.bands_at(index, spec))
        }));
    }

    /// Counts those events of a batch that belong to `shard`, in order, and reports the number of each one's prefix.
    /// `hashes` are those of [`hashes`](Self::hashes). What an event costs once the table has outgrown the caches nearest
    /// to the core is in docs/benchmarks.md.
    pub fn fold(&mut self, batch: &EventBatch, hashes: &[u64], shard: Shard, mut touched: impl FnMut(u32)) {
        let scopes: Vec<u32> = batch
            .scopes()
            .iter()
            .map(|scope| self.scopes.intern(batch.str(scope.tenant), batch.str(scope.model_id)))
            .collect();
        let mut clock = Clock::new(&self.spec.ladder);
        let mut block = [0; BLOCK];
        let (mut index, end) = (0, hashes.len().min(batch.len()));
        while index < end {
            let mut count = 0;
            while index < end && count < BLOCK {
                block[count] = index;
                count += usize::from(shard.holds(hashes[index])); // no branch: which shard it is cannot be foreseen
                index += 1;
            }
            let block = &block[..count];
            self.slots.reserve(count);
            let guesses = self.warm(batch, block, hashes);
            for (&index, guess) in block.iter().zip(guesses) {
                let scope = scopes[batch.scope_at(index) as usize];
                let number = self.find_or_insert(batch, index, guess, hashes[index], scope);
                self.add(number, &batch.use_at(index, self.spec.utility), &mut clock);
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
                .is_some_and(|scope| self.probe(hash, scope, batch.prefix_id_bytes_at(index), bands).is_ok());
            if !known {
                unknown.push(index as u32);
            }
        }
    }

    /// Loads what the events of a block will need, and returns the likely number of each one's prefix. Short loops, none
    /// of which waits for its own loads, so that as many as the machine can have are under way.
    fn warm(&self, batch: &EventBatch, block: &[usize], hashes: &[u64]) -> [usize; BLOCK] {
        let mut guesses = [usize::MAX; BLOCK];
        for (guess, &index) in guesses.iter_mut().zip(block) {
            *guess = self.slots.guess(hashes[index]);
        }
        let mut seen = 0;
        for &index in block {
            // Another core may have decoded the batch.
            seen ^= batch.prefix_id_bytes_at(index).first().map_or(0, |&byte| u64::from(byte));
        }
        let mut names = [0; BLOCK];
        for (name, &number) in names.iter_mut().zip(&guesses[..block.len()]) {
            if let Some(entry) = self.entries.get(number) {
                *name = entry.prefix_id.range().start;
                seen ^= entry.tally.last_seen_ms;
            }
        }
        for (&name, &number) in names.iter().zip(&guesses[..block.len()]) {
            if let [first, .., last] | [first @ last] = self.sums.row(number) {
                seen ^= first.to_bits() ^ last.to_bits();
            }
            seen ^= u64::from(self.text.as_bytes().get(name).copied().unwrap_or(0));
        }
        std::hint::black_box(seen);
        guesses
    }

    #[inline]
    fn find_or_insert(&mut self, batch: &EventBatch, index: usize, guess: usize, hash: u64, scope: u32) -> usize {
        let prefix_id = batch.prefix_id_bytes_at(index);
        let bands = batch.bands_at(index, &self.spec);
        if self.is(guess, scope, prefix_id, bands) {
            return guess;
        }
        match self.probe(hash, scope, prefix_id, bands) {
            Ok(number) => number,
            Err(place) => self.insert_new(place, hash, scope, batch.prefix_id_at(index), bands),
        }
    }

    #[inline(never)]
    pub(super) fn insert_new(
        &mut self,
        place: usize,
        hash: u64,
        scope: u32,
        prefix_id: &str,
        bands: (u32, u32),
    ) -> usize {
        let (tenant, model_id) = self.scopes.names(scope);
        let key = PrefixKey::new(self.spec.key_policy, tenant, model_id, prefix_id, bands.0, bands.1);
        self.insert(place, hash, key, scope, prefix_id)
    }

    #[inline]
    fn add(&mut self, number: usize, event: &Use, clock: &mut Clock) {
        clock.set(event.timestamp_ms);
        if let Some(entry) = self.entries.get_mut(number) {
            let last_ms = (entry.tally.hit_count > 0).then_some(entry.tally.last_seen_ms);
            clock.add(last_ms, self.sums.row_mut(number), event.weight);
            entry.tally.add(event);
        }
    }
}
