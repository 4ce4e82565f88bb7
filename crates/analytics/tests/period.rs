//! Periods in simulated traffic: found where there is one, whatever happens to single runs, and not where there is none.

#[path = "patterns/random.rs"]
mod random;

use prefix_indexer_analytics::{Period, dominant_period};
use random::Random;

const MINUTE: f64 = 60_000.0;

#[derive(Debug, Clone, Copy)]
enum Jitter {
    /// Runs are due at multiples of the period and start early or late.
    Due(f64),
    /// Each run starts a jittered period after the one before it: errors add up.
    Drifting(f64),
}

/// `count` runs of a job, of which a share is missing.
fn job(random: &mut Random, period: f64, jitter: Jitter, missing: f64, count: usize) -> Vec<u64> {
    let (mut runs, mut drifted) = (Vec::new(), 0.0);
    for number in 1.. {
        let error = 2.0 * random.unit() - 1.0;
        let start = match jitter {
            Jitter::Due(jitter) => period * (f64::from(number) + jitter * error),
            Jitter::Drifting(jitter) => {
                drifted += period * (1.0 + jitter * error);
                drifted
            }
        };
        if random.unit() >= missing {
            runs.push(start as u64);
        }
        if runs.len() == count {
            break;
        }
    }
    runs
}

fn poisson(random: &mut Random, mean_gap: f64, count: usize) -> Vec<u64> {
    let mut now = 0.0;
    std::iter::repeat_with(|| {
        now += random.gap(mean_gap);
        now as u64
    })
    .take(count)
    .collect()
}

/// Each of the times followed by `more` uses with gaps of this mean.
fn burst(random: &mut Random, times: &[u64], more: u64, mean_gap: f64) -> Vec<u64> {
    let mut uses = Vec::new();
    for &start in times {
        let mut now = start as f64;
        uses.push(start);
        for _ in 0..random.below(2 * more + 1) {
            now += random.gap(mean_gap);
            uses.push(now as u64);
        }
    }
    uses.sort_unstable();
    uses
}

/// Share of the trials in which the period was found to within a tenth.
fn found(trials: u64, period: f64, mut times: impl FnMut(&mut Random) -> Vec<u64>) -> f64 {
    let hits = (0..trials).filter(|&seed| {
        let found = dominant_period(&times(&mut Random(seed)));
        found.is_some_and(|found| (found.period_ms as f64 / period - 1.0).abs() < 0.1)
    });
    hits.count() as f64 / trials as f64
}

#[test]
fn a_job_every_ten_minutes_with_jitter_and_missing_runs_is_found() {
    let check = |jitter, missing, count, least: f64| {
        let share = found(300, 10.0 * MINUTE, |random| job(random, 10.0 * MINUTE, jitter, missing, count));
        assert!(share >= least, "{jitter:?}, {missing} missing, {count} runs: found in {share}");
    };
    check(Jitter::Due(0.2), 0.3, 64, 0.99);
    check(Jitter::Drifting(0.2), 0.3, 64, 0.99);
    check(Jitter::Due(0.2), 0.3, 48, 0.97);
    check(Jitter::Drifting(0.2), 0.3, 48, 0.95);
    check(Jitter::Due(0.2), 0.0, 24, 0.97);
    check(Jitter::Drifting(0.2), 0.0, 24, 0.97);
    check(Jitter::Due(0.02), 0.3, 16, 0.97);
    check(Jitter::Due(0.02), 0.0, 5, 0.97);
    // A long history is no worse than its newest part.
    check(Jitter::Drifting(0.2), 0.3, 500, 0.99);
}

#[test]
fn any_scale_is_found() {
    for period in [200.0, 5_000.0, 24.0 * 60.0 * MINUTE] {
        let share = found(100, period, |random| job(random, period, Jitter::Due(0.2), 0.3, 64));
        assert!(share >= 0.98, "{period}: {share}");
    }
}

#[test]
fn bursts_do_not_hide_the_period() {
    let check = |jitter, missing, runs, more, mean_gap| {
        let share = found(200, 10.0 * MINUTE, |random| {
            let starts = job(random, 10.0 * MINUTE, jitter, missing, runs);
            burst(random, &starts, more, mean_gap)
        });
        assert!(share >= 0.95, "{jitter:?}, {missing} missing, {more} more uses {mean_gap} ms apart: {share}");
    };
    check(Jitter::Due(0.2), 0.3, 64, 5, 2_000.0);
    check(Jitter::Drifting(0.2), 0.3, 64, 10, 1_000.0);
    check(Jitter::Due(0.05), 0.0, 12, 30, 500.0);
    check(Jitter::Due(0.0), 0.0, 8, 3, 100.0);
}

