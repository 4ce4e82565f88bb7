//! `completions`: a completion script, made from the definitions of the commands.

use crate::{Cli, DONE, output};
use clap::CommandFactory;
use clap_complete::Shell;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "prefix-indexer", &mut script);
        output::print(&String::from_utf8(script)?)?;
        Ok(DONE)
    }
}
