//! A cycle: which blocks come next, which of them are there, the others fetched, and what became of those before.

use super::BlockPrefetcherParts;
use crate::{
    AdaptiveStats, Ask, BlockExtent, BlockName, Cancel, Candidate, Candidates, FetchCtx, Outcome, PrefetchConfig,
    PrefetchError, PrefetchRequest, Setting, Shadow,
    control::{Control, FEEDBACK_HORIZON_MS},
    cycle::{Cycle, CycleOutcome, CyclePlan},
    known::Known,
    meter::PrefetchTotals,
    mover::Move,
    roster::Roster,
    shadow::DEFAULT_HORIZON_MS,
};
use prefix_indexer_analytics::{NextLimits, Presence};
use prefix_indexer_models::PrefixKey;
use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How long a block that could not be fetched is left alone.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// Candidates looked at beyond those wanted when many turn out to be there.
const MOST_ASKED: usize = 16_384;
/// Uses looked at a cycle where they are matched.
const MOST_USES: usize = 100_000;

pub(crate) struct Core {
    pub(super) config: PrefetchConfig,
    pub(super) parts: BlockPrefetcherParts,
    known: Mutex<Known>,
    /// What was fetched, or would have been, matched against uses.
    shadow: Mutex<Shadow>,
    /// Blocks that were used: whoever did has them since, here or elsewhere.
    used: Mutex<Known>,
    /// Blocks that were fetched, to be seen whether they stay until they are used.
    roster: Mutex<Roster>,
    /// Blocks that were to be fetched and were there.
    resident: AtomicU64,
    /// Blocks of the cycle that have not begun.
    queued: AtomicU64,
    control: Option<Mutex<Control>>,
    /// The newest use that has been matched.
    seen_ms: AtomicU64,
    /// Bits of the score below which nothing is fetched; the controller moves it.
    min_score: AtomicU64,
    pub(super) cancel: Cancel,
}

impl Core {
    pub(super) fn new(config: PrefetchConfig, parts: BlockPrefetcherParts) -> Core {
        let now_ms = parts.clock.now_ms();
        let is_controlled = config.adaptive && !config.dry_run;
        let core = Core {
            seen_ms: AtomicU64::new(now_ms),
            known: Mutex::default(),
            used: Mutex::default(),
            roster: Mutex::default(),
            resident: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            shadow: Mutex::new(Shadow::new(if is_controlled { FEEDBACK_HORIZON_MS } else { DEFAULT_HORIZON_MS })),
            control: is_controlled.then(|| Mutex::new(Control::new(&config, now_ms))),
            min_score: AtomicU64::new(config.min_score.to_bits()),
            cancel: Cancel::new(),
            config,
            parts,
        };
        if let Some(control) = &core.control {
            core.apply(lock(control).setting());
        }
        core
    }

    pub(super) fn cycle(&self) -> Cycle {
        let (began, now_ms) = (Instant::now(), self.parts.clock.now_ms());
        let mut cycle = Cycle { now_ms, dry_run: self.config.dry_run, ..Cycle::default() };
        if let Err(error) = self.run(&mut cycle, began) {
            cycle.outcome.ended_by = Some(error);
        }
        cycle.outcome.scored = cycle.plan.scored;
        cycle.outcome.selected = cycle.plan.selected.len();
        cycle.outcome.elapsed = began.elapsed();
        cycle.trace();
        if let Some(tell) = &self.parts.on_cycle {
            tell(&cycle);
        }
        cycle
    }

    fn run(&self, cycle: &mut Cycle, began: Instant) -> Result<(), PrefetchError> {
        let now_ms = cycle.now_ms;
        self.match_uses(now_ms)?;
        self.look_after()?;
        if let Some(control) = &self.control
            && let Some(setting) =
                lock(control).turn(lock(&self.shadow).report(), || self.parts.source.reported(), now_ms)?
        {
            self.apply(setting);
        }
        let (plan, resident) = self.select(now_ms)?;
        cycle.plan = CyclePlan { elapsed: began.elapsed(), ..plan };
        cycle.outcome.resident = resident;
        if self.config.dry_run {
            self.pretend(&cycle.plan.selected, now_ms);
            return Ok(());
        }
        self.fetch(&cycle.plan.selected, now_ms, &mut cycle.outcome)
    }

