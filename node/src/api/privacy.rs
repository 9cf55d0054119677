//! What can be said of who reads something, who has it, and what those see who cannot read it.

mod sentences;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use mosaic_engine::description::Space;
use mosaic_engine::hash::{AccountId, ChangeId, ConversationId, DeviceId, HubId};
use mosaic_engine::replica::{BLOCKS, EngineError, FOLLOWS, HubPlace, MUTES, Replica};

use self::sentences::{ABOUT, HAS_THE_KEY, Kind, NEXT_KEY, SENTENCES, SHOWED_IT};
use super::answer::blocking;
use super::types::{Claim, ErrorKind, ErrorRecord, PrivacyExplain, Record};
use super::{dm, hub, names, resolve};
use crate::app::App;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    blocking::<PrivacyExplain, _>(router, explain)
}

/// Something that is asked about.
struct Item {
    kind: Kind,
    id: String,
    readers: BTreeMap<AccountId, u64>,
    holders: Vec<DeviceId>,
    /// Its text was withdrawn or is over.
    dropped: bool,
}

impl Item {
    fn new(kind: Kind, id: impl ToString) -> Self {
        let (readers, holders, dropped) = (BTreeMap::new(), Vec::new(), false);
        Self { kind, id: id.to_string(), readers, holders, dropped }
    }

    fn claim(&self, about: &str, name: &str, text: String) -> Claim {
        Claim {
            item: self.id.clone(),
            kind: self.kind.name().to_owned(),
            about: about.to_owned(),
            claim: name.to_owned(),
            text,
            ..Claim::default()
        }
    }
}

fn explain(app: &App, request: PrivacyExplain) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let text = request.item.trim();
    if text.is_empty() {
        let message = "nothing was named: say what to explain";
        return Err(
            ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic help privacy explain")
        );
    }
    let item = found(&replica, text)?;
    let mut claims = Vec::new();
    for about in ABOUT {
        if about == "reader" {
            claims.extend(readers(&replica, &item, request.names)?);
        }
        if about == "now" && !item.dropped {
            continue;
        }
        let said = SENTENCES.iter().filter(|s| s.about == about && s.kinds.contains(&item.kind));
        claims.extend(said.map(|said| item.claim(about, said.name, said.text.to_owned())));
        if about == "holder" {
            claims.extend(holders(&replica, &item, request.names)?);
        }
    }
    Ok(claims.into_iter().map(Record::Claim).collect())
}

/// Accounts whose devices have the key, or are given the next one.
fn readers(replica: &Replica, item: &Item, names: bool) -> Result<Vec<Claim>, ErrorRecord> {
    let next = matches!(
        item.kind,
        Kind::Audience | Kind::Conversation | Kind::PrivateChannel | Kind::PrivateHub
    );
    let mut claims = Vec::new();
    for (account, devices) in &item.readers {
        let devices = match devices {
            0 => "devices that are not known here".to_owned(),
            1 => "1 device".to_owned(),
            several => format!("{several} devices"),
        };
        let claim = match next {
            true => item.claim("reader", NEXT_KEY, format!("what is written next, on {devices}")),
            false => item.claim("reader", HAS_THE_KEY, format!("has the key, on {devices}")),
        };
        let name = if names { called(replica, account)? } else { None };
        claims.push(Claim { account: Some(account.to_string()), name, ..claim });
    }
    Ok(claims)
}

/// Devices that showed that they have it.
fn holders(replica: &Replica, item: &Item, names: bool) -> Result<Vec<Claim>, ErrorRecord> {
    let mut claims = Vec::new();
    for device in &item.holders {
        let account = names::account_of(replica, device);
        let own = names::own_device_name(replica, device);
        let name = match (&own, &account) {
            (Some(_), _) => own.clone(),
            (None, Some(account)) if names => called(replica, account)?,
            _ => None,
        };
        let whose = if own.is_some() { "yours" } else { "others" };
        let revoked = match account {
            Some(account) => replica.authority(&account)?.is_some_and(|log| {
                log.devices.get(device).is_some_and(|standing| standing.revoked.is_some())
            }),
            None => false,
        };
        let since = if revoked { ", revoked since" } else { "" };
        let text = format!("device {} of {whose}{since}, as it showed", device.short());
        claims.push(Claim {
            device: Some(device.to_string()),
            account: account.map(|account| account.to_string()),
            name: name.filter(|_| names),
            ..item.claim("holder", SHOWED_IT, text)
        });
    }
    Ok(claims)
}

