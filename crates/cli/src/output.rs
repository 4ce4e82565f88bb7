//! What people and programs get to see.

#![expect(clippy::print_stderr, reason = "a command talks to people there")]

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Writes text to standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

/// Writes bytes to standard output as they are.
pub(crate) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("standard output")
}

/// Writes one JSON document to standard output.
pub(crate) fn print_json(document: &impl Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(document)? + "\n"))
}

/// Says why a command failed.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("{}: {}", styled("error", ERROR), in_full(error));
}

/// The message with its causes. Many messages name their cause already; it is not said twice.
fn in_full(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        said if said.ends_with(&cause) => said.to_owned(),
        said => format!("{said}: {cause}"),
    })
}

/// Says what a person should know although the command goes on.
pub(crate) fn warn(message: impl std::fmt::Display) {
    eprintln!("{}: {message}", styled("warning", WARNING));
}

/// Says what is going on, without ceremony.
pub(crate) fn note(message: impl std::fmt::Display) {
    eprintln!("{message}");
}

fn styled(word: &str, style: Style) -> String {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if colour { format!("{style}{word}{style:#}") } else { word.to_owned() }
}

/// A table for people: headings, and columns aligned right where they hold numbers. Control characters, which an id may
/// hold, are shown and not obeyed.
pub(crate) fn table(headings: &[(&str, CellAlignment)], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings.iter().map(|(heading, _)| *heading));
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for (column, (_, alignment)) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2)).set_cell_alignment(*alignment);
    }
    table.lines().fold(String::new(), |page, line| page + line.trim_end() + "\n")
}

fn printable(text: &str) -> String {
    let show = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(show).collect()
}

/// Whether a command failed only because nobody reads its output any more.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn causes_are_said_once() {
        assert_eq!(in_full(&anyhow!("cause").context("what: cause").context("where")), "where: what: cause");
        assert_eq!(in_full(&anyhow!("cause").context("what")), "what: cause");
    }
}
