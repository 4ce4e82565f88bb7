//! `forget`: a tenant or a model, gone for good.

use super::DataArgs;
use crate::{DONE, output, units::show_count};
use prefix_indexer::{Forget, OpenOptions, forget};

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["tenant", "model"])))]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,

    /// Everything of this tenant; with --model, only its prefixes of that model
    #[arg(long)]
    tenant: Option<String>,

    /// Everything of this model
    #[arg(long)]
    model: Option<String>,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let mut store = self.data.write(OpenOptions::default())?;
        let removed = forget(store.as_mut(), &Forget { tenant: self.tenant, model_id: self.model })?;
        if self.json {
            output::print_json(&serde_json::json!({ "removed": removed }))?;
        } else {
            output::print(&format!("{} prefixes removed\n", show_count(removed)))?;
        }
        Ok(DONE)
    }
}
