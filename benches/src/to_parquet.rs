//! Native JSON Lines as a Parquet file, as a data platform would keep them: tenants, models and parents from a dictionary,
//! snappy, row groups of a hundred thousand.

use anyhow::{Context, Result};
use arrow_array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use prefix_indexer_models::PrefixEvent;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
    sync::Arc,
};

const ROW_GROUP: usize = 122_880;

pub(crate) fn run(input: &Path, output: &Path) -> Result<()> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("prefix_id", DataType::Utf8, false),
        Field::new("tenant", DataType::Utf8, false),
        Field::new("model_id", DataType::Utf8, false),
        Field::new("layer", DataType::Int32, false),
        Field::new("page_start", DataType::Int32, false),
        Field::new("page_end", DataType::Int32, false),
        Field::new("bytes", DataType::Int64, false),
        Field::new("latency_ms", DataType::Float64, false),
        Field::new("timestamp_ms", DataType::Int64, false),
        Field::new("parent_id", DataType::Utf8, true),
        Field::new("depth", DataType::Int32, true),
        Field::new("session_id", DataType::Utf8, true),
        Field::new("event_id", DataType::Utf8, true),
    ]));
    let partial = output.with_extension("parquet.partial");
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let properties = properties.set_max_row_group_row_count(Some(ROW_GROUP)).build();
    let file = File::create(&partial).with_context(|| format!("cannot write {}", partial.display()))?;
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))?;
    let lines = File::open(input).with_context(|| format!("cannot read {}", input.display()))?;
    let mut events: Vec<PrefixEvent> = Vec::with_capacity(ROW_GROUP);
    for (number, line) in BufReader::new(lines).lines().enumerate() {
        let event = serde_json::from_str(&line?).with_context(|| format!("{}:{}", input.display(), number + 1))?;
        events.push(event);
        if events.len() == ROW_GROUP {
            writer.write(&RecordBatch::try_new(schema.clone(), columns(&events)?)?)?;
            events.clear();
        }
    }
    writer.write(&RecordBatch::try_new(schema, columns(&events)?)?)?;
    writer.close()?;
    fs::rename(partial, output)?;
    Ok(())
}

fn columns(events: &[PrefixEvent]) -> Result<Vec<ArrayRef>> {
    let text =
        |of: fn(&PrefixEvent) -> Option<&str>| -> ArrayRef { Arc::new(events.iter().map(of).collect::<StringArray>()) };
    let short = |of: fn(&PrefixEvent) -> Option<u32>| -> Result<ArrayRef> {
        let values = events.iter().map(|event| of(event).map(i32::try_from).transpose());
        Ok(Arc::new(values.collect::<Result<Int32Array, _>>()?))
    };
    let long = |of: fn(&PrefixEvent) -> u64| -> Result<ArrayRef> {
        let values = events.iter().map(|event| i64::try_from(of(event)).map(Some));
        Ok(Arc::new(values.collect::<Result<Int64Array, _>>()?))
    };
    Ok(vec![
        text(|event| Some(&event.prefix_id)),
        text(|event| Some(&event.tenant)),
        text(|event| Some(&event.model_id)),
        short(|event| Some(event.layer))?,
        short(|event| Some(event.page_start))?,
        short(|event| Some(event.page_end))?,
        long(|event| event.bytes)?,
        Arc::new(events.iter().map(|event| Some(event.latency_ms)).collect::<Float64Array>()),
        long(|event| event.timestamp_ms)?,
        text(|event| event.parent_id.as_deref()),
        short(|event| event.depth)?,
        text(|event| event.session_id.as_deref()),
        text(|event| event.event_id.as_deref()),
    ])
}
