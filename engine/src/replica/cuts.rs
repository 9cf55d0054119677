//! What a cut leaves standing of a chain. A cut names a version, number and link: of a
//! chain with two histories it leaves one, and of the other what both have in common.

use std::collections::HashMap;
use std::sync::Arc;

use super::steps::Step;
use super::{EngineError, Replica, State};
use crate::chain::{ChainKey, extend};
use crate::description::{Description, DocumentKind};
use crate::hash::{ChangeId, Link};
use crate::model::entry::{Entry, Tip};

impl Replica {
    /// Whether change `n` of a chain is beyond the cut of a revoked device, or by a device
    /// that the account's log does not name.
    pub(crate) fn is_cut(
        &self,
        state: &mut State,
        key: &ChainKey,
        n: u64,
    ) -> Result<bool, EngineError> {
        let Some(description) = self.description(state, &key.doc)? else { return Ok(true) };
        self.is_void(state, &description, key, n)
    }

    pub(crate) fn is_void(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
        n: u64,
    ) -> Result<bool, EngineError> {
        Ok(self.is_revoked_at(state, description, key, n)?
            && n > self.said_before(state, description, key)?)
    }

    /// Whether the account's own word leaves out change `n` of a chain, whatever others say of it.
    fn is_revoked_at(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
        n: u64,
    ) -> Result<bool, EngineError> {
        let Some(authority) = self.authority_of(state, &description.account)? else {
            return Ok(false);
        };
        let Some(device) = authority.devices.get(&key.device) else {
            // Without the account's log, the certificate path is all there is to judge by.
            let log = DocumentKind::AccountLog;
            return Ok(self.last_page(state, &description.account, log)?.is_some());
        };
        if device.revoked.is_none() {
            return Ok(false);
        }
        Ok(match self.cut_of(state, description, key)? {
            Some(cut) => n > self.agreed(state, description, &cut)?.unwrap_or(cut.n),
            None => true,
        })
    }

    /// Whether change `n` of a chain is not shown: void, or held back while its device is
    /// suspended.
    pub(crate) fn is_hidden(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
        n: u64,
    ) -> Result<bool, EngineError> {
        Ok(self.is_hidden_by_account(state, description, key, n)?
            && n > self.said_before(state, description, key)?)
    }

    /// [`Replica::is_hidden`] by the account's own word: by this it is judged who takes part where.
    pub(super) fn is_hidden_by_account(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
        n: u64,
    ) -> Result<bool, EngineError> {
        if self.is_revoked_at(state, description, key, n)? {
            return Ok(true);
        }
        Ok(self.held_back_from(state, description, key)?.is_some_and(|shown| n > shown))
    }

    /// How many of the first `held` changes of a chain are not void; what is void are the last ones.
    pub(super) fn counts_up_to(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
        held: u64,
    ) -> Result<u64, EngineError> {
        let (mut counts, mut void) = (0, held + 1);
        while counts + 1 < void {
            let middle = counts + (void - counts) / 2;
            match self.is_void(state, description, key, middle)? {
                true => void = middle,
                false => counts = middle,
            }
        }
        Ok(counts)
    }

    /// How many changes of a chain are shown while its device is suspended; `None` if it is not,
    /// or nothing is held back.
    pub(super) fn held_back_from(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
    ) -> Result<Option<u64>, EngineError> {
        let Some(authority) = self.authority_of(state, &description.account)? else {
            return Ok(None);
        };
        let device = authority.devices.get(&key.device);
        let Some(back) = device.filter(|d| d.revoked.is_none()).and_then(|d| d.held_back.as_ref())
        else {
            return Ok(None);
        };
        let cuts = self.own_cuts(state, description)?;
        Ok(match back.cut(&key.doc, &key.device, &key.incarnation, &cuts) {
            Some(cut) => Some(self.agreed(state, description, &cut)?.unwrap_or(cut.n)),
            None => Some(0),
        })
    }

    /// The link after change `n` of a chain; `n` is held.
    pub(in crate::replica) fn link_at(
        &self,
        description: &Description,
        key: &ChainKey,
        n: u64,
    ) -> Result<Link, EngineError> {
        let ids = self.change_ids(key, 1, n)?;
        Ok(link_after(key.origin(&description.space.id()), &ids))
    }

    /// The version up to which a chain of a revoked device stays.
    pub(crate) fn cut_of(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
    ) -> Result<Option<Tip>, EngineError> {
        let Some(authority) = self.authority_of(state, &description.account)? else {
            return Ok(None);
        };
        let device = authority.devices.get(&key.device);
        let Some(revocation) = device.and_then(|device| device.revoked.as_ref()) else {
            return Ok(None);
        };
        let cuts = self.own_cuts(state, description)?;
        Ok(revocation.cut(&key.doc, &key.device, &key.incarnation, &cuts))
    }

