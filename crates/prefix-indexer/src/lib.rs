//! Ranks prompt prefixes by their use, so that a cold KV cache is warmed with what matters.
