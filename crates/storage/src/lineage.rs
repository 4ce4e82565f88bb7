//! Parents form a forest: a link that would close a cycle is dropped.
//!
//! Of the members of a cycle the one with the smallest key loses its link, so the result does not depend on the order in which
//! the links came. Each prefix is walked over once: a walk ends where an earlier one has been. A parent is looked for
//! in the layer and page band of its child. Looking up is most of the work, so both threads do that before the walks.

use crate::{StorageError, View, segment::in_order};
use prefix_indexer_models::{IndexSpec, MAX_RUNGS, PrefixKey, PrefixTable};
use std::{collections::HashMap, ops::Range};

/// Prefixes whose parents are one job.
const CHUNK: usize = 1 << 12;

/// With fewer prefixes a second thread costs more than it brings.
const BOTH_THREADS: usize = 1 << 14;

/// A prefix: in one of the tables, or only in older segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    New { table: u32, number: u32 },
    Old(PrefixKey),
}

/// Drops links until there is no cycle through any prefix of the tables, which hold totals and have no prefix in common. A member
/// that only older segments hold is brought into the first table without its link. Returns how many links were dropped.
///
/// # Errors
/// Those of reading the older segments.
pub(crate) fn reject_cycles(tables: &mut [&mut PrefixTable], older: &View) -> Result<u64, StorageError> {
    let mut walk = Walk {
        // Walks are numbered from 1.
        new: tables.iter().map(|table| vec![0; table.len()]).collect(),
        old: HashMap::new(),
    };
    let parents = Parents::new(tables)?;
    let (mut dropped, mut round) = (0, 0_u32);
    let mut path = Vec::new();
    for table in 0..tables.len() {
        for number in 0..tables[table].len() {
            let start = Node::New { table: table as u32, number: number as u32 };
            if parents.of(start) == Parent::None || walk.met(start) != 0 {
                continue;
            }
            round += 1;
            path.clear();
            let mut next = Some(start);
            while let Some(node) = next {
                let met = walk.met(node);
                if met != 0 {
                    if met == round {
                        let begin = path.iter().position(|member| *member == node).unwrap_or(0);
                        drop_link(&path[begin..], tables, older)?;
                        dropped += 1;
                    }
                    break;
                }
                walk.meet(node, round);
                path.push(node);
                next = match parents.of(node) {
                    Parent::None => None,
                    Parent::New { table, number } => Some(Node::New { table, number }),
                    Parent::Elsewhere => parent(node, tables, older)?,
                };
            }
        }
    }
    Ok(dropped)
}

/// In which walk each prefix was met.
struct Walk {
    new: Vec<Vec<u32>>,
    old: HashMap<PrefixKey, u32>,
}

impl Walk {
    fn met(&self, node: Node) -> u32 {
        match node {
            Node::New { table, number } => {
                // A prefix that was brought in has been dealt with.
                self.new[table as usize].get(number as usize).copied().unwrap_or(u32::MAX)
            }
            Node::Old(key) => self.old.get(&key).copied().unwrap_or(0),
        }
    }

    fn meet(&mut self, node: Node, round: u32) {
        match node {
            Node::New { table, number } => {
                if let Some(met) = self.new[table as usize].get_mut(number as usize) {
                    *met = round;
                }
            }
            Node::Old(key) => {
                self.old.insert(key, round);
            }
        }
    }
}

/// Where the parent of a prefix is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parent {
    None,
    New {
        table: u32,
        number: u32,
    },
    /// In older segments, or nowhere.
    Elsewhere,
}

/// The parent of every prefix of the tables.
struct Parents(Vec<Vec<Parent>>);

impl Parents {
    fn new(tables: &[&mut PrefixTable]) -> Result<Parents, StorageError> {
        let mut parents: Vec<Vec<Parent>> = tables.iter().map(|table| Vec::with_capacity(table.len())).collect();
        let jobs: Vec<(usize, Range<usize>)> = (0..)
            .zip(tables)
            .flat_map(|(number, table)| {
                let end = table.len();
                (0..end).step_by(CHUNK).map(move |start| (number, start..end.min(start + CHUNK)))
            })
            .collect();
        let both = tables.iter().map(|table| table.len()).sum::<usize>() >= BOTH_THREADS;
        let make = |(table, range): &(usize, Range<usize>)| {
            let found = range.clone().map(|number| Parents::find(tables, *table, number)).collect::<Vec<Parent>>();
            Ok::<_, StorageError>((*table, found))
        };
        in_order(&jobs, both, make, |(table, found)| {
            parents[table].extend(found);
            Ok(())
        })?;
        Ok(Parents(parents))
    }

