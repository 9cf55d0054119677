//! Profiles: a map with named fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use mosaic_engine::change::value::Value;
use mosaic_engine::hash::{AccountId, HubId};
use mosaic_engine::limits::HUB_NAME_BYTES_MAX;
use mosaic_engine::model::entry::Attachment as FileRef;
use mosaic_engine::replica::{Edits, Field, Replica, parse_picture, picture_value};

use super::answer::blocking;
use super::attach::Added;
use super::types::{
    ErrorKind, ErrorRecord, FieldConflict, FieldValue, Profile, ProfileHub, ProfileSet,
    ProfileShow, Record,
};
use super::view;
use super::{hub, resolve};
use crate::app::App;
use crate::clock;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<ProfileShow, _>(router, show);
    blocking::<ProfileSet, _>(router, set)
}

fn show(app: &App, request: ProfileShow) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = resolve::account(&replica, request.who.as_deref())?;
    profile(&replica, &account, request.conflicts)
}

fn profile(replica: &Replica, account: &AccountId, conflicts: bool) -> Result<Record, ErrorRecord> {
    let fields = replica.profile(account)?;
    let mut out = Profile { account: account.to_string(), ..Profile::default() };
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    let mut picture: BTreeMap<String, Value> = BTreeMap::new();
    let mut hubs = BTreeMap::new();
    for field in &fields {
        let text = field.value.as_text().map(str::to_owned);
        match field.key.split_once('.') {
            None if field.key == "name" => out.name = text,
            None if field.key == "bio" => out.bio = text,
            Some(("links", number)) => links.extend(text.map(|text| (number.to_owned(), text))),
            Some(("fields", name)) => out.fields.extend(text.map(|text| (name.to_owned(), text))),
            Some(("theme", name)) => out.theme.extend(text.map(|text| (name.to_owned(), text))),
            Some(("hubs", id)) => {
                if let Some(hub) = HubId::parse_hex(id).filter(|_| hubs.len() < SHOWN_HUBS_MAX) {
                    hubs.entry(hub).or_insert(text);
                }
            }
            Some(("avatar", part)) => {
                picture.insert(part.to_owned(), field.value.clone());
            }
            _ => {}
        }
    }
    out.links = links.into_values().collect();
    out.avatar = avatar(&picture).as_ref().map(view::attachment);
    let hubs = hubs.into_iter().map(|(hub, said)| shown_hub(replica, account, &hub, said));
    out.hubs = Some(hubs.collect()).filter(|hubs: &Vec<_>| !hubs.is_empty());
    if conflicts {
        out.conflicts = Some(fields.iter().filter_map(conflict).collect());
    }
    Ok(Record::Profile(out))
}

fn avatar(parts: &BTreeMap<String, Value>) -> Option<FileRef> {
    let text = |name: &str| parts.get(name).and_then(|v| v.as_text().map(str::to_owned));
    Some(FileRef {
        body: parts.get("body").and_then(parse_picture)?,
        media_type: text("type").unwrap_or_default(),
        name: text("file").unwrap_or_default(),
        alt: text("alt").unwrap_or_default(),
    })
}

/// The picture of an account's profile.
pub(super) fn picture(replica: &Replica, account: &AccountId) -> Result<FileRef, ErrorRecord> {
    let parts = replica.profile(account)?.into_iter().filter_map(|field| {
        field.key.strip_prefix("avatar.").map(|part| (part.to_owned(), field.value.clone()))
    });
    avatar(&parts.collect()).ok_or_else(|| {
        let message = format!("the profile of {account} has no picture");
        ErrorRecord::new(ErrorKind::NotFound, message).with_hint("mosaic profile show")
    })
}

fn conflict(field: &Field) -> Option<FieldConflict> {
    if field.conflicts.is_empty() {
        return None;
    }
    let shown = FieldValue { value: plain(&field.value), device: None, shown: true };
    let lost = field.conflicts.iter().map(|candidate| FieldValue {
        value: plain(&candidate.value),
        device: None,
        shown: false,
    });
    let values = std::iter::once(shown).chain(lost).collect();
    Some(FieldConflict { field: field.key.clone(), values })
}

fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Timestamp(value) => value.to_string(),
        Value::Bytes(bytes) => data_encoding::HEXLOWER.encode(bytes),
        _ => String::new(),
    }
}

fn set(app: &App, request: ProfileSet) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = replica.account()?;
    let known: BTreeMap<String, Value> =
        replica.profile(&account)?.into_iter().map(|field| (field.key, field.value)).collect();
    let mut wanted: BTreeMap<String, Option<Value>> = BTreeMap::new();
    for name in &request.unset {
        unset(name, &known, &mut wanted)?;
    }
    let mut put = |key: String, text: String| {
        wanted.insert(key, Some(Value::Text(text)));
    };
    if let Some(name) = request.name {
        put("name".into(), name);
    }
    if let Some(bio) = request.bio {
        put("bio".into(), bio);
    }
    for (name, text) in request.fields {
        put(format!("fields.{name}"), text);
    }
    for (name, text) in request.theme {
        put(format!("theme.{name}"), text);
    }
    if let Some(links) = request.links {
        links.iter().try_for_each(|link| check_link(link))?;
        for key in known.keys().filter(|key| key.starts_with("links.")) {
            wanted.insert(key.clone(), None);
        }
        for (number, link) in links.into_iter().enumerate() {
            wanted.insert(format!("links.{number:04}"), Some(Value::Text(link)));
        }
    }
    // until the profile names it
    let picture = request.avatar.map(|file| Added::picture(&replica, &file)).transpose()?;
    for file in picture.iter().flat_map(Added::attachments) {
        put_avatar(file, &mut wanted);
    }
    for text in &request.show_hubs {
        let (hub, name) = own_hub(&replica, text)?;
        if replica.hub(&hub, |hub| hub.genesis().private).unwrap_or(false) {
            let message = "this hub is private: a profile would tell everybody of it";
            return Err(
                ErrorRecord::new(ErrorKind::Denied, message).with_hint("mosaic profile set --help")
            );
        }
        wanted.insert(hub_field(&hub), Some(Value::Text(name)));
    }
    for text in &request.hide_hubs {
        wanted.insert(shown_field(&replica, text, &known)?, None);
    }
    let shown = known.keys().filter(|key| key.starts_with(HUBS) && !wanted.contains_key(*key));
    let more = wanted.iter().filter(|(key, value)| key.starts_with(HUBS) && value.is_some());
    if shown.count() + more.count() > SHOWN_HUBS_MAX {
        let message = format!("a profile shows {SHOWN_HUBS_MAX} hubs at most");
        let error = ErrorRecord::new(ErrorKind::Usage, message);
        return Err(error.with_hint("mosaic profile set --help"));
    }
    wanted.retain(|key, value| known.get(key) != value.as_ref());
    if !wanted.is_empty() {
        let edits: Edits = wanted.into_iter().collect();
        replica.edit_profile(edits, clock::now_ms())?;
    }
    profile(&replica, &account, false)
}

/// Where the hubs of a profile stand.
const HUBS: &str = "hubs.";
/// Hubs that a profile shows at most.
const SHOWN_HUBS_MAX: usize = 64;

fn hub_field(hub: &HubId) -> String {
    format!("{HUBS}{hub}")
}

/// A hub as a profile shows it. What an account says of itself is held against the hub, if that is
/// here.
fn shown_hub(
    replica: &Replica,
    account: &AccountId,
    hub: &HubId,
    said: Option<String>,
) -> ProfileHub {
    let here = replica.hub(hub, |hub| (hub.settings().name, hub.rank(account).is_some())).ok();
    let (name, member) = match here {
        Some((name, member)) => (name, Some(member)),
        // A name that no hub can have is none.
        None => {
            let said = said.filter(|name| name.len() <= HUB_NAME_BYTES_MAX);
            (said.unwrap_or_default(), None)
        }
    };
    ProfileHub { hub: hub.to_string(), name, member }
}

