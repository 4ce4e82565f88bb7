//! Which prefix a session asks for next.

use super::{Claim, MAX_ORDER, MarkovConfig, Runs, Scope, beyond_share, contexts::Contexts, scope};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Predicts the prefix that the next request of a session goes on from.
///
/// A request counts as one symbol: the [run](Runs) of the deepest of its blocks that was known before, that is the prefix it
/// could have found in a cache. What a question adds at the end of a prompt is new each time and predicts nothing.
/// Tenants never see each other's counts; a session goes on from its own last requests with what all sessions of the tenant
/// have taught.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrefixMarkov {
    runs: Runs,
    contexts: Contexts<u32>,
    #[serde(with = "super::lists")]
    sessions: BTreeMap<Scope, Session>,
    requests: u64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Session {
    tenant: Scope,
    /// Oldest first, at most [`MAX_ORDER`].
    recent: Vec<u32>,
    /// Number of its last request.
    last: u64,
}

impl Default for PrefixMarkov {
    fn default() -> PrefixMarkov {
        PrefixMarkov::new(MarkovConfig::default())
    }
}

impl PrefixMarkov {
    /// A predictor that has seen nothing.
    pub fn new(config: MarkovConfig) -> PrefixMarkov {
        PrefixMarkov { runs: Runs::default(), contexts: Contexts::new(config), sessions: BTreeMap::new(), requests: 0 }
    }

    /// Learns from a request: its blocks root first, numbered as [`Runs`] wants them. Requests without a session are one
    /// session of their tenant. Some microseconds.
    pub fn observe(&mut self, tenant: &str, session: Option<&str>, chain: &[u32]) {
        let known = self.runs.add(chain);
        let deepest = chain.get(known.saturating_sub(1));
        let Some(symbol) = deepest.and_then(|&block| self.runs.run_of(block)) else { return };
        self.requests += 1;
        let session = self.sessions.entry(session_scope(tenant, session)).or_default();
        session.tenant = scope(tenant, "");
        self.contexts.observe(session.tenant, &session.recent, &symbol);
        if session.recent.len() == MAX_ORDER {
            session.recent.remove(0);
        }
        session.recent.push(symbol);
        session.last = self.requests;
        if self.sessions.len() > self.contexts.config.max_sessions {
            self.forget_silent_sessions();
        }
    }

    /// Forgets an eighth of the sessions: those that have been silent longest, of the tenants that have more than their share.
    fn forget_silent_sessions(&mut self) {
        let keep = self.contexts.config.max_sessions - self.contexts.config.max_sessions / 8;
        let mut last: BTreeMap<Scope, u64> = BTreeMap::new();
        for session in self.sessions.values() {
            let last = last.entry(session.tenant).or_default();
            *last = session.last.max(*last);
        }
        let claims = self.sessions.values().map(|session| {
            let silence = self.requests - last.get(&session.tenant).copied().unwrap_or(0);
            Claim { owner: session.tenant, worth: session.last, size: 1, silence }
        });
        let mut gone = beyond_share(&claims.collect::<Vec<_>>(), keep).into_iter().peekable();
        let mut next = 0;
        self.sessions.retain(|_, _| {
            next += 1;
            gone.next_if_eq(&(next - 1)).is_none()
        });
    }

    /// The `count` prefixes that the session's next request most probably goes on from, by the first block of their last
    /// run, with their probabilities. [`runs`](Self::runs) knows the blocks of a run and what comes before it.
    pub fn predict(&self, tenant: &str, session: Option<&str>, count: usize) -> Vec<(u32, f64)> {
        let session = self.sessions.get(&session_scope(tenant, session));
        let recent = session.map_or(&[][..], |session| &session.recent);
        self.contexts.predict(scope(tenant, ""), recent, count)
    }

    /// Likewise after requests whose deepest known blocks these were, oldest first, whoever made them. Blocks that are not known are
    /// passed over.
    pub fn predict_after(&self, tenant: &str, blocks: &[u32], count: usize) -> Vec<(u32, f64)> {
        let recent: Vec<u32> = blocks.iter().filter_map(|&block| self.runs.run_of(block)).collect();
        self.contexts.predict(scope(tenant, ""), &recent, count)
    }

    /// Forgets the blocks that `keep` says no to, and what was learned of them; the others are numbered anew as
    /// [`Runs::retain`] says. For each block its new number.
    pub fn retain(&mut self, keep: &[bool]) -> Vec<Option<u32>> {
        let numbers = self.runs.retain(keep);
        let number = |block: &u32| numbers.get(*block as usize).copied().flatten();
        self.contexts.rename(number);
        for session in self.sessions.values_mut() {
            session.recent = session.recent.iter().filter_map(number).collect();
        }
        numbers
    }

    /// The blocks known, contracted.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Pairs of a context and a run that are kept.
    pub fn pairs(&self) -> usize {
        self.contexts.pairs()
    }

    /// Sessions that are remembered.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }
}

fn session_scope(tenant: &str, session: Option<&str>) -> Scope {
    // No session is told from one with an empty name.
    scope(tenant, &session.map_or(String::new(), |session| format!("={session}")))
}
