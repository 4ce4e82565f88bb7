//! The tenants and models of a table, each pair once.

use std::collections::HashMap;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

#[derive(Debug, Clone, Default)]
pub(super) struct Scopes {
    names: Vec<(Box<str>, Box<str>)>,
    /// Hash, or the next integer that was free, to number.
    by_hash: HashMap<u64, u32>,
}

impl Scopes {
    pub(super) fn hash(tenant: &str, model_id: &str) -> u64 {
        xxh3_64_with_seed(model_id.as_bytes(), xxh3_64(tenant.as_bytes()))
    }

    pub(super) fn find(&self, tenant: &str, model_id: &str) -> Option<u32> {
        self.probe(tenant, model_id).ok()
    }

    /// The number of a pair, or the free hash where it belongs.
    fn probe(&self, tenant: &str, model_id: &str) -> Result<u32, u64> {
        let mut hash = Self::hash(tenant, model_id);
        while let Some(&number) = self.by_hash.get(&hash) {
            if self.names(number) == (tenant, model_id) {
                return Ok(number);
            }
            hash = hash.wrapping_add(1);
        }
        Err(hash)
    }

    pub(super) fn intern(&mut self, tenant: &str, model_id: &str) -> u32 {
        let hash = match self.probe(tenant, model_id) {
            Ok(number) => return number,
            Err(hash) => hash,
        };
        let number = self.names.len() as u32;
        self.names.push((tenant.into(), model_id.into()));
        self.by_hash.insert(hash, number);
        number
    }

    /// Number of pairs.
    pub(super) fn len(&self) -> u32 {
        self.names.len() as u32
    }

    /// Tenant and model of a number that [`intern`](Self::intern) gave.
    pub(super) fn names(&self, number: u32) -> (&str, &str) {
        let (tenant, model_id) = &self.names[number as usize];
        (tenant, model_id)
    }
}
