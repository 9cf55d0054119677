//! Posts to audiences as they stand among those of a wall.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::read::{Opened, shown_of};
use super::{AUDIENCES, ConversationStanding, KeptConversation, MessageStanding, Talk};
use crate::description::{Description, Space};
use crate::hash::{AccountId, ChangeId, ConversationId, DeviceId, DocumentId, Incarnation};
use crate::model::entry::Spoken;
use crate::replica::{Cursor, EngineError, PostView, Replica, State, Text, Version, Work};

/// What readers see in place of the name of an audience.
pub const AUDIENCE_LIMITED: &str = "limited";

/// Audiences of which it is remembered what opens.
const OPENED_CACHED_MAX: usize = 64;

/// What opens of an audience.
pub(crate) struct OpenedPosts {
    /// What it was worked out from: another one is another version.
    talk: Arc<Talk>,
    /// Posts, newest first.
    places: Vec<Cursor>,
    posts: HashMap<ChangeId, OpenedPost>,
    /// What is for us, and its key not here.
    waiting: Vec<(ChangeId, DocumentId)>,
}

/// One post, with its edits by rising time.
struct OpenedPost {
    post: Opened,
    edits: Vec<Opened>,
}

impl std::fmt::Debug for OpenedPosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedPosts").field("posts", &self.places.len()).finish_non_exhaustive()
    }
}

impl OpenedPosts {
    fn of(talk: Arc<Talk>, all: Vec<Opened>) -> Self {
        let (mut posts, mut edits) = (HashMap::new(), Vec::new());
        let lack = |opened: &&Opened| matches!(opened.what, Err(MessageStanding::Waiting));
        let lacking = shown_of(&all).into_iter().filter(lack);
        let waiting = lacking.map(|opened| (opened.id, opened.key.doc)).collect();
        for opened in all {
            match &opened.what {
                Ok((Spoken::Message { .. }, _)) => {
                    posts.insert(opened.id, OpenedPost { post: opened, edits: Vec::new() });
                }
                Ok((Spoken::Edit { target }, _)) => edits.push((*target, opened)),
                _ => {}
            }
        }
        for (target, edit) in edits {
            if let Some(post) = posts.get_mut(&target) {
                post.edits.push(edit);
            }
        }
        let place = |post: &OpenedPost| Cursor { time_ms: post.post.time_ms, id: post.post.id };
        let mut places: Vec<Cursor> = posts.values().map(place).collect();
        places.sort_unstable_by_key(|at| (!at.time_ms, at.id));
        Self { talk, places, posts, waiting }
    }
}

impl Replica {
    /// What opens of an audience, worked out when something of it has changed.
    fn opened_posts(
        &self,
        state: &mut State,
        kept: &KeptConversation,
    ) -> Result<Arc<OpenedPosts>, EngineError> {
        let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
        if let Some(known) = state.audiences.get(&kept.id)
            && Arc::ptr_eq(&known.talk, &talk)
        {
            return Ok(known.clone());
        }
        let all = self.open_all(state, kept, &talk)?;
        let opened = Arc::new(OpenedPosts::of(talk, all));
        if state.audiences.len() >= OPENED_CACHED_MAX {
            let other = state.audiences.keys().next().copied();
            other.and_then(|other| state.audiences.remove(&other));
        }
        state.audiences.insert(kept.id, opened.clone());
        Ok(opened)
    }

    /// Posts in an audience that were not withdrawn.
    pub(super) fn posts_in(
        &self,
        state: &mut State,
        kept: &KeptConversation,
    ) -> Result<u64, EngineError> {
        let opened = self.opened_posts(state, kept)?;
        let mut count = 0;
        for OpenedPost { post, .. } in opened.posts.values() {
            let gone = self.is_withdrawn(state, &Work::default(), &post.id, &post.key.doc)?;
            count += u64::from(!gone);
        }
        Ok(count)
    }

    /// How many posts of some accounts are for the own one and do not open, as the keys are not here.
    ///
    /// # Errors
    /// If there is no identity, or the store fails or is damaged.
    pub fn posts_without_key(&self, by: &BTreeSet<AccountId>) -> Result<u64, EngineError> {
        let mut state = self.lock();
        let kept = self.conversations_kept(&mut state)?;
        let of = |kept: &&KeptConversation| {
            kept.genesis.audience
                && kept.genesis.founder.is_some_and(|founder| by.contains(&founder))
                && kept.standing == ConversationStanding::Accepted
        };
        let mut count = 0;
        for kept in kept.values().filter(of) {
            for (id, doc) in &self.opened_posts(&mut state, kept)?.waiting {
                count += u64::from(!self.is_withdrawn(&mut state, &Work::default(), id, doc)?);
            }
        }
        Ok(count)
    }

