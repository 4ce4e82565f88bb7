//! The page that `advise --html` writes.

use super::{Document, Warmup, between, of_each, percent, percent_of};
use crate::{
    commands::replay::page::percent as short_percent,
    report::{Axis, Figure, Lines, Look, Mark, Page, Point, Series, Table},
    units::{show_count, show_duration, show_size},
};
use prefix_indexer::simulator::scenarios::sizing;

pub(super) fn draw(page: &mut Page, document: &Document) {
    page.figure(&hits(document));
    if document.curve.iter().any(|point| point.saved_ms.is_some()) {
        page.figure(&saved(document));
    }
    page.figure(&warmup(document));
}

fn hits(document: &Document) -> Figure {
    let heading = "Hit ratio over the size of the tier";
    let line = |name: &str, look, of: fn(&sizing::Point) -> Option<sizing::Estimate>| line(document, name, look, of);
    let series = vec![
        line("blocks found", Look::Colour(1), |point| Some(point.block_hit_ratio)),
        line("blocks found with all that precedes them", Look::Colour(0), |point| Some(point.prefix_hit_ratio)),
    ];
    let plot = over_size(document, heading, series, "share of all references", short_percent);
    let advice = match &document.recommended {
        Some(size) => format!(
            "Past {}{} a further GiB turns less than {} of the references into hits.",
            show_size(size.bytes),
            of_each(document),
            percent_of(document.min_gain_per_gib)
        ),
        None => "The blocks of this trace have no size.".to_owned(),
    };
    let rows = document.curve.iter().map(|point| {
        let prefixes = point.prefix_hit_ratio;
        vec![
            point.capacity.to_string(),
            show_size(point.capacity_bytes),
            show_count(point.capacity_blocks),
            percent(point.block_hit_ratio.value),
            percent(prefixes.value),
            between(prefixes.low, prefixes.high),
        ]
    });
    Figure {
        heading: heading.to_owned(),
        text: format!("{advice} Bands are the middle 95 % of bootstrap draws of slices of time."),
        plot: plot.draw(),
        table: Some(Table {
            headings: ["tier", "size", "blocks", "block hits", "prefix hits", "95 %"].map(str::to_owned).to_vec(),
            rows: rows.collect(),
        }),
    }
}

fn saved(document: &Document) -> Figure {
    let heading = "Prefill saved over the size of the tier";
    let series = vec![line(document, "prefill saved", Look::Colour(0), |point| point.saved_ms)];
    let seconds = |ms: f64| format!("{} s", show_count((ms / 1e3).round() as u64));
    Figure {
        heading: heading.to_owned(),
        text: "Time of prefill that the blocks found, with all that precedes them, spare over the whole trace."
            .to_owned(),
        plot: over_size(document, heading, series, "prefill saved", seconds).draw(),
        table: None,
    }
}

/// One line of estimates over the size of the tier; a tier of 0 hits nothing and has no place on the axis.
fn line(
    document: &Document,
    name: &str,
    look: Look,
    of: impl Fn(&sizing::Point) -> Option<sizing::Estimate>,
) -> Series {
    let point = |point: &sizing::Point| {
        let estimate = of(point).filter(|_| point.capacity_blocks > 0)?;
        let (x, interval) = (size(document, point), Some((estimate.low, estimate.high)));
        Some(Point { x, y: estimate.value, interval })
    };
    let mut points: Vec<Point> = document.curve.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    Series { name: Some(name.to_owned()), look, points }
}

/// In bytes; in blocks where these have no size.
fn size(document: &Document, point: &sizing::Point) -> f64 {
    if document.block_bytes > 0.0 { point.capacity_bytes as f64 } else { point.capacity_blocks as f64 }
}

fn over_size<'a>(
    document: &Document,
    title: &'a str,
    series: Vec<Series>,
    label: &str,
    show: impl Fn(f64) -> String,
) -> Lines<'a> {
    let points = || series.iter().flat_map(|series| &series.points);
    let from = points().map(|point| point.x).fold(f64::INFINITY, f64::min).clamp(1.0, f64::MAX);
    let to = points().map(|point| point.x).fold(1.0, f64::max);
    let highest = points().filter_map(|point| point.interval.map(|(_, high)| high)).fold(0.0, f64::max);
    let x = match &document.recommended {
        Some(_) => {
            Axis::bytes(&format!("size of the tier{}", of_each(document)), from, to, |bytes| show_size(bytes as u64))
        }
        None => {
            Axis::log(&format!("blocks in the tier{}", of_each(document)), from, to, |blocks| show_count(blocks as u64))
        }
    };
    let mark = document.recommended.as_ref().map(|size| Mark { x: size.bytes as f64, text: show_size(size.bytes) });
    Lines { title, x, y: Axis::linear(label, highest, show), series, mark }
}

fn warmup(document: &Document) -> Figure {
    let mut horizons: Vec<u64> = document.warmup.iter().map(|row| row.horizon_ms).collect();
    horizons.sort_unstable();
    horizons.dedup();
    let rows = |horizon_ms: u64| document.warmup.iter().filter(move |row| row.horizon_ms == horizon_ms);
    let series = horizons.iter().zip(0..).map(|(&horizon_ms, number)| {
        let point = |(x, row): (usize, &Warmup)| {
            Some(Point { x: x as f64, y: row.recovered?, interval: row.recovered_low.zip(row.recovered_high) })
        };
        let points = rows(horizon_ms).enumerate().filter_map(point).collect();
        Series { name: Some(format!("the first {}", show_duration(horizon_ms))), look: Look::Colour(number), points }
    });
    let budgets = rows(horizons.first().copied().unwrap_or(0)).map(|row| match row.budget_bytes {
        0 => row.budget.clone(),
        bytes => format!("{} ({})", row.budget, show_size(bytes)),
    });
    let budgets: Vec<String> = budgets.collect();
    let lines = Lines {
        title: "Recovery after a restart by budget",
        x: Axis::names("budget of the warm-up", &budgets),
        y: Axis::linear("share of the clairvoyant gain", 1.0, short_percent),
        series: series.collect(),
        mark: None,
    };
    let cells = document.warmup.iter().map(|row| {
        vec![
            row.budget.clone(),
            show_size(row.budget_bytes),
            show_duration(row.horizon_ms),
            format!("{:.0}", row.hits_gained),
            row.hit_ratio_gained.map_or("-".to_owned(), percent),
            row.recovered.map_or("-".to_owned(), percent),
            row.saved_ms.map_or("-".to_owned(), |saved_ms| format!("{:.1} s", saved_ms / 1e3)),
        ]
    });
    let headings = ["budget", "size", "horizon", "hits gained", "of all", "recovered", "prefill saved"];
    Figure {
        heading: "What warming up is worth after a restart".to_owned(),
        text: "What loading the plan gains beside a tier that begins empty, as a share of what knowing the future would gain. \
               Bands are the middle 95 % of bootstrap draws of the moments."
            .to_owned(),
        plot: lines.draw(),
        table: Some(Table { headings: headings.map(str::to_owned).to_vec(), rows: cells.collect() }),
    }
}
