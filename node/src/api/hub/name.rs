//! What people type, resolved: hubs, channels, roles, permissions.

use mosaic_engine::hash::{ChangeId, HubId};
use mosaic_engine::limits::HUB_NAME_BYTES_MAX;
use mosaic_engine::model::entry::{HubAction, Permissions, RoleRef};
use mosaic_engine::replica::{EngineError, Replica};

use crate::api::types::{ErrorKind, ErrorRecord, is_hidden};

/// What people are shown in place of a name that does not open.
const SEALED: &str = "(sealed)";

/// Refuses a name that would not stand in a list, or could not be typed as part of a path.
pub(super) fn check(name: &str, what: &str) -> Result<(), ErrorRecord> {
    let fault = if name.trim().is_empty() {
        "it is empty"
    } else if name.len() > HUB_NAME_BYTES_MAX {
        "it is longer than 64 bytes"
    } else if name.contains('/') {
        "it has a slash"
    } else if name.chars().any(is_hidden) {
        "it has characters that do not show"
    } else if name == SEALED {
        "it stands for a name that does not open"
    } else if name.len() >= 8 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
        "it looks like an id"
    } else {
        return Ok(());
    };
    let message = format!("'{}' is no name for a {what}: {fault}", name.escape_debug());
    Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic hub --help"))
}

/// The one thing that fits what was typed.
fn one<T: Copy + Ord + ToString>(
    what: &str,
    text: &str,
    mut found: Vec<T>,
    hint: &str,
) -> Result<T, ErrorRecord> {
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [only] => Ok(*only),
        [] => {
            let message = format!("no {what} is called '{}'", text.escape_debug());
            Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint(hint))
        }
        several => {
            let message = format!("'{}' fits {} {what}s", text.escape_debug(), several.len());
            let candidates = several.iter().map(ToString::to_string).collect();
            let error = ErrorRecord::new(ErrorKind::Ambiguous, message);
            Err(ErrorRecord { candidates, ..error }.with_hint(hint))
        }
    }
}

/// What is called so, or has an id that begins so: both, where they are not the same.
fn either<T: Ord>(named: Vec<T>, fitting: Vec<T>) -> Vec<T> {
    named.into_iter().chain(fitting).collect()
}

/// Whether a text is the beginning of an id.
fn begins(id: &str, text: &str) -> bool {
    let digits = text.to_ascii_lowercase();
    digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_hexdigit()) && id.starts_with(&digits)
}

/// A hub that is kept here: by alias, else by name, else by id prefix.
pub(super) fn hub(replica: &Replica, text: &str) -> Result<HubId, ErrorRecord> {
    let text = text.trim();
    let kept = replica.hubs()?;
    // What others call themselves takes nobody's id.
    if let Some(exact) = HubId::parse_hex(text)
        && kept.iter().any(|hub| hub.id == exact)
    {
        return Ok(exact);
    }
    let (mut called, mut named, mut fitting) = (Vec::new(), Vec::new(), Vec::new());
    for hub in kept {
        if !hub.alias.is_empty() && hub.alias == text {
            called.push(hub.id);
        }
        if begins(&hub.id.to_string(), text) {
            fitting.push(hub.id);
        }
        let name = replica.hub(&hub.id, |hub| hub.settings().name).unwrap_or_default();
        // One whose key is not here has none.
        if !name.is_empty() && name == text {
            named.push(hub.id);
        }
    }
    let found = if called.is_empty() { either(named, fitting) } else { called };
    one("hub", text, found, "mosaic hub list")
}

/// A channel of a hub: `HUB/CHANNEL`.
pub(super) fn channel(replica: &Replica, text: &str) -> Result<(HubId, ChangeId), ErrorRecord> {
    let (of, name) = split(text)?;
    let hub = hub(replica, of)?;
    let channels = replica.hub(&hub, |hub| hub.channels())?;
    let named: Vec<ChangeId> =
        channels.iter().filter(|view| view.name == name).map(|view| view.id).collect();
    let fitting = channels.iter().map(|view| view.id).filter(|id| begins(&id.to_string(), name));
    let found = either(named, fitting.collect());
    let hint = format!("mosaic hub channel list {}", hub.short());
    Ok((hub, one("channel", name, found, &hint)?))
}