    fn find(tables: &[&mut PrefixTable], table: usize, number: usize) -> Parent {
        let own = &tables[table];
        let Some((_, Some(parent_id))) = own.ids(number) else { return Parent::None };
        let Some(totals) = own.totals(number) else { return Parent::None };
        let (layer, page) = (totals.tally.layer_min, totals.tally.page_start);
        if let Some(number) = own.find(totals.scope, parent_id, layer, page) {
            return Parent::New { table: table as u32, number: number as u32 };
        }
        let Some((tenant, model_id)) = own.names(totals.scope) else { return Parent::None };
        let others = (0..).zip(tables).filter(|(other, _)| *other != table);
        let mut found = others.filter_map(|(other, rows)| {
            let number = rows.find(rows.scope(tenant, model_id)?, parent_id, layer, page)?;
            Some(Parent::New { table: other as u32, number: number as u32 })
        });
        found.next().unwrap_or(Parent::Elsewhere)
    }

    fn of(&self, node: Node) -> Parent {
        match node {
            // A prefix that was brought in has lost its link.
            Node::New { table, number } => self.0[table as usize].get(number as usize).copied().unwrap_or(Parent::None),
            Node::Old(_) => Parent::Elsewhere,
        }
    }
}

/// The parent of a prefix in older segments, or in the tables if the prefix is in older segments itself.
fn parent(node: Node, tables: &[&mut PrefixTable], older: &View) -> Result<Option<Node>, StorageError> {
    if older.segments().is_empty() {
        return Ok(None);
    }
    let policy = older.spec().key_policy;
    match node {
        Node::New { table, number } => {
            let Some(row) = tables[table as usize].row(number as usize) else { return Ok(None) };
            let Some(parent_id) = row.parent_id else { return Ok(None) };
            let (layer, page) = (row.tally.layer_min, row.tally.page_start);
            let key = PrefixKey::new(policy, row.tenant, row.model_id, parent_id, layer, page);
            Ok(older.get(&key)?.map(|row| Node::Old(row.key())))
        }
        Node::Old(key) => {
            let Some(row) = older.get(&key)? else { return Ok(None) };
            let Some(parent_id) = row.parent_id() else { return Ok(None) };
            let tally = row.tally();
            let (layer, page) = (tally.layer_min, tally.page_start);
            let found = (0..).zip(tables).find_map(|(table, rows)| {
                let scope = rows.scope(row.tenant(), row.model_id())?;
                let number = rows.find(scope, parent_id, layer, page)?;
                Some(Node::New { table, number: number as u32 })
            });
            if found.is_some() {
                return Ok(found);
            }
            let key = PrefixKey::new(policy, row.tenant(), row.model_id(), parent_id, layer, page);
            Ok(older.get(&key)?.map(|row| Node::Old(row.key())))
        }
    }
}

fn drop_link(cycle: &[Node], tables: &mut [&mut PrefixTable], older: &View) -> Result<(), StorageError> {
    let key = |node: &Node| match *node {
        Node::New { table, number } => {
            tables[table as usize].row(number as usize).map_or(PrefixKey::default(), |row| row.key)
        }
        Node::Old(key) => key,
    };
    match cycle.iter().copied().min_by_key(key) {
        Some(Node::New { table, number }) => tables[table as usize].drop_parent(number as usize),
        Some(Node::Old(key)) => {
            if let (Some(row), Some(table)) = (older.get(&key)?, tables.first_mut()) {
                bring_in(table, older.spec(), [row.tenant(), row.model_id(), row.prefix_id()], &row);
            }
        }
        None => {}
    }
    Ok(())
}

