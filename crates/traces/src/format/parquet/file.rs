//! A Parquet file that any number of threads read at once.

use crate::{TraceError, TraceOptions, format::events::NAMES, place::read_at};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
        },
    },
    basic::{Encoding, EncodingMask},
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData},
        reader::{ChunkReader, Length},
    },
};
use std::{
    fmt::Display,
    fs::File,
    io::{self, BufReader, Read},
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

/// Fields that the options can stand in for.
const OPTIONAL: [&str; 4] = ["parent_id", "depth", "session_id", "event_id"];

/// Runs the decoder, which panics on some files whose pages contradict their footer: to us that is an error like others.
/// Whatever it was working on is dropped, so nothing half done is seen again.
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    panic::catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(ParquetError::General(format!("corrupt: {}", text.unwrap_or("contradicts itself"))))
    })
}

/// An open file with its footer.
pub(crate) struct RowFile {
    pub(super) name: Arc<str>,
    reader: Positioned,
    metadata: ArrowReaderMetadata,
    wanted: ProjectionMask,
}

impl RowFile {
    /// Opens a file whose columns are events. Returns the digest of its footer, too.
    pub(super) fn open(file: File, name: Arc<str>, options: &TraceOptions) -> Result<(RowFile, [u8; 32]), TraceError> {
        let failed = |source| TraceError::Io { file: Arc::clone(&name), action: "cannot read", source };
        let length = file.metadata().map_err(failed)?.len();
        let reader = Positioned { file: Arc::new(file), length };
        let head = reader.footer_digest().map_err(failed)?;
        let broken =
            |error: ParquetError| TraceError::Parquet { file: Arc::clone(&name), row: 0, reason: error.to_string() };
        let wish = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let load = || ArrowReaderMetadata::load(&reader, wish.clone());
        let mut metadata = guarded(load).map_err(broken)?;
        let named = |name: &str| metadata.schema().column_with_name(name).is_some();
        for column in NAMES {
            let given = match column {
                "tenant" => options.tenant.is_some(),
                "model_id" => options.model_id.is_some(),
                _ => OPTIONAL.contains(&column),
            };
            if !given && !named(column) {
                return Err(TraceError::Column { file: Arc::clone(&name), column, reason: "missing".to_owned() });
            }
        }
        // Names repeat and come as codes; ids, too, where the file has them as codes, else they come end to end. A file that
        // cannot be read so is read as it is.
        let plain = Arc::clone(metadata.metadata());
        let schema = hinted(metadata.schema(), &plain);
        let hinted = || ArrowReaderMetadata::try_new(plain, wish.clone().with_schema(schema));
        if let Ok(hinted) = guarded(hinted) {
            metadata = hinted;
        }
        let fields = metadata.schema().fields().iter().enumerate();
        let roots = fields.filter(|(_, field)| NAMES.contains(&field.name().as_str())).map(|(index, _)| index);
        let wanted = ProjectionMask::roots(metadata.parquet_schema(), roots);
        Ok((RowFile { name, reader, metadata, wanted }, head))
    }

    pub(super) fn rows(&self) -> u64 {
        (0..self.groups()).map(|group| self.group_rows(group) as u64).sum()
    }

    pub(super) fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    pub(super) fn group_rows(&self, group: usize) -> usize {
        self.metadata.metadata().row_groups().get(group).map_or(0, |group| group.num_rows().max(0) as usize)
    }

    /// Whether pages of a group can be found by row.
    pub(super) fn is_indexed(&self, group: usize) -> bool {
        let index = self.metadata.metadata().offset_index().and_then(|index| index.get(group));
        index.is_some_and(|columns| !columns.is_empty() && columns.iter().all(|c| !c.page_locations().is_empty()))
    }

    /// Stored bytes of the first `rows` rows of a group, about.
    pub(super) fn stored_bytes(&self, group: usize, rows: usize) -> u64 {
        let Some(found) = self.metadata.metadata().row_groups().get(group) else { return 0 };
        let (stored, count) = (found.compressed_size().max(0) as u128, found.num_rows().max(1) as u128);
        (stored * rows as u128 / count) as u64
    }

