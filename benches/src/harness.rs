//! Times of short operations: medians over batches, tails over single calls.

use serde_json::{Value, json};
use std::time::Instant;

/// Something measured, and the bar it has to meet, if it has one.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    name: String,
    value: f64,
    unit: &'static str,
    note: String,
    at_most: Option<f64>,
    at_least: Option<f64>,
}

impl Measurement {
    pub(crate) fn new(name: &str, value: f64, unit: &'static str) -> Measurement {
        Measurement { name: name.to_owned(), value, unit, note: String::new(), at_most: None, at_least: None }
    }

    pub(crate) fn note(self, note: String) -> Measurement {
        Measurement { note, ..self }
    }

    pub(crate) fn at_most(self, limit: f64) -> Measurement {
        Measurement { at_most: Some(limit), ..self }
    }

    pub(crate) fn at_least(self, limit: f64) -> Measurement {
        Measurement { at_least: Some(limit), ..self }
    }

    pub(crate) fn json(&self) -> Value {
        let Measurement { name, value, unit, note, at_most, at_least } = self;
        json!({"name": name, "value": value, "unit": unit, "note": note, "at_most": at_most, "at_least": at_least})
    }
}

/// Times of one operation in nanoseconds, sorted.
#[derive(Debug, Clone)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    /// Calls the operation `size` times a batch, with a number that counts up, and keeps each batch's time a call. A
    /// tenth as many batches run first, untimed.
    pub(crate) fn of_batches(batches: usize, size: usize, mut operation: impl FnMut(usize)) -> Times {
        let mut number = 0;
        let mut batch = || {
            let started = Instant::now();
            for _ in 0..size {
                operation(number);
                number += 1;
            }
            started.elapsed().as_nanos() as f64 / size as f64
        };
        (0..batches / 10).for_each(|_| {
            batch();
        });
        Times::sorted((0..batches).map(|_| batch()).collect())
    }

    /// Times every call by itself, less what reading the clock takes: for the tail.
    pub(crate) fn of_calls(calls: usize, mut operation: impl FnMut(usize)) -> Times {
        let time = |operation: &mut dyn FnMut(usize)| {
            let each = (0..calls).map(|number| {
                let started = Instant::now();
                operation(number);
                started.elapsed().as_nanos() as f64
            });
            Times::sorted(each.collect())
        };
        let clock = time(&mut |_| {}).median();
        let Times(times) = time(&mut operation);
        Times(times.into_iter().map(|time| (time - clock).max(0.0)).collect())
    }

    /// Times that were taken elsewhere.
    pub(crate) fn sorted(mut times: Vec<f64>) -> Times {
        times.sort_by(f64::total_cmp);
        Times(times)
    }

    /// The time that a share (0 to 1) of the calls do not exceed.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let place = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(place.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_times() {
        let times = Times::sorted((1..=200).rev().map(f64::from).collect());
        for (share, expect) in [(0.0, 1.0), (0.5, 100.0), (0.99, 198.0), (1.0, 200.0)] {
            assert_eq!(times.at(share).to_bits(), f64::to_bits(expect), "{share}");
        }
        assert!(Times::sorted(Vec::new()).median().is_nan());
    }

    #[test]
    fn operations_see_every_number_once() {
        let mut seen = Vec::new();
        let times = Times::of_batches(20, 5, |number| seen.push(number));
        assert_eq!(seen, (0..110).collect::<Vec<_>>());
        assert_eq!(times.0.len(), 20);
        assert!(times.median() >= 0.0);
    }
}
