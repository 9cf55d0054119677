//! What came since it was last read: posts of followed walls, answers, mentions, quotes and
//! reactions. Read marks are times in a private map, which all own devices share.

use std::collections::{BTreeMap, BTreeSet};

use super::find::{Lists, Unseen};
use super::{Cursor, EngineError, PostView, READ_MARKS, Replica, State, Text};
use crate::change::value::Value;
use crate::hash::{AccountId, ChangeId};
use crate::model::entry::Entry;
use crate::search::{Fact, Filter, MENTION_DIGITS_MIN, Phrase, Words, mentions};

/// Entries of one group that are counted; there may be more.
const COUNT_MAX: u64 = 10_000;
/// Posts read from the feed at once.
const STEP: usize = 256;
const MARK_FEED: &str = "feed";
const MARK_RESPONSES: &str = "responses";

/// What an unread entry is to the reader. Each is in the first group that it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// Posts of followed walls.
    Posts,
    /// Comments that answer an own post or comment.
    Replies,
    /// Texts that name the own account by its id.
    Mentions,
    /// Posts that quote or repost an own entry.
    Quotes,
    /// Reactions to own entries.
    Reactions,
}

/// One unread entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A post or comment.
    Text(Box<PostView>),
    /// A reaction.
    Reaction {
        /// Its entry.
        id: ChangeId,
        /// What it stands on.
        target: ChangeId,
        /// Who gave it.
        account: AccountId,
        /// The emoji.
        emoji: String,
    },
}

/// Unread entries of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which.
    pub kind: GroupKind,
    /// Read up to this time.
    pub since_ms: u64,
    /// How many there are.
    pub count: u64,
    /// There may be more than were counted.
    pub at_least: bool,
    /// The newest of them, newest first.
    pub items: Vec<Item>,
    /// Time of the newest.
    pub newest_ms: u64,
}

/// All that is unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catchup {
    /// Every group, empty ones too.
    pub groups: Vec<Group>,
}

impl Group {
    const fn new(kind: GroupKind, since_ms: u64) -> Self {
        let items = Vec::new();
        Self { kind, since_ms, count: 0, at_least: false, items, newest_ms: since_ms }
    }

    /// Counts one entry and lists it if there is room; returns whether to go on.
    fn add(&mut self, time_ms: u64, limit: usize, item: impl FnOnce() -> Item) -> bool {
        if self.count == COUNT_MAX {
            self.at_least = true;
            return false;
        }
        self.count += 1;
        self.newest_ms = self.newest_ms.max(time_ms);
        if self.items.len() < limit {
            self.items.push(item());
        }
        true
    }
}

impl Replica {
    /// Lists what is unread, at most `limit` of each group, and counts the rest.
    ///
    /// # Errors
    /// If there is no identity, or the store fails or is damaged.
    pub fn catchup(&self, limit: usize) -> Result<Catchup, EngineError> {
        self.settle_index()?;
        let me = self.account()?;
        let unseen = self.unseen()?;
        let since_ms = self.read_mark(MARK_RESPONSES)?;
        let groups = vec![
            self.unread_posts(&me, limit)?,
            self.unread_replies(&me, &unseen, since_ms, limit)?,
            self.unread_mentions(&me, &unseen, since_ms, limit)?,
            self.unread_quotes(&me, &unseen, since_ms, limit)?,
            self.unread_reactions(&me, &unseen, since_ms, limit)?,
        ];
        Ok(Catchup { groups })
    }

    /// Remembers all that was counted as read, on every own device.
    ///
    /// # Errors
    /// As [`Replica::edit_private`].
    pub fn mark_caught_up(&self, read: &Catchup, now_ms: u64) -> Result<(), EngineError> {
        let newest = |posts: bool| {
            let of = read.groups.iter().filter(|g| (g.kind == GroupKind::Posts) == posts);
            of.map(|group| group.newest_ms).max().unwrap_or(0)
        };
        self.raise_marks(&[(MARK_FEED, newest(true)), (MARK_RESPONSES, newest(false))], now_ms)
    }