    /// Cuts that an account wrote into one of its documents.
    fn own_cuts(
        &self,
        state: &mut State,
        description: &Description,
    ) -> Result<Arc<Vec<Tip>>, EngineError> {
        let in_log = description.space.account() == Some(description.account);
        if in_log || !description.kind.is_log() {
            return Ok(Arc::default());
        }
        let doc = description.id();
        if let Some(known) = state.cuts.get(&doc) {
            return Ok(known.clone());
        }
        let Some(authority) = self.authority_of(state, &description.account)? else {
            return Ok(Arc::default());
        };
        let mut items = Vec::new();
        for (key, chain) in self.chains_of(state, &doc)? {
            let all = self.log_items(&key, 1, chain.held)?.into_iter();
            items.extend(all.filter(|item| matches!(item.entry, Entry::Cut { .. })));
        }
        let tips = items.iter().filter_map(|item| match &item.entry {
            Entry::Cut { tips, .. } => Some(tips.as_slice()),
            _ => None,
        });
        let here = |d: &Description| d.id() == doc;
        let agreed = self.agreements(state, tips.flatten(), here)?;
        let agreed = |tip: &Tip| agreed.get(tip).copied().unwrap_or(0);
        let cuts = Arc::new(authority.counting_cuts(items, &agreed));
        state.cuts.insert(doc, cuts.clone());
        Ok(cuts)
    }

    /// [`Replica::agreed`] for several cuts of chains in documents of one kind.
    pub(super) fn agreements<'a>(
        &self,
        state: &mut State,
        tips: impl Iterator<Item = &'a Tip>,
        about: impl Fn(&Description) -> bool,
    ) -> Result<HashMap<Tip, u64>, EngineError> {
        let mut out = HashMap::new();
        for tip in tips {
            let Some(description) = self.description(state, &tip.doc)? else { continue };
            if about(&description) && !out.contains_key(tip) {
                // What is not proven to lead to the cut may lead elsewhere.
                out.insert(*tip, self.agreed(state, &description, tip)?.unwrap_or(0));
            }
        }
        Ok(out)
    }

    /// How many changes of a chain, as it is followed here, lie on the branch that a cut
    /// names and are not beyond it; `None` if that cannot be told yet.
    pub(super) fn agreed(
        &self,
        state: &mut State,
        description: &Description,
        cut: &Tip,
    ) -> Result<Option<u64>, EngineError> {
        let key = ChainKey { doc: cut.doc, device: cut.device, incarnation: cut.incarnation };
        let space = description.space.id();
        let chain = self.chain(state, &space, &key)?;
        if chain.held == cut.n && chain.link == cut.link {
            return Ok(Some(cut.n));
        }
        if let Some(known) = state.agreed.get(cut) {
            return Ok(Some(*known));
        }
        let ids = self.change_ids(&key, 1, cut.n)?;
        let origin = key.origin(&space);
        let reached = (ids.len() as u64 == cut.n).then(|| link_after(origin, &ids));
        let agreed = if reached == Some(cut.link) {
            cut.n
        } else {
            let branches = self.branches(state, &key)?;
            let named = branches.iter().filter_map(|branch| branch.ids.get(..ids_of(cut.n)));
            let named = named.into_iter().find(|ids| link_after(origin, ids) == cut.link);
            match (named, reached) {
                (Some(named), _) => {
                    ids.iter().zip(named).take_while(|(ours, theirs)| ours == theirs).count() as u64
                }
                (None, Some(_)) => 0,
                // Nothing here says that it leads elsewhere.
                (None, None) => return Ok(None),
            }
        };
        if chain.held >= cut.n {
            state.agreed.insert(*cut, agreed);
        }
        Ok(Some(agreed))
    }

    /// Whether changes on their way in pass by the version that a cut names.
    pub(super) fn passes_by(held: u64, link: Link, steps: &[Step], cut: &Tip) -> bool {
        let mut link = link;
        for (n, step) in (held + 1..).zip(steps) {
            link = extend(&link, n, &step.id);
            if n == cut.n {
                return link != cut.link;
            }
        }
        false
    }
}

fn ids_of(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn link_after(origin: Link, ids: &[ChangeId]) -> Link {
    (1..).zip(ids).fold(origin, |link, (n, id)| extend(&link, n, id))
}
