//! From events to requests.

use super::{NONE, Trace};
use crate::SimulatorError;
use prefix_indexer_models::{EventBatch, EventRef, KeyPolicy, PrefixKey};
use std::{collections::HashMap, sync::Arc};

/// Puts a [`Trace`] together from batches of events, of any format, in any order of time.
///
/// An event continues the request of the event before it when both have the same tenant, model, session and
/// timestamp, and it is the next block of the chain: its parent is the event before, or it names no parent and is one
/// deeper. An event of the same prefix as the one before, but of another layer or other pages, is part of the same use.
/// Anything else begins a request. So a row of a block trace is one request, and an event without relations is one of its own.
///
/// Of several parents the one with the smallest key counts, as in the index; links that would close a cycle are cut; a
/// parent that is itself never used is not part of the trace. Requests with the same timestamp keep their order.
#[derive(Debug, Default)]
pub struct TraceBuilder {
    scopes: Vec<Scope>,
    /// Tenant, then model, to number.
    scope_numbers: HashMap<String, HashMap<String, u32>>,
    session_count: u32,
    blocks: Vec<Block>,
    names: Vec<Arc<str>>,
    times_ms: Vec<u64>,
    request_sessions: Vec<u32>,
    starts: Vec<u32>,
    references: Vec<u32>,
    last: Option<Last>,
}

#[derive(Debug)]
struct Scope {
    tenant: String,
    model_id: String,
    blocks: HashMap<Arc<str>, u32>,
    sessions: HashMap<String, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    parent: u32,
    depth: u32,
    uses: u64,
    latency_sum_ms: f64,
    newest_ms: u64,
    bytes: u64,
}

const UNUSED: Block = Block { parent: NONE, depth: NONE, uses: 0, latency_sum_ms: 0.0, newest_ms: 0, bytes: 0 };

/// The event before.
#[derive(Debug)]
struct Last {
    scope: u32,
    session: u32,
    time_ms: u64,
    prefix_id: String,
    block: u32,
    depth: Option<u32>,
    /// Layer and pages.
    extent: [u32; 3],
}

impl TraceBuilder {
    /// Nothing yet.
    pub fn new() -> TraceBuilder {
        TraceBuilder::default()
    }

    /// Appends the events of a batch.
    ///
    /// # Errors
    /// [`SimulatorError::TooLarge`] from 2^32 - 1 blocks or references on.
    pub fn push(&mut self, batch: &EventBatch) -> Result<(), SimulatorError> {
        batch.iter().try_for_each(|event| self.push_event(&event))
    }

    fn push_event(&mut self, event: &EventRef<'_>) -> Result<(), SimulatorError> {
        let last = self.last.take();
        let scope = self.scope(event, last.as_ref());
        let session = self.session(event, scope);
        let same_moment = last
            .as_ref()
            .filter(|last| last.scope == scope && last.session == session && last.time_ms == event.timestamp_ms);
        let extent = [event.layer, event.page_start, event.page_end];
        let again = same_moment.is_some_and(|last| last.prefix_id == event.prefix_id && last.extent != extent);
        let next = same_moment.is_some_and(|last| match event.parent_id {
            Some(parent_id) => parent_id == last.prefix_id,
            None => event.depth.is_some() && event.depth == last.depth.and_then(|depth| depth.checked_add(1)),
        });
        let block = match same_moment {
            Some(last) if again => last.block,
            _ => self.block(scope, event.prefix_id)?,
        };
        let parent = match same_moment {
            Some(last) if next => Some(last.block),
            _ => event.parent_id.map(|parent_id| self.block(scope, parent_id)).transpose()?,
        };
        if let Some(parent) = parent
            && !again
        {
            self.name_parent(scope, block, parent);
        }
        self.count_use(block, event);
        if !again {
            if self.references.len() >= NONE as usize {
                return Err(SimulatorError::TooLarge { what: "references", max: u64::from(NONE) });
            }
            if !next {
                self.times_ms.push(event.timestamp_ms);
                self.request_sessions.push(session);
                self.starts.push(self.references.len() as u32);
            }
            self.references.push(block);
        }
        let mut prefix_id = last.map(|last| last.prefix_id).unwrap_or_default();
        if !again {
            prefix_id.clear();
            prefix_id.push_str(event.prefix_id);
        }
        let (time_ms, depth) = (event.timestamp_ms, event.depth);
        self.last = Some(Last { scope, session, time_ms, prefix_id, block, depth, extent });
        Ok(())
    }

    fn scope(&mut self, event: &EventRef<'_>, last: Option<&Last>) -> u32 {
        let same = |scope: &Scope| scope.tenant == event.tenant && scope.model_id == event.model_id;
        if let Some(last) = last
            && self.scopes.get(last.scope as usize).is_some_and(same)
        {
            return last.scope;
        }
        let known = self.scope_numbers.get(event.tenant).and_then(|models| models.get(event.model_id));
        known.copied().unwrap_or_else(|| {
            let (tenant, model_id) = (event.tenant.to_owned(), event.model_id.to_owned());
            let number = self.scopes.len() as u32;
            self.scope_numbers.entry(tenant.clone()).or_default().insert(model_id.clone(), number);
            self.scopes.push(Scope { tenant, model_id, blocks: HashMap::new(), sessions: HashMap::new() });
            number
        })
    }