fn called(replica: &Replica, account: &AccountId) -> Result<Option<String>, ErrorRecord> {
    match *account == replica.account()? {
        true => Ok(Some("you".to_owned())),
        false => resolve::name(replica, account),
    }
}

/// What a text names.
fn found(replica: &Replica, text: &str) -> Result<Item, ErrorRecord> {
    if let Some((what, who)) = text.split_once(':')
        && let Some(item) = of_somebody(replica, what, who)?
    {
        return Ok(item);
    }
    if matches!(text, "wall" | "profile") {
        return Ok(Item::new(Kind::Account, replica.account()?));
    }
    if let Some(id) = audience(replica, text)? {
        return conversation(replica, &id);
    }
    if text.contains('/') {
        let (of, channel) = hub::resolved_channel(replica, text)?;
        return in_hub(replica, &of, Some(&channel));
    }
    match resolve::entry(replica, text) {
        // A whole id is taken for that of an entry, whether there is one or not.
        Ok(id) if replica.space_of_entry(&id)?.is_some() => return entry(replica, &id),
        Ok(_) => {}
        Err(error) if error.code == ErrorKind::Ambiguous.code() => return Err(error),
        Err(_) => {}
    }
    if let Ok(id) = replica.resolve_draft(text) {
        return Ok(Item::new(Kind::Draft, id));
    }
    if let Ok(id) = hub::resolved(replica, text) {
        return in_hub(replica, &id, None);
    }
    if let Some(id) = ConversationId::parse_hex(text) {
        match conversation(replica, &id) {
            Err(error) if error.code == ErrorKind::NotFound.code() => {}
            found => return found,
        }
    }
    if let Ok(account) = resolve::account(replica, Some(text)) {
        return match is_known(replica, &account)? {
            true => Ok(Item::new(Kind::Account, account)),
            // It may be an account of which nothing is here, or anything else.
            false => Err(unknown(text, "mosaic sync")),
        };
    }
    match dm::conversation(replica, text) {
        Ok(view) => conversation(replica, &view.id),
        Err(error) if error.code == ErrorKind::Ambiguous.code() => Err(error),
        Err(_) => Err(unknown(text, "mosaic help privacy explain")),
    }
}

fn unknown(text: &str, hint: &str) -> ErrorRecord {
    let message = format!("nothing here is called '{}'", text.escape_debug());
    ErrorRecord::new(ErrorKind::NotFound, message).with_hint(hint)
}

/// Whether an id is that of an account, as far as is known here.
fn is_known(replica: &Replica, account: &AccountId) -> Result<bool, ErrorRecord> {
    if replica.authority(account)?.is_some() {
        return Ok(true);
    }
    for list in [FOLLOWS, BLOCKS, MUTES] {
        if replica.accounts_in(list)?.contains(account) {
            return Ok(true);
        }
    }
    let with = replica.conversations()?;
    Ok(with.iter().any(|view| view.others.contains(account)))
}

/// What stands between the own account and somebody.
fn of_somebody(replica: &Replica, what: &str, who: &str) -> Result<Option<Item>, ErrorRecord> {
    let (list, kind) = match what {
        "follow" => (FOLLOWS, Kind::Follow),
        "block" => (BLOCKS, Kind::List),
        "mute" => (MUTES, Kind::List),
        "dm" => return Ok(Some(conversation(replica, &dm::conversation(replica, who)?.id)?)),
        "wall" | "profile" => {
            let account = resolve::account(replica, Some(who))?;
            if !is_known(replica, &account)? {
                let message = format!("no account {} is known here", account.short());
                let hint = format!("mosaic follow {account}");
                return Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint(hint));
            }
            return Ok(Some(Item::new(Kind::Account, account)));
        }
        _ => return Ok(None),
    };
    let account = resolve::account(replica, Some(who))?;
    if replica.accounts_in(list)?.contains(&account) {
        return Ok(Some(Item::new(kind, account)));
    }
    let message = format!("you do not {what} {}", account.short());
    Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint(format!("mosaic {what} list")))
}

