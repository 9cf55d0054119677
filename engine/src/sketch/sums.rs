//! A sketch for small differences: as many sums of odd powers of the items as there are
//! differences make them out exactly, at eight bytes each.
//!
//! PinSketch: the syndromes of a BCH code, after Dodis, Ostrovsky, Reyzin and Smith, "Fuzzy
//! Extractors", SIAM J. Comput. 38, 2008. Decoded by Berlekamp and Massey's algorithm; the
//! roots are found by Berlekamp's traces. Work grows with the square of the number of sums.

use crate::sketch::field::{Times, invert, mul, square};

/// Sums that are read at most.
pub const SUMS_MAX: usize = 96;

/// The sums of the first `count` odd powers of these numbers, none of which is 0.
#[must_use]
pub fn sums(numbers: impl IntoIterator<Item = u64>, count: usize) -> Vec<u64> {
    let mut sums = vec![0; count.min(SUMS_MAX)];
    for number in numbers {
        let times = Times::new(square(number));
        let mut power = number;
        for sum in &mut sums {
            *sum ^= power;
            power = times.mul(power);
        }
    }
    sums
}

/// The numbers with these sums, in rising order; `None` if there are more of them than sums, or
/// the sums are nobody's. With sums of two sets added up: what only one of them has.
#[must_use]
pub fn read(odd: &[u64]) -> Option<Vec<u64>> {
    if odd.len() > SUMS_MAX {
        return None;
    }
    // The even ones are squares.
    let mut all: Vec<u64> = Vec::with_capacity(2 * odd.len());
    for k in 1..=2 * odd.len() {
        let sum = if k % 2 == 1 { odd.get(k / 2) } else { all.get(k / 2 - 1) };
        let sum = sum.copied().unwrap_or(0);
        all.push(if k % 2 == 1 { sum } else { square(sum) });
    }
    let locator = locator(&all)?;
    let mut polynomial: Vec<u64> = locator.into_iter().rev().collect();
    make_monic(&mut polynomial);
    let degree = polynomial.len().saturating_sub(1);
    // All roots lie in the field and none twice, or the sums came from elsewhere.
    if degree > 0 && !splits(&polynomial) {
        return None;
    }
    let mut roots = Vec::with_capacity(degree);
    find_roots(polynomial, 0, &mut roots)?;
    roots.sort_unstable();
    // The root 0 stands for an item that nobody has.
    let fits = roots.len() == degree && !roots.contains(&0);
    (fits && sums(roots.iter().copied(), odd.len()) == odd).then_some(roots)
}

/// The shortest recurrence of a sequence, by rising power: Berlekamp and Massey. `None` if it is
/// longer than half of the sequence.
fn locator(sequence: &[u64]) -> Option<Vec<u64>> {
    let (mut now, mut before) = (vec![1u64], vec![1u64]);
    let (mut length, mut gap, mut last) = (0usize, 1usize, 1u64);
    for (at, value) in sequence.iter().enumerate() {
        let mut discrepancy = *value;
        for (i, factor) in now.iter().enumerate().skip(1).take(length) {
            let earlier = at.checked_sub(i).and_then(|place| sequence.get(place));
            discrepancy ^= mul(*factor, earlier.copied().unwrap_or(0));
        }
        if discrepancy == 0 {
            gap += 1;
            continue;
        }
        let kept = now.clone();
        let times = Times::new(mul(discrepancy, invert(last)));
        now.resize(now.len().max(before.len() + gap), 0);
        for (to, from) in now.iter_mut().skip(gap).zip(&before) {
            *to ^= times.mul(*from);
        }
        if 2 * length <= at {
            (length, before, last, gap) = (at + 1 - length, kept, discrepancy, 1);
        } else {
            gap += 1;
        }
    }
    now.truncate(length + 1);
    now.resize(length + 1, 0);
    (2 * length <= sequence.len() && now.last() != Some(&0)).then_some(now)
}

fn make_monic(polynomial: &mut [u64]) {
    if let Some(lead) = polynomial.last().copied().filter(|lead| *lead > 1) {
        let times = Times::new(invert(lead));
        polynomial.iter_mut().for_each(|factor| *factor = times.mul(*factor));
    }
}

/// Takes a polynomial modulo a monic one.
fn take_modulo(value: &mut Vec<u64>, modulus: &[u64]) {
    let degree = modulus.len().saturating_sub(1);
    while value.len() > degree {
        let Some(lead) = value.pop() else { break };
        if lead != 0 {
            let (times, from) = (Times::new(lead), value.len() - degree);
            for (to, factor) in value.iter_mut().skip(from).zip(modulus) {
                *to ^= times.mul(*factor);
            }
        }
    }
    while value.last() == Some(&0) {
        value.pop();
    }
}

/// The square of a polynomial modulo a monic one.
fn square_modulo(value: &[u64], modulus: &[u64]) -> Vec<u64> {
    let mut out = Vec::with_capacity(2 * value.len());
    for factor in value {
        out.extend([square(*factor), 0]);
    }
    out.pop();
    take_modulo(&mut out, modulus);
    out
}

