//! Searching: lists of the index met at common entries, newest first, and what they lead to
//! read and compared.

use std::collections::{BTreeSet, VecDeque};

use super::{BLOCKS, Cursor, EngineError, MUTES, MessageView, PostView, Replica, State, Text};
use crate::hash::{AccountId, ChangeId};
use crate::search::{Fact, FileKind, Filter, Has, Inside, Kind, Phrase, has_link, word_term};
use crate::store::{Table, keys};

/// Entries read for one search before it stops and says how far it came.
const READ_MAX: u64 = 20_000;
/// Words that one beginning of a word may stand for; beyond, entries are read instead.
const WORDS_MAX: usize = 64;
/// Keys read of one list at once, at first and at most.
const KEYS_READ: usize = 16;
const KEYS_READ_MAX: usize = 512;
/// Comments one below the other, as far as they are followed up.
const DEPTH_MAX: usize = 1024;

/// Something that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hit {
    /// A post or comment.
    Wall(Box<PostView>),
    /// A message or poll in a channel of a hub.
    Channel(Box<MessageView>),
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Entries that fit, newest first.
    pub hits: Vec<Hit>,
    /// The last entry that was read, if that were too many before the end was reached.
    pub stopped: Option<Cursor>,
}

/// A place in the lists: the newer the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Complement of the time.
    age: u64,
    /// First bytes of the id.
    start: [u8; 8],
}

impl Place {
    fn parse(key: &[u8]) -> Option<Self> {
        let (rest, start) = key.split_last_chunk::<8>()?;
        Some(Self { age: u64::from_be_bytes(*rest.last_chunk::<8>()?), start: *start })
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.age.to_be_bytes().into_iter().chain(self.start)
    }

    fn next(self) -> Option<Self> {
        let (start, over) = u64::from_be_bytes(self.start).overflowing_add(1);
        let age = if over { self.age.checked_add(1)? } else { self.age };
        Some(Self { age, start: start.to_be_bytes() })
    }
}

/// One list of the index, read in steps that grow.
struct Listing {
    prefix: Vec<u8>,
    ahead: VecDeque<Place>,
    ended: bool,
    step: usize,
}

impl Listing {
    fn new(term: &[u8]) -> Self {
        let prefix = keys::postings(term);
        Self { prefix, ahead: VecDeque::new(), ended: false, step: KEYS_READ }
    }

    /// The first place at or after this one.
    fn seek(&mut self, replica: &Replica, from: Place) -> Result<Option<Place>, EngineError> {
        while self.ahead.front().is_some_and(|place| *place < from) {
            self.ahead.pop_front();
        }
        if self.ahead.is_empty() && !self.ended {
            let mut start = self.prefix.clone();
            start.extend(from.bytes());
            let store = &replica.store;
            let rows = store.scan(Table::Rows, &self.prefix, Some(&start), false, self.step)?;
            self.ended = rows.len() < self.step;
            self.step = (2 * self.step).min(KEYS_READ_MAX);
            self.ahead.extend(rows.iter().filter_map(|(key, _)| Place::parse(key)));
        }
        Ok(self.ahead.front().copied())
    }
}

/// Lists of which any will do.
struct AnyOf(Vec<Listing>);

impl AnyOf {
    fn seek(&mut self, replica: &Replica, from: Place) -> Result<Option<Place>, EngineError> {
        let mut first: Option<Place> = None;
        for list in &mut self.0 {
            let found = list.seek(replica, from)?;
            first = first.into_iter().chain(found).min();
        }
        Ok(first)
    }
}

/// Lists that all lead to what is sought.
pub(super) struct Lists(Vec<AnyOf>);

impl Lists {
    /// Those that a fact leads to.
    pub(super) fn of(fact: &Fact) -> Self {
        Self(vec![AnyOf(vec![Listing::new(&fact.term())])])
    }

    /// The first place at or after this one that all of them have.
    fn seek(&mut self, replica: &Replica, from: Place) -> Result<Option<Place>, EngineError> {
        let mut at = from;
        'again: loop {
            for list in &mut self.0 {
                match list.seek(replica, at)? {
                    None => return Ok(None),
                    Some(place) if place > at => {
                        at = place;
                        continue 'again;
                    }
                    Some(_) => {}
                }
            }
            return Ok(Some(at));
        }
    }
}

/// Whom the views leave out.
#[derive(Debug, Default)]
pub(super) struct Unseen(BTreeSet<AccountId>);

impl Unseen {
    pub(super) fn has(&self, account: &AccountId) -> bool {
        self.0.contains(account)
    }
}

