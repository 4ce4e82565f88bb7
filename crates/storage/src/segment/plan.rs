//! The tenants, models and partitions of a segment that is being written.

use super::{Output, scopes::name_hash, slots};
use crate::{
    StorageError,
    codec::encode,
    format::segment::{Counts, Named, Partition, TextRef, buckets},
};
use std::collections::BTreeMap;

/// Partitions in their order, with the names they need.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Names, each once; the text section starts with them.
    pub(crate) text: Vec<u8>,
    pub(crate) partitions: Vec<Partition>,
    tenants: Vec<Named>,
    models: Vec<Named>,
    tenant_of: Vec<u32>,
    model_of: Vec<u32>,
    /// In ascending order.
    name_slots: Vec<u64>,
}

impl Plan {
    /// Of tenants and models in ascending order, each pair with the number of its rows, at least one.
    pub(crate) fn new<'n>(pairs: impl Iterator<Item = (&'n str, &'n str, u32)>) -> Plan {
        let mut plan = Plan::default();
        let mut models: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let mut tenant = None;
        let mut first = 0;
        for (number, (name, model_id, count)) in pairs.enumerate() {
            if tenant != Some(name) {
                tenant = Some(name);
                let hash = name_hash(name, 0);
                plan.name_slots.push(slots::slot(hash, plan.tenants.len() as u32));
                let name = plan.push_text(name);
                plan.tenants.push(Named { name, first: number as u32, count: 0 });
            }
            if let Some(tenant) = plan.tenants.last_mut() {
                tenant.count += 1;
                plan.partitions.push(Partition { tenant: tenant.name, model_id: 0, first, count });
            }
            plan.tenant_of.push(plan.tenants.len() as u32 - 1);
            models.entry(model_id).or_default().push(number as u32);
            first += count;
        }
        plan.model_of = vec![0; plan.partitions.len()];
        let mut place = 0;
        for (number, (model_id, partitions)) in models.into_iter().enumerate() {
            plan.name_slots.push(slots::slot(name_hash(model_id, 1), (plan.tenants.len() + number) as u32));
            let name = plan.push_text(model_id);
            plan.models.push(Named { name, first: place, count: partitions.len() as u32 });
            place += partitions.len() as u32;
            for partition in partitions {
                plan.model_of[partition as usize] = number as u32;
                plan.partitions[partition as usize].model_id = name;
            }
        }
        plan.name_slots.sort_unstable();
        plan
    }

    fn push_text(&mut self, name: &str) -> u64 {
        let text = TextRef::new(self.text.len() as u64, name.len()).unwrap_or_default();
        self.text.extend_from_slice(name.as_bytes());
        text.0
    }

    /// Fills in what the plan knows; the name slots are known once they are written.
    pub(crate) fn count(&self, counts: &mut Counts) {
        counts.partitions = self.partitions.len();
        counts.tenants = self.tenants.len();
        counts.models = self.models.len();
    }

    /// The partition that a row is in.
    pub(crate) fn partition_of(&self, row: u32) -> u32 {
        self.partitions.partition_point(|partition| partition.first <= row).saturating_sub(1) as u32
    }

    /// The same partitions grouped by tenant, in the same order within a group.
    pub(crate) fn by_tenant(&self, partitions: &[u32]) -> Vec<u32> {
        grouped(partitions, &self.tenant_of, &self.tenants)
    }

    /// The same partitions grouped by model, in the same order within a group.
    pub(crate) fn by_model(&self, partitions: &[u32]) -> Vec<u32> {
        grouped(partitions, &self.model_of, &self.models)
    }

    /// Writes the sections of partitions, tenants, models and names. Returns the number of name slots.
    pub(crate) fn write(&self, out: &mut Output<'_>) -> Result<u64, StorageError> {
        let mut bytes = Vec::new();
        for partition in &self.partitions {
            out.encoded(encode(partition, &mut bytes))?;
        }
        out.section(&bytes)?;
        for names in [&self.tenants, &self.models] {
            bytes.clear();
            for named in names {
                out.encoded(encode(named, &mut bytes))?;
            }
            out.section(&bytes)?;
        }
        bytes.clear();
        let count = self.name_slots.len() as u64;
        bytes.reserve(buckets(count) as usize * 8);
        let mut writer = slots::SlotWriter::new(count);
        self.name_slots.iter().for_each(|&slot| writer.push(slot, &mut bytes));
        let written = writer.finish(&mut bytes);
        out.section(&bytes)?;
        Ok(written)
    }
}

fn grouped(partitions: &[u32], group_of: &[u32], groups: &[Named]) -> Vec<u32> {
    let mut next: Vec<u32> = groups.iter().map(|group| group.first).collect();
    let mut grouped = vec![0; partitions.len()];
    for &partition in partitions {
        let next = &mut next[group_of[partition as usize] as usize];
        grouped[*next as usize] = partition;
        *next += 1;
    }
    grouped
}