    fn session(&mut self, event: &EventRef<'_>, scope: u32) -> u32 {
        let Some(session_id) = event.session_id else { return NONE };
        let sessions = &mut self.scopes[scope as usize].sessions;
        sessions.get(session_id).copied().unwrap_or_else(|| {
            sessions.insert(session_id.to_owned(), self.session_count);
            self.session_count += 1;
            self.session_count - 1
        })
    }

    fn block(&mut self, scope: u32, prefix_id: &str) -> Result<u32, SimulatorError> {
        let blocks = &mut self.scopes[scope as usize].blocks;
        if let Some(&block) = blocks.get(prefix_id) {
            return Ok(block);
        }
        let block = self.blocks.len() as u32;
        if block == NONE {
            return Err(SimulatorError::TooLarge { what: "blocks", max: u64::from(NONE) });
        }
        let name: Arc<str> = Arc::from(prefix_id);
        blocks.insert(Arc::clone(&name), block);
        self.names.push(name);
        self.blocks.push(UNUSED);
        Ok(block)
    }

    fn name_parent(&mut self, scope: u32, block: u32, parent: u32) {
        let known = self.blocks[block as usize].parent;
        if known == parent {
            return;
        }
        if known == NONE || self.key(scope, parent) < self.key(scope, known) {
            self.blocks[block as usize].parent = parent;
        }
    }

    /// What decides between contradicting parents.
    fn key(&self, scope: u32, block: u32) -> PrefixKey {
        let scope = &self.scopes[scope as usize];
        PrefixKey::new(KeyPolicy::default(), &scope.tenant, &scope.model_id, &self.names[block as usize], 0, 0)
    }

    fn count_use(&mut self, block: u32, event: &EventRef<'_>) {
        let block = &mut self.blocks[block as usize];
        let again = block.uses > 0 && event.timestamp_ms == block.newest_ms;
        if event.timestamp_ms >= block.newest_ms {
            block.bytes = if again { block.bytes.max(event.bytes) } else { event.bytes };
            block.newest_ms = event.timestamp_ms;
        }
        block.uses += 1;
        block.latency_sum_ms += event.latency_ms;
        // No depth is the largest number.
        block.depth = block.depth.min(event.depth.unwrap_or(NONE));
    }

    /// The trace: requests in the order of time, blocks numbered by first use. O(n log n) where the input is not in order.
    pub fn finish(self) -> Trace {
        let mut order: Vec<u32> = (0..self.times_ms.len() as u32).collect();
        if !self.times_ms.is_sorted() {
            order.sort_by_key(|&request| self.times_ms[request as usize]);
        }
        let mut numbers = vec![NONE; self.blocks.len()];
        let mut used = Vec::with_capacity(self.blocks.len());
        let mut trace = Trace { session_count: self.session_count, ..Trace::default() };
        trace.references.reserve(self.references.len());
        for request in order {
            let request = request as usize;
            trace.times_ms.push(self.times_ms[request]);
            trace.sessions.push(self.request_sessions[request]);
            trace.starts.push(trace.references.len() as u32);
            let start = self.starts[request] as usize;
            let end = self.starts.get(request + 1).map_or(self.references.len(), |&end| end as usize);
            for &block in &self.references[start..end] {
                let number = &mut numbers[block as usize];
                if *number == NONE {
                    *number = used.len() as u32;
                    used.push(block);
                }
                trace.references.push(*number);
            }
        }
        for &block in &used {
            let block = self.blocks[block as usize];
            trace.parents.push(numbers.get(block.parent as usize).copied().unwrap_or(NONE));
            trace.depths.push(block.depth);
            trace.bytes.push(block.bytes);
            trace.latencies_ms.push(block.latency_sum_ms / block.uses as f64);
        }
        cut_cycles_and_fill_depths(&mut trace);
        trace
    }
}

/// Follows every chain to its root once. O(blocks).
fn cut_cycles_and_fill_depths(trace: &mut Trace) {
    const OPEN: u32 = NONE - 1;
    // Number of ancestors; NONE before a block was visited, OPEN while its chain is being followed.
    let mut ancestors = vec![NONE; trace.parents.len()];
    let mut path = Vec::new();
    for block in 0..trace.parents.len() {
        let mut at = block;
        let mut above = loop {
            match ancestors[at] {
                NONE => {}
                known => break known + 1,
            }
            ancestors[at] = OPEN;
            path.push(at);
            let parent = trace.parents[at];
            if parent == NONE || ancestors[parent as usize] == OPEN {
                trace.parents[at] = NONE;
                break 0;
            }
            at = parent as usize;
        };
        while let Some(at) = path.pop() {
            ancestors[at] = above;
            above += 1;
            if trace.depths[at] == NONE && trace.parents[at] != NONE {
                trace.depths[at] = ancestors[at];
            }
        }
    }
}
