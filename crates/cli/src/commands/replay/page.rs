//! The page that `replay --html` writes.

use crate::{
    report::{Axis, COLOURS, Dot, Figure, Lines, Look, Page, Point, Series, Table, dots},
    units::{show_count, show_duration},
};
use prefix_indexer::simulator::{
    EvictionPolicy,
    scenarios::{
        calibration::{Horizon, Row},
        restart::{self, BEST, CLAIRVOYANT, NONE, Summary},
        steady,
    },
};

/// Hit ratio over capacity: of the eviction policies alone, and of each with its prefetchers.
pub(super) fn steady(page: &mut Page, rows: &[steady::Row], unique_blocks: u64) {
    page.figure(&hit_ratios(
        "Hit ratio over capacity",
        "Block hits over all references, by the share of the trace's blocks that the tier can hold. The dashed line knows \
         the future: no policy can be above it.",
        rows.iter().filter(|row| row.prefetch.is_none()),
        |row| row.eviction.to_owned(),
        unique_blocks,
    ));
    for rows in
        rows.chunk_by(|a, b| a.eviction == b.eviction).filter(|rows| rows.iter().any(|row| row.prefetch.is_some()))
    {
        page.figure(&hit_ratios(
            &format!("With a prefetcher, {} eviction", rows[0].eviction),
            "What moving the highest-ranked blocks into the tier between requests adds, by the policy that ranks them.",
            rows.iter(),
            |row| row.prefetch.clone().unwrap_or_else(|| "no prefetcher".to_owned()),
            unique_blocks,
        ));
    }
}

fn hit_ratios<'a>(
    heading: &str,
    text: &str,
    rows: impl Iterator<Item = &'a steady::Row>,
    name: impl Fn(&steady::Row) -> String,
    unique_blocks: u64,
) -> Figure {
    let mut by_name: Vec<(String, Vec<&steady::Row>)> = Vec::new();
    for row in rows {
        let name = name(row);
        match by_name.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rows)) => rows.push(row),
            None => by_name.push((name, vec![row])),
        }
    }
    let share = |row: &steady::Row| row.capacity_blocks as f64 / unique_blocks.max(1) as f64;
    let shown = |row: &&steady::Row| row.capacity_blocks > 0;
    let mut colours = 0..;
    let series = by_name.iter().map(|(name, rows)| {
        let bound = EvictionPolicy::by_name(name).is_ok_and(|policy| policy.clairvoyant);
        let look = if bound { Look::Reference } else { colours.next().map_or(Look::Context, colour) };
        let mut points: Vec<Point> = rows
            .iter()
            .copied()
            .filter(shown)
            .map(|row| Point { x: share(row), y: row.block_hit_ratio.unwrap_or(0.0), interval: None })
            .collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Series { name: Some(name.clone()), look, points }
    });
    let series: Vec<Series> = series.collect();
    let all = || series.iter().flat_map(|series| &series.points);
    let from = all().map(|point| point.x).fold(1.0, f64::min);
    let most = all().map(|point| point.y).fold(0.0, f64::max);
    let lines = Lines {
        title: heading,
        x: Axis::log("capacity, share of the unique blocks", from, 1.0, percent),
        y: Axis::linear("block hit ratio", most, percent),
        series,
        mark: None,
    };
    let table = by_name.iter().flat_map(|(name, rows)| {
        rows.iter().map(|row| {
            let ratios = [row.block_hit_ratio, row.prefix_hit_ratio].map(exact_percent);
            [&[name.clone(), row.capacity.to_string(), show_count(row.capacity_blocks)][..], &ratios].concat()
        })
    });
    Figure {
        heading: heading.to_owned(),
        text: text.to_owned(),
        plot: lines.draw(),
        table: Some(Table {
            headings: ["policy", "capacity", "blocks", "block hits", "prefix hits"].map(str::to_owned).to_vec(),
            rows: table.collect(),
        }),
    }
}

