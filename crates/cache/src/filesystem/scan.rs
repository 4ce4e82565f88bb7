//! Finding out what is there: once on opening, and again when others share the directory.

use super::{
    header,
    index::{Eviction, Indexed},
    layout::{Id, Layout, OURS, Places},
};
use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    thread,
};

/// More threads than this do not make a directory faster to read.
const MAX_THREADS: usize = 4;

struct Found {
    file: Indexed,
    /// Last use or write, by the eviction that will go by it.
    moment_ns: i128,
}

/// Every file of the tier, the one that goes first at the front. Reads directories and attributes, no contents: 100,000 files take
/// some 0.2 s when the system has the directories in memory.
pub(super) fn files(places: &Places, eviction: Eviction) -> io::Result<Vec<Indexed>> {
    let mut found = match places.layout {
        Layout::Hashed => hashed(places, eviction)?,
        Layout::Plain => {
            let mut found = Vec::new();
            plain(places, eviction, "", &mut found)?;
            found
        }
    };
    found.sort_unstable_by_key(|found| (found.moment_ns, found.file.id));
    Ok(found.into_iter().map(|found| found.file).collect())
}

/// The key of a file, if that can be told; for listing and clearing.
pub(super) fn key_of(places: &Places, file: &Indexed) -> Option<String> {
    match &file.name {
        Some(name) => places.key(name),
        None => read_header(&places.path(&file.id.path()))?.key.into(),
    }
}

/// The header of a file, if it has a whole one.
pub(super) fn read_header(path: &Path) -> Option<header::Header> {
    /// Enough for the header of nearly every key in one read.
    const AT_FIRST: u64 = 512;
    let mut file = File::open(path).ok()?;
    let mut start = Vec::with_capacity(AT_FIRST as usize);
    file.by_ref().take(AT_FIRST).read_to_end(&mut start).ok()?;
    let length = header::length(&start)?;
    if length > start.len() {
        file.take((length - start.len()) as u64).read_to_end(&mut start).ok()?;
    }
    header::decode(&start)
}

fn hashed(places: &Places, eviction: Eviction) -> io::Result<Vec<Found>> {
    let mut directories: Vec<String> = Vec::new();
    for entry in fs::read_dir(&places.root)? {
        if let Ok(name) = entry?.file_name().into_string()
            && name.len() == 2
        {
            directories.push(name);
        }
    }
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let share = directories.len().div_ceil(threads).max(1);
    let scan = |names: &[String]| {
        let mut found = Vec::new();
        for name in names {
            hashed_directory(places, eviction, name, &mut found)?;
        }
        Ok(found)
    };
    thread::scope(|scope| {
        let parts: Vec<_> = directories.chunks(share).map(|names| scope.spawn(move || scan(names))).collect();
        let mut found = Vec::new();
        for part in parts {
            let part: io::Result<Vec<Found>> =
                part.join().unwrap_or_else(|_| Err(io::Error::other("a scanning thread panicked")));
            found.extend(part?);
        }
        Ok(found)
    })
}

fn hashed_directory(places: &Places, eviction: Eviction, directory: &str, found: &mut Vec<Found>) -> io::Result<()> {
    for entry in read_dir(&places.path(directory))? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| Id::from_path(directory, name)) else { continue };
        // What vanishes meanwhile was not there.
        let Ok(metadata) = entry.metadata() else { continue };
        found.push(Found {
            file: Indexed { id, size: metadata.len(), name: None },
            moment_ns: moment_ns(&metadata, eviction),
        });
    }
    Ok(())
}

/// Files whose name is not that of any key are somebody else's: left alone and not counted.
fn plain(places: &Places, eviction: Eviction, directory: &str, found: &mut Vec<Found>) -> io::Result<()> {
    for entry in read_dir(&places.path(directory))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name == OURS {
            continue;
        }
        let name = if directory.is_empty() { name } else { format!("{directory}/{name}") };
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() && places.escape == super::Escape::Path {
            plain(places, eviction, &name, found)?;
        } else if metadata.is_file()
            && let Some(key) = places.key(&name)
        {
            let id = Id::of(&key);
            let beside = fs::metadata(places.sidecar(id)).map_or(0, |sidecar| sidecar.len());
            found.push(Found {
                file: Indexed { id, size: metadata.len() + beside, name: Some(name.into()) },
                moment_ns: moment_ns(&metadata, eviction),
            });
        }
    }
    Ok(())
}

/// The entries of a directory, none if it has gone.
fn read_dir(path: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

fn moment_ns(metadata: &Metadata, eviction: Eviction) -> i128 {
    let written = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    let used = i128::from(metadata.atime()) * 1_000_000_000 + i128::from(metadata.atime_nsec());
    match eviction {
        Eviction::Fifo => written,
        Eviction::Lru => written.max(used),
    }
}
