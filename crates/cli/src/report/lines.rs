//! Lines over two axes, with bands where they may be.

use super::{Axis, Look, Plot, escaped};
use std::fmt::Write;

/// A plot of lines.
pub(crate) struct Lines<'a> {
    /// What it shows, for who cannot see it.
    pub(crate) title: &'a str,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// Drawn in this order, so the last one is on top.
    pub(crate) series: Vec<Series>,
    pub(crate) mark: Option<Mark>,
}

/// One line.
pub(crate) struct Series {
    /// None leaves it out of the legend.
    pub(crate) name: Option<String>,
    pub(crate) look: Look,
    pub(crate) points: Vec<Point>,
}

/// A point of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Where it may be.
    pub(crate) interval: Option<(f64, f64)>,
}

/// A place on the horizontal axis worth pointing out.
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) text: String,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 370.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 52.0;

impl Lines<'_> {
    pub(crate) fn draw(&self) -> Plot {
        let mut svg =
            format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">", escaped(self.title));
        self.axes(&mut svg);
        if let Some(mark) = &self.mark {
            let x = self.x(mark.x);
            // On the side where there is room.
            let (anchor, text_x) = if x > WIDTH / 2.0 { ("end", x - 7.0) } else { ("start", x + 7.0) };
            let bottom = HEIGHT - BOTTOM;
            // Writing to a string cannot fail.
            let _ = write!(
                svg,
                "<line class=\"marker\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text class=\"mark\" x=\"{text_x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                bottom - 10.0,
                escaped(&mark.text)
            );
        }
        self.series.iter().for_each(|series| self.band(&mut svg, series));
        self.series.iter().for_each(|series| self.line(&mut svg, series));
        svg.push_str("</svg>");
        let named = |series: &Series| Some((series.look, series.name.clone()?));
        Plot { svg, legend: self.series.iter().filter_map(named).collect() }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn axes(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, text) in self.y.ticks() {
            let y = self.y(*value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                escaped(text)
            );
        }
        for (value, text) in self.x.ticks() {
            let x = self.x(*value);
            let _ = write!(
                svg,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 5.0,
                bottom + 19.0,
                escaped(text)
            );
        }
        let middle = (TOP + bottom) / 2.0;
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text x=\"14\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {middle:.1})\">{}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 10.0,
            escaped(self.x.label()),
            escaped(self.y.label())
        );
    }

    fn band(&self, svg: &mut String, series: &Series) {
        let bounds: Vec<(f64, f64, f64)> = series
            .points
            .iter()
            .filter_map(|point| point.interval.map(|(low, high)| (self.x(point.x), self.y(low), self.y(high))))
            .collect();
        if bounds.len() < 2 {
            return;
        }
        let _ = write!(svg, "<polygon class=\"band {}\" points=\"", series.look.class());
        let there = bounds.iter().map(|&(x, _, high)| (x, high));
        let back = bounds.iter().rev().map(|&(x, low, _)| (x, low));
        for (x, y) in there.chain(back) {
            let _ = write!(svg, "{x:.1},{y:.1} ");
        }
        svg.push_str("\"/>");
    }

    fn line(&self, svg: &mut String, series: &Series) {
        let class = series.look.class();
        let _ = write!(svg, "<polyline class=\"line {class}\" points=\"");
        for point in &series.points {
            let _ = write!(svg, "{:.1},{:.1} ", self.x(point.x), self.y(point.y));
        }
        svg.push_str("\"/>");
        if matches!(series.look, Look::Colour(_)) {
            for point in &series.points {
                let _ = write!(
                    svg,
                    "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.2\"/>",
                    self.x(point.x),
                    self.y(point.y)
                );
            }
        }
    }
}
