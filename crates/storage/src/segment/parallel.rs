//! Two threads make, one takes, in order.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// Results that wait for an earlier one, per thread.
const AHEAD: usize = 1;

/// Makes something of every job and takes the results in the order of the jobs. With `both`, a second thread makes while this
/// one makes and takes; the outcome is the same. A few results are held at a time.
///
/// # Errors
/// The first one, in the order of the jobs, of making or taking.
pub(crate) fn in_order<J: Sync, T: Send, E: Send>(
    jobs: &[J],
    both: bool,
    make: impl Fn(&J) -> Result<T, E> + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    if !both || jobs.len() < 2 {
        return jobs.iter().try_for_each(|job| take(make(job)?));
    }
    let next = AtomicUsize::new(0);
    let claim = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        jobs.get(number).map(|job| (number, job))
    };
    let (sender, results) = mpsc::sync_channel(AHEAD);
    thread::scope(|scope| {
        scope.spawn(|| {
            let sender = sender; // dropped when there is nothing left to make
            while let Some((number, job)) = claim() {
                if sender.send((number, make(job))).is_err() {
                    return; // an error ended it
                }
            }
        });
        let results = results; // dropped on an early return, which ends the other thread
        let mut waiting = BTreeMap::new();
        for wanted in 0..jobs.len() {
            let result = loop {
                waiting.extend(results.try_iter());
                if let Some(result) = waiting.remove(&wanted) {
                    break result;
                }
                // The other thread has the wanted one, or it is still to be claimed: make one meanwhile.
                let mine = if waiting.len() <= AHEAD { claim() } else { None };
                match mine {
                    Some((number, job)) => {
                        waiting.insert(number, make(job));
                    }
                    None => match results.recv() {
                        Ok((number, result)) => {
                            waiting.insert(number, result);
                        }
                        // It has ended; had it died, its job would be ours.
                        Err(_) => {
                            waiting.extend(results.try_iter());
                            if let Some(job) = jobs.get(wanted).filter(|_| !waiting.contains_key(&wanted)) {
                                waiting.insert(wanted, make(job));
                            }
                        }
                    },
                }
            };
            take(result?)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn results_come_in_order_whoever_made_them() {
        let jobs: Vec<u64> = (0..200).collect();
        for both in [false, true] {
            let mut taken = Vec::new();
            let make = |&job: &u64| {
                thread::sleep(Duration::from_micros(job * 7919 % 50));
                if job == 150 { Err(job) } else { Ok(job) }
            };
            let result = in_order(&jobs, both, make, |made| {
                taken.push(made);
                Ok(())
            });
            assert_eq!(result, Err(150));
            assert_eq!(taken, jobs[..150]);
            assert_eq!(in_order(&jobs, both, |&job| Ok(job), |made| if made == 7 { Err(7) } else { Ok(()) }), Err(7));
        }
    }
}
