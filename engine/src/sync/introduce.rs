//! Telling of conversations. The list of spaces names them by keyed tags, in which a participant who
//! does not know a conversation yet finds nothing; so who has it tells him what it began with. Only
//! who may read a conversation is told of it.

use std::collections::HashSet;

use bytes::Bytes;

use crate::description::{Section, SectionClass, Spaces};
use crate::hash::derive;
use crate::sync::exchange::{Exchange, ExchangeResult};
use crate::sync::session::{Fault, Session};
use crate::wire::{INTRODUCED_BYTES_MAX, INTRODUCED_MAX, Message};

/// Messages of introductions taken in one session.
const TAKEN_MAX: u32 = 256;
/// Bytes of introductions that are kept to be looked at again.
const HEARD_BYTES_MAX: usize = 256 * 1024;

/// What was introduced in a session.
#[derive(Debug, Default)]
pub(super) struct Introduced {
    /// It is to be looked at what there is to tell.
    due: bool,
    /// The first look was taken.
    begun: bool,
    /// The number that stood when it was looked last.
    epoch: u64,
    told: HashSet<[u8; 32]>,
    /// Spaces with a private section that both keep, once a round was over.
    common: Option<Spaces>,
    taken: u32,
    /// What the remote told of, with its path: it tells nothing twice, and what is nothing to this
    /// replica may be once it keeps something else.
    heard: Vec<(Bytes, Vec<Bytes>)>,
    heard_bytes: usize,
}

impl Introduced {
    /// There may be something new to tell.
    pub(super) const fn look_again(&mut self) {
        self.due = true;
    }

    fn keep(&mut self, path: &Bytes, spaces: &[Bytes]) {
        let bytes = spaces.iter().map(Bytes::len).sum::<usize>() + path.len();
        if self.heard_bytes + bytes <= HEARD_BYTES_MAX {
            self.heard_bytes += bytes;
            self.heard.push((path.clone(), spaces.to_vec()));
        }
    }
}

impl Session {
    /// Tells of conversations, once the session has a key.
    pub(super) fn introduce(&mut self, exchange: &dyn Exchange) -> ExchangeResult<()> {
        let epoch = exchange.introductions_epoch();
        let due = !self.introduced.begun || self.introduced.due || self.introduced.epoch != epoch;
        if self.key.is_none() || !due {
            return Ok(());
        }
        self.introduced.epoch = epoch;
        (self.introduced.begun, self.introduced.due) = (true, false);
        let (path, mut spaces) =
            exchange.introductions(&self.remote, self.introduced.common.as_ref())?;
        let told = &mut self.introduced.told;
        spaces.retain(|space| {
            let fits = space.len() <= INTRODUCED_BYTES_MAX;
            fits && told.insert(derive("mosaic introduced 1", &[space]))
        });
        for spaces in spaces.chunks(INTRODUCED_MAX / 2) {
            let (path, spaces) = (path.clone(), spaces.to_vec());
            self.out.send(&Message::Introduce { path, spaces });
        }
        Ok(())
    }

    /// Takes what the remote tells of, and talks about it in a round.
    pub(super) fn on_introduce(
        &mut self,
        now_ms: u64,
        path: &Bytes,
        spaces: &[Bytes],
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        self.introduced.taken += 1;
        if self.introduced.taken > TAKEN_MAX {
            return Err(super::session::PROTOCOL);
        }
        // It may tell of what was left here.
        self.push.look_again();
        self.introduced.keep(path, spaces);
        if exchange.take_introductions(&self.remote, path, spaces)? {
            self.reopen = true;
            self.ask_for_round(now_ms);
        }
        Ok(())
    }

    /// Notes of which spaces both keep a private section: what the remote showed once it may have no more.
    pub(super) fn note_common(&mut self) {
        let private = |(_, section): &(_, Section)| section.class == SectionClass::Private;
        let spaces = self.sections().into_iter().filter(private).map(|(_, section)| section.space);
        let common = Some(spaces.collect());
        if self.introduced.common != common {
            (self.introduced.common, self.introduced.due) = (common, true);
        }
    }

    /// Takes what was told before and is something to this replica now.
    pub(super) fn hear_again(&self, exchange: &dyn Exchange) -> ExchangeResult<()> {
        for (path, spaces) in &self.introduced.heard {
            exchange.take_introductions(&self.remote, path, spaces)?;
        }
        Ok(())
    }
}
