//! Which prefix comes next: requests put together from events, and a Markov chain over them.
//!
//! An event is the use of one block. Events that follow each other along parent links, of one session, are one request;
//! [`PrefixMarkov`] learns from requests, by numbers. Here blocks get their numbers, as many as there is room for: half of them, those
//! used longest ago of the tenants that have more than their share, make room for others.

use prefix_indexer_analytics::{Claim, MarkovConfig, PrefixMarkov, beyond_share};
use prefix_indexer_models::{EventBatch, EventRef, KeyPolicy, PrefixKey};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
};

/// Blocks that have a number, each some 100 bytes.
const ROOM: usize = 131_072;

/// Pairs of a context and what followed it, each some 60 bytes.
const PAIRS: usize = 100_000;

type Digest = [u8; 16];

/// What has been learned.
#[derive(Debug, Serialize, Deserialize)]
#[serde(from = "Written")]
pub(crate) struct Habits {
    markov: PrefixMarkov,
    blocks: Vec<Block>,
    requests: u64,
    #[serde(skip)]
    numbers: HashMap<Digest, u32>,
    #[serde(skip)]
    room: usize,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Block {
    /// Of tenant, model and id.
    name: Digest,
    /// Of a row of it in the index: another one where keys have bands.
    key: Digest,
    /// Whose it is.
    tenant: Digest,
    /// The last request that used it, or one that extends it.
    used: u64,
}

#[derive(Deserialize)]
struct Written {
    markov: PrefixMarkov,
    blocks: Vec<Block>,
    requests: u64,
}

impl From<Written> for Habits {
    fn from(Written { markov, blocks, requests }: Written) -> Habits {
        // Numbers that the two do not agree on would say what is not so.
        let is_whole = markov.runs().len() == blocks.len();
        let mut habits =
            if is_whole { Habits { markov, blocks, requests, ..Habits::new(ROOM) } } else { Habits::new(ROOM) };
        habits.number();
        habits
    }
}

/// What a session, or whoever asked for something, may ask for next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Guess {
    pub(crate) probability: f64,
    /// Keys of the rows of the last run of blocks, root first.
    pub(crate) run: Vec<PrefixKey>,
}

impl Default for Habits {
    fn default() -> Habits {
        Habits::new(ROOM)
    }
}

impl Habits {
    /// Nothing learned yet; room for so many blocks.
    pub(crate) fn new(room: usize) -> Habits {
        let config = MarkovConfig { max_pairs: PAIRS, ..MarkovConfig::default() };
        let markov = PrefixMarkov::new(config);
        Habits { markov, blocks: Vec::new(), requests: 0, numbers: HashMap::new(), room: room.max(2) }
    }

    /// Learns from a request.
    pub(crate) fn observe(&mut self, request: &Request<'_>) {
        self.requests += 1;
        let chain = self.chain(request);
        for &block in &chain {
            if let Some(block) = self.blocks.get_mut(block as usize) {
                block.used = self.requests;
            }
        }
        self.markov.observe(request.tenant, request.session, &chain);
        if self.blocks.len() > self.room {
            self.make_room();
        }
    }

    /// The numbers of a request's blocks: some that are known, then some that are new. What comes before a known block that
    /// follows a new one is left out.
    fn chain(&mut self, request: &Request<'_>) -> Vec<u32> {
        let parent = request.parent.and_then(|parent| self.numbers.get(&parent.0)).copied();
        let tenant = name(request.tenant, "", "").0;
        let mut chain: Vec<u32> = parent.into_iter().collect();
        let mut new = Vec::new();
        for used in &request.blocks {
            match self.numbers.get(&used.name.0) {
                Some(&known) => {
                    if !std::mem::take(&mut new).is_empty() {
                        chain.clear();
                    }
                    chain.push(known);
                }
                None => new.push(used),
            }
        }
        for used in new {
            // A chain that comes back to itself ends there.
            let Entry::Vacant(entry) = self.numbers.entry(used.name.0) else { break };
            let number = self.blocks.len() as u32;
            entry.insert(number);
            self.blocks.push(Block { name: used.name.0, key: used.key.0, tenant, used: 0 });
            chain.push(number);
        }
        chain
    }

