//! A progress bar with rate and time left, on a terminal only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Progress in bytes of input. Without a known total, a spinner with the rate.
pub(crate) fn bytes(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} eta {eta} {msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {bytes_per_sec} {msg}"),
    };
    shown(bar, template)
}

/// Progress in steps of work, of which the first report says how many there are.
pub(crate) fn steps(what: &'static str) -> ProgressBar {
    shown(ProgressBar::no_length().with_message(what), "{bar:30} {pos}/{len} {msg} {per_sec} eta {eta}")
}

/// Notes that so many of so many steps are done.
pub(crate) fn step(bar: &ProgressBar, done: usize, of: usize) {
    bar.set_length(of as u64);
    bar.set_position(done as u64);
}

fn shown(bar: ProgressBar, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
