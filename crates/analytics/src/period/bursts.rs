//! Bursts: uses so close together, compared with all others, that they are one visit.

/// How much larger the mean logarithm of the gaps between bursts is than that of the gaps inside: a factor of 30. Cut in
/// two at the best place, the gaps of random uses differ by a factor of 10.
const CONTRAST: f64 = 3.4;

/// Share of the gaps that must lie inside bursts, in percent. Below it short gaps are chance, not a habit.
const LEAST_SHARE: usize = 30;

/// The longest gap inside a burst, 0 where there are no bursts. `times` ascend and are distinct.
///
/// Cuts the gaps into short and long so that the logarithms of the two differ most (N. Otsu, "A threshold selection method
/// from gray-level histograms", 1979), and asks whether that is enough.
pub(crate) fn longest_gap_inside(times: &[u64]) -> u64 {
    let mut gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    let least = (gaps.len() * LEAST_SHARE).div_ceil(100).max(3);
    let total: f64 = gaps.iter().map(|&gap| (gap as f64).ln()).sum();
    let (mut below, mut best) = (0.0, (0.0, 0));
    // The longest gap alone is a night or a failure, not what lies between two bursts.
    for count in 1..gaps.len().saturating_sub(1) {
        below += (gaps[count - 1] as f64).ln();
        let (short, long) = (count as f64, (gaps.len() - count) as f64);
        let apart = (total - below) / long - below / short;
        let between = apart * apart * short * long;
        if count >= least && apart >= CONTRAST && between > best.0 {
            best = (between, gaps[count - 1]);
        }
    }
    best.1
}

/// The first use of each burst, where gaps of up to `inside_ms` lie inside bursts. `times` ascend and are distinct.
pub(crate) fn starts(times: &[u64], inside_ms: u64) -> Vec<u64> {
    let mut starts = Vec::with_capacity(times.len());
    let mut previous = None;
    for &time in times {
        if previous.is_none_or(|previous| time - previous > inside_ms) {
            starts.push(time);
        }
        previous = Some(time);
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_become_their_first_use() {
        let check = |times: &[u64], inside_ms, first: &[u64]| {
            assert_eq!(longest_gap_inside(times), inside_ms, "{times:?}");
            assert_eq!(starts(times, inside_ms), first, "{times:?}");
        };
        check(&[], 0, &[]);
        check(&[5], 0, &[5]);
        check(&[0, 1, 2, 100, 101, 102, 200, 201, 202], 1, &[0, 100, 200]);
        // Gaps inside a burst may differ, as long as pauses are much longer.
        check(&[0, 10, 12, 4000, 4005, 4030, 9000, 9003], 25, &[0, 4000, 9000]);
        // One long gap is not a habit, nor are a few short ones.
        check(&[0, 10, 20, 30, 1_000], 0, &[0, 10, 20, 30, 1_000]);
        check(&[0, 100, 200, 201, 300, 400, 500], 0, &[0, 100, 200, 201, 300, 400, 500]);
    }
}