    /// The next blocks that are not there, and how many rows were.
    ///
    /// What is remembered spares most questions; the destination is asked about the rest, and when it has some, the ranking is gone down
    /// once more, further each time.
    fn select(&self, now_ms: u64) -> Result<(CyclePlan, usize), PrefetchError> {
        let mut wanted = self.config.top_k;
        loop {
            let candidates = self.candidates(wanted, now_ms)?;
            let Candidates { chosen, scored, resident, .. } = candidates;
            let asked = chosen.len();
            let mut absent = Vec::with_capacity(asked.min(self.config.top_k));
            let keys = chosen.iter().map(|candidate| self.key_of(candidate)).collect::<Result<Vec<_>, _>>()?;
            let held = self.holds(&keys.iter().map(String::as_str).collect::<Vec<_>>())?;
            let mut found = 0;
            {
                let mut known = lock(&self.known);
                for ((candidate, key), is_held) in chosen.into_iter().zip(keys).zip(held) {
                    if is_held {
                        found += 1;
                        known.saw(candidate.key, Presence::Resident, now_ms, self.recheck_ms());
                    } else {
                        absent.push((candidate, key));
                    }
                }
            }
            self.resident.fetch_add(found as u64, Relaxed);
            let is_settled = found == 0 || absent.len() >= self.config.top_k || asked < wanted || wanted >= MOST_ASKED;
            if is_settled {
                absent.truncate(self.config.top_k);
                // Prefixes that share an object are one fetch.
                let mut seen = HashSet::new();
                absent.retain(|(_, key)| seen.insert(key.clone()));
                let plan = CyclePlan { scored, selected: absent, elapsed: Duration::ZERO };
                return Ok((plan, resident + found));
            }
            wanted = (wanted * 4).min(MOST_ASKED);
        }
    }

    fn candidates(&self, wanted: usize, now_ms: u64) -> Result<Candidates, PrefetchError> {
        let known = lock(&self.known);
        let ask = Ask {
            policy: &self.config.policy,
            active_model: self.config.active_model.as_deref(),
            now_ms,
            horizon_ms: self.config.horizon.as_millis() as u64,
            limits: NextLimits { wanted, scan_limit: self.config.scan_limit },
            min_score: f64::from_bits(self.min_score.load(Relaxed)),
        };
        self.parts.source.next(&ask, &|key: &PrefixKey| known.presence(key, now_ms))
    }

