//! A page for people: one file with text, plots and tables, which needs nothing from elsewhere and runs no script.

mod axis;
mod dots;
mod lines;

pub(crate) use axis::Axis;
pub(crate) use dots::{Dot, dots};
pub(crate) use lines::{Lines, Mark, Point, Series};

use anyhow::Context;
use std::{fmt::Write, path::Path};

/// Looks of light and dark, in that order of the media query; the plots take all their colours from here.
const STYLE: &str = include_str!("report/style.css");

/// A page under construction.
pub(crate) struct Page {
    title: String,
    body: String,
}

/// A plot with what it says, how to read it, and its numbers.
pub(crate) struct Figure {
    pub(crate) heading: String,
    pub(crate) text: String,
    pub(crate) plot: Plot,
    pub(crate) table: Option<Table>,
}

/// A drawing, and what its colours mean.
pub(crate) struct Plot {
    pub(crate) svg: String,
    pub(crate) legend: Vec<(Look, String)>,
}

/// How a line or a dot looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// One of the colours, from 0.
    Colour(usize),
    /// What the others are measured by.
    Reference,
    /// There for comparison.
    Context,
}

/// How many colours can be told apart.
pub(crate) const COLOURS: usize = 6;

impl Look {
    fn class(self) -> String {
        match self {
            Look::Colour(number) => format!("c{}", number % COLOURS),
            Look::Reference => "reference".to_owned(),
            Look::Context => "context".to_owned(),
        }
    }
}

/// Numbers under a plot.
pub(crate) struct Table {
    pub(crate) headings: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Page {
    /// `lead` says in a sentence or two what was looked at.
    pub(crate) fn new(title: &str, lead: &str) -> Page {
        let body = format!("<header><h1>{}</h1>\n<p>{}</p></header>\n", escaped(title), escaped(lead));
        Page { title: title.to_owned(), body }
    }

    pub(crate) fn figure(&mut self, figure: &Figure) {
        let Figure { heading, text, plot, table } = figure;
        let body = &mut self.body;
        // Writing to a string cannot fail.
        let _ = writeln!(body, "<section>\n<h2>{}</h2>\n<p>{}</p>", escaped(heading), escaped(text));
        if !plot.legend.is_empty() {
            body.push_str("<ul class=\"legend\">");
            for (look, name) in &plot.legend {
                let _ = write!(body, "<li><i class=\"{}\"></i>{}</li>", look.class(), escaped(name));
            }
            body.push_str("</ul>\n");
        }
        let _ = writeln!(body, "<figure>{}</figure>", plot.svg);
        if let Some(table) = table {
            body.push_str("<details><summary>Numbers</summary>\n<div class=\"wide\"><table>\n<thead><tr>");
            table.headings.iter().for_each(|heading| cell(body, "th", heading));
            body.push_str("</tr></thead>\n<tbody>\n");
            for row in &table.rows {
                body.push_str("<tr>");
                row.iter().for_each(|text| cell(body, "td", text));
                body.push_str("</tr>\n");
            }
            body.push_str("</tbody></table></div></details>\n");
        }
        body.push_str("</section>\n");
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, self.html()).with_context(|| path.display().to_string())
    }

    fn html(&self) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n\
             <body>\n<main>\n{}</main>\n<footer>prefix-indexer {}</footer>\n</body>\n</html>\n",
            escaped(&self.title),
            self.body,
            env!("CARGO_PKG_VERSION"),
        )
    }
}

fn cell(body: &mut String, tag: &str, text: &str) {
    let _ = write!(body, "<{tag}>{}</{tag}>", escaped(text));
}

/// Text that cannot be taken for markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stands_alone() {
        let mut page = Page::new("A <b>", "lead & more");
        let plot = Plot { svg: "<svg></svg>".to_owned(), legend: vec![(Look::Colour(7), "\"x\"".to_owned())] };
        let table = Table { headings: vec!["h".to_owned()], rows: vec![vec!["<1>".to_owned()]] };
        page.figure(&Figure { heading: "H".to_owned(), text: "T".to_owned(), plot, table: Some(table) });
        let html = page.html();
        for expected in
            ["<title>A &lt;b&gt;</title>", "lead &amp; more", "class=\"c1\"", "&quot;x&quot;", "<td>&lt;1&gt;</td>"]
        {
            assert!(html.contains(expected), "{expected} in {html}");
        }
        for unwanted in ["<script", "http:", "https:", "url(", "@import"] {
            assert!(!html.contains(unwanted), "{unwanted}");
        }
    }
}
