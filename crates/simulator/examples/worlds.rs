//! What `auto` recovers after a restart in made-up worlds that nothing was tuned for: `worlds [SEEDS]` (3 unless told otherwise).
//!
//! Each line is one world and seed: the mean over ten cells (budgets 1 to 25 %, horizons of 1 and 5 minutes, 41 moments) of the best
//! fixed formula of each cell, chosen in hindsight, and of `auto`; and how far `auto` is below in its worst cell.

use prefix_indexer_analytics::policies::{self, AUTO, REPLAY_HALF_LIVES_MS};
use prefix_indexer_models::{EventBatch, Ladder, PrefixEvent};
use prefix_indexer_simulator::{Trace, TraceBuilder, rankers, scenarios::restart};

const SPAN_MS: f64 = 3_600_000.0;

/// Numbers that look random (Steele, Lea, Flood: SplitMix, 2014).
struct Random(u64);

impl Random {
    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.unit() * bound as f64) as u64
    }

    /// A time to wait without memory.
    fn wait(&mut self, mean_ms: f64) -> f64 {
        -mean_ms * (1.0 - self.unit()).ln()
    }

    /// A place from 0 to below `count`, the first ones often: Zipf with exponent 1, near enough.
    fn popular(&mut self, count: u64) -> u64 {
        ((count as f64 + 1.0).powf(self.unit()) - 1.0) as u64
    }
}

/// A request: when, and which chain it goes down how far. Chains with the same root share so many blocks.
struct Request {
    at_ms: f64,
    tenant: u64,
    chain: u64,
    blocks: u64,
}

/// Blocks of the system prompt that chains begin with, and how many prompts a tenant has.
const SHARED: u64 = 3;
const PROMPTS: u64 = 8;

type World = fn(&mut Random, u64) -> Vec<Request>;

const WORLDS: &[(&str, World)] = &[
    ("Zipf, without time", zipf),
    ("Zipf, the hot ones drift", drift),
    ("conversations", conversations),
    ("periodic jobs", jobs),
    ("bursts of one prompt", bursts),
    ("mostly used once", once),
    ("tenants of all kinds", tenants),
];

fn zipf(random: &mut Random, tenant: u64) -> Vec<Request> {
    let at = |random: &mut Random| random.unit() * SPAN_MS;
    (0..12_000).map(|_| Request { at_ms: at(random), tenant, chain: random.popular(8_000), blocks: 8 }).collect()
}

fn drift(random: &mut Random, tenant: u64) -> Vec<Request> {
    let request = |random: &mut Random| {
        let at_ms = random.unit() * SPAN_MS;
        // Every ten minutes half of the order is another one.
        let epoch = (at_ms / 600_000.0) as u64;
        let chain = random.popular(4_000);
        let chain = if random.unit() < 0.5 { chain } else { 10_000 * (1 + epoch) + chain };
        Request { at_ms, tenant, chain, blocks: 8 }
    };
    (0..12_000).map(|_| request(random)).collect()
}

fn conversations(random: &mut Random, tenant: u64) -> Vec<Request> {
    let mut requests = Vec::new();
    for chain in 0..2_500 {
        let mut at_ms = random.unit() * SPAN_MS;
        let mut blocks = SHARED + 1 + random.below(6);
        let pace_ms = 10_000.0 * 20.0_f64.powf(random.unit());
        while at_ms < SPAN_MS {
            requests.push(Request { at_ms, tenant, chain, blocks });
            if random.unit() < 0.2 {
                break;
            }
            at_ms += 3_000.0 + random.wait(pace_ms);
            blocks += 1 + random.below(3);
        }
    }
    requests
}

/// Every 2 to 20 minutes, give or take a tenth, with three in ten runs missing; and single questions in between.
fn jobs(random: &mut Random, tenant: u64) -> Vec<Request> {
    let mut requests = Vec::new();
    for chain in 0..600 {
        let period_ms = 120_000.0 * 10.0_f64.powf(random.unit());
        let mut due_ms = random.unit() * period_ms;
        while due_ms < SPAN_MS {
            if random.unit() < 0.7 {
                let at_ms = (due_ms + period_ms * 0.2 * (random.unit() - 0.5)).max(0.0);
                requests.push(Request { at_ms, tenant, chain, blocks: 8 });
            }
            due_ms += period_ms;
        }
    }
    requests.extend((0..3_000).map(|number| Request {
        at_ms: random.unit() * SPAN_MS,
        tenant,
        chain: 10_000 + number,
        blocks: 6,
    }));
    requests
}