/// An own audience, by what it is called or its id.
fn audience(replica: &Replica, text: &str) -> Result<Option<ConversationId>, ErrorRecord> {
    let prefix = text.to_ascii_lowercase();
    let fits = |id: &ConversationId| prefix.len() >= 4 && id.to_string().starts_with(&prefix);
    let found = replica.audiences()?.into_iter().find(|view| view.name == text || fits(&view.id));
    Ok(found.map(|view| view.id))
}

fn entry(replica: &Replica, id: &ChangeId) -> Result<Item, ErrorRecord> {
    let access = match replica.access_to(id) {
        Ok(access) => access,
        // It was for an audience, or carried, that is kept here no more.
        Err(EngineError::NotFound { .. }) => {
            return Err(unknown(&id.to_string(), "mosaic sync"));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(place) = replica.place_in_hub(id)? {
        return entry_of_hub(replica, id, &place);
    }
    let kind = match replica.space_of_entry(id)? {
        Some(Space::Conversation(_)) => match &access {
            Some(access) if access.audience => Kind::LimitedPost,
            _ => Kind::DirectMessage,
        },
        _ => Kind::Post,
    };
    let (holders, dropped) = (replica.holders_of(id)?, replica.is_text_dropped(id)?);
    let readers = access.map(|access| access.readers).unwrap_or_default();
    Ok(Item { readers, holders, dropped, ..Item::new(kind, id) })
}

/// A message, reaction or operation of a hub.
fn entry_of_hub(replica: &Replica, id: &ChangeId, place: &HubPlace) -> Result<Item, ErrorRecord> {
    let (private, about) = replica.hub(&place.hub, |hub| {
        let closed = |channel: &ChangeId| hub.is_private(channel) == Some(true);
        (hub.genesis().private, place.about.filter(closed))
    })?;
    let kind = match (private, place.channel) {
        (true, None) if place.report => Kind::PrivateReport,
        (false, None) if place.report => Kind::Report,
        (true, Some(_)) => Kind::PrivateHubMessage,
        (true, None) => Kind::PrivateHub,
        (false, Some(_)) if place.sealed => Kind::PrivateMessage,
        (false, None) if place.sealed || about.is_some() => Kind::PrivateChannel,
        (false, Some(_)) => Kind::Message,
        (false, None) => Kind::Hub,
    };
    let readers = match kind {
        // Of a channel that it is about its readers are asked for.
        Kind::PrivateHub | Kind::PrivateChannel => {
            replica.access_to_channel(&place.hub, about.as_ref())?
        }
        _ => replica.access_to_private(id)?,
    };
    let (holders, dropped) = (replica.holders_of(id)?, replica.is_text_dropped(id)?);
    Ok(Item { readers, holders, dropped, ..Item::new(kind, id) })
}

/// A hub, or one of its channels.
fn in_hub(replica: &Replica, of: &HubId, channel: Option<&ChangeId>) -> Result<Item, ErrorRecord> {
    let (private, closed) = replica.hub(of, |hub| {
        (hub.genesis().private, channel.is_some_and(|id| hub.is_private(id) == Some(true)))
    })?;
    let kind = match (private, closed) {
        (true, _) => Kind::PrivateHub,
        (false, true) => Kind::PrivateChannel,
        (false, false) => Kind::Hub,
    };
    let readers = match kind {
        Kind::Hub => BTreeMap::new(),
        _ => replica.access_to_channel(of, channel)?,
    };
    let id = channel.map_or_else(|| of.to_string(), ToString::to_string);
    Ok(Item { readers, holders: replica.holders_of_hub(of)?, ..Item::new(kind, id) })
}

fn conversation(replica: &Replica, id: &ConversationId) -> Result<Item, ErrorRecord> {
    let access = replica.access_to_conversation(id)?;
    let kind = if access.audience { Kind::Audience } else { Kind::Conversation };
    let holders = replica.holders_of_conversation(id)?;
    Ok(Item { readers: access.readers, holders, ..Item::new(kind, id) })
}