    /// Up to which time the feed was read.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn feed_read_ms(&self) -> Result<u64, EngineError> {
        self.read_mark(MARK_FEED)
    }

    /// Remembers the feed as read up to a time, on every own device.
    ///
    /// # Errors
    /// As [`Replica::edit_private`].
    pub fn mark_feed_read(&self, time_ms: u64, now_ms: u64) -> Result<(), EngineError> {
        self.raise_marks(&[(MARK_FEED, time_ms)], now_ms)
    }

    /// A read mark: of what devices wrote at the same time, the latest counts.
    pub(super) fn read_mark(&self, name: &str) -> Result<u64, EngineError> {
        let fields = self.private_map(READ_MARKS)?;
        let Some(field) = fields.into_iter().find(|field| field.key == name) else { return Ok(0) };
        let others = field.conflicts.into_iter().map(|candidate| candidate.value);
        let times = std::iter::once(field.value).chain(others).filter_map(|value| match value {
            Value::Uint(ms) => Some(ms),
            _ => None,
        });
        Ok(times.max().unwrap_or(0))
    }

    /// Read marks of which the name begins so.
    pub(super) fn read_marks(&self, prefix: &str) -> Result<BTreeMap<String, u64>, EngineError> {
        let mut marks = BTreeMap::new();
        for field in self.private_map(READ_MARKS)? {
            if !field.key.starts_with(prefix) {
                continue;
            }
            let others = field.conflicts.into_iter().map(|candidate| candidate.value);
            let values = std::iter::once(field.value).chain(others);
            let most = values.filter_map(|value| match value {
                Value::Uint(n) => Some(n),
                _ => None,
            });
            marks.insert(field.key, most.max().unwrap_or(0));
        }
        Ok(marks)
    }

    pub(super) fn raise_marks(
        &self,
        marks: &[(&str, u64)],
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let mut edits = Vec::new();
        for (name, time_ms) in marks {
            if *time_ms > self.read_mark(name)? {
                edits.push(((*name).to_owned(), Some(Value::Uint(*time_ms))));
            }
        }
        if !edits.is_empty() {
            self.edit_private(READ_MARKS, edits, now_ms)?;
        }
        Ok(())
    }

    fn unread_posts(&self, me: &AccountId, limit: usize) -> Result<Group, EngineError> {
        let mut group = Group::new(GroupKind::Posts, self.read_mark(MARK_FEED)?);
        let mut cursor = None;
        loop {
            let views = self.feed(cursor, STEP)?;
            let Some(last) = views.last() else { return Ok(group) };
            cursor = Some(Cursor { time_ms: last.time_ms, id: last.id });
            for view in views {
                if view.time_ms <= group.since_ms {
                    return Ok(group);
                }
                let wanted = !view.deleted && view.account != *me;
                if wanted && !group.add(view.time_ms, limit, || Item::Text(Box::new(view))) {
                    return Ok(group);
                }
            }
        }
    }

    fn unread_replies(
        &self,
        me: &AccountId,
        unseen: &Unseen,
        since_ms: u64,
        limit: usize,
    ) -> Result<Group, EngineError> {
        let mut group = Group::new(GroupKind::Replies, since_ms);
        let mut lists = Lists::of(&Fact::AnswerTo(*me));
        self.walk(&mut lists, u64::MAX, None, |state, at| {
            if at.time_ms <= since_ms {
                return Ok(false);
            }
            let found = self.fitting(state, &Filter::default(), unseen, &at.id)?;
            let Some(view) = found.filter(|view| view.account != *me) else { return Ok(true) };
            Ok(!self.answers(state, me, &view)?
                || group.add(at.time_ms, limit, || Item::Text(Box::new(view))))
        })?;
        Ok(group)
    }

    fn unread_mentions(
        &self,
        me: &AccountId,
        unseen: &Unseen,
        since_ms: u64,
        limit: usize,
    ) -> Result<Group, EngineError> {
        let mut group = Group::new(GroupKind::Mentions, since_ms);
        let id = me.to_string();
        let words = Words::of(id.get(..MENTION_DIGITS_MIN).unwrap_or(&id));
        let filter =
            Filter { phrases: vec![(true, Phrase { words, open: true })], ..Filter::default() };
        let mut lists = self.lists(&filter)?;
        self.walk(&mut lists, u64::MAX, None, |state, at| {
            if at.time_ms <= since_ms {
                return Ok(false);
            }
            let found = self.fitting(state, &filter, unseen, &at.id)?;
            let named = |view: &PostView| view.account != *me && names(view, me);
            let Some(view) = found.filter(named) else { return Ok(true) };
            Ok(self.answers(state, me, &view)?
                || group.add(at.time_ms, limit, || Item::Text(Box::new(view))))
        })?;
        Ok(group)
    }

    fn unread_quotes(
        &self,
        me: &AccountId,
        unseen: &Unseen,
        since_ms: u64,
        limit: usize,
    ) -> Result<Group, EngineError> {
        let mut group = Group::new(GroupKind::Quotes, since_ms);
        let mut lists = Lists::of(&Fact::QuoteOf(*me));
        self.walk(&mut lists, u64::MAX, None, |state, at| {
            if at.time_ms <= since_ms {
                return Ok(false);
            }
            let found = self.visible(state, unseen, &[], &at.id)?;
            let named = |view: &PostView| view.account != *me && !names(view, me);
            let Some(mut view) = found.filter(named) else { return Ok(true) };
            self.add_responses(state, &mut view)?;
            Ok(group.add(at.time_ms, limit, || Item::Text(Box::new(view))))
        })?;
        Ok(group)
    }

    fn unread_reactions(
        &self,
        me: &AccountId,
        unseen: &Unseen,
        since_ms: u64,
        limit: usize,
    ) -> Result<Group, EngineError> {
        let mut group = Group::new(GroupKind::Reactions, since_ms);
        let mut seen = BTreeSet::new();
        let mut lists = Lists::of(&Fact::ReactionTo(*me));
        self.walk(&mut lists, u64::MAX, None, |state, at| {
            if at.time_ms <= since_ms {
                return Ok(false);
            }
            let Some(Entry::Reaction { target, emoji }) = self.entry(&at.id)?.map(|(_, e)| e)
            else {
                return Ok(true);
            };
            let given = self.reaction_shown(state, unseen, &at.id, &target, &emoji)?;
            let Some(account) = given.filter(|account| account != me) else { return Ok(true) };
            // Given twice, on two devices, it shows once.
            if !seen.insert((target, account, emoji.clone())) {
                return Ok(true);
            }
            let id = at.id;
            Ok(group.add(at.time_ms, limit, || Item::Reaction { id, target, account, emoji }))
        })?;
        Ok(group)
    }

    /// Who gave a reaction, if it shows on what it stands on.
    fn reaction_shown(
        &self,
        state: &mut State,
        unseen: &Unseen,
        id: &ChangeId,
        target: &ChangeId,
        emoji: &str,
    ) -> Result<Option<AccountId>, EngineError> {
        let Some(account) = self.author(state, id)?.filter(|account| !unseen.has(account)) else {
            return Ok(None);
        };
        let Some(mut view) = self.visible(state, unseen, &[], target)? else { return Ok(None) };
        self.add_responses(state, &mut view)?;
        let given = view.reactions.get(emoji).is_some_and(|given| given.contains(&account));
        Ok(Some(account).filter(|_| given))
    }

    /// Whether a comment answers an entry of an account.
    fn answers(
        &self,
        state: &mut State,
        me: &AccountId,
        view: &PostView,
    ) -> Result<bool, EngineError> {
        let Some(target) = view.target else { return Ok(false) };
        Ok(self.author(state, &target)? == Some(*me))
    }
}

fn names(view: &PostView, account: &AccountId) -> bool {
    matches!(&view.text, Text::Here(text) if mentions(text, account))
}