/// A prompt is sent 2 to 40 times within a minute or so, and never again.
fn bursts(random: &mut Random, tenant: u64) -> Vec<Request> {
    let mut requests = Vec::new();
    for chain in 0..900 {
        let mut at_ms = random.unit() * SPAN_MS;
        for _ in 0..2 + random.below(39) {
            requests.push(Request { at_ms, tenant, chain, blocks: 10 });
            at_ms += random.wait(4_000.0);
        }
    }
    requests
}

/// Nine in ten requests are never seen again.
fn once(random: &mut Random, tenant: u64) -> Vec<Request> {
    let mut requests = conversations(random, tenant);
    requests.retain(|request| request.chain < 350);
    let single = |number: u64, random: &mut Random| Request {
        at_ms: random.unit() * SPAN_MS,
        tenant,
        chain: 10_000 + number,
        blocks: 8,
    };
    requests.extend((0..10_000).map(|number| single(number, random)));
    requests
}

fn tenants(random: &mut Random, _: u64) -> Vec<Request> {
    let kinds: [World; 5] = [zipf, conversations, jobs, bursts, once];
    let mut requests = Vec::new();
    for (tenant, world) in kinds.into_iter().enumerate() {
        // A third of each.
        requests.extend(world(random, tenant as u64).into_iter().filter(|request| request.chain % 3 == 0));
    }
    requests
}

fn trace(mut requests: Vec<Request>) -> Result<Trace, Box<dyn std::error::Error>> {
    requests.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
    let mut builder = TraceBuilder::new();
    for (number, Request { at_ms, tenant, chain, blocks }) in requests.into_iter().enumerate() {
        let name = |depth: u64| match depth < SHARED {
            true => format!("{tenant}-prompt-{}-{depth}", chain % PROMPTS),
            false => format!("{tenant}-{chain}-{depth}"),
        };
        let event = |depth: u64| PrefixEvent {
            prefix_id: name(depth),
            parent_id: depth.checked_sub(1).map(name),
            tenant: tenant.to_string(),
            model_id: "m".to_owned(),
            session_id: Some(number.to_string()),
            bytes: 1 << 20,
            depth: Some(depth as u32),
            timestamp_ms: at_ms as u64,
            ..PrefixEvent::default()
        };
        builder.push(&(0..blocks).map(event).collect::<EventBatch>())?;
    }
    Ok(builder.finish())
}

#[expect(clippy::print_stdout, reason = "an example talks to people")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seeds = std::env::args().nth(1).map_or(Ok(3), |seeds| seeds.parse())?;
    let ladder = Ladder::new(&REPLAY_HALF_LIVES_MS)?;
    println!("{:28}{:>8}{:>8}{:>8}{:>8}{:>12}", "world", "uses", "blocks", "best", "auto", "worst cell");
    for (name, world) in WORLDS {
        for seed in 1..=seeds {
            let trace = trace(world(&mut Random(seed), 0))?;
            let mut rankers = rankers(&policies::names(&ladder), &ladder)?;
            let report = restart::run(&trace, &restart::Options::default(), &mut rankers, |_, _| ())?;
            let of = |policy: &str| report.summary.iter().find(|summary| summary.policy == policy);
            let percent = |share: Option<f64>| share.unwrap_or(f64::NAN) * 100.0;
            let best = percent(of(restart::BEST).and_then(|summary| summary.recovered));
            let auto = percent(of(AUTO).and_then(|summary| summary.recovered));
            let worst = percent(of(AUTO).and_then(|summary| summary.worst_gap));
            let (uses, blocks) = (trace.references().len(), trace.unique_blocks());
            println!("{name:28}{uses:8}{blocks:8}{best:8.1}{auto:8.1}{:+12.1}", -worst);
        }
    }
    Ok(())
}
