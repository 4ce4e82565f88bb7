//! A table finds what it holds by name, and says which events of a batch it does not know.

use prefix_indexer_models::{EventBatch, IndexSpec, KeyPolicy, PrefixEvent, PrefixTable, Shard};
use std::num::NonZeroU32;

fn event(tenant: &str, prefix_id: &str, page_start: u32) -> PrefixEvent {
    PrefixEvent {
        prefix_id: prefix_id.into(),
        tenant: tenant.into(),
        model_id: "m".into(),
        page_start,
        page_end: page_start,
        ..PrefixEvent::default()
    }
}

#[test]
fn unknown_events_and_positions() {
    let key_policy = KeyPolicy { layer_band: None, page_band: NonZeroU32::new(10) };
    let spec = IndexSpec { key_policy, ..IndexSpec::default() };
    let known: EventBatch = [event("a", "p", 3), event("a", "q", 0), event("b", "p", 0)].into_iter().collect();
    let mut hashes = Vec::new();
    PrefixTable::hashes(&spec, &known, &mut hashes);
    let mut table = PrefixTable::new(spec.clone());
    table.fold(&known, &hashes, Shard::WHOLE, |_| ());

    let asked: EventBatch =
        [event("a", "p", 9), event("a", "p", 10), event("a", "r", 0), event("c", "p", 0), event("b", "p", 5)]
            .into_iter()
            .collect();
    PrefixTable::hashes(&spec, &asked, &mut hashes);
    let mut unknown = vec![7];
    table.unknown(&asked, &hashes, &mut unknown);
    assert_eq!(unknown, [1, 2, 3]);

    let found: Vec<_> = asked
        .iter()
        .map(|e| table.find(table.scope(e.tenant, e.model_id)?, e.prefix_id, e.layer, e.page_start))
        .collect();
    assert_eq!(found, [Some(0), None, None, None, Some(2)]);
    assert_eq!(table.row(2).unwrap().tenant, "b");
}
