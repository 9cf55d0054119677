//! Following the branch of a forked log that a cut names. The account's word settles a fork:
//! what only the other branch holds is void, and stays known by its head and ids.

use super::forks::{Branch, place};
use super::stored::entry_of;
use super::{BodyState, ChainState, EngineError, Replica, State, Work};
use crate::chain::{ChainKey, extend};
use crate::description::Description;
use crate::hash::ChangeId;
use crate::store::{Table, keys};
use crate::view::{EntryRow, bodies_of, rows_of};

impl Replica {
    /// Goes over to the branch that the account's cut names, if it is known and another one
    /// is followed here. Its changes are wanted then.
    pub(super) fn follow_cut(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Description,
        key: &ChainKey,
    ) -> Result<(), EngineError> {
        let Some(cut) = self.cut_of(state, description, key)? else { return Ok(()) };
        let chain = self.chain(state, &description.space.id(), key)?;
        let Some(common) = self.agreed(state, description, &cut)? else { return Ok(()) };
        if common >= cut.n || common >= chain.held {
            return Ok(());
        }
        let origin = key.origin(&description.space.id());
        let link_after =
            |ids: &[ChangeId]| (1..).zip(ids).fold(origin, |link, (n, id)| extend(&link, n, id));
        let mut branches = self.branches(state, key)?;
        let named = branches.iter().position(|branch| {
            branch.ids.get(..place(cut.n)).is_some_and(|ids| link_after(ids) == cut.link)
        });
        let (Some(named), Some(rest)) = (named, self.bridge(key, &chain)?) else { return Ok(()) };
        let named = branches.swap_remove(named);
        let mut ids = self.change_ids(key, 1, chain.held)?;
        ids.extend(rest);
        let Ok(head) = chain.head.as_slice().try_into() else { return Ok(()) };
        let left = Branch { head, n: chain.known, link: chain.known_link, ids };
        self.leave(state, work, description, key, common)?;
        let mut followed = self.up_to(key, origin, common)?;
        followed.head = named.head.to_vec();
        followed.known = named.n;
        followed.known_link = named.link;
        let rest = named.ids.get(place(common)..).unwrap_or_default();
        Self::keep_ids(work, key, common + 1, rest);
        Self::forget_branch(work, key, &named);
        Self::note_branch(work, key, &left);
        branches.push(left);
        state.dirty = true;
        state.forks.insert(*key, branches);
        state.chains.insert(*key, followed);
        state.agreed.retain(|tip, _| tip.doc != key.doc);
        work.chains.insert(*key);
        work.spaces.insert(description.space.id());
        work.cuts.insert(key.doc);
        work.accounts.insert(description.account);
        Ok(())
    }

    /// Takes away what is derived from the changes of a branch after the first few.
    fn leave(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Description,
        key: &ChainKey,
        common: u64,
    ) -> Result<(), EngineError> {
        let held = self.chain(state, &description.space.id(), key)?.held;
        for item in self.log_items(key, common + 1, held)? {
            let row = EntryRow {
                doc: key.doc,
                device: key.device,
                incarnation: key.incarnation,
                n: item.n,
                time_ms: item.time_ms,
                kind: item.entry.kind(),
            };
            for (row, _) in rows_of(description, &item.id, &row, &item.entry) {
                work.batch.delete(Table::Rows, row);
            }
            for body in bodies_of(&item.entry) {
                if self.is_named_by_another(state, work, &body.hash, &key.doc, &[item.id])? {
                    continue;
                }
                self.put_body_state(work, &body.hash, &key.doc, BodyState::Evicted)?;
                work.batch.delete(Table::Meta, keys::wanted(&key.doc, &body.hash));
                work.batch.delete(Table::Meta, keys::held(&key.doc, &body.hash));
                // Where another branch names it, it is wanted again.
                work.dropped.insert(body.hash);
                self.remove_blob_unless_used(work, &body.hash, &key.doc)?;
            }
            work.batch.delete(Table::Truth, keys::blob(&item.id.blob()));
            if self.store.blob_info(&item.id.blob())?.is_some() {
                work.files.push(item.id.blob());
            }
        }
        self.drop_chain_rows(work, key, common + 1, description)?;
        Ok(())
    }

    /// The state of a log chain after its first `held` changes.
    fn up_to(
        &self,
        key: &ChainKey,
        origin: crate::hash::Link,
        held: u64,
    ) -> Result<ChainState, EngineError> {
        let mut chain = ChainState::fresh(origin);
        for (id, change) in self.read_changes(key, 1, held)? {
            let change =
                change?.ok_or_else(|| EngineError::Corrupt(format!("change {id} is missing")))?;
            let entry = entry_of(&change)?;
            if entry.is_modification() {
                chain.modifications += 1;
            } else {
                chain.entries += 1;
            }
            chain.bytes += change.value.len() as u64;
            chain.held = change.n;
            chain.link = extend(&chain.link, change.n, &id);
            chain.last = Some(change.hash);
        }
        Ok(chain)
    }
}
