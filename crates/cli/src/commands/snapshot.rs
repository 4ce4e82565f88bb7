//! `snapshot`: everything the index knows, unranked.

use super::{DataArgs, suggest};
use crate::{DONE, output};
use prefix_indexer::Query;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,

    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let view = self.data.read()?.view();
        let query = Query::default();
        let (rung, now_ms) = (query.rung(&view.spec().ladder)?, query.now_ms(&view));
        let prefixes = view.rows().map(|row| Ok(row?.recommend(rung, now_ms)));
        let prefixes = prefixes.collect::<anyhow::Result<Vec<_>>>()?;
        if self.json {
            let entries = prefixes.iter().map(|prefix| {
                let mut document = serde_json::to_value(prefix)?;
                document["hint"] = prefix.hint_without_score().to_string().into();
                Ok(document)
            });
            output::print_json(&entries.collect::<anyhow::Result<Vec<_>>>()?)?;
        } else {
            output::print(&suggest::table(&prefixes, now_ms))?;
        }
        Ok(DONE)
    }
}
