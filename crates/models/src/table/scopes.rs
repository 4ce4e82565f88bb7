//! The tenants and models of a table, each pair once.

use super::{same, slots::Slots};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

#[derive(Debug, Clone)]
pub(super) struct Scopes {
    names: Vec<(Box<str>, Box<str>)>,
    slots: Slots,
}

impl Scopes {
    pub(super) fn new() -> Scopes {
        Scopes { names: Vec::new(), slots: Slots::new() }
    }

    pub(super) fn hash(tenant: &str, model_id: &str) -> u64 {
        xxh3_64_with_seed(model_id.as_bytes(), xxh3_64(tenant.as_bytes()))
    }

    pub(super) fn find(&self, tenant: &str, model_id: &str) -> Option<u32> {
        self.probe(Self::hash(tenant, model_id), tenant, model_id).ok().map(|number| number as u32)
    }

    fn probe(&self, hash: u64, tenant: &str, model_id: &str) -> Result<usize, usize> {
        self.slots.find(hash, |number| {
            let (known_tenant, known_model) = self.names(number as u32);
            same(known_tenant.as_bytes(), tenant.as_bytes()) && same(known_model.as_bytes(), model_id.as_bytes())
        })
    }

    pub(super) fn intern(&mut self, tenant: &str, model_id: &str) -> u32 {
        let hash = Self::hash(tenant, model_id);
        self.slots.reserve(1);
        let number = self.probe(hash, tenant, model_id).unwrap_or_else(|place| {
            let number = self.names.len();
            self.names.push((tenant.into(), model_id.into()));
            self.slots.fill(place, hash, number);
            number
        });
        number as u32
    }

    /// Number of pairs.
    pub(super) fn len(&self) -> u32 {
        self.names.len() as u32
    }

    /// Tenant and model of a number that [`intern`](Self::intern) gave.
    #[inline]
    pub(super) fn names(&self, number: u32) -> (&str, &str) {
        let (tenant, model_id) = &self.names[number as usize];
        (tenant, model_id)
    }
}
