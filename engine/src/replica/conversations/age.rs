//! How old a key of a conversation is: by the clock of who seals with it, and by how much was sealed.
//!
//! A clock may jump. A device goes by the latest of its clock and of what it claimed in its last
//! [`REMEMBERED`] entries, and a key is as old as the first entry that it sealed with it itself, or as its
//! opener says while there is none. So a clock that leaps to and fro opens one key, and one that was
//! far ahead for a while is forgotten after that many entries.

use std::collections::{BTreeMap, VecDeque};

use crate::hash::Incarnation;
use crate::limits::{EPOCH_AGE_MS_MAX, EPOCH_ENTRIES_MAX, EXPIRING_EPOCH_AGE_MS_MAX};
use crate::seal::EPOCH_HINT_BYTES;

/// Own entries whose claimed times count.
pub(super) const REMEMBERED: usize = 64;

/// Keys of which it is counted what was sealed with them: names of keys are made up at no cost.
const COUNTED_MAX: usize = 4096;

type Hint = [u8; EPOCH_HINT_BYTES];

/// An own entry: page, writing life, number there.
type Place = (u64, Incarnation, u64);

/// What a key is for: what expires gets keys of its own, so that they can be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replica) enum KeyUse {
    /// What stays.
    Lasting,
    /// Texts that are dropped some day, and their edits.
    Expiring,
}

/// What was sealed with one key.
#[derive(Debug, Clone, Copy, Default)]
struct Uses {
    entries: u64,
    /// Whether anything of it stays.
    lasting: bool,
    /// When the last text that expires is over; 0 if none does.
    until_ms: u64,
}

/// What was sealed in a conversation, with which keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Sealings {
    uses: BTreeMap<Hint, Uses>,
    own: BTreeMap<Place, (u64, Hint)>,
}

/// What of it the choice of a key depends on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ages {
    uses: BTreeMap<Hint, Uses>,
    /// When this device first sealed with a key, by its own account.
    first_ms: BTreeMap<Hint, u64>,
    /// The latest time that its last entries claim.
    latest_ms: u64,
}

impl Sealings {
    /// Notes that something was sealed with a key, and when its text is over, 0 for never.
    pub(super) fn note(&mut self, hint: Hint, expires_ms: u64) {
        if self.uses.len() < COUNTED_MAX || self.uses.contains_key(&hint) {
            let uses = self.uses.entry(hint).or_default();
            uses.entries += 1;
            uses.lasting |= expires_ms == 0;
            uses.until_ms = uses.until_ms.max(expires_ms);
        }
    }

    /// Notes that this device did so, in the life in which it writes now. What it wrote in another
    /// one stands in no order to that.
    pub(super) fn note_own(&mut self, place: Place, time_ms: u64, hint: Hint) {
        if self.own.keys().next().is_some_and(|(_, life, _)| *life != place.1) {
            self.own.clear();
        }
        self.own.insert(place, (time_ms, hint));
    }

    /// Works out how old keys are.
    pub(super) fn ages(&self) -> Ages {
        let mut first_ms = BTreeMap::new();
        // Times of the last entries, falling: the first is the latest of them.
        let mut latest: VecDeque<(usize, u64)> = VecDeque::new();
        for (at, (time_ms, hint)) in self.own.values().enumerate() {
            while latest.back().is_some_and(|(_, before)| before <= time_ms) {
                latest.pop_back();
            }
            latest.push_back((at, *time_ms));
            if latest.front().is_some_and(|(first, _)| first + REMEMBERED <= at) {
                latest.pop_front();
            }
            let now_ms = latest.front().map_or(*time_ms, |(_, time_ms)| *time_ms);
            let first = first_ms.entry(*hint).or_insert(now_ms);
            *first = now_ms.min(*first);
        }
        let latest_ms = latest.front().map_or(0, |(_, time_ms)| *time_ms);
        Ages { uses: self.uses.clone(), first_ms, latest_ms }
    }
}

impl Ages {
    /// Whether a key is not to be sealed with any more, or not what is for something else;
    /// `since_ms` is when it was opened, as claimed.
    pub(super) fn is_spent(&self, hint: &Hint, since_ms: u64, now_ms: u64, usage: KeyUse) -> bool {
        let now_ms = now_ms.max(self.latest_ms);
        let first_ms = self.first_ms.get(hint).copied().unwrap_or(since_ms);
        let uses = self.uses.get(hint).copied().unwrap_or_default();
        let (age_ms_max, other) = match usage {
            KeyUse::Lasting => (EPOCH_AGE_MS_MAX, uses.until_ms > 0),
            KeyUse::Expiring => (EXPIRING_EPOCH_AGE_MS_MAX, uses.lasting),
        };
        other || now_ms.saturating_sub(first_ms) >= age_ms_max || uses.entries >= EPOCH_ENTRIES_MAX
    }

