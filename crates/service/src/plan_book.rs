//! Plans that were handed out, and what became of what they planned.
//!
//! Feedback closes by itself: the events that follow are matched against the open plans. An entry that is used between the plan's
//! moment and the end of its horizon was worth loading; when an event at or behind that end comes, what was not used is wasted. Time is
//! that of events, so a plan for an old trace is judged by that trace. A loader that knows better, such as that a block came too late
//! or had to leave early, reports it, and its word replaces what was found.
//!
//! The book is bounded: the oldest plans leave it first. Counts by policy stay.

use crate::{FeedbackLedger, FeedbackReport, Outcome, OutcomeCount, ServiceError};
use prefix_indexer_models::{EventBatch, KeyPolicy, Plan, PrefixKey};
use prefix_indexer_storage::{IndexStore, View};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Name and format version of the book among an index's side files.
const SIDE_FILE: (&str, u32) = ("plans", 1);

/// Plans that are kept.
const KEPT_PLANS: usize = 256;

/// Entries that all kept plans have together; the newest plan is kept however long it is.
const KEPT_ENTRIES: usize = 100_000;

/// Plans, newest last, and the outcomes of all plans ever by policy.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PlanBook {
    plans: VecDeque<Followed>,
    policies: BTreeMap<String, BTreeMap<Outcome, OutcomeCount>>,
    newest_ms: u64,
    /// Entries of open plans that wait for a use, by prefix: the number of the plan, and the place in it.
    #[serde(skip)]
    waiting: HashMap<PrefixKey, Vec<(u64, u32)>>,
    /// Number of the first plan in `plans`.
    #[serde(skip)]
    first: u64,
    /// Counts up with every change.
    #[serde(skip)]
    version: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Followed {
    plan_id: String,
    /// Whose prefixes it was made of; none for all.
    tenant: Option<String>,
    policy: String,
    now_ms: u64,
    end_ms: u64,
    open: bool,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    prefix_id: String,
    tenant: String,
    model_id: String,
    bytes: u64,
    /// What a use of it saves, where the index knows.
    saves_ms: f64,
    outcome: Option<Outcome>,
}

/// How a plan did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanOutcome {
    /// Which plan.
    pub plan_id: String,
    /// The policy that chose.
    pub policy: String,
    /// The moment that it was made for.
    pub now_ms: u64,
    /// When its horizon ends.
    pub end_ms: u64,
    /// Whether uses still count: no event at or behind the end has come.
    pub open: bool,
    /// Entries planned.
    pub planned: u64,
    /// Bytes planned.
    pub planned_bytes: u64,
    /// Entries by what became of them; those still waiting are in none.
    pub outcomes: BTreeMap<Outcome, OutcomeCount>,
    /// Share used in time of those whose outcome is known; none before the first.
    pub precision: Option<f64>,
    /// Milliseconds that uses saved.
    pub saved_ms: f64,
    /// Bytes moved for nothing: wasted, late or evicted.
    pub wasted_bytes: u64,
}

impl Entry {
    fn key(&self) -> PrefixKey {
        key(&self.tenant, &self.model_id, &self.prefix_id)
    }

    fn count(&self, outcome: Outcome) -> OutcomeCount {
        let saved_ms = if outcome == Outcome::Used { self.saves_ms } else { 0.0 };
        OutcomeCount { prefixes: 1, bytes: self.bytes, saved_ms }
    }
}

/// A plan speaks of prefixes, whatever bands an index keeps.
fn key(tenant: &str, model_id: &str, prefix_id: &str) -> PrefixKey {
    PrefixKey::new(KeyPolicy::default(), tenant, model_id, prefix_id, 0, 0)
}

impl PlanBook {
    /// Follows a plan that was made for a tenant, or for all. `view` says what uses save. One that is followed already is not
    /// followed twice.
    pub fn add(&mut self, plan: &Plan, tenant: Option<&str>, view: &View) {
        let known = |followed: &Followed| followed.plan_id == plan.plan_id && followed.tenant.as_deref() == tenant;
        if self.plans.iter().any(known) {
            return;
        }
        let entries = plan.entries.iter().map(|entry| {
            let key = PrefixKey::new(view.spec().key_policy, &entry.tenant, &entry.model_id, &entry.prefix_id, 0, 0);
            let row = view.get(&key).ok().flatten();
            Entry {
                prefix_id: entry.prefix_id.to_string(),
                tenant: entry.tenant.to_string(),
                model_id: entry.model_id.to_string(),
                bytes: entry.bytes,
                saves_ms: row.map_or(0.0, |row| row.tally().avg_latency_ms()),
                outcome: None,
            }
        });
        let end_ms = plan.now_ms.saturating_add(plan.horizon_ms);
        self.plans.push_back(Followed {
            plan_id: plan.plan_id.clone(),
            tenant: tenant.map(str::to_owned),
            policy: plan.policy.clone(),
            now_ms: plan.now_ms,
            end_ms,
            open: end_ms > self.newest_ms,
            entries: entries.collect(),
        });
        let number = self.first + self.plans.len() as u64 - 1;
        self.wait_for(number);
        self.forget_oldest();
        self.version += 1;
    }

