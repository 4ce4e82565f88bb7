//! Aggregation, freshness and metrics of prefix use: pure, no input or output, no clock.
