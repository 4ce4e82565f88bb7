//! Plans that were handed out, and what became of what they planned.
//!
//! Feedback closes by itself: the events that follow are matched against the open plans. An entry that is used between the plan's
//! moment and the end of its horizon was worth loading; when an event at or behind that end comes, what was not used is wasted. Time is
//! that of events, so a plan for an old trace is judged by that trace. A loader that knows better, such as that a block came too late
//! or had to leave early, reports it, and its word replaces what was found.
//!
//! A plan whose horizon has ended becomes [`Experience`], which later plans are made with. The book is bounded: the oldest plans
//! leave it first. Counts and experience stay.

mod followed;

pub use followed::PlanOutcome;

use crate::{Experience, FeedbackLedger, FeedbackReport, Outcome, OutcomeCount, PlanQuery, ServiceError, habits};
use followed::{Entry, Followed, came};
use prefix_indexer_models::{EventBatch, Plan, PrefixKey};
use prefix_indexer_storage::{IndexReader, IndexStore};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::RangeInclusive,
};

/// Name and format version of the book among an index's side files. The first version knew no probabilities: its plans teach
/// nothing.
const SIDE_FILE: (&str, RangeInclusive<u32>) = ("plans", 1..=2);
/// Likewise of the experience, which is read alone where plans are made.
const EXPERIENCE: (&str, RangeInclusive<u32>) = ("experience", 1..=1);

/// Plans that are kept.
const KEPT_PLANS: usize = 256;

/// Entries that all kept plans have together; the newest plan is kept however long it is.
const KEPT_ENTRIES: usize = 100_000;

/// Prefixes by what became of them.
pub type Outcomes = BTreeMap<Outcome, OutcomeCount>;

/// Plans, newest last, and the outcomes of all plans ever.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PlanBook {
    plans: VecDeque<Followed>,
    /// By policy asked for, then by tenant.
    #[serde(default)]
    counts: BTreeMap<String, BTreeMap<String, Outcomes>>,
    newest_ms: u64,
    #[serde(skip)]
    experience: Experience,
    /// Entries of open plans by prefix: the number of the plan, and the place in it.
    #[serde(skip)]
    watched: HashMap<PrefixKey, Vec<(u64, u32)>>,
    /// Number of the first plan in `plans`.
    #[serde(skip)]
    first: u64,
    /// Counts up with every change.
    #[serde(skip)]
    version: u64,
}

impl PlanBook {
    /// Follows a plan, which answered a question. Whether it is new: one that is followed already is not followed twice.
    pub fn add(&mut self, plan: &Plan, asked: &PlanQuery<'_>) -> bool {
        let new = Followed::new(plan, asked, self.newest_ms);
        if self.plans.iter().any(|known| known.identity() == new.identity()) {
            return false;
        }
        self.plans.push_back(new);
        self.watch(self.first + self.plans.len() as u64 - 1);
        self.forget_oldest();
        self.version += 1;
        true
    }