/// The two parts of `HUB/CHANNEL`.
pub(super) fn split(text: &str) -> Result<(&str, &str), ErrorRecord> {
    text.trim()
        .rsplit_once('/')
        .filter(|(hub, name)| !hub.is_empty() && !name.is_empty())
        .ok_or_else(|| {
            let message = format!("'{}' names no channel: say HUB/CHANNEL", text.escape_debug());
            ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic hub list")
        })
}

/// A role of a hub: by name, else by id prefix; that of every member if none is named.
pub(super) fn role(
    replica: &Replica,
    hub: &HubId,
    text: Option<&str>,
) -> Result<RoleRef, ErrorRecord> {
    let Some(text) = text.filter(|text| *text != "everyone") else { return Ok(RoleRef::Everyone) };
    let roles = replica.hub(hub, |hub| hub.roles())?;
    let (mut named, mut fitting) = (Vec::new(), Vec::new());
    for role in roles {
        let RoleRef::Role(id) = role.role else { continue };
        if !role.name.is_empty() && role.name == text {
            named.push(id);
        }
        if begins(&id.to_string(), text) {
            fitting.push(id);
        }
    }
    let found = either(named, fitting);
    let hint = format!("mosaic hub role list {}", hub.short());
    Ok(RoleRef::Role(one("role", text, found, &hint)?))
}

/// Names of permissions.
pub(super) fn permissions(of: Permissions) -> Vec<String> {
    let names = Permissions::NAMES.iter().filter(|(bit, _)| of.contains(*bit));
    names.map(|(_, name)| (*name).to_owned()).collect()
}

/// Permissions by their names.
pub(super) fn parse_permissions(names: &[String]) -> Result<Permissions, ErrorRecord> {
    let mut all = Permissions::NONE;
    for name in names {
        if name == "all" {
            all = all | Permissions::ALL;
            continue;
        }
        let Some((bit, _)) = Permissions::NAMES.iter().find(|(_, known)| known == name) else {
            let known: Vec<&str> = Permissions::NAMES.iter().map(|(_, name)| *name).collect();
            let message = format!(
                "'{}' is no permission; there are all, {}",
                name.escape_debug(),
                known.join(", ")
            );
            return Err(ErrorRecord::new(ErrorKind::Usage, message)
                .with_hint("mosaic hub role create --help"));
        };
        all = all | *bit;
    }
    Ok(all)
}

/// A refusal of the hub, with the way to see what one may do there, or the command whose help
/// says what it takes.
pub(super) fn refused(hub: HubId, help: &'static str) -> impl Fn(EngineError) -> ErrorRecord {
    move |error| match error {
        EngineError::Denied(_) => {
            ErrorRecord::from(error).with_hint(format!("mosaic hub show {}", hub.short()))
        }
        EngineError::Invalid(_) => ErrorRecord::from(error).with_hint(help),
        EngineError::TextTooLong { .. } => {
            let message = format!("{error}: send it in parts, or a file");
            ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic hub send --help")
        }
        other => other.into(),
    }
}

/// The command that tells what one takes that writes an operation.
pub(super) const fn help_of(action: &HubAction) -> &'static str {
    match action {
        HubAction::Grant { .. } => "mosaic hub member grant --help",
        HubAction::Succession { .. } => "mosaic hub member owners --help",
        HubAction::DefineRole { .. } => "mosaic hub role create --help",
        HubAction::ChangeRole { .. } => "mosaic hub role change --help",
        HubAction::CreateChannel(_) => "mosaic hub channel create --help",
        HubAction::ChangeChannel { .. } => "mosaic hub channel change --help",
        HubAction::ChannelRules { .. } => "mosaic hub channel rules --help",
        HubAction::Set(_) => "mosaic hub mod set --help",
        HubAction::Undo { .. } => "mosaic hub mod undo --help",
        HubAction::Hide { .. } => "mosaic hub mod hide --help",
        HubAction::Purge { .. } => "mosaic hub mod purge --help",
        HubAction::Pin { .. } => "mosaic hub mod pin --help",
        HubAction::Invite { .. } | HubAction::CloseInvite { .. } => "mosaic hub invite --help",
        HubAction::Adopt { .. } => "mosaic hub mod adopt --help",
        HubAction::Dismiss { .. } => "mosaic hub mod dismiss --help",
        _ => "mosaic hub mod --help",
    }
}