/// Whether a monic polynomial is a product of different linear ones: `x^(2^64) = x` modulo it.
fn splits(polynomial: &[u64]) -> bool {
    let mut x = vec![0, 1];
    take_modulo(&mut x, polynomial);
    let mut power = x.clone();
    for _ in 0..64 {
        power = square_modulo(&power, polynomial);
    }
    power == x
}

/// Finds the roots of a monic polynomial that splits: traces of multiples of `x` part them.
fn find_roots(polynomial: Vec<u64>, from: u32, roots: &mut Vec<u64>) -> Option<()> {
    match polynomial.as_slice() {
        [] | [_] => return Some(()),
        [root, _] => {
            roots.push(*root);
            return Some(());
        }
        _ => {}
    }
    for bit in from..64 {
        let mut trace = vec![0, 1u64 << bit];
        take_modulo(&mut trace, &polynomial);
        let mut power = trace.clone();
        for _ in 1..64 {
            power = square_modulo(&power, &polynomial);
            add(&mut trace, &power);
        }
        let part = greatest_common(polynomial.clone(), trace);
        if part.len() > 1 && part.len() < polynomial.len() {
            let rest = quotient(polynomial, &part);
            find_roots(part, bit + 1, roots)?;
            return find_roots(rest, bit + 1, roots);
        }
    }
    None
}

fn add(value: &mut Vec<u64>, other: &[u64]) {
    value.resize(value.len().max(other.len()), 0);
    value.iter_mut().zip(other).for_each(|(to, from)| *to ^= from);
    while value.last() == Some(&0) {
        value.pop();
    }
}

fn greatest_common(mut a: Vec<u64>, mut b: Vec<u64>) -> Vec<u64> {
    while !b.is_empty() {
        make_monic(&mut b);
        take_modulo(&mut a, &b);
        std::mem::swap(&mut a, &mut b);
    }
    a
}

/// A monic polynomial divided by a monic one that divides it.
fn quotient(mut value: Vec<u64>, divisor: &[u64]) -> Vec<u64> {
    let degree = divisor.len().saturating_sub(1);
    let mut out = Vec::new();
    while value.len() > degree {
        let Some(lead) = value.pop() else { break };
        out.push(lead);
        let (times, from) = (Times::new(lead), value.len() - degree);
        for (to, factor) in value.iter_mut().skip(from).zip(divisor) {
            *to ^= times.mul(*factor);
        }
    }
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Multiplication bit by bit, sharing nothing with the field's own.
    fn slow(mut a: u64, mut b: u64) -> u64 {
        let mut out = 0;
        while b != 0 {
            out ^= if b & 1 == 1 { a } else { 0 };
            a = a << 1 ^ if a >> 63 == 1 { 0x1b } else { 0 };
            b >>= 1;
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn products_are_those_of_the_field(a: u64, b: u64) {
            prop_assert_eq!(mul(a, b), slow(a, b));
            prop_assert_eq!(square(a), slow(a, a));
            prop_assert_eq!(slow(a, invert(a)), u64::from(a != 0));
        }

        #[test]
        fn what_two_sets_differ_in_is_read_if_the_sums_are_enough(
            common in prop::collection::btree_set(1u64.., 0..9),
            own in prop::collection::btree_set(1u64.., 0..7),
            theirs in prop::collection::btree_set(1u64.., 0..7),
            spare in 0usize..4,
        ) {
            let a: std::collections::BTreeSet<u64> = common.union(&own).copied().collect();
            let b: std::collections::BTreeSet<u64> = common.union(&theirs).copied().collect();
            let apart: Vec<u64> = a.symmetric_difference(&b).copied().collect();
            let count = apart.len() + spare;
            let both: Vec<u64> = sums(a.iter().copied(), count)
                .iter()
                .zip(sums(b.iter().copied(), count))
                .map(|(a, b)| a ^ b)
                .collect();
            prop_assert_eq!(read(&both), Some(apart.clone()));
            if apart.len() > 1 {
                let few = read(&both[..apart.len() - 1]);
                prop_assert_ne!(few, Some(apart));
            }
        }

        #[test]
        fn sums_of_nobody_are_read_as_nothing_or_as_what_has_them(
            odd in prop::collection::vec(any::<u64>(), 0..12),
        ) {
            if let Some(numbers) = read(&odd) {
                prop_assert_eq!(sums(numbers, odd.len()), odd);
            }
        }
    }

    #[test]
    fn as_many_as_are_read_at_most_are_read() {
        let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let numbers: Vec<u64> = (1..=SUMS_MAX as u64).map(spread).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        assert_eq!(read(&sums(numbers, SUMS_MAX)), Some(sorted));
        assert_eq!(read(&[1; SUMS_MAX + 1]), None);
    }
}
