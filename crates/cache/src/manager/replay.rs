//! Catching up: what a tier missed is replayed as soon as it answers again.
//!
//! One task a tier, alive while there is something to replay. It keeps to the breaker, so it may be the one that tries
//! a tier that was left alone; and it holds the manager only while it works, so a manager that is dropped takes it along.

use super::{Inner, journal::Work};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

/// Rest after a replay that failed although the breaker let it through.
const REST: Duration = Duration::from_millis(100);

/// Starts the replay of tier `index` if there is something to replay and nobody does.
pub(super) fn start(inner: &Arc<Inner>, index: usize) {
    if inner.tiers[index].journal.begin_replay() {
        tokio::spawn(replay(Arc::downgrade(inner), index));
    }
}

async fn replay(inner: Weak<Inner>, index: usize) {
    loop {
        let Some(manager) = inner.upgrade() else { return };
        let tier = Arc::clone(&manager.tiers[index]);
        let wait = tier.breaker.wait();
        if !tier.breaker.is_closed() && !wait.is_zero() {
            drop(manager);
            drop(tier);
            tokio::time::sleep(wait).await;
            continue;
        }
        let Some(work) = tier.journal.next() else {
            tracing::info!(tier = &*tier.name, "caught up");
            return;
        };
        let before = tier.journal.len();
        match work {
            Work::Wait => {
                drop(manager);
                // Looked at again after a while, should the tier be gone with everything else.
                drop(tokio::time::timeout(Duration::from_secs(1), tier.journal.changed.notified()).await);
                continue;
            }
            Work::Clear(id, pattern) if tier.breaker.admits() => {
                if tier.run_clear(id, &pattern).await.is_ok() {
                    tier.counts.replayed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            }
            Work::Clear(id, _) => tier.journal.clear_missed(id),
            Work::Key(key) => {
                let turn = manager.order.turn(&key).await;
                if tier.breaker.admits() {
                    tier.replay(&key).await;
                }
                drop(turn);
            }
        }
        if tier.journal.len() >= before {
            drop(manager);
            tokio::time::sleep(REST).await;
        }
    }
}