/// The measured false-positive rate: 60,000 random trains, for 40 pairs of rate and length.
#[test]
fn random_arrivals_have_no_period() {
    let (mut all, mut trains) = (0, 0);
    for (rate, mean_gap) in [20.0, 1_000.0, MINUTE, 47.0 * MINUTE].into_iter().enumerate() {
        for count in [4, 5, 6, 7, 8, 12, 20, 32, 64, 200] {
            let random = &mut Random((rate * 1000 + count) as u64);
            let trials = if count < 32 { 2_000 } else { 500 };
            let wrong = (0..trials).filter(|_| dominant_period(&poisson(random, mean_gap, count)).is_some()).count();
            println!("one in {mean_gap} ms, {count} uses: {wrong} of {trials}");
            // A true rate of 0.6 % passes these bounds once in 1,000 such counts.
            assert!(
                wrong <= if count < 32 { 24 } else { 9 },
                "one in {mean_gap} ms, {count} uses: {wrong} of {trials}"
            );
            all += wrong;
            trains += trials;
        }
    }
    println!("all: {all} of {trains}");
    assert!(all * 100 < trains, "{all} of {trains}");
}

#[test]
fn random_bursts_have_no_period() {
    let random = &mut Random(11);
    let trials = 3_000;
    let wrong = (0..trials).filter(|_| {
        let starts = poisson(random, 30.0 * MINUTE, 40);
        dominant_period(&burst(random, &starts, 5, 2_000.0)).is_some()
    });
    let wrong = wrong.count();
    println!("{wrong} of {trials}");
    assert!(wrong * 100 < trials, "{wrong} of {trials}");
}

#[test]
fn few_or_equal_gaps() {
    let check = |times: &[u64], period_ms: Option<u64>| {
        let found = dominant_period(times);
        assert_eq!(found.map(|period| period.period_ms), period_ms, "{times:?}");
        found
    };
    check(&[], None);
    check(&[7], None);
    check(&[0, 600_000, 1_200_000], None);
    let equal = check(&[0, 600_000, 1_200_000, 1_800_000], Some(600_000));
    assert_eq!(equal, Some(Period { period_ms: 600_000, strength: 1.0 }));
    // Order and repeated times do not matter.
    check(&[1_800_000, 0, 600_000, 600_000, 1_200_000], Some(600_000));
    check(&[1_800_000, 600_000, 600_000, 1_200_000], None);
    check(&[u64::MAX - 3_000, u64::MAX - 2_000, u64::MAX - 1_000, u64::MAX], Some(1_000));
    check(&[0, 1, 2, 3, 4, 5, 6, 7], None);
    check(&[0, 1, 2, 3, u64::MAX], None);
    // Two gaps that take turns: the period is their sum.
    let turns: Vec<u64> = (0..20).flat_map(|pair| [pair * 2_000_000, pair * 2_000_000 + 600_000]).collect();
    let period = dominant_period(&turns);
    assert!(
        period.is_some_and(|period| period.period_ms.abs_diff(2_000_000) < 20_000 && period.strength > 0.3),
        "{period:?}"
    );
}

#[test]
fn strength_falls_with_jitter_and_missing_runs() {
    let strength = |jitter, missing| {
        let of = |seed| {
            dominant_period(&job(&mut Random(seed), 10.0 * MINUTE, Jitter::Due(jitter), missing, 64)).unwrap().strength
        };
        (0..50).map(of).sum::<f64>() / 50.0
    };
    let (clock, late, missing, both) =
        (strength(0.01, 0.0), strength(0.2, 0.0), strength(0.01, 0.3), strength(0.2, 0.3));
    println!("{clock} {late} {missing} {both}");
    assert!(clock > 0.95 && clock <= 1.0, "{clock}");
    assert!(late < 0.8 && missing < 0.8 && both < late && both < missing, "{late} {missing} {both}");
    assert!(both > 0.2, "{both}");
}
