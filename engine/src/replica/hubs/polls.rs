//! Polls: who voted for what, and when that is final.

use std::collections::{BTreeMap, HashMap};

use super::MessageView;
use super::page::Reading;
use crate::chain::ChainKey;
use crate::description::Space;
use crate::hash::{AccountId, ChangeId};
use crate::hub::ContentStanding;
use crate::limits::CUT_ITEMS_MAX;
use crate::model::entry::{Entry, Permissions, Poll, PollKind, Tip};
use crate::replica::accounts::tip;
use crate::replica::{EngineError, Replica, State, Work};
use crate::store::{Table, keys};

/// The options of a poll, and the votes that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollView {
    /// How votes are counted.
    pub kind: PollKind,
    /// The options.
    pub options: Vec<String>,
    /// Latest vote of each account: numbers of options, of a ranked poll from the best down.
    pub votes: BTreeMap<AccountId, Vec<u8>>,
    /// Votes for each option; of a ranked poll, how often it is the first of those left, round by
    /// round until one has more than half.
    pub counts: Vec<u64>,
    /// Options with most votes; several if they are equal.
    pub winners: Vec<u8>,
    /// No vote counts any more that is not in it already.
    pub closed: bool,
}

impl Replica {
    /// Votes in a poll: numbers of options from 0; of a ranked poll from the best down. An
    /// empty list takes the vote back.
    ///
    /// # Errors
    /// If it is no poll, an option does not exist, it is closed, or as [`Replica::say`].
    pub fn vote(
        &self,
        poll: ChangeId,
        choices: Vec<u8>,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let view = self.message(&poll)?;
        let Some(asked) = &view.poll else {
            return Err(EngineError::Invalid(format!("{} is no poll", poll.short())));
        };
        if asked.closed {
            return Err(EngineError::Denied("the poll is closed".into()));
        }
        let fits = choices.iter().all(|choice| usize::from(*choice) < asked.options.len());
        let single = asked.kind != PollKind::Single || choices.len() <= 1;
        if !fits || !single {
            let most = asked.options.len() - 1;
            return Err(EngineError::Invalid(match fits {
                true => "this poll takes one option".to_owned(),
                false => format!("options of this poll have the numbers 0 to {most}"),
            }));
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let missing = || EngineError::NotFound { what: "poll", text: poll.to_string() };
        let (hub, channel) = self.channel_of(&mut state, &poll)?.ok_or_else(missing)?;
        self.check_member(&mut state, &hub, &channel, Permissions::REACT)?;
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        // Later than what this account voted before, whatever the clock of that device said.
        let before = self.votes_for(&mut state, &poll, &channel)?;
        let mine = before.iter().filter(|vote| vote.account == me).map(|vote| vote.time_ms).max();
        let now_ms = mine.map_or(now_ms, |before| now_ms.max(before.saturating_add(1)));
        let mut work = Work::default();
        let entry = Entry::Vote { poll, choices };
        let id = self.append_to_channel(&mut state, &mut work, &hub, &channel, entry, now_ms)?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// Closes an own poll: the votes that are here count, and no others.
    ///
    /// # Errors
    /// If it is no poll of one's own, or as [`Replica::say`].
    pub fn close_poll(&self, poll: ChangeId, now_ms: u64) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let missing = || EngineError::NotFound { what: "poll", text: poll.to_string() };
        let (row, entry) = self.entry(&poll)?.ok_or_else(missing)?;
        let page = self.description(&mut state, &row.doc)?.ok_or_else(missing)?;
        if !matches!(entry, Entry::Poll(_)) {
            return Err(EngineError::Invalid(format!("{} is no poll", poll.short())));
        }
        if page.account != me {
            return Err(EngineError::Denied("only who asked can close a poll".into()));
        }
        let (Some(hub), Some(channel)) = (page.space.hub(), page.channel_id()) else {
            return Err(missing());
        };
        let voters: Vec<ChainKey> = self
            .votes_for(&mut state, &poll, &channel)?
            .into_iter()
            .map(|vote| vote.chain)
            .collect();
        let mut cut = Vec::new();
        let space = Space::Hub(hub).id();
        for key in voters.iter().collect::<std::collections::BTreeSet<_>>() {
            let chain = self.chain(&mut state, &space, key)?;
            cut.push(tip(key, chain.held, chain.link));
        }
        let mut work = Work::default();
        self.prepare_modification(&mut state, &mut work, &page, false, now_ms)?;
        let mut parts: Vec<Vec<Tip>> = cut.chunks(CUT_ITEMS_MAX / 2).map(<[Tip]>::to_vec).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let mut id = poll;
        for cut in parts {
            let entry = Entry::ClosePoll { target: poll, cut };
            id = self.append(&mut state, &mut work, &page, entry, now_ms)?;
        }
        self.finish(state, work)?;
        Ok(id)
    }

    /// All votes for a poll that are here.
    fn votes_for(
        &self,
        state: &mut State,
        poll: &ChangeId,
        channel: &ChangeId,
    ) -> Result<Vec<Vote>, EngineError> {
        let mut out = Vec::new();
        for (key, value) in self.scan_all(Table::Rows, &keys::responses(poll))? {
            let (Some(id), [0x0a]) = (keys::parse_last(&key), value.as_ref()) else { continue };
            let Some((row, Entry::Vote { choices, .. })) = self.entry(&id)? else { continue };
            let Some(page) = self.description(state, &row.doc)? else { continue };
            if page.channel_id() == Some(*channel) {
                let (chain, account) = (row.chain(), page.account);
                out.push(Vote { id, row, chain, account, time_ms: row.time_ms, choices });
            }
        }
        Ok(out)
    }

    /// The versions of the first closing of a poll that counts; what was too much for one entry
    /// follows it at the same time. `None` if it is open.
    fn closings(
        &self,
        state: &mut State,
        reading: &mut Reading,
        view: &MessageView,
        row: &crate::view::EntryRow,
    ) -> Result<Option<Vec<Tip>>, EngineError> {
        let Some(page) = self.description(state, &row.doc)? else { return Ok(None) };
        let mut counting = Vec::new();
        for by in self.modifications(state, &view.id, row)? {
            let Entry::ClosePoll { cut, .. } = by.entry else { continue };
            let standing = self.standing_of(state, reading, &page, &by.row, Permissions::SEND)?;
            if matches!(standing, ContentStanding::Counts { .. }) {
                counting.push((by.row.time_ms, by.row.chain(), by.row.n, cut));
            }
        }
        counting.sort_by_key(|(time_ms, chain, n, _)| (*time_ms, *chain, *n));
        let Some((time_ms, chain, ..)) = counting.first().cloned() else { return Ok(None) };
        let parts =
            counting.into_iter().take_while(|(time, of, ..)| *time == time_ms && *of == chain);
        Ok(Some(parts.flat_map(|(.., cut)| cut).collect()))
    }

    /// Counts the votes of a poll.
    pub(super) fn count_votes(
        &self,
        state: &mut State,
        reading: &mut Reading,
        view: &MessageView,
        poll: &Poll,
    ) -> Result<PollView, EngineError> {
        let Some((row, _)) = self.entry(&view.id)? else {
            return Err(EngineError::MissingDocument(view.doc));
        };
        let closings = self.closings(state, reading, view, &row)?;
        let closed = closings.is_some();
        let mut cut: HashMap<ChainKey, Tip> = HashMap::new();
        for tip in closings.into_iter().flatten() {
            let key = ChainKey { doc: tip.doc, device: tip.device, incarnation: tip.incarnation };
            let known = cut.entry(key).or_insert(tip);
            if tip.n > known.n {
                *known = tip;
            }
        }
        let mut latest: BTreeMap<AccountId, Vote> = BTreeMap::new();
        for vote in self.votes_for(state, &view.id, &view.channel)? {
            let Some(page) = self.description(state, &vote.row.doc)? else { continue };
            if page.channel_id() != Some(view.channel) {
                continue;
            }
            if closed {
                let Some(tip) = cut.get(&vote.chain) else { continue };
                let agreed = self.agreed(state, &page, tip)?.unwrap_or(tip.n);
                if vote.row.n > tip.n || vote.row.n > agreed {
                    continue;
                }
            }
            let need = Permissions::REACT;
            let standing = self.standing_of(state, reading, &page, &vote.row, need)?;
            if self.is_taken_back(state, &vote.id, &vote.row)? {
                continue;
            }
            let fits = vote.choices.iter().all(|choice| usize::from(*choice) < poll.options.len())
                && (poll.kind != PollKind::Single || vote.choices.len() <= 1);
            if !fits || !matches!(standing, ContentStanding::Counts { .. }) {
                continue;
            }
            let newer = latest
                .get(&vote.account)
                .is_none_or(|known| (known.time_ms, known.id) < (vote.time_ms, vote.id));
            if newer {
                latest.insert(vote.account, vote);
            }
        }
        let votes: BTreeMap<AccountId, Vec<u8>> = latest
            .into_iter()
            .filter(|(_, vote)| !vote.choices.is_empty())
            .map(|(account, vote)| (account, vote.choices))
            .collect();
        let (counts, winners) = tally(poll.kind, poll.options.len(), &votes);
        let options = poll.options.clone();
        Ok(PollView { kind: poll.kind, options, votes, counts, winners, closed })
    }
}

/// One vote, and where it stands.
struct Vote {
    id: ChangeId,
    row: crate::view::EntryRow,
    chain: ChainKey,
    account: AccountId,
    time_ms: u64,
    choices: Vec<u8>,
}

/// Counts votes. A ranked poll is counted by instant runoff: while no option has more than half
/// of the ballots that still name one, the options with fewest are struck off together.
fn tally(
    kind: PollKind,
    options: usize,
    votes: &BTreeMap<AccountId, Vec<u8>>,
) -> (Vec<u64>, Vec<u8>) {
    let mut left: Vec<bool> = vec![true; options];
    loop {
        let mut counts = vec![0u64; options];
        let standing = |choice: &&u8| left.get(usize::from(**choice)).copied().unwrap_or(false);
        for ballot in votes.values() {
            let counted = if kind == PollKind::Ranked { 1 } else { ballot.len() };
            for choice in ballot.iter().filter(standing).take(counted) {
                if let Some(count) = counts.get_mut(usize::from(*choice)) {
                    *count += 1;
                }
            }
        }
        let most = counts.iter().copied().max().unwrap_or(0);
        let total: u64 = counts.iter().sum();
        let named = |wanted: u64| -> Vec<u8> {
            (0u8..).zip(&counts).filter(|(_, count)| **count == wanted).map(|(n, _)| n).collect()
        };
        let winners = if most == 0 { Vec::new() } else { named(most) };
        if kind != PollKind::Ranked || total == 0 || most * 2 > total {
            return (counts, winners);
        }
        let in_race = counts.iter().zip(&left).filter(|(_, left)| **left);
        let fewest = in_race.map(|(count, _)| *count).min().unwrap_or(0);
        if fewest == most {
            return (counts, winners);
        }
        for (count, left) in counts.iter().zip(&mut left) {
            *left &= *count > fewest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(ballots: &[&[u8]]) -> BTreeMap<AccountId, Vec<u8>> {
        (0u8..)
            .zip(ballots)
            .map(|(n, ballot)| (AccountId::from_bytes([n; 32]), ballot.to_vec()))
            .collect()
    }

    #[test]
    fn votes_are_counted_by_the_kind_of_the_poll() {
        let ballots = votes(&[&[0, 2], &[0], &[1, 2], &[2, 1], &[2, 1]]);
        assert_eq!(tally(PollKind::Multiple, 3, &ballots), (vec![2, 3, 4], vec![2]));
        // First round 2, 1, 2; the ballot for 1 goes on to 2.
        assert_eq!(tally(PollKind::Ranked, 3, &ballots), (vec![2, 0, 3], vec![2]));
        let equal = votes(&[&[0], &[1]]);
        assert_eq!(tally(PollKind::Single, 2, &equal), (vec![1, 1], vec![0, 1]));
        assert_eq!(tally(PollKind::Ranked, 2, &equal), (vec![1, 1], vec![0, 1]));
        assert_eq!(tally(PollKind::Ranked, 3, &votes(&[])), (vec![0, 0, 0], vec![]));
    }
}
