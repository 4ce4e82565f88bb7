//! What became of prefixes that a planner loaded: stored beside the index and counted.

use crate::{ServiceError, plan_book::SideBytes};
use prefix_indexer_storage::{IndexReader, IndexStore};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use thiserror::Error;

/// Name and format version of the ledger among an index's side files.
pub(crate) const SIDE_FILE: (&str, u32) = ("feedback", 1);

/// Reports kept verbatim, newest last; counts go on for ever.
const KEPT_REPORTS: usize = 10_000;

/// Files remembered, so that giving one twice counts it once.
const KEPT_FILES: usize = 1_000;

/// What became of a loaded prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A request used it in time.
    Used,
    /// Nothing used it.
    Wasted,
    /// A request wanted it before it had arrived.
    Late,
    /// It had to leave before anything used it.
    Evicted,
}

impl Outcome {
    /// Its name in files and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Used => "used",
            Outcome::Wasted => "wasted",
            Outcome::Late => "late",
            Outcome::Evicted => "evicted",
        }
    }
}

/// One line of a feedback file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeedbackReport {
    /// Which prefix.
    pub prefix_id: String,
    /// Whose.
    pub tenant: String,
    /// Of which model.
    pub model_id: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The plan that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<String>,
    /// Bytes that were moved for it.
    #[serde(default)]
    pub bytes: u64,
    /// Milliseconds that its use saved.
    #[serde(default)]
    pub saved_ms: f64,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_ms: Option<u64>,
}

/// What the reports of one outcome add up to.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct OutcomeCount {
    /// Prefixes.
    pub prefixes: u64,
    /// Bytes moved for them.
    pub bytes: u64,
    /// Milliseconds saved.
    pub saved_ms: f64,
}

impl OutcomeCount {
    /// Adds what others add up to.
    pub fn add(&mut self, other: &OutcomeCount) {
        self.prefixes += other.prefixes;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.saved_ms += other.saved_ms;
    }

    /// Takes back what was added.
    pub(crate) fn remove(&mut self, other: &OutcomeCount) {
        self.prefixes = self.prefixes.saturating_sub(other.prefixes);
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.saved_ms = f64::max(0.0, self.saved_ms - other.saved_ms);
    }
}

/// All feedback that an index has been given.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FeedbackLedger {
    tenants: BTreeMap<String, BTreeMap<Outcome, OutcomeCount>>,
    recent: VecDeque<FeedbackReport>,
    files: VecDeque<String>,
}

/// A line that is not a report.
#[derive(Debug, Error)]
#[error("line {line}: {reason}")]
pub struct FeedbackError {
    line: usize,
    reason: String,
}

impl FeedbackReport {
    /// Reads a report.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str) -> Result<FeedbackReport, String> {
        parse(line)
    }
}

impl FeedbackLedger {
    /// Counts the reports of a file, one JSON object a line: all of them or, on an error, none. Returns how many there
    /// were; `None` for a file that was counted before.
    ///
    /// # Errors
    /// [`FeedbackError`] names the line.
    pub fn add_file(&mut self, text: &str) -> Result<Option<u64>, FeedbackError> {
        let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
        if self.files.contains(&digest) {
            return Ok(None);
        }
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let reports = lines
            .map(|(index, line)| parse(line).map_err(|reason| FeedbackError { line: index + 1, reason }))
            .collect::<Result<Vec<_>, _>>()?;
        let count = reports.len() as u64;
        reports.into_iter().for_each(|report| self.add(report));
        self.files.push_back(digest);
        if self.files.len() > KEPT_FILES {
            self.files.pop_front();
        }
        Ok(Some(count))
    }

    /// Counts one report.
    pub fn add(&mut self, report: FeedbackReport) {
        let outcomes = self.tenants.entry(report.tenant.clone()).or_default();
        let one = OutcomeCount { prefixes: 1, bytes: report.bytes, saved_ms: report.saved_ms };
        outcomes.entry(report.outcome).or_default().add(&one);
        self.recent.push_back(report);
        if self.recent.len() > KEPT_REPORTS {
            self.recent.pop_front();
        }
    }

    /// Counts by outcome over all tenants.
    pub fn totals(&self) -> BTreeMap<Outcome, OutcomeCount> {
        let mut totals: BTreeMap<Outcome, OutcomeCount> = BTreeMap::new();
        for (outcome, count) in self.tenants.values().flatten() {
            totals.entry(*outcome).or_default().add(count);
        }
        totals
    }

    /// Counts by tenant and outcome.
    pub fn tenants(&self) -> &BTreeMap<String, BTreeMap<Outcome, OutcomeCount>> {
        &self.tenants
    }

    /// The newest reports, oldest first.
    pub fn recent(&self) -> impl ExactSizeIterator<Item = &FeedbackReport> {
        self.recent.iter()
    }

    /// Share of loaded prefixes that were used in time; none before the first report.
    pub fn precision(&self) -> Option<f64> {
        precision(&self.totals())
    }

    /// Takes an outcome back that was counted, because a better one is known.
    pub(crate) fn take_back(&mut self, tenant: &str, outcome: Outcome, count: &OutcomeCount) {
        if let Some(counted) = self.tenants.get_mut(tenant).and_then(|outcomes| outcomes.get_mut(&outcome)) {
            counted.remove(count);
        }
    }

