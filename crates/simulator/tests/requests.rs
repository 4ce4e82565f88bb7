//! How events become requests.

#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_models::{EventBatch, PrefixEvent};
use prefix_indexer_simulator::{Trace, TraceBuilder};

/// An event from `time id parent depth session layer`, `-` for what it lacks.
fn event(line: &str) -> PrefixEvent {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let given = |place: usize| fields.get(place).copied().filter(|&field| field != "-");
    PrefixEvent {
        prefix_id: fields[1].to_owned(),
        tenant: "t".to_owned(),
        model_id: "m".to_owned(),
        timestamp_ms: fields[0].parse().unwrap(),
        parent_id: given(2).map(str::to_owned),
        depth: given(3).map(|depth| depth.parse().unwrap()),
        session_id: given(4).map(str::to_owned),
        layer: given(5).map_or(0, |layer| layer.parse().unwrap()),
        ..PrefixEvent::default()
    }
}

fn build(lines: &[&str]) -> Trace {
    let mut builder = TraceBuilder::new();
    // A batch each: a request may be cut between two.
    for line in lines {
        builder.push(&[event(line)].into_iter().collect::<EventBatch>()).unwrap();
    }
    builder.finish()
}

#[track_caller]
fn check(lines: &[&str], expect: &[(u64, &[u32])]) {
    let trace = build(lines);
    let requests: Vec<(u64, Vec<u32>)> =
        trace.requests().map(|request| (request.time_ms, request.blocks.to_vec())).collect();
    let expect: Vec<(u64, Vec<u32>)> = expect.iter().map(|&(time, blocks)| (time, blocks.to_vec())).collect();
    assert_eq!(requests, expect);
}

#[test]
fn a_chain_is_a_request() {
    check(&["5 a - 0", "5 b a 1", "5 c b 2", "5 a - 0", "5 d a 1"], &[(5, &[0, 1, 2]), (5, &[0, 3])]);
}

#[test]
fn a_chain_can_be_told_by_depth_alone() {
    check(&["5 a - 0", "5 b - 1", "5 c - 2", "5 d - 2"], &[(5, &[0, 1, 2]), (5, &[3])]);
}

#[test]
fn events_without_relations_are_requests_of_their_own() {
    check(&["5 a", "5 b", "6 a"], &[(5, &[0]), (5, &[1]), (6, &[0])]);
}

#[test]
fn layers_of_a_block_are_one_use() {
    let layers = ["5 a - - - 0", "5 a - - - 1", "5 b a - - 0", "5 b a - - 1", "6 b a - - 2"];
    check(&layers, &[(5, &[0, 1]), (6, &[1])]);
    // The same once more is another use.
    check(&["5 a", "5 a"], &[(5, &[0]), (5, &[0])]);
}

#[test]
fn time_and_session_divide() {
    check(&["5 a - - s", "5 b a - s", "5 c b - r", "6 d c - r"], &[(5, &[0, 1]), (5, &[2]), (6, &[3])]);
    let trace = build(&["5 a - - s", "5 b a - r", "6 c - - s", "7 d"]);
    let sessions: Vec<Option<u32>> = trace.requests().map(|request| request.session).collect();
    assert_eq!((sessions, trace.sessions()), (vec![Some(0), Some(1), Some(0), None], 2));
}

#[test]
fn requests_are_put_in_order_and_blocks_numbered_by_first_use() {
    check(&["9 a - 0", "9 b a 1", "3 c - 0", "3 a - 0", "9 c - 0"], &[(3, &[0]), (3, &[1]), (9, &[1, 2]), (9, &[0])]);
}

#[test]
fn tenants_do_not_share_blocks() {
    let mut other = event("5 a");
    other.tenant = "u".to_owned();
    let mut builder = TraceBuilder::new();
    builder.push(&[event("5 a"), other, event("6 a")].into_iter().collect::<EventBatch>()).unwrap();
    assert_eq!(builder.finish().references(), [0, 1, 0]);
}

#[test]
fn parents_and_depths() {
    let trace = build(&["1 a", "1 b a", "1 c b 7", "2 x ghost", "2 y - 3"]);
    let known = |block| (trace.parent(block), trace.depth(block));
    assert_eq!(known(0), (None, None));
    assert_eq!(known(1), (Some(0), Some(1)));
    // What the trace says counts, also where the chain is longer.
    assert_eq!(known(2), (Some(1), Some(7)));
    // A parent that is never used itself is not part of the trace.
    assert_eq!(known(3), (None, None));
    assert_eq!(known(4), (None, Some(3)));
}

#[test]
fn contradicting_parents_are_settled_whatever_their_order() {
    let parent = |lines: &[&str]| {
        let trace = build(lines);
        let name = ["a", "b"][trace.parent(2).unwrap() as usize];
        (name, trace.unique_blocks())
    };
    assert_eq!(parent(&["1 a", "1 b", "2 c a", "3 c b"]), parent(&["1 a", "1 b", "2 c b", "3 c a"]));
}

#[test]
fn cycles_are_cut() {
    let trace = build(&["1 a c", "2 b a", "3 c b", "4 d c"]);
    for block in 0..4 {
        let mut at = Some(block);
        let mut steps = 0;
        while let Some(parent) = at.and_then(|block| trace.parent(block)) {
            at = Some(parent);
            steps += 1;
            assert!(steps < 4, "a cycle through {block}");
        }
    }
    assert_eq!(trace.parent(3), Some(2));
}

#[test]
fn sizes_and_latencies() {
    let mut events = [event("5 a"), event("7 a"), event("7 a - 4"), event("6 a")];
    for (event, (bytes, latency_ms)) in events.iter_mut().zip([(100, 1.0), (30, 2.0), (40, 3.0), (500, 6.0)]) {
        (event.bytes, event.latency_ms) = (bytes, latency_ms);
    }
    let mut builder = TraceBuilder::new();
    builder.push(&events.into_iter().collect::<EventBatch>()).unwrap();
    let trace = builder.finish();
    // The newest use, the larger of two at the same time; the mean over events.
    assert_eq!((trace.bytes(0), trace.latency_ms(0), trace.depth(0)), (40, 3.0, Some(4)));
}

#[test]
fn nothing() {
    let trace = build(&[]);
    assert_eq!((trace.len(), trace.unique_blocks(), trace.span_ms()), (0, 0, None));
    assert!(trace.request(3).blocks.is_empty());
}
