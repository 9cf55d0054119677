//! The feed with some channels in it: posts and messages in one order, by time, author and id.

use std::collections::BTreeMap;

use mosaic_engine::hash::{AccountId, ChangeId, HubId};
use mosaic_engine::replica::{
    BLOCKS, ChannelCursor, Cursor, MUTES, MessageState, MessageView, PostView, Replica,
};

use super::types::{ErrorRecord, FeedList, Record};
use super::view::Extras;
use super::wall::{Window, posts, sealed_in_feed};
use super::{hub, resolve};
use crate::app::App;
use crate::clock;

/// Entries read of each source at once.
const STEP: usize = 256;

/// One entry of it.
enum Item {
    Post(Box<PostView>),
    Message(Box<MessageView>),
}

impl Item {
    fn place(&self) -> ChannelCursor {
        match self {
            Self::Post(view) => {
                ChannelCursor { time_ms: view.time_ms, account: view.account, id: view.id }
            }
            Self::Message(view) => view.cursor(),
        }
    }
}

/// What is read, and up to where it was read before.
struct Sources<'a> {
    replica: &'a Replica,
    /// Channels, and their read marks.
    channels: BTreeMap<ChangeId, (HubId, u64)>,
    feed_read_ms: u64,
    /// Whom the feed leaves out.
    unseen: Vec<AccountId>,
}

impl<'a> Sources<'a> {
    fn new(replica: &'a Replica, names: &[String]) -> Result<Self, ErrorRecord> {
        let mut channels = BTreeMap::new();
        for name in names {
            let (hub, all) = hub::places(replica, name)?;
            for channel in all {
                channels.insert(channel, (hub, replica.channel_read_ms(&channel)?));
            }
        }
        let mut unseen = Vec::new();
        for list in [BLOCKS, MUTES] {
            unseen.extend(replica.accounts_in(list)?);
        }
        Ok(Self { replica, channels, feed_read_ms: replica.feed_read_ms()?, unseen })
    }

    /// The next entries of all, strictly after a place.
    fn next(&self, after: Option<ChannelCursor>, step: usize) -> Result<Vec<Item>, ErrorRecord> {
        let cursor = after.map(|at| Cursor { time_ms: at.time_ms, id: at.id });
        let walls = self.replica.feed(cursor, step)?.into_iter();
        let mut items: Vec<Item> = walls.map(|view| Item::Post(Box::new(view))).collect();
        for (channel, (hub, _)) in &self.channels {
            let views = self.replica.channel(hub, channel, after, step, false)?;
            items.extend(views.into_iter().map(|view| Item::Message(Box::new(view))));
        }
        items.sort_by_key(|item| {
            let at = item.place();
            (!at.time_ms, at.account, at.id)
        });
        items.truncate(step);
        Ok(items)
    }

    fn read_ms(&self, item: &Item) -> u64 {
        match item {
            Item::Post(_) => self.feed_read_ms,
            Item::Message(view) => self.channels.get(&view.channel).map_or(0, |(_, read)| *read),
        }
    }

    fn is_shown(&self, item: &Item, from: Option<AccountId>) -> bool {
        let at = item.place();
        let deleted = match item {
            Item::Post(view) => view.deleted,
            Item::Message(view) => view.deleted || self.unseen.contains(&at.account),
        };
        !deleted && from.is_none_or(|from| at.account == from)
    }

    /// Remembers the newest of each as read.
    fn mark(&self, items: &[Item]) -> Result<(), ErrorRecord> {
        let now_ms = clock::now_ms();
        let posts = items.iter().filter(|item| matches!(item, Item::Post(_)));
        if let Some(newest) = posts.map(|item| item.place().time_ms).max() {
            self.replica.mark_feed_read(newest, now_ms)?;
        }
        let mut newest = BTreeMap::new();
        for item in items {
            // Of what is not proven nobody knows whether it stays.
            if let Item::Message(view) = item
                && view.state != MessageState::Unproven
            {
                let time_ms = newest.entry(view.channel).or_insert(view.time_ms);
                *time_ms = view.time_ms.max(*time_ms);
            }
        }
        for (channel, time_ms) in newest {
            self.replica.mark_channel_read(&channel, time_ms, now_ms)?;
        }
        Ok(())
    }
}

/// Posts of the feed with the messages of some channels among them.
pub(super) fn with_channels(app: &App, request: &FeedList) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let from = match &request.from {
        Some(who) => Some(resolve::account(&replica, Some(who))?),
        None => None,
    };
    let sources = Sources::new(&replica, &request.channels)?;
    let window = Window::new(request.limit, request.since.as_deref(), request.until.as_deref())?;
    let mut after = match &request.before {
        Some(id) => Some(place_of(&replica, &resolve::entry(&replica, id)?)?),
        None => None,
    };
    let marks = sources.channels.values().map(|(_, read_ms)| *read_ms);
    let oldest_mark = marks.chain([sources.feed_read_ms]).min().unwrap_or(0);
    let mut items = Vec::new();
    'all: while items.len() < window.limit {
        let next = sources.next(after, STEP.min(window.limit.max(1)))?;
        let Some(last) = next.last() else { break };
        after = Some(last.place());
        for item in next {
            let time_ms = item.place().time_ms;
            if time_ms < window.since_ms || (request.unread && time_ms <= oldest_mark) {
                break 'all;
            }
            let new = !request.unread || time_ms > sources.read_ms(&item);
            let wanted = time_ms < window.until_ms && new && sources.is_shown(&item, from);
            if wanted && items.len() < window.limit {
                items.push(item);
            }
        }
    }
    if request.mark_read {
        sources.mark(&items)?;
    }
    let extras = Extras { conflicts: false, names: true };
    let mut records = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Item::Post(view) => {
                records.extend(posts(app, &replica, std::slice::from_ref(&*view), extras)?);
            }
            Item::Message(view) => records.push(hub::message(&replica, &view, true)?),
        }
    }
    if request.before.is_none() {
        records.extend(sealed_in_feed(&replica, from)?);
    }
    Ok(records)
}

/// Where an entry of either kind stands.
fn place_of(replica: &Replica, id: &ChangeId) -> Result<ChannelCursor, ErrorRecord> {
    if let Ok(view) = replica.message(id) {
        return Ok(view.cursor());
    }
    let view = replica.show(id)?;
    Ok(ChannelCursor { time_ms: view.time_ms, account: view.account, id: view.id })
}