    /// The ledger kept with an index; an empty one where there is none.
    ///
    /// # Errors
    /// When the side file is damaged or of another version.
    pub fn load(store: &dyn IndexStore) -> Result<FeedbackLedger, ServiceError> {
        FeedbackLedger::from_side(store.side(SIDE_FILE.0)?)
    }

    /// The ledger of an index that somebody else may be writing, as of its newest generation.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn of(index: &IndexReader) -> Result<FeedbackLedger, ServiceError> {
        FeedbackLedger::from_side(index.side(SIDE_FILE.0)?)
    }

    pub(crate) fn from_side(side: Option<(u32, Vec<u8>)>) -> Result<FeedbackLedger, ServiceError> {
        let damaged = |reason| ServiceError::SideFile { name: SIDE_FILE.0, reason };
        match side {
            None => Ok(FeedbackLedger::default()),
            Some((version, bytes)) if version == SIDE_FILE.1 => {
                serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))
            }
            Some((version, _)) => Err(damaged(format!("version {version}; this program reads {}", SIDE_FILE.1))),
        }
    }

    /// Keeps the ledger with an index, durable with its next flush.
    ///
    /// # Errors
    /// Those of writing the side file.
    pub fn save(&self, store: &mut dyn IndexStore) -> Result<(), ServiceError> {
        let (name, version, bytes) = self.file()?;
        Ok(store.put_side(name, version, &bytes)?)
    }

    /// The side file that the ledger is kept in.
    pub(crate) fn file(&self) -> Result<SideBytes, ServiceError> {
        let reason = |error: serde_json::Error| ServiceError::SideFile { name: SIDE_FILE.0, reason: error.to_string() };
        Ok((SIDE_FILE.0, SIDE_FILE.1, serde_json::to_vec(self).map_err(reason)?))
    }

    /// Adds what another index was told.
    pub(crate) fn merge(&mut self, other: FeedbackLedger) {
        for (tenant, outcomes) in other.tenants {
            let own = self.tenants.entry(tenant).or_default();
            for (outcome, count) in outcomes {
                own.entry(outcome).or_default().add(&count);
            }
        }
        self.recent.extend(other.recent);
        self.recent.drain(..self.recent.len().saturating_sub(KEPT_REPORTS));
        self.files.extend(other.files);
        self.files.drain(..self.files.len().saturating_sub(KEPT_FILES));
    }

    /// Removes what was reported of a tenant or model. Counts are by tenant, so those of a model alone stay.
    pub(crate) fn forget(&mut self, tenant: Option<&str>, model_id: Option<&str>) {
        let gone = |report: &FeedbackReport| {
            tenant.is_none_or(|tenant| tenant == report.tenant)
                && model_id.is_none_or(|model_id| model_id == report.model_id)
        };
        self.recent.retain(|report| !gone(report));
        if let (Some(tenant), None) = (tenant, model_id) {
            self.tenants.remove(tenant);
        }
    }
}

/// Share used in time of all that are counted; none of none.
pub(crate) fn precision(outcomes: &BTreeMap<Outcome, OutcomeCount>) -> Option<f64> {
    let all: u64 = outcomes.values().map(|count| count.prefixes).sum();
    let used = outcomes.get(&Outcome::Used).map_or(0, |count| count.prefixes);
    (all > 0).then(|| used as f64 / all as f64)
}

fn parse(line: &str) -> Result<FeedbackReport, String> {
    let report: FeedbackReport = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if !(report.saved_ms.is_finite() && report.saved_ms >= 0.0) {
        return Err(format!("field `saved_ms`: {} is not a finite number of at least 0", report.saved_ms));
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(tenant: &str, outcome: &str) -> String {
        format!(
            r#"{{"prefix_id":"p","tenant":"{tenant}","model_id":"m","outcome":"{outcome}","bytes":10,"saved_ms":2.5}}"#
        )
    }

    #[test]
    fn counts_by_outcome_and_tenant_and_a_file_once() {
        let mut ledger = FeedbackLedger::default();
        let file = [line("a", "used"), line("b", "wasted"), String::new(), line("a", "used")].join("\n");
        assert_eq!(ledger.add_file(&file).unwrap(), Some(3));
        assert_eq!(ledger.add_file(&file).unwrap(), None);
        let used = OutcomeCount { prefixes: 2, bytes: 20, saved_ms: 5.0 };
        assert_eq!(ledger.totals()[&Outcome::Used], used);
        assert_eq!(ledger.tenants()["a"][&Outcome::Used], used);
        assert_eq!(ledger.precision(), Some(2.0 / 3.0));
        ledger.forget(Some("a"), None);
        assert_eq!(ledger.precision(), Some(0.0));
        assert_eq!(ledger.recent().len(), 1);
    }

    #[test]
    fn a_bad_line_is_named_and_nothing_of_its_file_counts() {
        let mut ledger = FeedbackLedger::default();
        for bad in ["{}", "nonsense", &line("a", "lost"), &line("a", "used").replace("2.5", "-1")] {
            let error = ledger.add_file(&format!("{}\n{bad}", line("a", "used"))).unwrap_err();
            assert!(error.to_string().starts_with("line 2: "), "{error}");
        }
        assert_eq!(ledger, FeedbackLedger::default());
    }
}