/// A hub that we are in, and its name.
fn own_hub(replica: &Replica, text: &str) -> Result<(HubId, String), ErrorRecord> {
    let hub = hub::resolved(replica, text)?;
    let me = replica.account()?;
    let (name, rank) = replica.hub(&hub, |hub| (hub.settings().name, hub.rank(&me)))?;
    if rank.is_none() {
        let error = ErrorRecord::new(ErrorKind::Denied, "you are no member of this hub");
        return Err(error.with_hint("mosaic hub list"));
    }
    Ok((hub, name))
}

/// The field of a hub that the profile shows: also one that is not kept here any more.
fn shown_field(
    replica: &Replica,
    text: &str,
    known: &BTreeMap<String, Value>,
) -> Result<String, ErrorRecord> {
    let prefix = hub_field_prefix(text);
    let mut fitting = known.keys().filter(|key| key.starts_with(&prefix));
    if let (true, Some(only), None) = (text.trim().len() >= 4, fitting.next(), fitting.next()) {
        return Ok(only.clone());
    }
    let field = hub_field(&hub::resolved(replica, text)?);
    if known.contains_key(&field) {
        return Ok(field);
    }
    let message = format!("your profile does not show '{}'", text.escape_debug());
    Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint("mosaic profile show"))
}

fn hub_field_prefix(text: &str) -> String {
    format!("{HUBS}{}", text.trim().to_ascii_lowercase())
}

/// Takes a hub off the profile, if it is there.
pub(super) fn hide_hub(replica: &Replica, hub: &HubId) -> Result<(), ErrorRecord> {
    let field = hub_field(hub);
    let shown = replica.profile(&replica.account()?)?.into_iter().any(|known| known.key == field);
    if shown {
        replica.edit_profile(vec![(field, None)], clock::now_ms())?;
    }
    Ok(())
}

/// What a reader may open by a click: no scheme that runs or shows what the writer wrote.
const LINK_SCHEMES: &[&str] = &[
    "ftp", "gemini", "geo", "http", "https", "irc", "ircs", "mailto", "matrix", "nostr", "sip",
    "sips", "tel", "xmpp",
];

/// Refuses links that lead nowhere or do harm. What is in a profile already stays.
fn check_link(link: &str) -> Result<(), ErrorRecord> {
    let refuse = |why: &str| {
        let message = format!("'{}' is no link: {why}", link.escape_debug());
        Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic help profile set"))
    };
    if link.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refuse("it has spaces or control characters");
    }
    let Some((scheme, _)) = link.split_once(':') else { return Ok(()) };
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let known = LINK_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme));
    if !known && scheme.chars().all(letters) {
        return refuse("it begins with none of https, http, mailto, xmpp and the like");
    }
    Ok(())
}

fn unset(
    name: &str,
    known: &BTreeMap<String, Value>,
    wanted: &mut BTreeMap<String, Option<Value>>,
) -> Result<(), ErrorRecord> {
    let single = matches!(name, "name" | "bio");
    let group = matches!(name, "links" | "avatar");
    let part = name.starts_with("fields.") || name.starts_with("theme.");
    if !(single || group || part) {
        let message = format!("'{name}' is no field of a profile");
        return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic profile show"));
    }
    let prefix = format!("{name}.");
    for key in known.keys() {
        if key == name || (group && key.starts_with(&prefix)) {
            wanted.insert(key.clone(), None);
        }
    }
    Ok(())
}

fn put_avatar(picture: FileRef, wanted: &mut BTreeMap<String, Option<Value>>) {
    let text = |text: String| Some(text).filter(|text| !text.is_empty()).map(Value::Text);
    let mut put = |key: &str, value: Option<Value>| {
        wanted.insert(format!("avatar.{key}"), value);
    };
    put("body", Some(picture_value(&picture.body)));
    put("type", text(picture.media_type));
    put("file", text(picture.name));
    put("alt", text(picture.alt));
}
