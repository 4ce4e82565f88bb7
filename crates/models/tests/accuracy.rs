//! Decayed sums after a million events of one prefix, against sums with twice the digits.
#![expect(clippy::unwrap_used, reason = "tests")]

use prefix_indexer_models::{EventBatch, EventRef, IndexSpec, Ladder, PrefixTable, Shard};

const EVENTS: u64 = 1_000_000;

/// A sum that keeps what each addition rounds off (Neumaier): exact to the last digit of a f64 for a million terms of one sign.
#[derive(Default)]
struct Exact {
    sum: f64,
    lost: f64,
}

impl Exact {
    fn add(&mut self, term: f64) {
        let sum = self.sum + term;
        self.lost += if self.sum >= term { (self.sum - sum) + term } else { (term - sum) + self.sum };
        self.sum = sum;
    }
}

fn check(ladder: &Ladder, bound: f64, times: impl Fn(u64) -> u64) {
    let spec = IndexSpec { ladder: ladder.clone(), ..IndexSpec::default() };
    let mut table = PrefixTable::new(spec.clone());
    let (mut batch, mut hashes) = (EventBatch::new(), Vec::new());
    for start in (0..EVENTS).step_by(10_000) {
        batch.clear();
        for number in start..start + 10_000 {
            batch.push(&EventRef {
                prefix_id: "p",
                tenant: "t",
                model_id: "m",
                layer: 0,
                page_start: 0,
                page_end: 0,
                bytes: 1,
                latency_ms: 1.0,
                timestamp_ms: times(number),
                parent_id: None,
                depth: None,
                session_id: None,
                event_id: None,
            });
        }
        PrefixTable::hashes(&spec, &batch, &mut hashes);
        table.fold(&batch, &hashes, Shard::WHOLE, |_| ());
    }
    let row = table.row(0).unwrap();
    let now = (0..EVENTS).map(&times).max().unwrap();
    assert_eq!((row.tally.hit_count, row.tally.last_seen_ms), (EVENTS, now));
    for (rung, half_life) in ladder.half_lives_ms().enumerate() {
        let mut exact = Exact::default();
        for time in (0..EVENTS).map(&times) {
            let age = now - time;
            let whole = (age / half_life).min(1_070) as i32;
            exact.add(((-((age % half_life) as f64)) / half_life as f64).exp2() * 0.5f64.powi(whole));
        }
        let expect = exact.sum + exact.lost;
        let score = ladder.score(rung, now, row.sums[rung], now);
        let error = (score / expect - 1.0).abs();
        assert!(error <= bound, "half-life {half_life}: {error:e} ({score} for {expect})");
    }
}

/// While uses keep pace with the decay, the newest roundings are the only ones that count; when all of them fall within a
/// half-life, a million roundings add up like a random walk.
#[test]
fn a_million_events_keep_their_digits() {
    const EPOCH: u64 = 1_760_000_000_000;
    let uneven = |number: u64| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50; // below 16,384
    let odd = Ladder::new(&[777, 60_001, 3_600_001]).unwrap();
    // Three hours; three months; three months with late events.
    check(&Ladder::default(), 4e-14, |number| EPOCH + number * 11 + uneven(number) % 11);
    check(&Ladder::default(), 2e-15, |number| EPOCH + number * 8_000 + uneven(number) % 8_000);
    check(&odd, 2e-15, |number| EPOCH + number * 8_000 + uneven(number) * 100);
}
