//! A row that is no event, as a line to set aside.

use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};

/// The values of a row as a JSON object; what JSON has no number for as a string.
pub(super) fn as_json(records: &RecordBatch, row: usize) -> Vec<u8> {
    let options = FormatOptions::default();
    let schema = records.schema();
    let fields = schema.fields().iter().zip(records.columns()).map(|(field, array)| {
        let text = ArrayFormatter::try_new(array, &options).map(|format| format.value(row).to_string());
        let number = field.data_type().is_numeric();
        let value = match text {
            _ if array.is_null(row) => serde_json::Value::Null,
            Ok(text) if number => serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)),
            Ok(text) => serde_json::Value::String(text),
            Err(error) => serde_json::Value::String(error.to_string()),
        };
        (field.name().clone(), value)
    });
    serde_json::Value::Object(fields.collect()).to_string().into_bytes()
}
