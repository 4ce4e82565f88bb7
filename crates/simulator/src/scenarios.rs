//! The questions a replay answers. Each scenario is one file and a pure function: trace, options and seed in, rows out.

pub mod restart;
