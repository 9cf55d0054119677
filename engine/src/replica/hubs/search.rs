//! Messages that a search found: shown to whoever reads the channel, and as asked for.

use super::page::Reading;
use super::{MessageState, MessageView};
use crate::hash::ChangeId;
use crate::replica::find::Unseen;
use crate::replica::{EngineError, Replica, State, Text};
use crate::search::{FileKind, Filter, Has, Inside, Kind};

impl Replica {
    /// A message that channels show: it counts, nobody hid it, and its author did not take it
    /// back. `None` for what is no message.
    pub(in crate::replica) fn shown_message(
        &self,
        state: &mut State,
        id: &ChangeId,
    ) -> Result<Option<MessageView>, EngineError> {
        let Some((hub, _)) = self.channel_of(state, id)? else { return Ok(None) };
        let Some(hub) = self.hub_of(state, &hub)? else { return Ok(None) };
        let view = self.message_in(state, &mut Reading::of(hub), id)?;
        Ok(view.filter(|view| view.state == MessageState::Shown && !view.deleted))
    }

    /// A message as people see it, if it fits and is shown to them.
    pub(in crate::replica) fn fitting_message(
        &self,
        state: &mut State,
        filter: &Filter,
        unseen: &Unseen,
        id: &ChangeId,
    ) -> Result<Option<MessageView>, EngineError> {
        let Some(view) = self.shown_message(state, id)? else { return Ok(None) };
        let by = &view.account;
        let text = if let Text::Here(text) = &view.text { Some(text.as_str()) } else { None };
        let inside = |inside: &Inside| match inside {
            Inside::Hub(hub) => *hub == view.hub,
            Inside::Channel(channel) => *channel == view.channel,
        };
        let fits = (!unseen.has(by) || filter.from.contains(by))
            && (filter.from.is_empty() || filter.from.contains(by))
            && !filter.not_from.contains(by)
            && (filter.inside.is_empty() || filter.inside.iter().any(inside))
            && !filter.not_inside.iter().any(inside)
            && filter.is.iter().all(|(wanted, kind)| is(&view, *kind) == *wanted)
            && filter.has.iter().all(|(wanted, what)| has(&view, *what) == *wanted)
            && filter.fits_text(text);
        Ok(Some(view).filter(|_| fits))
    }
}

const fn is(view: &MessageView, kind: Kind) -> bool {
    match kind {
        Kind::Post | Kind::Quote => false,
        Kind::Comment => view.target.is_some(),
        Kind::Edited => view.edited_ms.is_some(),
        Kind::Message => true,
    }
}

fn has(view: &MessageView, what: Has) -> bool {
    match what {
        Has::Attachment => !view.attachments.is_empty(),
        Has::File(kind) => {
            view.attachments.iter().any(|file| FileKind::of(&file.media_type) == Some(kind))
        }
        // Links are looked for with the words.
        Has::Link => matches!(&view.text, Text::Here(text) if crate::search::has_link(text)),
        Has::Reply => view.replies > 0,
        Has::Reaction => !view.reactions.is_empty(),
    }
}
