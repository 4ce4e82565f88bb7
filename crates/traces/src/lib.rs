//! Files and streams of prefix use, read into columnar batches.