    /// Places of a wall with those of posts to audiences that open here among them: at most
    /// `count`, strictly after `cursor`, newest first.
    pub(in crate::replica) fn with_sealed_posts(
        &self,
        account: &AccountId,
        cursor: Option<Cursor>,
        count: usize,
        mut posts: Vec<Cursor>,
    ) -> Result<Vec<Cursor>, EngineError> {
        let mut state = self.lock();
        let kept = self.conversations_kept(&mut state)?;
        let shown = |kept: &&KeptConversation| {
            kept.genesis.audience
                && kept.genesis.founder == Some(*account)
                && kept.standing == ConversationStanding::Accepted
        };
        let before = posts.len();
        for kept in kept.values().filter(shown) {
            let opened = self.opened_posts(&mut state, kept)?;
            let order = |at: &Cursor| (!at.time_ms, at.id);
            let from = cursor.map_or(0, |cursor| {
                opened.places.partition_point(|at| order(at) <= order(&cursor))
            });
            posts.extend(opened.places.iter().skip(from).take(count));
        }
        if posts.len() > before {
            posts.sort_unstable_by_key(|at| (!at.time_ms, at.id));
            posts.truncate(count);
        }
        Ok(posts)
    }

    /// The audience that an entry was posted to, if the own account reads it.
    fn audience_at(
        &self,
        state: &mut State,
        page: &Description,
    ) -> Result<Option<KeptConversation>, EngineError> {
        let kept = self.conversations_kept(state)?;
        let found = kept.get(&page.space.id()).filter(|kept| {
            kept.genesis.audience && kept.standing == ConversationStanding::Accepted
        });
        Ok(found.cloned())
    }

    /// Whether an entry is one of an audience: it is edited, withdrawn and shown as such, and
    /// nothing that everybody can read may name it.
    pub(in crate::replica) fn is_sealed_post(
        &self,
        state: &mut State,
        id: &ChangeId,
    ) -> Result<bool, EngineError> {
        let Some(row) = self.entry_row(id)? else { return Ok(false) };
        let Some(page) = self.description(state, &row.doc)? else { return Ok(false) };
        Ok(page.space.conversation().is_some() && self.audience_at(state, &page)?.is_some())
    }

    /// What its author calls an audience; others do not know.
    fn name_of_audience(
        &self,
        state: &mut State,
        kept: &KeptConversation,
    ) -> Result<String, EngineError> {
        let own = state.own.as_ref().map(|own| own.account);
        if kept.genesis.founder == own
            && let Some(description) = self.private_description(state, AUDIENCES)?
        {
            let key = kept.id.to_string();
            let field = self.fields(state, &description)?.into_iter().find(|f| f.key == key);
            if let Some(name) = field.and_then(|field| field.value.as_text().map(str::to_owned)) {
                return Ok(name);
            }
        }
        Ok(AUDIENCE_LIMITED.to_owned())
    }

    /// What people see of a post to an audience; `None` if it does not open or is none.
    pub(in crate::replica) fn shown_sealed_post(
        &self,
        state: &mut State,
        page: &Description,
        mut view: PostView,
    ) -> Result<Option<PostView>, EngineError> {
        let Some(kept) = self.audience_at(state, page)? else { return Ok(None) };
        let opened = self.opened_posts(state, &kept)?;
        let Some(found) = opened.posts.get(&view.id) else { return Ok(None) };
        view.audience = Some(self.name_of_audience(state, &kept)?);
        if self.is_withdrawn(state, &Work::default(), &view.id, &view.doc)? {
            (view.deleted, view.text) = (true, Text::Deleted);
            return Ok(Some(view));
        }
        // The newest edit of each chain; the newest of all is shown, the others lost.
        let mut newest: BTreeMap<(DeviceId, Incarnation), Version> = BTreeMap::new();
        for edit in &found.edits {
            let version = self.version_of(&kept.id, edit)?;
            newest.insert((edit.key.device, edit.key.incarnation), version);
        }
        let mut versions: Vec<Version> = newest.into_values().collect();
        versions.sort_by_key(|version| (version.time_ms, version.id));
        match versions.pop() {
            None => view.text = self.version_of(&kept.id, &found.post)?.text,
            Some(shown) => {
                (view.text, view.edited_ms) = (shown.text, Some(shown.time_ms));
                view.conflicts = versions;
            }
        }
        Ok(Some(view))
    }

    /// All versions of a post to an audience, oldest first; `None` if it is none.
    pub(in crate::replica) fn versions_of_sealed_post(
        &self,
        state: &mut State,
        page: &Description,
        id: &ChangeId,
    ) -> Result<Option<Vec<Version>>, EngineError> {
        let Some(kept) = self.audience_at(state, page)? else { return Ok(None) };
        let opened = self.opened_posts(state, &kept)?;
        let Some(found) = opened.posts.get(id) else { return Ok(None) };
        let all = std::iter::once(&found.post).chain(&found.edits);
        let versions = all.map(|opened| self.version_of(&kept.id, opened));
        Ok(Some(versions.collect::<Result<_, _>>()?))
    }

    fn version_of(&self, id: &ConversationId, opened: &Opened) -> Result<Version, EngineError> {
        let text = match &opened.what {
            Ok((_, key)) => self.sealed_text(&Space::Conversation(*id).id(), opened, key)?,
            Err(_) => Text::Missing,
        };
        let (id, device, time_ms) = (opened.id, opened.key.device, opened.time_ms);
        Ok(Version { id, device, time_ms, text })
    }
}
