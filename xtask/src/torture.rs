//! `torture`: the long form of the tests that kill a writer at random moments, as the release build.

use crate::process;
use anyhow::{Context, Result, bail};

pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut rounds, mut seed) = (2_000_u64, 1_u64);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a number"));
        match arg.as_str() {
            "--rounds" => rounds = value()?.parse()?,
            "--seed" => seed = value()?.parse()?,
            other => bail!("torture has no option {other:?}"),
        }
    }
    let example = "run --release --package prefix-indexer-storage --example torture";
    process::run(process::cargo(&format!("{example} -- {rounds} {seed}"))?)
}
