//! The questions a replay answers. Each scenario is one file and a pure function: trace, options and seed in, rows out.

pub mod calibration;
mod cells;
pub mod restart;
pub mod scale_out;
pub mod sizing;
pub mod steady;
