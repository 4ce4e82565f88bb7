//! `soak-prefetch`: the long form of the prefetch workers' tests, as the release build.

use crate::process;
use anyhow::{Context, Result, bail};

pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut seconds, mut rounds) = (60_u64, 10_000_u64);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a number"));
        match arg.as_str() {
            "--seconds" => seconds = value()?.parse()?,
            "--rounds" => rounds = value()?.parse()?,
            other => bail!("soak-prefetch has no option {other:?}"),
        }
    }
    let example = "run --release --package prefix-indexer-prefetch --example soak";
    process::run(process::cargo(&format!("{example} -- {seconds} {rounds}"))?)
}
