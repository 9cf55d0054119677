//! The wall index: what finds posts by their time, newest first.
//!
//! ```text
//! key    w ‖ account ‖ !time ‖ id                     one post
//! value  kind u8
//! key    v ‖ account ‖ !newest ‖ chain ‖ last ‖ first posts among changes that share a row
//! value  time of the oldest u64
//! ```
//!
//! The second says where to look: when each post was, the row of the run says. The times of one
//! span little, so that a list that goes on somewhere looks at few that are not in it.

use std::collections::BTreeSet;

use super::stored::{ChainItem, StoredChange};
use super::{Cursor, EngineError, Replica};
use crate::chain::ChainKey;
use crate::hash::{AccountId, ChangeId};
use crate::store::{Batch, Row, Table, keys};

/// Time between the oldest and the newest post that share a row: a week.
const SPAN_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;
/// Rows that are read at once.
const STEP: usize = 64;

/// Time, id and kind of a change that a wall lists.
type Listed = (u64, ChangeId, u8);

/// Key and value of the row of one post.
pub(super) type SingleRow = (Vec<u8>, Vec<u8>);

/// What a wall lists of a change.
fn listed(change: &StoredChange) -> Option<Listed> {
    let kind = change.value.first().copied().filter(|kind| matches!(kind, 0x02 | 0x03))?;
    Some((change.time_ms, change.id, kind))
}

/// Changes that a row stands for, and what their times say: the newest, the oldest.
fn span(changes: &[Listed]) -> Option<(u64, u64)> {
    let newest = changes.iter().map(|(time_ms, ..)| *time_ms).max()?;
    let oldest = changes.iter().map(|(time_ms, ..)| *time_ms).min()?;
    (changes.len() > 1 && newest - oldest <= SPAN_MS_MAX).then_some((newest, oldest))
}

/// Puts what a wall lists of changes that share a row, or of one that has its own.
pub(super) fn put_listed(
    batch: &mut Batch,
    wall: &AccountId,
    key: &ChainKey,
    first: u64,
    changes: &[StoredChange],
) {
    let found: Vec<Listed> = changes.iter().filter_map(listed).collect();
    if let Some((newest, oldest)) = span(&found) {
        let last = first + changes.len() as u64 - 1;
        let place = keys::wall_run(wall, newest, key, first, last);
        batch.put(Table::Rows, place, oldest.to_be_bytes().to_vec());
        return;
    }
    for (time_ms, id, kind) in found {
        batch.put(Table::Rows, keys::wall(wall, time_ms, &id), vec![kind]);
    }
}

/// Takes the row of changes that shared one away; what has a row of its own is not touched.
pub(super) fn drop_listed(
    batch: &mut Batch,
    wall: &AccountId,
    key: &ChainKey,
    first: u64,
    items: &[ChainItem],
) {
    let changes = items.iter().filter_map(|item| item.stored.as_ref());
    let found: Vec<Listed> = changes.filter_map(listed).collect();
    if let Some((newest, _)) = span(&found) {
        let last = first + items.len() as u64 - 1;
        batch.delete(Table::Rows, keys::wall_run(wall, newest, key, first, last));
    }
}

impl Replica {
    /// Posts of a wall strictly after `cursor`, newest first; at most `count`, fewer at the end.
    pub(super) fn listed_after(
        &self,
        account: &AccountId,
        cursor: Option<Cursor>,
        count: usize,
    ) -> Result<Vec<Cursor>, EngineError> {
        let mut found = BTreeSet::new();
        let start = cursor.map(|at| [&keys::wall(account, at.time_ms, &at.id)[..], &[0]].concat());
        let prefix = keys::wall_prefix(account);
        for (key, _) in self.store.scan(Table::Rows, &prefix, start.as_deref(), false, count)? {
            found.extend(keys::parse_wall(&key).map(|(time_ms, id)| (!time_ms, id)));
        }
        let prefix = keys::wall_runs(account);
        let newest = cursor.map_or(u64::MAX, |at| at.time_ms.saturating_add(SPAN_MS_MAX));
        let mut start = [&prefix[..], &(!newest).to_be_bytes()].concat();
        let after = |at: &(u64, ChangeId)| cursor.is_none_or(|c| *at > (!c.time_ms, c.id));
        'runs: loop {
            let rows = self.store.scan(Table::Rows, &prefix, Some(&start), false, STEP)?;
            for row in &rows {
                let Some((newest, oldest)) = times_of(row) else { continue };
                // All of this one and of those behind it are older than what was found.
                let enough = found.iter().nth(count.saturating_sub(1));
                if enough.is_some_and(|(age, _)| *age < !newest) {
                    break 'runs;
                }
                if cursor.is_none_or(|at| oldest <= at.time_ms) {
                    let posts = self.listed_in(row)?.into_iter();
                    found.extend(posts.map(|(time_ms, id, _)| (!time_ms, id)).filter(after));
                }
            }
            let Some((last, _)) = rows.last().filter(|_| rows.len() == STEP) else { break };
            start = [last.as_ref(), &[0]].concat();
        }
        let found = found.into_iter().take(count);
        Ok(found.map(|(age, id)| Cursor { time_ms: !age, id }).collect())
    }

    /// The posts that a row stands for; none if it is not what the changes give.
    fn listed_in(&self, row: &Row) -> Result<Vec<Listed>, EngineError> {
        let Some((_, key, first, last)) = keys::parse_wall_run(&row.0) else {
            return Ok(Vec::new());
        };
        let items = self.chain_items(&key, first, last)?;
        let found: Vec<Listed> =
            items.iter().filter_map(|item| listed(item.stored.as_ref()?)).collect();
        let whole = items.len() as u64 == (last - first).saturating_add(1);
        let right = whole && span(&found) == times_of(row);
        Ok(if right { found } else { Vec::new() })
    }

    /// The rows of single posts that a row of several stands for; none if it is wrong.
    pub(super) fn single_rows(&self, row: &Row) -> Result<Vec<SingleRow>, EngineError> {
        let Some(account) = keys::parse_wall_owner(&row.0) else { return Ok(Vec::new()) };
        let posts = self.listed_in(row)?.into_iter();
        let single = |(time_ms, id, kind)| (keys::wall(&account, time_ms, &id), vec![kind]);
        Ok(posts.map(single).collect())
    }
}

/// The newest and the oldest time of a row of several posts.
fn times_of((key, value): &Row) -> Option<(u64, u64)> {
    let (newest, _, first, last) = keys::parse_wall_run(key)?;
    let oldest = u64::from_be_bytes(value.as_ref().try_into().ok()?);
    (first < last && oldest <= newest).then_some((newest, oldest))
}
