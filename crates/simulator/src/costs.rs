//! What a block is worth: tokens and milliseconds of prefill that having it at hand spares.

use crate::Trace;

/// How to tell tokens and milliseconds where a trace does not.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Costs {
    /// Tokens in a block (512 in Mooncake traces, 16 in Bailian ones); none if unknown.
    pub tokens_per_block: Option<u32>,
    /// Microseconds of prefill a token; none if unknown.
    pub prefill_us_per_token: Option<f64>,
}

impl Costs {
    /// Milliseconds that each block spares: what the trace measured, or else tokens times the time of one; 0 where neither is
    /// known. None when that is so for all blocks.
    pub fn block_ms(&self, trace: &Trace) -> Option<Vec<f64>> {
        let by_tokens = match (self.tokens_per_block, self.prefill_us_per_token) {
            (Some(tokens), Some(us_per_token)) => f64::from(tokens) * us_per_token / 1_000.0,
            _ => 0.0,
        };
        let measured = |block| Some(trace.latency_ms(block)).filter(|&latency_ms| latency_ms > 0.0);
        let block_ms: Vec<f64> =
            (0..trace.unique_blocks() as u32).map(|block| measured(block).unwrap_or(by_tokens)).collect();
        block_ms.iter().any(|&ms| ms > 0.0).then_some(block_ms)
    }

    /// Tokens in so many blocks.
    pub fn tokens(&self, blocks: u64) -> Option<u64> {
        Some(blocks.saturating_mul(u64::from(self.tokens_per_block?)))
    }
}