    /// When all that was sealed with a key is over; never if something of it stays, or nothing is
    /// known of it.
    pub(super) fn over_ms(&self, hint: &Hint) -> u64 {
        let uses = self.uses.get(hint).filter(|uses| !uses.lasting && uses.until_ms > 0);
        uses.map_or(u64::MAX, |uses| uses.until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_MS: u64 = 3_600_000;

    /// A writer alone: his keys, each with when it was opened, the newest first.
    #[derive(Default)]
    struct Writer {
        sealings: Sealings,
        keys: Vec<(u64, Hint)>,
        written: u64,
    }

    impl Writer {
        fn write(&mut self, now_ms: u64) -> Hint {
            let ages = self.sealings.ages();
            let mut keys = self.keys.clone();
            keys.sort_by_key(|key| std::cmp::Reverse(*key));
            let usable = keys
                .iter()
                .find(|(since, hint)| !ages.is_spent(hint, *since, now_ms, KeyUse::Lasting));
            let hint = usable.map(|(_, hint)| *hint).unwrap_or_else(|| {
                let hint = (self.keys.len() as u64).to_be_bytes();
                self.keys.push((now_ms, hint));
                hint
            });
            self.written += 1;
            self.sealings.note(hint, 0);
            let place = (0, Incarnation::from_bytes([0; Incarnation::LEN]), self.written);
            self.sealings.note_own(place, now_ms, hint);
            hint
        }
    }

    #[test]
    fn a_key_lasts_a_week_or_ten_thousand_entries() {
        let mut writer = Writer::default();
        let start = 1_700_000_000_000;
        let first = writer.write(start);
        assert_eq!(writer.write(start + EPOCH_AGE_MS_MAX - 1), first);
        let second = writer.write(start + EPOCH_AGE_MS_MAX);
        assert_ne!(second, first);
        assert_eq!(writer.write(start + EPOCH_AGE_MS_MAX + 1), second);
        let mut ages = writer.sealings.ages();
        for (sealed, spent) in [(EPOCH_ENTRIES_MAX - 1, false), (EPOCH_ENTRIES_MAX, true)] {
            ages.uses.get_mut(&second).unwrap().entries = sealed;
            let now_ms = start + EPOCH_AGE_MS_MAX + 2;
            assert_eq!(ages.is_spent(&second, start, now_ms, KeyUse::Lasting), spent);
        }
    }

    #[test]
    fn what_expires_has_keys_of_its_own_for_a_day() {
        let mut sealings = Sealings::default();
        let (lasting, expiring, both, new) = ([1; 8], [2; 8], [3; 8], [4; 8]);
        for (hint, expires_ms) in [(lasting, 0), (expiring, 50), (expiring, 70), (both, 60)] {
            sealings.note(hint, expires_ms);
        }
        sealings.note(both, 0);
        let ages = sealings.ages();
        let usable = |hint, usage| !ages.is_spent(&hint, 10, 20, usage);
        let use_of = |hint| [KeyUse::Lasting, KeyUse::Expiring].map(|usage| usable(hint, usage));
        assert_eq!(use_of(lasting), [true, false]);
        assert_eq!(use_of(expiring), [false, true]);
        assert_eq!((use_of(both), use_of(new)), ([false, false], [true, true]));
        let last = 10 + EXPIRING_EPOCH_AGE_MS_MAX - 1;
        assert!(!ages.is_spent(&expiring, 10, last, KeyUse::Expiring));
        assert!(ages.is_spent(&expiring, 10, last + 1, KeyUse::Expiring));
        let over = [lasting, expiring, both, new].map(|hint| ages.over_ms(&hint));
        assert_eq!(over, [u64::MAX, 70, u64::MAX, u64::MAX]);
    }

    #[test]
    fn a_clock_that_was_far_ahead_is_forgotten() {
        let mut writer = Writer::default();
        let start = 1_700_000_000_000;
        writer.write(start + 1000 * EPOCH_AGE_MS_MAX);
        for n in 0..=REMEMBERED as u64 {
            writer.write(start + n);
        }
        let before = writer.keys.len();
        writer.write(start + EPOCH_AGE_MS_MAX + HOUR_MS);
        assert_eq!(writer.keys.len(), before + 1);
    }

    proptest! {
        #[test]
        fn no_clock_makes_a_storm_of_keys(
            steps in prop::collection::vec((0_u64..4, 0_u64..(40 * 7 * 24)), 1..400)
        ) {
            let mut writer = Writer::default();
            let start = 1_700_000_000_000_u64;
            let (mut now_ms, mut times, mut latest, mut climbed) = (start, Vec::new(), start, 0);
            for (kind, hours) in &steps {
                // Mostly it goes on; sometimes it leaps anywhere, or back.
                match kind {
                    0 => now_ms = start + hours * HOUR_MS,
                    1 => now_ms = now_ms.saturating_sub(hours * HOUR_MS),
                    _ => now_ms += hours % 12 * HOUR_MS,
                }
                writer.write(now_ms);
                times.push(now_ms);
                // As the writer goes by it; a leap counts as one week, however far it goes.
                let last = times.iter().rev().take(REMEMBERED).max().copied().unwrap_or(start);
                climbed += last.saturating_sub(latest).min(EPOCH_AGE_MS_MAX);
                latest = last;
            }
            let bound = 1 + climbed / EPOCH_AGE_MS_MAX;
            prop_assert!(writer.keys.len() as u64 <= bound, "{} keys", writer.keys.len());
        }

        #[test]
        fn a_clock_that_leaps_to_and_fro_opens_two(times in 2_usize..300, weeks in 1_u64..500) {
            let mut writer = Writer::default();
            for n in 0..times {
                let leap = if n % 2 == 0 { 0 } else { weeks * EPOCH_AGE_MS_MAX };
                writer.write(1_700_000_000_000 + leap);
            }
            prop_assert_eq!(writer.keys.len(), 2);
        }
    }
}