/// Recovery after a restart: over all cells with intervals, and by budget for each horizon; `formula` says whether a policy is
/// a fixed formula.
pub(super) fn restart(page: &mut Page, report: &restart::Report, formula: impl Fn(&str) -> bool) {
    let mut summary: Vec<&Summary> = report.summary.iter().filter(|summary| summary.policy != NONE).collect();
    summary.sort_by(|a, b| b.recovered.unwrap_or(-1.0).total_cmp(&a.recovered.unwrap_or(-1.0)));
    page.figure(&means(&summary, &formula));
    let mut horizons: Vec<u64> = report.rows.iter().map(|row| row.horizon_ms).collect();
    horizons.sort_unstable();
    horizons.dedup();
    let ranking: Vec<&str> =
        summary.iter().map(|summary| summary.policy.as_str()).filter(|name| *name != BEST).collect();
    for horizon_ms in horizons {
        let rows: Vec<&restart::Row> = report.rows.iter().filter(|row| row.horizon_ms == horizon_ms).collect();
        page.figure(&by_budget(&rows, &ranking, horizon_ms));
    }
}

fn means(summary: &[&Summary], formula: impl Fn(&str) -> bool) -> Figure {
    let look = |name: &str| match name {
        BEST => Look::Reference,
        name if formula(name) => Look::Colour(0),
        _ => Look::Colour(1),
    };
    let interval = |summary: &Summary| summary.recovered_low.zip(summary.recovered_high);
    let rows: Vec<Dot> = summary
        .iter()
        .filter_map(|summary| {
            let value = summary.recovered?;
            let (name, look) = (summary.policy.clone(), look(&summary.policy));
            Some(Dot { name, look, value, interval: interval(summary), text: exact_percent(Some(value)) })
        })
        .collect();
    let most = rows.iter().map(|row| row.interval.map_or(row.value, |(_, high)| high)).fold(0.0, f64::max);
    let axis = Axis::linear(
        "share of the clairvoyant gain that is recovered, mean of all budgets and horizons",
        most,
        percent,
    );
    let mut plot = dots("Recovery after a restart by policy", &axis, &rows);
    let legend = [
        (Look::Colour(1), "learns from the trace"),
        (Look::Colour(0), "fixed formula"),
        (Look::Reference, "the best formula of each cell, chosen in hindsight"),
    ];
    plot.legend = legend
        .into_iter()
        .filter(|(wanted, _)| rows.iter().any(|row| row.look == *wanted))
        .map(|(look, text)| (look, text.to_owned()))
        .collect();
    let cells = summary.iter().map(|summary| {
        let numbers = [summary.recovered, summary.recovered_low, summary.recovered_high, summary.worst_gap];
        std::iter::once(summary.policy.clone()).chain(numbers.map(exact_percent)).collect()
    });
    Figure {
        heading: "Recovery after a restart".to_owned(),
        text: "A tier is lost at many moments of the trace and filled again as each policy says. 0 % is loading nothing, 100 % \
               is knowing what comes. Bars are the middle 95 % of bootstrap draws of the moments."
            .to_owned(),
        plot,
        table: Some(Table {
            headings: ["policy", "recovered", "95 % from", "to", "worst gap to best"].map(str::to_owned).to_vec(),
            rows: cells.collect(),
        }),
    }
}

fn by_budget(rows: &[&restart::Row], ranking: &[&str], horizon_ms: u64) -> Figure {
    let policies: Vec<&[&restart::Row]> = rows
        .chunk_by(|a, b| a.policy == b.policy)
        .filter(|rows| ![NONE, CLAIRVOYANT].contains(&rows[0].policy.as_str()))
        .collect();
    let place = |rows: &[&restart::Row]| ranking.iter().position(|name| *name == rows[0].policy).unwrap_or(usize::MAX);
    let mut drawn = policies.clone();
    // The best on top.
    drawn.sort_by_key(|rows| std::cmp::Reverse(place(rows)));
    let series = drawn.iter().map(|rows| {
        let place = place(rows);
        let look = if place < COLOURS { Look::Colour(place) } else { Look::Context };
        let interval = |row: &restart::Row| row.recovered_low.zip(row.recovered_high).filter(|_| place == 0);
        let point =
            |(x, row): (usize, &&restart::Row)| Some(Point { x: x as f64, y: row.recovered?, interval: interval(row) });
        let points = rows.iter().enumerate().filter_map(point).collect();
        let name = (look != Look::Context).then(|| rows[0].policy.clone());
        Series { name, look, points }
    });
    let budgets: Vec<String> =
        policies.first().map_or(Vec::new(), |rows| rows.iter().map(|row| row.budget.to_string()).collect());
    let lines = Lines {
        title: "Recovery by budget",
        x: Axis::names("budget", &budgets),
        y: Axis::linear("recovered", 1.0, percent),
        series: series.collect(),
        mark: None,
    };
    let others = lines.series.iter().any(|series| series.look == Look::Context);
    let mut plot = lines.draw();
    plot.legend.reverse();
    plot.legend.extend(others.then(|| (Look::Context, "the other policies".to_owned())));
    let cells = policies.iter().map(|rows| {
        std::iter::once(rows[0].policy.clone()).chain(rows.iter().map(|row| exact_percent(row.recovered))).collect()
    });
    Figure {
        heading: format!("The first {} after it, by budget", show_duration(horizon_ms)),
        text: "Budgets are shares of the trace's unique blocks, or blocks. The band is the middle 95 % of the draws of the best policy."
            .to_owned(),
        plot,
        table: Some(Table {
            headings: std::iter::once("policy".to_owned()).chain(budgets).collect(),
            rows: cells.collect(),
        }),
    }
}