    /// Reads rows of a group.
    pub(super) fn read(
        &self,
        group: usize,
        from: usize,
        rows: Option<usize>,
        batch: usize,
    ) -> Result<ParquetRecordBatchReader, TraceError> {
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.reader.clone(), self.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(self.wanted.clone())
            .with_batch_size(batch)
            .with_offset(from);
        let reader = match rows {
            Some(rows) => reader.with_limit(rows),
            None => reader,
        };
        guarded(|| reader.build()).map_err(|error| self.broken(from as u64, &error))
    }

    pub(super) fn broken(&self, row: u64, reason: &dyn Display) -> TraceError {
        TraceError::Parquet { file: Arc::clone(&self.name), row, reason: reason.to_string() }
    }
}

fn hinted(schema: &Schema, metadata: &ParquetMetaData) -> Arc<Schema> {
    let hint = |field: &Arc<Field>| {
        let text = matches!(
            field.data_type(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) | DataType::Binary
        );
        let codes = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
        let name = field.name().as_str();
        let data_type = match name {
            "tenant" | "model_id" if text => codes,
            "prefix_id" | "parent_id" | "session_id" | "event_id" if text && has_codes(metadata, name) => codes,
            "prefix_id" | "parent_id" | "session_id" | "event_id" if text => DataType::Utf8,
            _ => return Arc::clone(field),
        };
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    Arc::new(Schema::new(schema.fields().iter().map(hint).collect::<Vec<_>>()))
}

/// Whether all pages of a column hold codes of a dictionary. Where only some do, the others would have to be coded; so would
/// the nulls of a column that holds nothing else.
fn has_codes(metadata: &ParquetMetaData, name: &str) -> bool {
    let empty = |column: &ColumnChunkMetaData| {
        let nulls = column.statistics().and_then(|statistics| statistics.null_count_opt());
        nulls.is_some_and(|nulls| i64::try_from(nulls).is_ok_and(|nulls| nulls == column.num_values()))
    };
    let coded = |column: &ColumnChunkMetaData| {
        let codes =
            |mask: &EncodingMask| mask.is_only(Encoding::PLAIN_DICTIONARY) || mask.is_only(Encoding::RLE_DICTIONARY);
        column.dictionary_page_offset().is_some() && column.page_encoding_stats_mask().is_some_and(codes)
    };
    let named = |column: &&ColumnChunkMetaData| column.column_path().parts() == [name];
    let mut columns = metadata.row_groups().iter().map(|group| group.columns().iter().find(named));
    columns.clone().all(|column| column.is_some_and(coded)) && !columns.all(|column| column.is_some_and(empty))
}

/// A file read by offset, so that readers do not move each other's.
#[derive(Clone)]
struct Positioned {
    file: Arc<File>,
    length: u64,
}

/// Reads on from an offset.
struct From {
    file: Arc<File>,
    offset: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(&self.file, buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Positioned {
    fn from(&self, offset: u64) -> From {
        From { file: Arc::clone(&self.file), offset }
    }

    fn exactly(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        if offset.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = Vec::with_capacity(length as usize);
        self.from(offset).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// BLAKE3 of the footer. It names every page with its place and size, so it identifies the file.
    fn footer_digest(&self) -> io::Result<[u8; 32]> {
        const END: u64 = 8;
        let end = self.exactly(self.length.saturating_sub(END), END)?;
        let [a, b, c, d, magic @ ..] = end.as_slice() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let length = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
        if magic != super::MAGIC || length + END > self.length {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a complete Parquet file: no footer at its end",
            ));
        }
        Ok(*blake3::hash(&self.exactly(self.length - END - length, length)?).as_bytes())
    }
}

impl Length for Positioned {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Positioned {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(self.from(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        Ok(self.exactly(start, length as u64)?.into())
    }
}