fn bring_in(table: &mut PrefixTable, spec: &IndexSpec, names: [&str; 3], row: &crate::Row<'_>) {
    let mut sums = [0.0; MAX_RUNGS];
    sums.iter_mut().zip(row.sums()).for_each(|(sum, own)| *sum = own);
    table.merge(names, None, &row.tally(), &sums[..spec.ladder.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segment;
    use prefix_indexer_models::{EventBatch, PrefixEvent, Shard};
    use std::sync::Arc;

    fn table(links: &[(&str, &str)]) -> PrefixTable {
        let events: EventBatch = links
            .iter()
            .map(|(child, parent)| PrefixEvent {
                prefix_id: (*child).into(),
                tenant: "t".into(),
                model_id: "m".into(),
                parent_id: (!parent.is_empty()).then(|| (*parent).into()),
                ..PrefixEvent::default()
            })
            .collect();
        let spec = IndexSpec::default();
        let mut hashes = Vec::new();
        PrefixTable::hashes(&spec, &events, &mut hashes);
        let mut table = PrefixTable::new(spec);
        table.fold(&events, &hashes, Shard::WHOLE, |_| ());
        table
    }

    fn key(id: &str) -> PrefixKey {
        PrefixKey::new(Default::default(), "t", "m", id, 0, 0)
    }

    fn links(tables: &[&mut PrefixTable]) -> Vec<(String, String)> {
        let mut links: Vec<_> = tables
            .iter()
            .flat_map(|table| table.rows())
            .filter_map(|row| Some((row.prefix_id.to_owned(), row.parent_id?.to_owned())))
            .collect();
        links.sort();
        links
    }

    fn check(new: &[&[(&str, &str)]], older: &[(&str, &str)], cycles: &[&[&str]]) {
        let spec = IndexSpec::default();
        let old = table(older);
        let segments = if older.is_empty() {
            Vec::new()
        } else {
            vec![Arc::new(Segment::build(&spec, &[(&old).into()], old.len() as u64).unwrap())]
        };
        let view = View::new(spec, segments).unwrap();
        let mut tables: Vec<PrefixTable> = new.iter().map(|links| table(links)).collect();
        let mut tables: Vec<&mut PrefixTable> = tables.iter_mut().collect();
        let before = links(&tables);
        assert_eq!(reject_cycles(&mut tables, &view).unwrap(), cycles.len() as u64);
        let cut: Vec<&str> = cycles.iter().map(|cycle| *cycle.iter().min_by_key(|id| key(id)).unwrap()).collect();
        let expected: Vec<_> = before.into_iter().filter(|(child, _)| !cut.contains(&child.as_str())).collect();
        assert_eq!(links(&tables), expected);
        for id in cut {
            let kept = tables.iter().any(|table| {
                let number = table.scope("t", "m").and_then(|scope| table.find(scope, id, 0, 0));
                number.is_some_and(|number| table.row(number).unwrap().parent_id.is_none())
            });
            assert!(kept, "{id} is in a table, without its link");
        }
    }

    #[test]
    fn cycles_lose_the_link_of_their_smallest_key() {
        check(&[&[("a", ""), ("b", "a"), ("c", "b"), ("d", "b")]], &[], &[]);
        check(&[&[("a", "b"), ("b", "a"), ("c", "a")]], &[], &[&["a", "b"]]);
        check(&[&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")]], &[], &[&["b", "c", "d"]]);
        check(
            &[&[("a", "b"), ("b", "a")], &[("c", "d"), ("d", "e"), ("e", "c")]],
            &[],
            &[&["a", "b"], &["c", "d", "e"]],
        );
        check(&[&[("a", "b")], &[("b", "a")]], &[], &[&["a", "b"]]);
    }

    #[test]
    fn cycles_through_older_segments() {
        check(&[&[("a", "b")]], &[("b", "c"), ("c", "")], &[]);
        check(&[&[("a", "b")]], &[("b", "c"), ("c", "d"), ("d", "a")], &[&["a", "b", "c", "d"]]);
        check(&[&[("x", "y")]], &[("y", "x")], &[&["x", "y"]]);
        check(&[&[("p", "q"), ("r", "s")]], &[("q", "r"), ("s", "p")], &[&["p", "q", "r", "s"]]);
    }
}
