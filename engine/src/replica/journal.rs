//! The journal: what happened here, numbered, for those who come back and ask what they missed.
//!
//! An event is written in the batch of what it tells of: after a crash the journal holds exactly
//! what is stored, under numbers without a hole. What came in one commit to one
//! document shares a row, and the oldest rows make room for the newest.

use super::{EngineError, Replica, State, Work};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, ChangeId, DocumentId};
use crate::store::{Batch, Table, keys};

/// Events kept for those who come back with a sequence number.
pub const JOURNAL_EVENTS_MAX: u64 = 100_000;
/// Bytes of the text of a note.
const NOTE_BYTES_MAX: usize = 4096;
/// Events of one commit that share a row.
const ROW_EVENTS_MAX: usize = 128;
/// Kind byte of rows that hold a note; no entry has it.
const NOTE: u8 = 0xff;

/// What an event may have beside its entry.
const BARE: u8 = 0;
const TARGET: u8 = 1;
const TEXT: u8 = 2;

/// Something that happened here, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An entry was committed.
    Entry {
        /// Its id.
        id: ChangeId,
        /// Entry kind byte; 0 for a map change.
        kind: u8,
        /// Who wrote it.
        account: AccountId,
        /// Where.
        doc: DocumentId,
        /// Written here, not received.
        local: bool,
        /// The entry that it is about, and its kind byte if that is known here.
        target: Option<(ChangeId, u8)>,
    },
    /// A head became known whose changes are not here. It is not in the journal.
    Head {
        /// The chain.
        chain: crate::chain::ChainKey,
    },
    /// Something that whoever runs this replica noted.
    Note {
        /// In its own words.
        text: String,
    },
}

/// An event of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journaled {
    /// One more than that of the event before.
    pub number: u64,
    /// When it was committed here; 0 if that is not known.
    pub time_ms: u64,
    /// What happened.
    pub event: Event,
}

/// A part of the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalPart {
    /// Events in order.
    pub events: Vec<Journaled>,
    /// Number of the oldest event kept; 0 if there is none.
    pub oldest: u64,
    /// Number of the newest; 0 if there is none.
    pub newest: u64,
}

impl Replica {
    /// Returns at most `limit` events after number `since`, and which are kept.
    ///
    /// # Errors
    /// If the store fails.
    pub fn journal(&self, since: u64, limit: usize) -> Result<JournalPart, EngineError> {
        let end = |newest: bool| {
            let rows = self.store.scan(Table::Meta, keys::JOURNAL, None, newest, 1)?;
            let numbers = rows.first().and_then(|(key, _)| keys::parse_journal(key));
            Ok::<_, EngineError>(
                numbers.map_or(0, |(first, last)| if newest { last } else { first }),
            )
        };
        // A row may begin with what was asked for before.
        let start = keys::journal(0, since.saturating_add(1));
        let rows = self.store.scan(Table::Meta, keys::JOURNAL, Some(&start), false, limit)?;
        let mut events = Vec::with_capacity(rows.len());
        for (key, value) in rows {
            let numbers = keys::parse_journal(&key);
            let (first, last) = numbers.ok_or_else(|| EngineError::corrupt("journal key"))?;
            let told = decode_all(&value, first, last).map_err(EngineError::corrupt)?;
            events.extend(told.into_iter().filter(|event| event.number > since));
            if events.len() >= limit {
                break;
            }
        }
        events.truncate(limit);
        Ok(JournalPart { events, oldest: end(false)?, newest: end(true)? })
    }

    /// Adds an event of the caller's own to the journal; durable when it returns.
    ///
    /// # Errors
    /// If the text is too long or the store fails.
    pub fn note(&self, text: &str, now_ms: u64) -> Result<(), EngineError> {
        if text.len() > NOTE_BYTES_MAX {
            let message = format!("a note of {} bytes, limit {NOTE_BYTES_MAX}", text.len());
            return Err(EngineError::Invalid(message));
        }
        let state = self.lock();
        let events = vec![Event::Note { text: text.to_owned() }];
        self.finish(state, Work { events, now_ms, ..Work::default() })
    }

