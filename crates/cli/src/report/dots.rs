//! Dots with whiskers, one name a row.

use super::{Axis, Look, Plot, escaped};
use std::fmt::Write;

/// One row.
pub(crate) struct Dot {
    pub(crate) name: String,
    pub(crate) look: Look,
    pub(crate) value: f64,
    /// Where it may be.
    pub(crate) interval: Option<(f64, f64)>,
    /// The value as it is written beside it.
    pub(crate) text: String,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 66.0;
const TOP: f64 = 8.0;
const ROW: f64 = 25.0;
const BOTTOM: f64 = 48.0;

/// Rows from above in the order given. `title` says what they show, for who cannot see it.
pub(crate) fn dots(title: &str, axis: &Axis, rows: &[Dot]) -> Plot {
    let bottom = TOP + ROW * rows.len() as f64;
    let height = bottom + BOTTOM;
    let right = WIDTH - RIGHT;
    let x = |value: f64| LEFT + axis.place(value) * (right - LEFT);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">", escaped(title));
    for (value, text) in axis.ticks() {
        let x = x(*value);
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 17.0,
            escaped(text)
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        (LEFT + right) / 2.0,
        height - 8.0,
        escaped(axis.label())
    );
    for (place, row) in rows.iter().enumerate() {
        let (y, class) = (TOP + ROW * (place as f64 + 0.5), row.look.class());
        if let Some((low, high)) = row.interval {
            let _ = write!(
                svg,
                "<line class=\"whisker {class}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
                x(low),
                x(high)
            );
        }
        let _ = write!(
            svg,
            "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\"/>\
             <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x(row.value),
            LEFT - 14.0,
            y + 4.5,
            escaped(&row.name),
            right + 14.0,
            y + 4.5,
            escaped(&row.text)
        );
    }
    svg.push_str("</svg>");
    Plot { svg, legend: Vec::new() }
}