/// Probabilities against what came.
pub(super) fn calibration(page: &mut Page, horizons: &[Horizon]) {
    const LEAST: f64 = 0.001;
    // A point of fewer predictions says little and would jump about.
    const FEW: u64 = 100;
    let series = horizons.iter().zip(0..).map(|(horizon, number)| {
        let points = horizon.rows.iter().filter(|row| row.blocks >= FEW).map(|row| {
            let blocks = row.blocks as f64;
            Point { x: row.expected / blocks, y: row.observed as f64 / blocks, interval: None }
        });
        let name = format!("{}, {}", horizon.policy, show_duration(horizon.horizon_ms));
        Series { name: Some(name), look: colour(number), points: points.collect() }
    });
    let ends = [LEAST, 1.0].map(|end| Point { x: end, y: end, interval: None }).to_vec();
    let right = Series { name: Some("what they said".to_owned()), look: Look::Reference, points: ends };
    let lines = Lines {
        title: "Calibration of the probabilities",
        x: Axis::log("probability that was given", LEAST, 1.0, percent),
        y: Axis::log("share that was used", LEAST, 1.0, percent),
        series: std::iter::once(right).chain(series).collect(),
        mark: None,
    };
    let cells = |horizon: &Horizon, row: &Row, range: String| {
        vec![
            horizon.policy.to_owned(),
            show_duration(horizon.horizon_ms),
            range,
            show_count(row.blocks),
            format!("{:.1}", row.expected),
            show_count(row.observed),
        ]
    };
    let probabilities = horizons.iter().flat_map(|horizon| {
        let range = |row: &Row| format!("{} .. {}", percent(row.from), row.to.map_or_else(String::new, percent));
        horizon.rows.iter().map(move |row| cells(horizon, row, range(row)))
    });
    let uses = horizons.iter().flat_map(|horizon| {
        let range = |row: &Row| format!("{} .. {}", row.from, row.to.map_or_else(String::new, |to| to.to_string()));
        horizon.uses.iter().map(move |row| cells(horizon, row, range(row)))
    });
    page.figure(&Figure {
        heading: "Do probabilities mean what they say?".to_owned(),
        text: "At each moment every known block was given a probability of being used within the horizon, by the life tables alone \
               and by all that is learned; neither had seen anything later. On the dashed line as many were used as they said. \
               Points of fewer than 100 predictions are only in the table. Below the probabilities it has the numbers of uses \
               that were expected, and those that came."
            .to_owned(),
        plot: lines.draw(),
        table: Some(Table {
            headings: ["by", "horizon", "probability or uses", "blocks", "expected", "observed"].map(str::to_owned).to_vec(),
            rows: probabilities.chain(uses).collect(),
        }),
    });
}

fn colour(number: usize) -> Look {
    if number < COLOURS { Look::Colour(number) } else { Look::Context }
}

/// A share for an axis, with as few digits as tell it apart.
pub(crate) fn percent(share: f64) -> String {
    let percent = (share * 1e8).round() / 1e6;
    format!("{percent} %")
}

pub(crate) fn exact_percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}