impl Replica {
    /// Posts, comments and messages that fit, newest first, strictly after `cursor`. Blocked and muted
    /// authors are found by name only, as their walls are shown by name only.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn search(
        &self,
        filter: &Filter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Found, EngineError> {
        self.settle_index()?;
        let mut found = Found::default();
        let Some(newest) = filter.until_ms.map_or(Some(u64::MAX), |ms| ms.checked_sub(1)) else {
            return Ok(found);
        };
        let unseen = self.unseen()?;
        let mut lists = self.lists(filter)?;
        let (mut read, mut last) = (0, None);
        self.walk(&mut lists, newest, cursor, |state, at| {
            if at.time_ms < filter.since_ms || found.hits.len() >= limit {
                return Ok(false);
            }
            if read == READ_MAX {
                found.stopped = last;
                return Ok(false);
            }
            read += 1;
            last = Some(at);
            let hit = match self.fitting_message(state, filter, &unseen, &at.id)? {
                Some(message) => Some(Hit::Channel(Box::new(message))),
                None if filter.inside.is_empty() => self
                    .fitting(state, filter, &unseen, &at.id)?
                    .map(|view| Hit::Wall(Box::new(view))),
                None => None,
            };
            found.hits.extend(hit);
            Ok(true)
        })?;
        Ok(found)
    }

    /// Where an entry stands in time, for a list to go on after it.
    ///
    /// # Errors
    /// If it is not here, or the store fails.
    pub fn cursor_at(&self, id: &ChangeId) -> Result<Cursor, EngineError> {
        let missing = || EngineError::NotFound { what: "post", text: id.to_string() };
        let row = self.entry_row(id)?.ok_or_else(missing)?;
        Ok(Cursor { time_ms: row.time_ms, id: *id })
    }

    /// Calls `visit` for what the lists lead to, newest first, strictly after `cursor` and not
    /// newer than `newest`, until it says no.
    pub(super) fn walk(
        &self,
        lists: &mut Lists,
        newest: u64,
        cursor: Option<Cursor>,
        mut visit: impl FnMut(&mut State, Cursor) -> Result<bool, EngineError>,
    ) -> Result<(), EngineError> {
        let after =
            |at: &Cursor, cursor: &Cursor| (!at.time_ms, at.id) > (!cursor.time_ms, cursor.id);
        let newest = cursor.map_or(newest, |cursor| cursor.time_ms.min(newest));
        let mut from = Some(Place { age: !newest, start: [0; 8] });
        while let Some(place) = from
            && let Some(place) = lists.seek(self, place)?
        {
            for id in self.entries_at(place)? {
                let at = Cursor { time_ms: !place.age, id };
                if cursor.is_none_or(|cursor| after(&at, &cursor)) && !visit(&mut self.lock(), at)?
                {
                    return Ok(());
                }
            }
            from = place.next();
        }
        Ok(())
    }

    /// Entries at a place: one, as long as the first bytes of ids differ.
    fn entries_at(&self, place: Place) -> Result<Vec<ChangeId>, EngineError> {
        let prefix = keys::found_by_prefix(&place.start);
        let rows = self.store.scan(Table::Rows, &prefix, None, false, KEYS_READ)?;
        let time = (!place.age).to_be_bytes();
        let fit = rows.iter().filter(|(_, value)| value.first_chunk::<8>() == Some(&time));
        Ok(fit.filter_map(|(key, _)| keys::parse_last(key)).collect())
    }

    /// The lists that a search goes through.
    pub(super) fn lists(&self, filter: &Filter) -> Result<Lists, EngineError> {
        let mut lists = Vec::new();
        for (_, phrase) in filter.phrases.iter().filter(|(wanted, _)| *wanted) {
            lists.extend(self.phrase_lists(phrase)?);
        }
        if !filter.from.is_empty() {
            let from = filter.from.iter().map(|account| Listing::new(&Fact::From(*account).term()));
            lists.push(AnyOf(from.collect()));
        }
        if !filter.inside.is_empty() {
            let inside = filter.inside.iter().map(|inside| match inside {
                Inside::Hub(hub) => Listing::new(&Fact::Hub(*hub).term()),
                Inside::Channel(channel) => Listing::new(&Fact::Channel(*channel).term()),
            });
            lists.push(AnyOf(inside.collect()));
        }
        lists.extend(filter.facts().iter().map(|fact| AnyOf(vec![Listing::new(&fact.term())])));
        if lists.is_empty() {
            lists.push(AnyOf(vec![Listing::new(&Fact::Any.term())]));
        }
        Ok(Lists(lists))
    }