    /// Numbers the events and puts them into the journal.
    pub(crate) fn write_journal(
        &self,
        state: &mut State,
        work: &mut Work,
    ) -> Result<(), EngineError> {
        let time_ms = work.now_ms.max(state.now_ms);
        let before = state.journal;
        let kept: Vec<&Event> =
            work.events.iter().filter(|event| !matches!(event, Event::Head { .. })).collect();
        for events in kept.chunk_by(|a, b| place_of(a).is_some() && place_of(a) == place_of(b)) {
            for events in events.chunks(ROW_EVENTS_MAX) {
                let first = state.journal + 1;
                state.journal += events.len() as u64;
                let row = match events {
                    [one] => encode(one, time_ms),
                    several => encode_several(several, time_ms),
                };
                if let Some(row) = row {
                    work.batch.put(Table::Meta, keys::journal(first, state.journal), row);
                }
            }
        }
        if state.journal != before {
            let number = state.journal.to_be_bytes().to_vec();
            work.batch.put(Table::Meta, keys::setting(super::SETTING_JOURNAL), number);
            self.forget_oldest(state.journal, state.journal - before, &mut work.batch)?;
        }
        Ok(())
    }

    /// Deletes rows that are wholly of events that are not kept any more.
    fn forget_oldest(&self, newest: u64, added: u64, batch: &mut Batch) -> Result<(), EngineError> {
        let Some(gone) = newest.checked_sub(JOURNAL_EVENTS_MAX).filter(|gone| *gone > 0) else {
            return Ok(());
        };
        let most = usize::try_from(added).unwrap_or(usize::MAX).saturating_add(1);
        // What commits before this one deleted is not walked over again.
        let start = keys::journal(0, gone.saturating_sub(added) + 1);
        for (key, _) in self.store.scan(Table::Meta, keys::JOURNAL, Some(&start), false, most)? {
            if keys::parse_journal(&key).is_some_and(|(_, last)| last <= gone) {
                batch.delete(Table::Meta, key);
            }
        }
        Ok(())
    }
}

/// Encodes a row; `None` for what does not belong into the journal.
fn encode(event: &Event, time_ms: u64) -> Option<Vec<u8>> {
    let mut w = Writer::new();
    match event {
        Event::Head { .. } => return None,
        Event::Entry { id, kind, account, doc, local, target } => {
            w.raw(id.as_bytes()).u8(*kind).raw(account.as_bytes()).raw(doc.as_bytes());
            w.u8(u8::from(*local)).u64(time_ms);
            match target {
                None => w.u8(BARE),
                Some((target, kind)) => w.u8(TARGET).raw(target.as_bytes()).u8(*kind),
            };
        }
        Event::Note { text } => {
            w.raw(&[0; ChangeId::LEN]).u8(NOTE);
            w.raw(&[0; AccountId::LEN]).raw(&[0; DocumentId::LEN]);
            w.u8(1).u64(time_ms).u8(TEXT).text(text);
        }
    }
    Some(w.finish())
}

/// Reads a row: its time, and what happened. Rows of before version 0.2 end early.
fn decode(value: &[u8]) -> Result<(u64, Event), DecodeError> {
    let mut r = Reader::new(value);
    let id = ChangeId::from_bytes(r.array("event id")?);
    let kind = r.u8("event kind")?;
    let account = AccountId::from_bytes(r.array("event account")?);
    let doc = DocumentId::from_bytes(r.array("event document")?);
    let local = r.u8("event origin")? != 0;
    if r.is_empty() {
        return Ok((0, Event::Entry { id, kind, account, doc, local, target: None }));
    }
    let time_ms = r.u64("event time")?;
    let event = match r.u8("event form")? {
        TEXT => Event::Note { text: r.text(NOTE_BYTES_MAX, "event note")?.to_owned() },
        form => {
            let target = if form == TARGET {
                let target = ChangeId::from_bytes(r.array("event target")?);
                Some((target, r.u8("event target kind")?))
            } else {
                None
            };
            Event::Entry { id, kind, account, doc, local, target }
        }
    };
    r.end()?;
    Ok((time_ms, event))
}