    /// Puts the entries of an open plan among those that wait.
    fn wait_for(&mut self, number: u64) {
        let Some(plan) = self.plans.get((number - self.first) as usize).filter(|plan| plan.open) else { return };
        for (place, entry) in plan.entries.iter().enumerate().filter(|(_, entry)| entry.outcome.is_none()) {
            self.waiting.entry(entry.key()).or_default().push((number, place as u32));
        }
    }

    fn forget_oldest(&mut self) {
        let mut entries: usize = self.plans.iter().map(|plan| plan.entries.len()).sum();
        while self.plans.len() > 1 && (self.plans.len() > KEPT_PLANS || entries > KEPT_ENTRIES) {
            let Some(gone) = self.plans.pop_front() else { return };
            entries -= gone.entries.len();
            let number = self.first;
            self.first += 1;
            for key in gone.entries.iter().map(Entry::key) {
                self.stop_waiting(&key, |(plan, _)| *plan == number);
            }
        }
    }

    fn stop_waiting(&mut self, key: &PrefixKey, done: impl Fn(&(u64, u32)) -> bool) {
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.retain(|place| !done(place));
            if waiting.is_empty() {
                self.waiting.remove(key);
            }
        }
    }

    /// Matches events that are being counted, and tells `ledger` what became of entries. An event costs a digest while a plan is
    /// open, and nothing otherwise.
    pub fn observe(&mut self, events: &EventBatch, ledger: &mut FeedbackLedger) {
        let newest_ms = events.timestamps_ms().iter().copied().max().unwrap_or(0);
        if !self.waiting.is_empty() {
            for event in events.iter() {
                let key = key(event.tenant, event.model_id, event.prefix_id);
                let Some(places) = self.waiting.get(&key) else { continue };
                for (number, place) in places.clone() {
                    let plan = self.plans.get((number - self.first) as usize);
                    if plan.is_some_and(|plan| (plan.now_ms..plan.end_ms).contains(&event.timestamp_ms)) {
                        self.settle(number, place, Outcome::Used, ledger);
                    }
                }
            }
        }
        if newest_ms > self.newest_ms {
            self.newest_ms = newest_ms;
            self.close(ledger);
        }
    }

    /// Closes the plans whose horizon has ended: what was not used was planned in vain.
    fn close(&mut self, ledger: &mut FeedbackLedger) {
        for index in 0..self.plans.len() {
            let Some(plan) = self.plans.get_mut(index) else { return };
            if plan.open && plan.end_ms <= self.newest_ms {
                plan.open = false;
                let places = plan.entries.len() as u32;
                for place in 0..places {
                    self.settle(self.first + index as u64, place, Outcome::Wasted, ledger);
                }
            }
        }
    }

    /// Gives an entry that has none its outcome.
    fn settle(&mut self, number: u64, place: u32, outcome: Outcome, ledger: &mut FeedbackLedger) {
        let Some(plan) = self.plans.get_mut((number - self.first) as usize) else { return };
        let Some(entry) = plan.entries.get_mut(place as usize).filter(|entry| entry.outcome.is_none()) else { return };
        entry.outcome = Some(outcome);
        let count = entry.count(outcome);
        self.policies.entry(plan.policy.clone()).or_default().entry(outcome).or_default().add(&count);
        ledger.add(FeedbackReport {
            prefix_id: entry.prefix_id.clone(),
            tenant: entry.tenant.clone(),
            model_id: entry.model_id.clone(),
            outcome,
            plan_id: Some(plan.plan_id.clone()),
            bytes: count.bytes,
            saved_ms: count.saved_ms,
            timestamp_ms: Some(self.newest_ms),
        });
        let key = entry.key();
        self.stop_waiting(&key, |waiting| *waiting == (number, place));
        self.version += 1;
    }

    /// Takes a loader's report. Where it names a plan's entry, that has its outcome from now on, and is counted once.
    pub fn report(&mut self, report: FeedbackReport, ledger: &mut FeedbackLedger) {
        let same = |entry: &Entry| {
            entry.prefix_id == report.prefix_id && entry.tenant == report.tenant && entry.model_id == report.model_id
        };
        let plans = self.plans.iter().enumerate().rev();
        let mut named = plans.filter(|(_, plan)| Some(&plan.plan_id) == report.plan_id.as_ref());
        let found = named.find_map(|(index, plan)| Some((index, plan.entries.iter().position(same)?)));
        let Some((index, place)) = found else {
            self.version += 1;
            return ledger.add(report);
        };
        let number = self.first + index as u64;
        let Some(plan) = self.plans.get_mut(index) else { return };
        let Some(entry) = plan.entries.get_mut(place) else { return };
        let before = entry.outcome.replace(report.outcome);
        let counts = self.policies.entry(plan.policy.clone()).or_default();
        if let Some(before) = before {
            let count = entry.count(before);
            counts.entry(before).or_default().remove(&count);
            ledger.take_back(&entry.tenant, before, &count);
        }
        entry.bytes = report.bytes.max(entry.bytes);
        if report.outcome == Outcome::Used && report.saved_ms > 0.0 {
            entry.saves_ms = report.saved_ms;
        }
        let count = entry.count(report.outcome);
        counts.entry(report.outcome).or_default().add(&count);
        let key = entry.key();
        ledger.add(FeedbackReport { bytes: count.bytes, saved_ms: count.saved_ms, ..report });
        self.stop_waiting(&key, |waiting| *waiting == (number, place as u32));
        self.version += 1;
    }

    /// How a plan did, if it is kept and `visible` allows whose it is.
    pub fn outcome(&self, plan_id: &str, visible: impl Fn(Option<&str>) -> bool) -> Option<PlanOutcome> {
        let mut plans = self.plans.iter().rev();
        let plan = plans.find(|plan| plan.plan_id == plan_id && visible(plan.tenant.as_deref()))?;
        let mut outcomes: BTreeMap<Outcome, OutcomeCount> = BTreeMap::new();
        for entry in &plan.entries {
            if let Some(outcome) = entry.outcome {
                outcomes.entry(outcome).or_default().add(&entry.count(outcome));
            }
        }
        let wasted = outcomes.iter().filter(|(outcome, _)| **outcome != Outcome::Used);
        Some(PlanOutcome {
            plan_id: plan.plan_id.clone(),
            policy: plan.policy.clone(),
            now_ms: plan.now_ms,
            end_ms: plan.end_ms,
            open: plan.open,
            planned: plan.entries.len() as u64,
            planned_bytes: plan.entries.iter().map(|entry| entry.bytes).fold(0, u64::saturating_add),
            precision: crate::feedback::precision(&outcomes),
            saved_ms: outcomes.get(&Outcome::Used).map_or(0.0, |used| used.saved_ms),
            wasted_bytes: wasted.map(|(_, count)| count.bytes).fold(0, u64::saturating_add),
            outcomes,
        })
    }

    /// Outcomes by policy, of all plans that were ever followed.
    pub fn policies(&self) -> &BTreeMap<String, BTreeMap<Outcome, OutcomeCount>> {
        &self.policies
    }

    /// Counts up with every change that [`save`](Self::save) would keep.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The book kept with an index; an empty one where there is none.
    ///
    /// # Errors
    /// When the side file is damaged or of another version.
    pub fn load(store: &dyn IndexStore) -> Result<PlanBook, ServiceError> {
        let damaged = |reason| ServiceError::SideFile { name: SIDE_FILE.0, reason };
        let mut book: PlanBook = match store.side(SIDE_FILE.0)? {
            None => PlanBook::default(),
            Some((version, bytes)) if version == SIDE_FILE.1 => {
                serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?
            }
            Some((version, _)) => {
                return Err(damaged(format!("version {version}; this program reads {}", SIDE_FILE.1)));
            }
        };
        (0..book.plans.len() as u64).for_each(|number| book.wait_for(number));
        Ok(book)
    }

    /// Keeps the book with an index, durable with its next flush.
    ///
    /// # Errors
    /// Those of writing the side file.
    pub fn save(&self, store: &mut dyn IndexStore) -> Result<(), ServiceError> {
        let reason = |error: serde_json::Error| ServiceError::SideFile { name: SIDE_FILE.0, reason: error.to_string() };
        Ok(store.put_side(SIDE_FILE.0, SIDE_FILE.1, &serde_json::to_vec(self).map_err(reason)?)?)
    }

    /// Removes what is kept of a tenant or model.
    pub(crate) fn forget(&mut self, tenant: Option<&str>, model_id: Option<&str>) {
        let gone = |entry: &Entry| {
            tenant.is_none_or(|tenant| tenant == entry.tenant) && model_id.is_none_or(|model| model == entry.model_id)
        };
        self.plans.iter_mut().for_each(|plan| plan.entries.retain(|entry| !gone(entry)));
        if model_id.is_none() {
            self.plans.retain(|plan| plan.tenant.is_none() || plan.tenant.as_deref() != tenant);
        }
        self.waiting.clear();
        (self.first..self.first + self.plans.len() as u64).for_each(|number| self.wait_for(number));
        self.version += 1;
    }
}
