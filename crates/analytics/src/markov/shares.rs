//! Whose things go when there is no room for all: a tenant that comes with much makes room among its own.
//!
//! Each owner's things are put in order, most valuable first. The first of every owner stay before the second of any, and so
//! on: max-min fairness (Bertsekas and Gallager, Data Networks, 1992, 6.5.2), so who has less than an equal share keeps all of it,
//! whatever others bring. An owner who has been silent for long counts as if his things stood further back, so that
//! those who never come back do not hold their share for ever.

/// Observations of all owners after which the place of a silent owner's things doubles.
const SILENCE: u64 = 10_000_000;

/// A thing that takes room.
#[derive(Debug, Clone, Copy)]
pub struct Claim<O, W> {
    /// Whose.
    pub owner: O,
    /// What has more stays longer.
    pub worth: W,
    /// Room that it takes.
    pub size: usize,
    /// Observations of all owners since the owner's last.
    pub silence: u64,
}

/// The numbers of the claims that go, so that those that stay take `room` at most, in ascending order. Equal claims: those named first stay.
pub fn beyond_share<O: Ord, W: Ord>(claims: &[Claim<O, W>], room: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..claims.len()).collect();
    let worth = |&number: &usize| claims.get(number).map(|claim| &claim.worth);
    order.sort_by(|a, b| {
        let owner = |&number: &usize| claims.get(number).map(|claim| &claim.owner);
        owner(a).cmp(&owner(b)).then_with(|| worth(b).cmp(&worth(a)))
    });
    // What each owner has before a thing of his, in the order of going.
    let mut places: Vec<(u64, usize)> = Vec::with_capacity(claims.len());
    let (mut last, mut before) = (None, 0u64);
    for &number in &order {
        let Some(claim) = claims.get(number) else { continue };
        if last.replace(&claim.owner) != Some(&claim.owner) {
            before = 0;
        }
        let halvings = u32::try_from(claim.silence / SILENCE).unwrap_or(u32::MAX);
        places.push(((before + 1).saturating_mul(1u64.checked_shl(halvings).unwrap_or(u64::MAX)), number));
        before += claim.size as u64;
    }
    places.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| worth(&b.1).cmp(&worth(&a.1))));
    let mut taken = 0;
    let stay = places.iter().take_while(|(_, number)| {
        taken += claims.get(*number).map_or(0, |claim| claim.size);
        taken <= room
    });
    let stay = stay.count();
    let mut gone: Vec<usize> = places.split_off(stay).into_iter().map(|(_, number)| number).collect();
    gone.sort_unstable();
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(owner: char, worth: u64, size: usize) -> Claim<char, u64> {
        Claim { owner, worth, size, silence: 0 }
    }

    #[test]
    fn who_has_less_keeps_all_of_it() {
        let check = |claims: &[Claim<char, u64>], room, expect: &[usize]| {
            assert_eq!(beyond_share(claims, room), expect, "{claims:?} {room}");
        };
        check(&[], 0, &[]);
        let noisy = (0..8).map(|worth| claim('n', 100 + worth, 1));
        let quiet = [claim('q', 1, 1), claim('q', 2, 1)];
        let all: Vec<_> = noisy.chain(quiet).collect();
        check(&all, 10, &[]);
        check(&all, 6, &[0, 1, 2, 3]);
        check(&all, 4, &[0, 1, 2, 3, 4, 5]);
        check(&all, 2, &[0, 1, 2, 3, 4, 5, 6, 8]);
        check(&all, 0, &(0..10).collect::<Vec<_>>());
        // Of more owners than there is room for, the most valuable.
        check(&[claim('a', 1, 1), claim('b', 3, 1), claim('c', 2, 1)], 2, &[0]);
        // Sizes count.
        check(&[claim('a', 2, 5), claim('a', 1, 5), claim('b', 1, 4)], 9, &[1]);
    }

    #[test]
    fn who_never_comes_back_loses_his_share() {
        let silent = |silence| Claim { silence, ..claim('s', 50, 1) };
        let claims = |silence| [silent(silence), silent(silence), claim('a', 1, 1), claim('a', 2, 1), claim('a', 3, 1)];
        assert_eq!(beyond_share(&claims(0), 4), [2]);
        assert_eq!(beyond_share(&claims(2 * SILENCE), 4), [1]);
        assert_eq!(beyond_share(&claims(u64::MAX), 4), [1]);
    }
}
