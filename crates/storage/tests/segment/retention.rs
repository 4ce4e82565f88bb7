//! Leaving rows out of a merge.

use crate::support::{Index, assert_answers};
use prefix_indexer_models::{IndexSpec, PrefixEvent, PrefixStats};
use prefix_indexer_storage::Segment;
use std::sync::Arc;

#[test]
fn what_is_left_out_is_gone_and_parents_keep_their_names() {
    let mut index = Index::new(IndexSpec::default());
    for batch in 0..4u64 {
        let events: Vec<PrefixEvent> = (0..200u64)
            .map(|n| PrefixEvent {
                prefix_id: format!("p{}", n * (batch + 1) % 150),
                tenant: format!("t{}", n % 7),
                model_id: "m".into(),
                parent_id: Some(format!("p{}", (n * (batch + 1) + 1) % 150)),
                timestamp_ms: 1_000_000 * batch + n,
                ..PrefixEvent::default()
            })
            .collect();
        index.append(&events);
    }
    let cutoff = 2_000_100;
    let kept: Vec<PrefixStats> =
        index.stats().into_iter().filter(|stats| stats.tally.last_seen_ms >= cutoff && stats.tenant != "t3").collect();
    let parts: Vec<&Segment> = index.segments.iter().map(|segment| &**segment).collect();
    let mut asked = 0;
    let merged = Segment::merge(&index.spec, &parts, &mut |row| {
        asked += 1;
        row.last_seen_ms() >= cutoff && row.tenant() != "t3"
    })
    .unwrap();
    assert_eq!(asked, index.table.len(), "the newest row of every key, once");
    assert!(!kept.is_empty() && kept.len() < index.table.len());
    assert_eq!((merged.len(), merged.fresh()), (kept.len() as u64, kept.len() as u64));
    index.segments = vec![Arc::new(merged)];
    assert_answers(&index.view(), &kept);

    let nothing = Segment::merge(&index.spec, &[&index.segments[0]], &mut |_| false).unwrap();
    assert!(nothing.is_empty() && nothing.fresh() == 0);
    nothing.verify().unwrap();
}
