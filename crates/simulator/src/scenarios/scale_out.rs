//! A new replica takes a share of the traffic: how much of what could be won by filling its tier first is won?
//!
//! The index knows the history of the whole fleet. From a moment T on, the new replica serves a share of the requests: whole
//! sessions, drawn by a hash of their number and the seed, where the trace names sessions; otherwise single requests, as a
//! router that balances load would send them. Its tier is filled, sized and counted as in a
//! [`restart`]; references count when the block was used before T by anybody, or since T by the replica itself.

use super::restart::{self, Report};
use crate::{Ranker, Request, Share, SimulatorError, Trace, rng::Rng};

/// What to compare.
#[derive(Debug, Clone)]
pub struct Options {
    /// Moments, budgets, horizons, costs and seed.
    pub restart: restart::Options,
    /// The share of the traffic that the new replica takes.
    pub share: Share,
}

impl Default for Options {
    /// A quarter of the traffic, for instance a fourth replica beside three.
    fn default() -> Options {
        Options { restart: restart::Options::default(), share: Share::QUARTER }
    }
}

/// Runs the scenario. Time and `watch` as of [`restart::run`].
///
/// # Errors
/// As [`restart::run`].
pub fn run(
    trace: &Trace,
    options: &Options,
    rankers: &mut [Box<dyn Ranker>],
    watch: impl FnMut(usize, usize),
) -> Result<Report, SimulatorError> {
    let seed = options.restart.seed;
    restart::run_for(trace, &options.restart, rankers, |request| takes(request, options.share, seed), watch)
}

/// Whether the new replica serves a request.
fn takes(request: &Request<'_>, share: Share, seed: u64) -> bool {
    lot(request, seed).below(SLOTS) < share.floor_of(SLOTS)
}

/// Which of several replicas serves a request.
pub(super) fn replica(request: &Request<'_>, replicas: u32, seed: u64) -> u32 {
    lot(request, seed).below(u64::from(replicas)) as u32
}

/// The same for all requests of a session.
fn lot(request: &Request<'_>, seed: u64) -> Rng {
    // Sessions and requests are numbered apart, so the numbers of one must not meet those of the other.
    let number = request.session.map_or(2 * request.index as u64 + 1, |session| 2 * u64::from(session));
    Rng::new(Rng::new(seed).next() ^ number)
}

/// How finely the traffic is divided.
const SLOTS: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_whole_sessions_and_about_the_share() {
        let request = |index, session| Request { index, time_ms: 0, session, blocks: &[] };
        let count = |share: Share, sessions: bool| {
            let taken = |index: &u32| takes(&request(*index as usize, sessions.then_some(*index)), share, 5);
            (0..10_000).filter(taken).count()
        };
        assert_eq!([count(Share::ALL, true), count(Share::percent(0), false)], [10_000, 0]);
        for sessions in [true, false] {
            assert!((2_300..2_700).contains(&count(Share::QUARTER, sessions)));
        }
        assert!((0..100).all(|index| takes(&request(index, Some(3)), Share::QUARTER, 5)
            == takes(&request(0, Some(3)), Share::QUARTER, 5)));
    }
}