    #[cold]
    fn make_room(&mut self) {
        let mut last: HashMap<Digest, u64> = HashMap::new();
        for block in &self.blocks {
            let last = last.entry(block.tenant).or_default();
            *last = block.used.max(*last);
        }
        let claims = self.blocks.iter().enumerate().map(|(number, block)| Claim {
            owner: block.tenant,
            // Of one request, those nearest to its root were numbered first.
            worth: (block.used, Reverse(number)),
            size: 1,
            silence: self.requests - last.get(&block.tenant).copied().unwrap_or(0),
        });
        let mut keep = vec![true; self.blocks.len()];
        for number in beyond_share(&claims.collect::<Vec<_>>(), self.room / 2) {
            if let Some(keep) = keep.get_mut(number) {
                *keep = false;
            }
        }
        self.markov.retain(&keep);
        let mut kept = keep.iter();
        self.blocks.retain(|_| kept.next().copied().unwrap_or(false));
        self.number();
    }

    fn number(&mut self) {
        self.numbers = self.blocks.iter().map(|block| block.name).zip(0..).collect();
    }

    /// The likeliest prefixes that a session's next request goes on from, most probable first.
    pub(crate) fn after_session(&self, tenant: &str, session: Option<&str>) -> Vec<Guess> {
        self.guesses(self.markov.predict(tenant, session, usize::MAX))
    }

    /// Likewise after requests for some prefixes, oldest first.
    pub(crate) fn after_prefixes(&self, tenant: &str, names: &[PrefixKey]) -> Vec<Guess> {
        let known: Vec<u32> = names.iter().filter_map(|name| self.numbers.get(&name.0).copied()).collect();
        self.guesses(self.markov.predict_after(tenant, &known, usize::MAX))
    }

    fn guesses(&self, predicted: Vec<(u32, f64)>) -> Vec<Guess> {
        let key = |block: u32| self.blocks.get(block as usize).map(|block| PrefixKey(block.key));
        let guess = |(block, probability)| Guess {
            probability,
            run: self.markov.runs().blocks(block).filter_map(key).collect(),
        };
        predicted.into_iter().map(guess).collect()
    }

    /// Blocks that are known.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.blocks.len()
    }
}

/// One request: the blocks that it used, root first.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    tenant: &'a str,
    session: Option<&'a str>,
    /// Of its first block.
    parent: Option<PrefixKey>,
    blocks: Vec<Used>,
}

#[derive(Debug)]
struct Used {
    name: PrefixKey,
    key: PrefixKey,
}

/// A block's name, whatever bands an index keeps.
pub(crate) fn name(tenant: &str, model_id: &str, prefix_id: &str) -> PrefixKey {
    PrefixKey::new(KeyPolicy::default(), tenant, model_id, prefix_id, 0, 0)
}

/// Hands out the requests that the events of a batch are of, in the order of their first events.
pub(crate) fn requests<'a>(policy: KeyPolicy, events: &'a EventBatch, mut hand_out: impl FnMut(Request<'a>)) {
    let mut events = events.iter().peekable();
    while let Some(first) = events.next() {
        let used = |event: &EventRef<'_>| {
            let name = name(event.tenant, event.model_id, event.prefix_id);
            let EventRef { layer, page_start, .. } = *event;
            let key = match policy == KeyPolicy::default() {
                true => name,
                false => PrefixKey::new(policy, event.tenant, event.model_id, event.prefix_id, layer, page_start),
            };
            Used { name, key }
        };
        let mut request = Request {
            tenant: first.tenant,
            session: first.session_id,
            parent: first.parent_id.map(|parent_id| name(first.tenant, first.model_id, parent_id)),
            blocks: vec![used(&first)],
        };
        let mut last = first;
        while let Some(next) = events.next_if(|next| goes_on(&last, next)) {
            if next.prefix_id != last.prefix_id {
                request.blocks.push(used(&next));
            }
            last = next;
        }
        hand_out(request);
    }
}