    fn plan(&mut self, number: u64) -> Option<&mut Followed> {
        self.plans.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Looks out for the entries of a plan, if it is open.
    fn watch(&mut self, number: u64) {
        let Some(plan) = self.plan(number).filter(|plan| plan.open) else { return };
        let keys: Vec<PrefixKey> = plan.entries.iter().map(Entry::key).collect();
        for (key, place) in keys.into_iter().zip(0..) {
            self.watched.entry(key).or_default().push((number, place));
        }
    }

    fn stop_watching(&mut self, number: u64, entries: &[PrefixKey]) {
        for key in entries {
            if let Some(places) = self.watched.get_mut(key) {
                places.retain(|(plan, _)| *plan != number);
                if places.is_empty() {
                    self.watched.remove(key);
                }
            }
        }
    }

    fn forget_oldest(&mut self) {
        let mut entries: usize = self.plans.iter().map(|plan| plan.entries.len()).sum();
        while self.plans.len() > 1 && (self.plans.len() > KEPT_PLANS || entries > KEPT_ENTRIES) {
            let Some(gone) = self.plans.pop_front() else { return };
            entries -= gone.entries.len();
            if gone.open {
                let keys: Vec<PrefixKey> = gone.entries.iter().map(Entry::key).collect();
                self.stop_watching(self.first, &keys);
            }
            self.first += 1;
        }
    }

    /// Matches events that are being counted, and tells `ledger` what became of entries. An event costs a digest while a plan is
    /// open, and nothing otherwise.
    pub fn observe(&mut self, events: &EventBatch, ledger: &mut FeedbackLedger) {
        if self.plans.iter().any(|plan| plan.open) {
            self.count_uses(events);
            for event in events.iter() {
                let key = habits::name(event.tenant, event.model_id, event.prefix_id);
                let Some(places) = self.watched.get(&key) else { continue };
                for (number, place) in places.clone() {
                    let plan = self.plan(number).filter(|plan| plan.horizon().contains(&event.timestamp_ms));
                    if let Some(plan) = plan {
                        plan.hits += 1;
                        self.settle(number, place, Outcome::Used, ledger);
                    }
                }
            }
        }
        let newest_ms = events.timestamps_ms().iter().copied().max().unwrap_or(0);
        if newest_ms > self.newest_ms {
            self.newest_ms = newest_ms;
            self.close(ledger);
        }
    }

    /// Counts the uses that each open plan could have planned for.
    fn count_uses(&mut self, events: &EventBatch) {
        let mut times: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
        for event in events.iter() {
            times.entry((event.tenant, event.model_id)).or_default().push(event.timestamp_ms);
        }
        times.values_mut().for_each(|times| times.sort_unstable());
        for plan in self.plans.iter_mut().filter(|plan| plan.open) {
            let horizon = plan.horizon();
            let asked = times.iter().filter(|((tenant, model_id), _)| plan.asks_for(tenant, model_id));
            let within = asked.map(|(_, times)| {
                let before = |end_ms| times.partition_point(|&time_ms| time_ms < end_ms);
                before(horizon.end) - before(horizon.start)
            });
            plan.uses += within.sum::<usize>() as u64;
        }
    }

    /// Closes the plans whose horizon has ended: what was not used was planned in vain.
    fn close(&mut self, ledger: &mut FeedbackLedger) {
        for number in self.first..self.first + self.plans.len() as u64 {
            let newest_ms = self.newest_ms;
            let Some(plan) = self.plan(number).filter(|plan| plan.open && plan.horizon().end <= newest_ms) else {
                continue;
            };
            plan.open = false;
            let keys: Vec<PrefixKey> = plan.entries.iter().map(Entry::key).collect();
            for place in 0..keys.len() as u32 {
                self.settle(number, place, Outcome::Wasted, ledger);
            }
            self.stop_watching(number, &keys);
            if let Some(plan) = self.plans.get((number - self.first) as usize) {
                plan.judged(|judged| self.experience.learn(judged));
            }
            self.version += 1;
        }
    }

    /// Gives an entry that has none its outcome.
    fn settle(&mut self, number: u64, place: u32, outcome: Outcome, ledger: &mut FeedbackLedger) {
        let newest_ms = self.newest_ms;
        let Some(plan) = self.plan(number) else { return };
        let Some(entry) = plan.entries.get_mut(place as usize).filter(|entry| entry.outcome.is_none()) else { return };
        entry.outcome = Some(outcome);
        let count = entry.count(outcome);
        ledger.add(FeedbackReport {
            prefix_id: entry.prefix_id.clone(),
            tenant: entry.tenant.clone(),
            model_id: entry.model_id.clone(),
            outcome,
            plan_id: Some(plan.plan_id.clone()),
            bytes: count.bytes,
            saved_ms: count.saved_ms,
            timestamp_ms: Some(newest_ms),
        });
        let (policy, tenant) = (plan.policy.clone(), entry.tenant.clone());
        self.counts.entry(policy).or_default().entry(tenant).or_default().entry(outcome).or_default().add(&count);
        self.version += 1;
    }

    /// Takes a loader's report. Where it names a plan's entry, that has its outcome from now on, and is counted once.
    pub fn report(&mut self, report: FeedbackReport, ledger: &mut FeedbackLedger) {
        self.version += 1;
        let same = |entry: &Entry| {
            entry.prefix_id == report.prefix_id && entry.tenant == report.tenant && entry.model_id == report.model_id
        };
        let mut named = self.plans.iter_mut().rev().filter(|plan| Some(&plan.plan_id) == report.plan_id.as_ref());
        let found = named.find_map(|plan| {
            let place = plan.entries.iter().position(same)?;
            Some((plan, place))
        });
        let Some((plan, place)) = found else { return ledger.add(report) };
        let Some(entry) = plan.entries.get_mut(place) else { return };
        let before = entry.outcome.replace(report.outcome);
        let counts = self.counts.entry(plan.policy.clone()).or_default().entry(entry.tenant.clone()).or_default();
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
        let after = report.outcome;
        ledger.add(FeedbackReport { bytes: count.bytes, saved_ms: count.saved_ms, ..report });
        // What an open plan teaches is learned when it ends.
        if let Some(before) = before.filter(|_| !plan.open) {
            let change = |of: fn(Outcome) -> bool| i8::from(of(after)) - i8::from(of(before));
            let (came, used) =
                (change(|outcome| came(outcome) == Some(true)), change(|outcome| outcome == Outcome::Used));
            plan.judged(|judged| self.experience.amend(judged, came, used));
        }
    }

    /// How a plan did, if it is kept and `visible` allows whose it is.
    pub fn outcome(&self, plan_id: &str, visible: impl Fn(Option<&str>) -> bool) -> Option<PlanOutcome> {
        let mut plans = self.plans.iter().rev();
        let plan = plans.find(|plan| plan.plan_id == plan_id && visible(plan.tenant.as_deref()))?;
        Some(plan.outcome())
    }

    /// Outcomes by policy asked for and tenant, of all plans that were ever followed.
    pub fn counts(&self) -> &BTreeMap<String, BTreeMap<String, Outcomes>> {
        &self.counts
    }

    /// What plans were worth, against what they had promised.
    pub fn experience(&self) -> &Experience {
        &self.experience
    }

    /// Counts up with every change that [`save`](Self::save) would keep.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Adds the plans of another index, each once, and what became of plans there, which `ledger` has been told. Plans that are open
    /// stay so until an event at or behind their end has come to either; the newest plans are kept.
    pub(crate) fn merge(&mut self, other: PlanBook, ledger: &mut FeedbackLedger) {
        for (policy, tenants) in other.counts {
            let own = self.counts.entry(policy).or_default();
            for (tenant, outcomes) in tenants {
                let own = own.entry(tenant).or_default();
                outcomes.iter().for_each(|(outcome, count)| own.entry(*outcome).or_default().add(count));
            }
        }
        self.experience.merge(other.experience);
        let known: BTreeSet<_> = self.plans.iter().map(Followed::identity).collect();
        let new: Vec<Followed> = other.plans.into_iter().filter(|plan| !known.contains(&plan.identity())).collect();
        self.plans.extend(new);
        self.plans.make_contiguous().sort_by_key(Followed::now_ms);
        self.watch_all();
        self.newest_ms = self.newest_ms.max(other.newest_ms);
        self.close(ledger);
        self.forget_oldest();
        self.version += 1;
    }

    /// The book of an index that somebody else may be writing.
    pub(crate) fn of(index: &IndexReader) -> Result<PlanBook, ServiceError> {
        PlanBook::from_sides(|name| Ok(index.side(name)?))
    }

    /// The book kept with an index; an empty one where there is none.
    ///
    /// # Errors
    /// When a side file is damaged or of another version.
    pub fn load(store: &dyn IndexStore) -> Result<PlanBook, ServiceError> {
        PlanBook::from_sides(|name| Ok(store.side(name)?))
    }

    fn from_sides(
        side: impl Fn(&str) -> Result<Option<(u32, Vec<u8>)>, ServiceError>,
    ) -> Result<PlanBook, ServiceError> {
        let mut book: PlanBook = read(&SIDE_FILE, side(SIDE_FILE.0)?)?;
        book.experience = read(&EXPERIENCE, side(EXPERIENCE.0)?)?;
        book.watch_all();
        Ok(book)
    }

    /// Looks out for the entries of all open plans, and of no others.
    fn watch_all(&mut self) {
        self.watched.clear();
        (self.first..self.first + self.plans.len() as u64).for_each(|number| self.watch(number));
    }

    /// The book and the ledger that it writes to, as bytes: for those who have the store for a moment only.
    ///
    /// # Errors
    /// When they cannot be written as JSON, which does not happen.
    pub fn written(&self, ledger: &FeedbackLedger) -> Result<Written, ServiceError> {
        Ok(Written([self.files()?.as_slice(), &[ledger.file()?]].concat()))
    }

    fn files(&self) -> Result<[SideBytes; 2], ServiceError> {
        let write = |(name, versions): &(&'static str, RangeInclusive<u32>), bytes: serde_json::Result<Vec<u8>>| {
            let bytes = bytes.map_err(|error| ServiceError::SideFile { name, reason: error.to_string() })?;
            Ok::<SideBytes, ServiceError>((*name, *versions.end(), bytes))
        };
        Ok([write(&SIDE_FILE, serde_json::to_vec(self))?, write(&EXPERIENCE, serde_json::to_vec(&self.experience))?])
    }

    /// Keeps the book with an index, durable with its next flush.
    ///
    /// # Errors
    /// Those of writing the side files.
    pub fn save(&self, store: &mut dyn IndexStore) -> Result<(), ServiceError> {
        Written(self.files()?.to_vec()).put(store)
    }

    /// Removes what is kept of a tenant or model. Counts are by tenant, so those of a model alone stay.
    pub(crate) fn forget(&mut self, tenant: Option<&str>, model_id: Option<&str>) {
        let gone = |entry: &Entry| {
            tenant.is_none_or(|tenant| tenant == entry.tenant) && model_id.is_none_or(|model| model == entry.model_id)
        };
        self.plans.iter_mut().for_each(|plan| plan.entries.retain(|entry| !gone(entry)));
        if let (Some(tenant), None) = (tenant, model_id) {
            self.plans.retain(|plan| plan.tenant.as_deref() != Some(tenant));
            self.counts.values_mut().for_each(|tenants| drop(tenants.remove(tenant)));
        }
        self.watch_all();
        self.version += 1;
    }
}

/// Name, version and bytes of a side file.
pub(crate) type SideBytes = (&'static str, u32, Vec<u8>);

/// Side files that are yet to be put beside an index.
#[derive(Debug)]
pub struct Written(Vec<SideBytes>);

impl Written {
    /// Keeps them with an index, durable with its next flush.
    ///
    /// # Errors
    /// Those of writing the side files.
    pub fn put(&self, store: &mut dyn IndexStore) -> Result<(), ServiceError> {
        for (name, version, bytes) in &self.0 {
            store.put_side(name, *version, bytes)?;
        }
        Ok(())
    }
}

/// What earlier plans of an index were worth; nothing where there were none.
///
/// # Errors
/// When the side file is damaged or of another version.
pub fn experience(index: &IndexReader) -> Result<Experience, ServiceError> {
    read(&EXPERIENCE, index.side(EXPERIENCE.0)?)
}

fn read<T: Default + DeserializeOwned>(
    (name, versions): &(&'static str, RangeInclusive<u32>),
    side: Option<(u32, Vec<u8>)>,
) -> Result<T, ServiceError> {
    let damaged = |reason| ServiceError::SideFile { name, reason };
    match side {
        None => Ok(T::default()),
        Some((version, bytes)) if versions.contains(&version) => {
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))
        }
        Some((version, _)) => {
            Err(damaged(format!("version {version}; this program reads {} to {}", versions.start(), versions.end())))
        }
    }
}
