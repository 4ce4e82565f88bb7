//! Receipts that have been handed out and not yet looked at.

use crate::{IngestReport, Receipt, ServiceError};
use prefix_indexer_storage::Appended;
use std::collections::VecDeque;

#[derive(Default)]
pub(crate) struct Receipts {
    waiting: VecDeque<Receipt>,
}

impl Receipts {
    pub(crate) fn push(&mut self, receipt: Receipt) {
        self.waiting.push_back(receipt);
    }

    /// Adds up the answers that are there.
    pub(crate) fn collect_ready(&mut self, report: &mut IngestReport) -> Result<(), ServiceError> {
        while let Some(receipt) = self.waiting.front() {
            let Some(answer) = receipt.try_answer() else { return Ok(()) };
            self.waiting.pop_front();
            count(report, answer?);
        }
        Ok(())
    }

    /// Waits for all answers.
    pub(crate) fn collect_all(&mut self, report: &mut IngestReport) -> Result<(), ServiceError> {
        for receipt in self.waiting.drain(..) {
            count(report, receipt.wait()?);
        }
        Ok(())
    }
}

fn count(report: &mut IngestReport, appended: Appended) {
    report.events += appended.events;
    report.duplicates += appended.duplicates;
}