/// Whether an event is of the same request as the one before it: the next block, or another layer or page of the same.
fn goes_on(last: &EventRef<'_>, next: &EventRef<'_>) -> bool {
    let of = |event: &EventRef<'_>| (event.layer, event.page_start);
    last.tenant == next.tenant
        && last.model_id == next.model_id
        && last.session_id == next.session_id
        && (next.parent_id == Some(last.prefix_id) || (next.prefix_id == last.prefix_id && of(next) > of(last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prefix_indexer_models::PrefixEvent;

    fn event(session: &str, prefix: &str, parent: Option<&str>) -> PrefixEvent {
        PrefixEvent {
            prefix_id: prefix.into(),
            tenant: "t".into(),
            model_id: "m".into(),
            session_id: Some(session.into()),
            parent_id: parent.map(Into::into),
            ..PrefixEvent::default()
        }
    }

    fn learn(habits: &mut Habits, events: &[PrefixEvent]) {
        let batch: EventBatch = events.iter().cloned().collect();
        requests(KeyPolicy::default(), &batch, |request| habits.observe(&request));
    }

    #[test]
    fn events_become_requests() {
        let check = |events: &[PrefixEvent], expect: &[usize]| {
            let batch: EventBatch = events.iter().cloned().collect();
            let mut lengths = Vec::new();
            requests(KeyPolicy::default(), &batch, |request| lengths.push(request.blocks.len()));
            assert_eq!(lengths, expect);
        };
        let layer = |layer, event: PrefixEvent| PrefixEvent { layer, ..event };
        check(&[], &[]);
        check(&[event("s", "a", None), event("s", "b", Some("a")), event("s", "c", Some("b"))], &[3]);
        check(&[event("s", "a", None), event("s", "b", None), event("s", "b", None)], &[1, 1, 1]);
        check(&[event("s", "a", None), event("r", "b", Some("a"))], &[1, 1]);
        check(
            &[
                layer(0, event("s", "a", None)),
                layer(1, event("s", "a", None)),
                layer(0, event("s", "b", Some("a"))),
                layer(1, event("s", "b", Some("a"))),
            ],
            &[2],
        );
    }

    #[test]
    fn rooms_are_bounded_and_habits_stay() {
        let mut habits = Habits::new(64);
        for round in 0..500 {
            learn(&mut habits, &[event("s", "a", None), event("s", "a2", Some("a"))]);
            learn(&mut habits, &[event("s", "b", None), event("s", &format!("new-{round}"), Some("b"))]);
            assert!(habits.len() <= 65, "{}", habits.len());
        }
        let best = &habits.after_session("t", Some("s"))[0];
        assert_eq!(best.run, ["a", "a2"].map(|id| name("t", "m", id)));
        assert!(best.probability > 0.5, "{best:?}");
        assert_eq!(habits.after_prefixes("t", &[name("t", "m", "a2")])[0].run[0], name("t", "m", "b"));
        assert_eq!(habits.after_session("u", Some("s")), []);
        let written = rmp_serde::to_vec(&habits).unwrap();
        let read: Habits = rmp_serde::from_slice(&written).unwrap();
        assert_eq!(read.after_session("t", Some("s")), habits.after_session("t", Some("s")));
    }

    #[test]
    fn a_noisy_tenant_takes_nothing_of_a_quiet_one() {
        let mut habits = Habits::new(256);
        let quiet = |prefix: &str| PrefixEvent { tenant: "quiet".into(), ..event("s", prefix, None) };
        for _ in 0..20 {
            learn(&mut habits, &[quiet("a")]);
            learn(&mut habits, &[quiet("b")]);
        }
        let before = habits.after_session("quiet", Some("s"));
        assert_eq!(before[0].run, [name("quiet", "m", "a")]);
        for round in 0..20_000 {
            learn(&mut habits, &[event(&format!("s{round}"), &format!("n{round}"), None)]);
        }
        assert!(habits.len() <= 257 && habits.markov.sessions() <= 10_000);
        assert_eq!(habits.after_session("quiet", Some("s")), before);
    }

    #[test]
    fn odd_chains_lead_nowhere_wrong() {
        let mut habits = Habits::new(64);
        // A block that is known before its parents are, and a chain that comes back to itself.
        learn(&mut habits, &[event("s", "leaf", None)]);
        learn(
            &mut habits,
            &[event("s", "root", None), event("s", "leaf", Some("root")), event("s", "x", Some("leaf"))],
        );
        learn(&mut habits, &[event("s", "p", Some("q")), event("s", "q", Some("p")), event("s", "p", Some("q"))]);
        assert_eq!(habits.len(), habits.markov.runs().len());
        assert_eq!(habits.numbers.len(), habits.len());
    }
}