    fn phrase_lists(&self, phrase: &Phrase) -> Result<Vec<AnyOf>, EngineError> {
        let mut terms: Vec<Vec<u8>> = phrase.words.iter().map(word_term).collect();
        let open = if phrase.open { terms.pop() } else { None };
        let mut lists: Vec<AnyOf> =
            terms.iter().map(|term| AnyOf(vec![Listing::new(term)])).collect();
        if let Some(start) = open
            && let Some(words) = self.words_from(&start)?
        {
            lists.push(AnyOf(words.iter().map(|word| Listing::new(word)).collect()));
        }
        Ok(lists)
    }

    /// Words that begin so; `None` if there are too many.
    fn words_from(&self, start: &[u8]) -> Result<Option<Vec<Vec<u8>>>, EngineError> {
        let prefix = keys::terms(start);
        let mut words: Vec<Vec<u8>> = Vec::new();
        let mut from = prefix.clone();
        loop {
            let rows = self.store.scan(Table::Rows, &prefix, Some(&from), false, 1)?;
            let Some(word) = rows.first().and_then(|(key, _)| keys::parse_term(key)) else {
                return Ok(Some(words));
            };
            if words.len() == WORDS_MAX {
                return Ok(None);
            }
            from = keys::terms(word);
            from.push(1);
            words.push(word.to_vec());
        }
    }

    /// Whom the views leave out.
    pub(super) fn unseen(&self) -> Result<Unseen, EngineError> {
        let mut accounts = self.accounts_in(BLOCKS)?;
        accounts.extend(self.accounts_in(MUTES)?);
        Ok(Unseen(accounts))
    }

    /// An entry as people see it, if it fits and is shown to them.
    pub(super) fn fitting(
        &self,
        state: &mut State,
        filter: &Filter,
        unseen: &Unseen,
        id: &ChangeId,
    ) -> Result<Option<PostView>, EngineError> {
        let Some(mut view) = self.visible(state, unseen, &filter.from, id)? else {
            return Ok(None);
        };
        let text = if let Text::Here(text) = &view.text { Some(text.as_str()) } else { None };
        let by = &view.account;
        let fits = view.repost.is_none()
            && (filter.from.is_empty() || filter.from.contains(by))
            && !filter.not_from.contains(by)
            && filter.is.iter().all(|(wanted, kind)| is(&view, *kind) == *wanted)
            && filter.fits_text(text);
        if !fits {
            return Ok(None);
        }
        self.add_responses(state, &mut view)?;
        let has = filter.has.iter().all(|(wanted, what)| has(&view, *what) == *wanted);
        Ok(Some(view).filter(|_| has))
    }

    /// An entry that the views show, without what others say to it: not withdrawn, not hidden,
    /// not below what is hidden, and not by somebody left out, `named` ones excepted.
    pub(super) fn visible(
        &self,
        state: &mut State,
        unseen: &Unseen,
        named: &[AccountId],
        id: &ChangeId,
    ) -> Result<Option<PostView>, EngineError> {
        let Some(view) = self.shown_alone(state, id)? else { return Ok(None) };
        let left_out = unseen.has(&view.account) && !named.contains(&view.account);
        if view.deleted || view.hidden || left_out || !self.is_reached(state, unseen, &view)? {
            return Ok(None);
        }
        Ok(Some(view))
    }

    /// Whether a post shows a comment: on one page with all that is between them, none of
    /// which is hidden.
    fn is_reached(
        &self,
        state: &mut State,
        unseen: &Unseen,
        view: &PostView,
    ) -> Result<bool, EngineError> {
        let Some(page) = self.description(state, &view.doc)? else { return Ok(false) };
        let mut above = view.target;
        for _ in 0..DEPTH_MAX {
            let Some(id) = above else { return Ok(true) };
            let Some(next) = self.shown_alone(state, &id)? else { return Ok(false) };
            let left_out = next.target.is_some() && unseen.has(&next.account);
            if next.hidden || left_out || !self.same_page(state, &next, &page)? {
                return Ok(false);
            }
            above = next.target;
        }
        Ok(false)
    }
}

fn is(view: &PostView, kind: Kind) -> bool {
    match kind {
        Kind::Post => view.target.is_none(),
        Kind::Comment => view.target.is_some(),
        Kind::Quote => view.quote.is_some(),
        Kind::Edited => view.edited_ms.is_some(),
        Kind::Message => false,
    }
}

/// Links are looked for with the words.
fn has(view: &PostView, what: Has) -> bool {
    match what {
        Has::Attachment => !view.attachments.is_empty(),
        Has::File(kind) => {
            view.attachments.iter().any(|file| FileKind::of(&file.media_type) == Some(kind))
        }
        Has::Link => matches!(&view.text, Text::Here(text) if has_link(text)),
        Has::Reply => view.replies > 0,
        Has::Reaction => !view.reactions.is_empty(),
    }
}
