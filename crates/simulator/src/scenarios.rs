//! The questions a replay answers. Each scenario is one file and a pure function: trace, options and seed in, rows out.

mod cells;
pub mod restart;
pub mod scale_out;
pub mod steady;
