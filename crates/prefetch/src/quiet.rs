//! Staying behind live traffic.
//!
//! A block that is moved costs a core hundreds of microseconds: an answer is read, a checksum made, bytes are copied to the page cache. A
//! request that comes meanwhile must not wait for that. So the threads that do it have a low priority, by which the system interrupts them
//! for others. Those that wait for them (of a pool, a warm-up, a cycle) do little and must hear of a stop at once: they stay as they are.

use crate::PrefetchError;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// Threads that hand out calls, and read what comes over the network.
const WORKERS: usize = 2;

/// Threads that wait for files. One for each block in flight would write no more bytes a second.
const FILE_THREADS: usize = 8;

/// What is added to the nice value: a tenth of the processor beside one busy thread of live traffic. Not the most that there is: who is
/// interrupted with a lock in his hands should soon be able to let go of it.
#[cfg(target_os = "linux")]
const BEHIND: i32 = 10;

/// A runtime for tiers that are a prefetcher's own, or for the moves within a cache that it shares with live traffic. Its threads
/// stay behind all others where the system knows priorities of threads, which is Linux.
///
/// What reads a connection belongs to the runtime on which the connection was first used: where live traffic uses the same cache, let it
/// ask first.
///
/// # Errors
/// [`PrefetchError::Thread`] when the system has no more threads.
pub fn quiet_runtime() -> Result<Runtime, PrefetchError> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(FILE_THREADS)
        .thread_name("prefetch-tiers")
        .on_thread_start(stay_behind)
        .enable_all()
        .build()
        .map_err(|error| PrefetchError::Thread(Arc::new(error)))
}

/// Lowers the priority of the calling thread, for good.
fn stay_behind() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(BEHIND) {
        tracing::debug!(%error, "a thread of the prefetcher has the priority of all others");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn its_threads_stay_behind_and_no_other_does() {
        /// The nice value of the calling thread.
        fn nice() -> i32 {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let (_, after_name) = stat.rsplit_once(')').unwrap();
            after_name.split_whitespace().nth(16).unwrap().parse().unwrap()
        }
        let own = nice();
        let runtime = super::quiet_runtime().unwrap();
        let behind = (own + super::BEHIND).min(19);
        let found = runtime.block_on(async {
            [tokio::spawn(async { nice() }).await.unwrap(), tokio::task::spawn_blocking(nice).await.unwrap()]
        });
        assert_eq!((found, nice()), ([behind; 2], own));
    }
}
