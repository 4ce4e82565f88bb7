//! Adaptive control on a workload that shifts: each phase ends near the best fixed setting of that phase.

use prefix_indexer_prefetch::{Adaptive, AdaptiveConfig, Evidence, Setting};

const MIB: f64 = 1_048_576.0;
const WINDOWS: u64 = 240;

/// A kind of traffic: how probable predictions are, what a hit saves, and what the local tier holds.
#[derive(Debug, Clone, Copy)]
struct Phase {
    /// Greater: fewer sure predictions.
    doubt: f64,
    latency_ms: f64,
    /// Blocks of one MiB that stay until they are used.
    capacity: usize,
}

const PHASES: [Phase; 4] = [
    // Sure predictions and much room: take all, fast.
    Phase { doubt: 0.7, latency_ms: 40.0, capacity: 2_000 },
    // Hardly a prediction comes true, and a hit saves little: be choosy.
    Phase { doubt: 4.0, latency_ms: 8.0, capacity: 2_000 },
    // Little room: more would only push out what is about to be used.
    Phase { doubt: 1.0, latency_ms: 40.0, capacity: 150 },
    Phase { doubt: 0.7, latency_ms: 40.0, capacity: 2_000 },
];

/// SplitMix64, as a number from 0 to 1.
fn chance(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A window of a second: 600 predictions, each true as often as it says.
fn window(phase: Phase, setting: Setting, state: &mut u64) -> Evidence {
    let mut predictions: Vec<(f64, bool)> = (0..600)
        .map(|_| {
            let probability = chance(state).powf(phase.doubt);
            (probability, chance(state) < probability)
        })
        .collect();
    predictions.sort_by(|a, b| b.0.total_cmp(&a.0));
    let wanted = predictions.iter().filter(|(probability, _)| *probability >= setting.min_probability);
    let (mut evidence, mut loaded) = (Evidence::default(), 0);
    let room = (setting.bytes_per_second / MIB) as usize;
    // What exceeds the capacity pushes out as many of the others.
    let count = wanted.clone().count().min(room);
    let staying = if count > phase.capacity { phase.capacity as f64 / count as f64 } else { 1.0 };
    for (_, is_used) in wanted {
        if loaded >= room {
            evidence.late += u64::from(*is_used);
            continue;
        }
        loaded += 1;
        match (is_used, chance(state) < staying) {
            (true, true) => {
                evidence.used += 1;
                evidence.saved_ms += phase.latency_ms;
            }
            (true, false) => evidence.evicted += 1,
            (false, _) => evidence.wasted += 1,
        }
    }
    evidence.wasted_bytes = (evidence.wasted + evidence.evicted) * MIB as u64;
    evidence
}

fn adaptive() -> Adaptive {
    let mut config = AdaptiveConfig::below(1_024.0 * MIB);
    // A MiB in vain costs 8 ms.
    config.ms_per_wasted_gib = 8.0 * 1_024.0;
    Adaptive::new(config)
}

fn mean(phase: Phase, setting: Setting) -> f64 {
    let (judge, mut state) = (adaptive(), 99);
    (0..40).map(|_| judge.value_ms(&window(phase, setting, &mut state))).sum::<f64>() / 40.0
}

#[test]
fn each_phase_ends_within_ten_per_cent_of_its_best_fixed_setting() {
    for seed in [1, 2, 3] {
        let (mut adaptive, mut state) = (adaptive(), seed);
        for phase in PHASES {
            let mut last = Vec::new();
            for number in 0..WINDOWS {
                let setting = adaptive.setting();
                if number >= WINDOWS - 40 {
                    last.push(mean(phase, setting));
                }
                adaptive.learn(&window(phase, setting, &mut state));
            }
            let found = last.iter().sum::<f64>() / last.len() as f64;
            let best = adaptive.settings().map(|setting| mean(phase, setting)).fold(f64::MIN, f64::max);
            assert!(found >= 0.9 * best, "seed {seed}, {phase:?}: {found:.0} of {best:.0}, {:?}", adaptive.stats());
        }
        let stats = adaptive.stats();
        assert!(stats.changes >= 2 && stats.windows == WINDOWS * 4, "{stats:?}");
    }
}

#[test]
fn it_stays_within_its_bounds_and_equal_evidence_gives_equal_choices() {
    let (mut a, mut b) = (adaptive(), adaptive());
    let bounds = AdaptiveConfig::below(1_024.0 * MIB);
    let mut state = 7;
    for _ in 0..500 {
        let evidence = Evidence {
            used: (chance(&mut state) * 100.0) as u64,
            wasted: (chance(&mut state) * 100.0) as u64,
            late: (chance(&mut state) * 100.0) as u64,
            evicted: (chance(&mut state) * 100.0) as u64,
            saved_ms: chance(&mut state) * 1e4,
            wasted_bytes: (chance(&mut state) * 1e9) as u64,
        };
        let setting = a.learn(&evidence);
        assert_eq!(setting, b.learn(&evidence));
        assert!((bounds.min_probability[0]..=bounds.min_probability[1]).contains(&setting.min_probability));
        assert!((bounds.bytes_per_second[0]..=bounds.bytes_per_second[1]).contains(&setting.bytes_per_second));
    }
}
