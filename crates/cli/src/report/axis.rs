//! Axes: from numbers to places, and the numbers that are written at them.

/// One axis of a plot.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    label: String,
    log: bool,
    from: f64,
    to: f64,
    ticks: Vec<(f64, String)>,
}

/// Ticks on a linear axis, at most.
const MOST_TICKS: f64 = 7.0;
/// Ticks on a logarithmic axis, about.
const LOG_TICKS: usize = 9;

impl Axis {
    /// From 0 to a round number that is at least `most`.
    pub(crate) fn linear(label: &str, most: f64, show: impl Fn(f64) -> String) -> Axis {
        let step = round_step(if most > 0.0 { most / MOST_TICKS } else { 1.0 / MOST_TICKS });
        let steps = (most / step - 1e-9).ceil().max(1.0);
        let ticks = (0..=steps as u32).map(|tick| f64::from(tick) * step).map(|value| (value, show(value))).collect();
        Axis { label: label.to_owned(), log: false, from: 0.0, to: steps * step, ticks }
    }

    /// Logarithmic between two numbers above 0, with ticks at 1, 2 and 5 times powers of ten.
    pub(crate) fn log(label: &str, from: f64, to: f64, show: impl Fn(f64) -> String) -> Axis {
        let decades = |value: f64| value.log10().floor() as i32;
        let candidates =
            (decades(from)..=decades(to)).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        Axis::log_with(label, from, to, candidates, show)
    }

    /// Logarithmic between two sizes in bytes, with ticks at powers of two.
    pub(crate) fn bytes(label: &str, from: f64, to: f64, show: impl Fn(f64) -> String) -> Axis {
        let powers = from.log2().floor() as i32..=to.log2().ceil() as i32;
        Axis::log_with(label, from, to, powers.map(|power| 2_f64.powi(power)), show)
    }

    fn log_with(
        label: &str,
        from: f64,
        to: f64,
        candidates: impl Iterator<Item = f64>,
        show: impl Fn(f64) -> String,
    ) -> Axis {
        let to = if to > from { to } else { from * 2.0 };
        let inside: Vec<f64> = candidates.filter(|value| (from * 0.999..=to * 1.001).contains(value)).collect();
        let every = inside.len().div_ceil(LOG_TICKS).max(1);
        let ticks = inside.into_iter().step_by(every).map(|value| (value, show(value))).collect();
        Axis { label: label.to_owned(), log: true, from, to, ticks }
    }

    /// Names side by side, at 0, 1, 2 and so on.
    pub(crate) fn names(label: &str, names: &[String]) -> Axis {
        let ticks = names.iter().enumerate().map(|(place, name)| (place as f64, name.clone())).collect();
        Axis { label: label.to_owned(), log: false, from: -0.3, to: names.len() as f64 - 0.7, ticks }
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn ticks(&self) -> &[(f64, String)] {
        &self.ticks
    }

    /// Where a value lies, from 0 to 1. What is outside lies at the nearer end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(f64::MIN_POSITIVE) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        share.clamp(0.0, 1.0)
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|&round| round >= step * 0.999).unwrap_or(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let texts = |axis: &Axis| axis.ticks().iter().map(|(_, text)| text.clone()).collect::<Vec<_>>().join(" ");
        let plain = |value: f64| format!("{}", (value * 1e6).round() / 1e6);
        assert_eq!(texts(&Axis::linear("", 0.366, plain)), "0 0.1 0.2 0.3 0.4");
        assert_eq!(texts(&Axis::linear("", 1.0, plain)), "0 0.2 0.4 0.6 0.8 1");
        assert_eq!(texts(&Axis::linear("", 0.0, plain)), "0 0.2");
        assert_eq!(texts(&Axis::log("", 0.01, 0.5, plain)), "0.01 0.02 0.05 0.1 0.2 0.5");
        assert_eq!(texts(&Axis::bytes("", 1.0, 16.0, plain)), "1 2 4 8 16");
        let axis = Axis::log("", 1.0, 100.0, plain);
        assert_eq!([0.0, 1.0, 10.0, 1e9].map(|value| axis.place(value)), [0.0, 0.0, 0.5, 1.0]);
    }
}
