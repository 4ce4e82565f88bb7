//! `man`: the manual page, made from the definitions of the commands.

use crate::{Cli, DONE, output};
use clap::CommandFactory;

#[derive(clap::Args)]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let mut page = Vec::new();
        let mut cli = Cli::command();
        cli.build();
        clap_mangen::Man::new(cli.clone()).render(&mut page)?;
        for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
            clap_mangen::Man::new(command.clone()).render(&mut page)?;
        }
        output::print(&String::from_utf8(page)?)?;
        Ok(DONE)
    }
}