/// What events of one row have in common: who wrote, where, and whether here.
fn place_of(event: &Event) -> Option<(AccountId, DocumentId, bool)> {
    match event {
        Event::Entry { account, doc, local, .. } => Some((*account, *doc, *local)),
        Event::Head { .. } | Event::Note { .. } => None,
    }
}

/// Encodes a row of several events in one place.
fn encode_several(events: &[&Event], time_ms: u64) -> Option<Vec<u8>> {
    let (account, doc, local) = place_of(events.first()?)?;
    let mut w = Writer::with_capacity(80 + 34 * events.len());
    w.raw(account.as_bytes()).raw(doc.as_bytes()).u8(u8::from(local)).u64(time_ms);
    for event in events {
        let Event::Entry { id, kind, target, .. } = event else { return None };
        w.raw(id.as_bytes()).u8(*kind);
        match target {
            None => w.u8(BARE),
            Some((target, kind)) => w.u8(TARGET).raw(target.as_bytes()).u8(*kind),
        };
    }
    Some(w.finish())
}

/// Reads a row of one or several events.
fn decode_all(value: &[u8], first: u64, last: u64) -> Result<Vec<Journaled>, DecodeError> {
    if first == last {
        let (time_ms, event) = decode(value)?;
        return Ok(vec![Journaled { number: first, time_ms, event }]);
    }
    let mut r = Reader::new(value);
    let account = AccountId::from_bytes(r.array("event account")?);
    let doc = DocumentId::from_bytes(r.array("event document")?);
    let local = r.u8("event origin")? != 0;
    let time_ms = r.u64("event time")?;
    let mut events = Vec::new();
    for number in first..=last {
        let id = ChangeId::from_bytes(r.array("event id")?);
        let kind = r.u8("event kind")?;
        let target = match r.u8("event form")? {
            TARGET => {
                let target = ChangeId::from_bytes(r.array("event target")?);
                Some((target, r.u8("event target kind")?))
            }
            _ => None,
        };
        let event = Event::Entry { id, kind, account, doc, local, target };
        events.push(Journaled { number, time_ms, event });
    }
    r.end()?;
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_as_they_were_and_those_of_older_stores_too() {
        let entry = |target| Event::Entry {
            id: ChangeId::from_bytes([1; 32]),
            kind: 0x11,
            account: AccountId::from_bytes([2; 32]),
            doc: DocumentId::from_bytes([3; 32]),
            local: true,
            target,
        };
        let about = entry(Some((ChangeId::from_bytes([4; 32]), 0x05)));
        let note = Event::Note { text: "node.ready".into() };
        for event in [entry(None), about, note] {
            let row = encode(&event, 77).unwrap();
            assert_eq!(decode(&row).unwrap(), (77, event));
            assert!(decode(&row[..row.len() - 1]).is_err());
        }
        let target = Some((ChangeId::from_bytes([4; 32]), 0x05));
        let both = encode_several(&[&entry(None), &entry(target)], 77).unwrap();
        let told = decode_all(&both, 5, 6).unwrap();
        let same = |told: &Journaled, number, target| {
            *told == Journaled { number, time_ms: 77, event: entry(target) }
        };
        assert!(same(&told[0], 5, None) && same(&told[1], 6, target) && told.len() == 2);
        assert!(decode_all(&both, 5, 7).is_err() && decode_all(&both[1..], 5, 6).is_err());
        let old = &encode(&entry(None), 77).unwrap()[..98];
        assert_eq!(decode(old).unwrap(), (0, entry(None)));
    }
}