    fn holds(&self, keys: &[&str]) -> Result<Vec<bool>, PrefetchError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + self.config.fetch.deadline;
        let ctx = FetchCtx { deadline, cancel: self.cancel.clone() };
        let mut held = self.parts.destination.holds(keys, &ctx)?;
        // A destination that answers too little does not have the rest.
        held.resize(keys.len(), false);
        Ok(held)
    }

    fn key_of(&self, candidate: &Candidate) -> Result<String, PrefetchError> {
        let block = &candidate.block;
        let extent = BlockExtent { layer: block.layer_min, page_start: block.page_start, page_end: block.page_end };
        self.parts.keys.render(&BlockName {
            tenant: &block.tenant,
            model_id: &block.model_id,
            prefix_id: &block.prefix_id,
            extent: Some(extent),
        })
    }

    fn fetch(
        &self,
        selected: &[(Candidate, String)],
        now_ms: u64,
        outcome: &mut CycleOutcome,
    ) -> Result<(), PrefetchError> {
        self.queued.store(selected.len() as u64, Relaxed);
        let request = |place: usize| {
            self.queued.fetch_sub(1, Relaxed);
            let (candidate, key) = &selected[place];
            PrefetchRequest::for_block(key, now_ms)
                // As far as a score is a probability it is one; what is used more than once is sure to be wanted.
                .with_prediction(&self.config.policy, candidate.block.score)
                .with_expected_bytes(candidate.block.footprint_bytes)
        };
        let enough = AtomicBool::new(false);
        let moves = Move {
            attempts: &self.parts.attempts,
            threads: self.config.workers,
            cancel: &self.cancel,
            enough: &enough,
            deadline: None,
        };
        let done = |place: usize, ended: Outcome| {
            let (candidate, key) = &selected[place];
            let mut known = lock(&self.known);
            match ended {
                Outcome::Fetched { bytes } => {
                    outcome.fetched += 1;
                    outcome.bytes += bytes;
                    lock(&self.shadow).plan(candidate.key, bytes, now_ms);
                    lock(&self.roster).add(candidate.key, key.as_str().into());
                    known.saw(candidate.key, Presence::Resident, now_ms, self.recheck_ms());
                }
                Outcome::Resident => {
                    outcome.resident += 1;
                    known.saw(candidate.key, Presence::Resident, now_ms, self.recheck_ms());
                }
                Outcome::Missing => {
                    outcome.missing += 1;
                    known.saw(candidate.key, Presence::Gone, now_ms, self.recheck_ms());
                }
                Outcome::Failed(error) => {
                    outcome.failed += 1;
                    known.saw(candidate.key, Presence::Gone, now_ms, AFTER_FAILURE.as_millis() as u64);
                    tracing::debug!(key, %error, "block not prefetched");
                    if matches!(error, PrefetchError::TimedOut(_)) {
                        // One that takes so long is not the only one: the next cycle looks again.
                        enough.store(true, Relaxed);
                        outcome.ended_by = Some(error);
                    }
                }
                Outcome::Cancelled => outcome.cancelled += 1,
                Outcome::Expired => outcome.expired += 1,
            }
        };
        let ended = moves.run(selected.len(), request, done).map(drop);
        // Whatever was not begun will not be.
        self.queued.store(0, Relaxed);
        ended
    }

    /// Looks whether what was fetched is still there, a part of it each cycle: what has left before anything used it was evicted.
    fn look_after(&self) -> Result<(), PrefetchError> {
        let due = {
            let shadow = lock(&self.shadow);
            lock(&self.roster).take(self.config.interval, |key| shadow.is_waiting(key))
        };
        let keys: Vec<&str> = due.iter().map(|(_, lies_under)| &**lies_under).collect();
        let held = self.holds(&keys);
        let (mut shadow, mut known, mut roster) = (lock(&self.shadow), lock(&self.known), lock(&self.roster));
        // Of what nobody can say, nothing is said.
        let all = vec![true; due.len()];
        for ((key, lies_under), is_held) in due.into_iter().zip(held.as_ref().unwrap_or(&all)) {
            if *is_held {
                roster.add(key, lies_under);
            } else if shadow.evicted(&key) {
                // It may be fetched again.
                known.forget(&key);
            }
        }
        held.map(drop)
    }

    pub(crate) fn totals(&self) -> PrefetchTotals {
        let fetches = self.parts.attempts.stats();
        PrefetchTotals {
            resident: self.resident.load(Relaxed) + fetches.skipped_resident,
            fetches,
            blocks: lock(&self.shadow).report(),
            queued: self.queued.load(Relaxed),
            adaptive: self.adaptive(),
        }
    }

    pub(super) fn adaptive(&self) -> Option<AdaptiveStats> {
        self.control.as_ref().map(|control| lock(control).stats())
    }

    pub(super) fn set_min_score(&self, min_score: f64) {
        self.min_score.store(min_score.to_bits(), Relaxed);
    }

    fn apply(&self, setting: Setting) {
        self.set_min_score(setting.min_probability);
        // Without a limit of bytes there is none to move.
        self.parts.attempts.limits().set_bytes_per_second(setting.bytes_per_second);
    }

    /// Shadow mode: what would have been fetched is taken to be there.
    fn pretend(&self, selected: &[(Candidate, String)], now_ms: u64) {
        let (mut shadow, mut known) = (lock(&self.shadow), lock(&self.known));
        for (candidate, _) in selected {
            shadow.plan(candidate.key, candidate.block.footprint_bytes, now_ms);
            known.saw(candidate.key, Presence::Resident, now_ms, DEFAULT_HORIZON_MS);
        }
    }

    /// Which blocks were used since the last cycle.
    fn match_uses(&self, now_ms: u64) -> Result<(), PrefetchError> {
        let since_ms = self.seen_ms.load(Relaxed);
        let uses = self.parts.source.used_since(since_ms, MOST_USES)?;
        let (mut shadow, mut known, mut used) = (lock(&self.shadow), lock(&self.known), lock(&self.used));
        for block in &uses {
            let is_there = |known: &Known| known.presence(&block.key, now_ms) == Presence::Resident;
            // A block that was never there before cannot be loaded ahead.
            if block.first_ms <= since_ms {
                shadow.used(block, is_there(&known) || is_there(&used));
            }
            used.saw(block.key, Presence::Resident, now_ms, self.recheck_ms());
            if self.config.dry_run {
                // Whoever used it has loaded it, so it would not be fetched.
                known.saw(block.key, Presence::Resident, now_ms, self.recheck_ms());
            }
            self.seen_ms.fetch_max(block.at_ms, Relaxed);
        }
        shadow.settle(now_ms.max(self.seen_ms.load(Relaxed)));
        Ok(())
    }

    fn recheck_ms(&self) -> u64 {
        self.config.recheck.as_millis() as u64
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
