//! The list of sections that two replicas talk about, taken up again in a later session.
//!
//! A list costs tens of bytes a space, and seldom changes between two sessions: so each side
//! notes what the list came to, and with what of its own, and the opener only names it. Two
//! devices of one person that never met keep the same, mostly, and need no list either.

use bytes::Bytes;

use crate::codec::{DecodeError, Reader, Writer};
use crate::description::SectionClass;
use crate::hash::{SpaceId, derive};
use crate::sync::exchange::{Exchange, ExchangeResult, Section};
use crate::sync::keys::{SessionKey, short};
use crate::sync::list::{CLASSES, ListEntry, bit};
use crate::sync::round::SPACES_MAX;
use crate::sync::session::{Role, Session};
use crate::wire::{ShortTag, Tag};

/// What a replica keeps and holds of what a remote may read, as far as lists depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing([u8; 32]);

/// A list as it is noted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Agreed {
    name: Tag,
    standing: Standing,
    list: Vec<ListEntry>,
}

impl Agreed {
    fn encode(&self) -> Bytes {
        let mut w = Writer::new();
        w.raw(&self.name).raw(&self.standing.0).varint(self.list.len() as u64);
        for entry in &self.list {
            let known = entry.space.is_some();
            w.u8(u8::from(known)).u8(entry.offered << 4 | entry.common);
            if let Some(space) = entry.space {
                w.raw(space.as_bytes()).u8(entry.kept_there << 4 | entry.kept_here);
                w.u8(entry.sparing_there << 4 | entry.partial_there);
            }
        }
        w.finish().into()
    }

    /// Reads a row of this replica's own; names are those of the session.
    fn decode(bytes: &[u8], key: &SessionKey) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let (name, standing) = (r.array("list")?, Standing(r.array("standing")?));
        let mut list = Vec::new();
        for _ in 0..r.count(SPACES_MAX, "spaces")? {
            let known = r.u8("known")? != 0;
            let masks = r.u8("masks")?;
            let mut entry = ListEntry {
                space: None,
                tag: ShortTag::default(),
                offered: masks >> 4,
                common: masks & 0x0f,
                kept_there: 0,
                kept_here: 0,
                sparing_there: 0,
                partial_there: 0,
            };
            if known {
                let space = SpaceId::from_bytes(r.array("space")?);
                (entry.space, entry.tag) = (Some(space), key.space(&space));
                let masks = r.u8("masks")?;
                (entry.kept_there, entry.kept_here) = (masks >> 4, masks & 0x0f);
                let masks = r.u8("masks")?;
                (entry.sparing_there, entry.partial_there) = (masks >> 4, masks & 0x0f);
            }
            list.push(entry);
        }
        r.end()?;
        Ok(Self { name, standing, list })
    }
}

impl Session {
    /// What of this replica a list depends on, as it is now.
    pub(super) fn standing(&self, exchange: &dyn Exchange) -> ExchangeResult<Standing> {
        let mut sections: Vec<_> =
            exchange.kept_sections()?.into_iter().map(|section| (section, true)).collect();
        sections.extend(exchange.held_sections()?.into_iter().map(|section| (section, false)));
        sections.sort_unstable();
        let mut w = Writer::new();
        for (section, kept) in sections {
            if !exchange.may_read(&self.remote, &section)? {
                continue;
            }
            let sparing = kept && exchange.spares(&section)?;
            let partial = kept && exchange.is_partial(&section)?;
            let flags = [kept, sparing, partial].map(u8::from);
            w.raw(section.space.as_bytes()).u8(section.class as u8).raw(&flags);
        }
        Ok(Standing(derive("mosaic list standing 1", &[&w.finish()])))
    }

    /// The list to name in the first frame, and its name, if there is one. Opener only.
    pub(super) fn recall(
        &self,
        key: &SessionKey,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Option<(ShortTag, Vec<ListEntry>)>> {
        if let Some(agreed) = self.noted(key, exchange)? {
            let stands = agreed.standing == self.standing(exchange)?;
            return Ok(stands.then(|| (short(&agreed.name), agreed.list)));
        }
        let list = self.own_list(key, exchange)?;
        // Devices of one person keep the same; others have an account each that is their own.
        if !list.iter().any(|entry| entry.offered & bit(SectionClass::Private) != 0) {
            return Ok(None);
        }
        let mut long = list.len() >= self.options.recall_from;
        for section in list.iter().flat_map(ListEntry::sections) {
            long = long || exchange.tips_count(&section)? >= self.options.sketch_from.max(1);
        }
        Ok(long.then(|| (own_name(key, &list), list)))
    }

    /// The list that the opener names, if it still stands here. Responder only.
    pub(super) fn find_list(
        &self,
        name: &ShortTag,
        key: &SessionKey,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Option<Vec<ListEntry>>> {
        if let Some(agreed) = self.noted(key, exchange)?
            && short(&agreed.name) == *name
        {
            let stands = agreed.standing == self.standing(exchange)?;
            return Ok(stands.then_some(agreed.list));
        }
        let list = self.own_list(key, exchange)?;
        Ok(Some(list).filter(|list| own_name(key, list) == *name))
    }

    fn noted(&self, key: &SessionKey, exchange: &dyn Exchange) -> ExchangeResult<Option<Agreed>> {
        let noted = exchange.agreed(&self.remote, self.role == Role::Initiator)?;
        // A row that does not read is as good as none.
        Ok(noted.and_then(|bytes| Agreed::decode(&bytes, key).ok()))
    }

    /// Notes the list after a round in which both listed what there is and came out equal.
    pub(super) fn note_list(&self, round: u64, exchange: &dyn Exchange) -> ExchangeResult<()> {
        let (Some(key), Some(standing)) = (&self.key, self.listed_with) else { return Ok(()) };
        if self.list.len() < self.options.recall_from {
            return Ok(());
        }
        let agreed = Agreed { name: key.list(round), standing, list: self.list.clone() };
        exchange.record_agreed(&self.remote, self.role == Role::Initiator, agreed.encode())
    }

    /// The list as it is if both keep the same, in the same way.
    fn own_list(
        &self,
        key: &SessionKey,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Vec<ListEntry>> {
        let mut list = Vec::new();
        for (space, mask) in self.kept(exchange)?.into_iter().take(SPACES_MAX) {
            let (mut sparing, mut partial) = (0, 0);
            for class in CLASSES.into_iter().filter(|class| mask & bit(*class) != 0) {
                let section = Section { space, class };
                sparing |= if exchange.spares(&section)? { bit(class) } else { 0 };
                partial |= if exchange.is_partial(&section)? { bit(class) } else { 0 };
            }
            list.push(ListEntry {
                space: Some(space),
                tag: key.space(&space),
                offered: mask,
                common: mask,
                kept_there: mask,
                kept_here: mask,
                sparing_there: sparing,
                partial_there: partial,
            });
        }
        Ok(list)
    }
}

/// Names a list of what both keep alike.
fn own_name(key: &SessionKey, list: &[ListEntry]) -> ShortTag {
    let mut w = Writer::new();
    for entry in list {
        w.raw(&entry.tag).u8(entry.common).u8(entry.sparing_there << 4 | entry.partial_there);
    }
    key.own_list(&w.finish())
}
