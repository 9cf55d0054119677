//! The bytes of hub operations: kind byte, links seen, reason, then the fields in order. Of one whose
//! texts are sealed: kind byte, links seen, the kind that it has in the clear, the fields without
//! texts, then the texts, sealed.

use super::super::{read_ref, read_tips, write_ref, write_tips};
use super::texts::{ABOUT, CATEGORY, CHANNEL_NAME, HUB_NAME, REASON, ROLE_NAME, TOPIC, TextLimit};
use super::{
    ChannelChange, ChannelFields, History, HubAction, HubGenesis, HubOperation, HubSetting,
    Permissions, Rank, Readers, RoleRef, SealedReport, Who, read_owners,
};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, ChangeId, DeviceId, HubId, Link, OwnersId};
use crate::identity::Signature;
use crate::limits::{
    CHANNEL_READER_ROLES_MAX, CUT_ITEMS_MAX, HUB_SEEN_MAX, HUB_TEXTS_BYTES_MAX, INVITE_USES_MAX,
    VOUCHED_JOINS_MAX,
};
use crate::seal::{SealForm, SealedEntry};

/// Kind byte of an operation whose texts are sealed.
pub(super) const SEALED_TEXTS: u8 = 0x5b;

/// Where the texts of an operation are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    /// Among its fields.
    Clear,
    /// Sealed, behind them.
    Sealed,
}

impl Texts {
    fn write(self, w: &mut Writer, text: &str) {
        if self == Self::Clear {
            w.text(text);
        }
    }

    /// Reads a text; a sealed one is empty until it is opened.
    fn read(self, r: &mut Reader<'_>, limit: &TextLimit) -> Result<String, DecodeError> {
        match self {
            Self::Clear => limit.read(r),
            Self::Sealed => Ok(String::new()),
        }
    }
}

impl HubOperation {
    /// Appends everything after the kind byte.
    pub(in crate::model::entry) fn encode(&self, w: &mut Writer) {
        match &self.texts {
            None => {
                write_links(w, &self.seen);
                w.text(&self.reason);
                self.action.encode(w, Texts::Clear);
            }
            Some(texts) => {
                self.encode_clear(w);
                texts.encode(w);
            }
        }
    }

    /// Appends what stands in the clear of an operation whose texts are sealed.
    pub(super) fn encode_clear(&self, w: &mut Writer) {
        write_links(w, &self.seen);
        w.u8(self.action.kind());
        self.action.encode(w, Texts::Sealed);
    }

    /// Reads what follows the kind byte.
    ///
    /// # Errors
    /// If malformed, over a limit, or of unknown kind.
    pub(in crate::model::entry) fn decode(
        kind: u8,
        r: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let seen = read_links(r)?;
        if kind != SEALED_TEXTS {
            let reason = REASON.read(r)?;
            let action = HubAction::decode(kind, r, Texts::Clear)?;
            return Ok(Self { seen, reason, action, texts: None });
        }
        let action = HubAction::decode(r.u8("kind of an operation")?, r, Texts::Sealed)?;
        if !action.takes_sealed_texts() {
            return Err(DecodeError::Rule("an operation that has no texts to seal"));
        }
        let texts = SealedEntry::decode_within(r, SealForm::Second, HUB_TEXTS_BYTES_MAX)?;
        Ok(Self { seen, reason: String::new(), action, texts: Some(texts) })
    }
}

impl HubGenesis {
    /// Appends `version ‖ owners ‖ permissions ‖ nonce 16 ‖ created_ms ‖ forked from`.
    pub fn encode(&self, w: &mut Writer) {
        w.u8(1 + u8::from(self.private)).varint(self.owners.len() as u64);
        for owner in &self.owners {
            w.raw(owner.as_bytes());
        }
        w.u32(self.everyone.bits()).raw(&self.nonce).u64(self.created_ms);
        write_option(w, self.forked_from.as_ref(), |w, hub| {
            w.raw(hub.as_bytes());
        });
    }

    /// Reads one genesis.
    ///
    /// # Errors
    /// If malformed or over a limit.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = r.u8("version of a hub's genesis")?;
        if !matches!(version, 1 | 2) {
            let reading = "version of a hub's genesis";
            return Err(DecodeError::Unknown { reading, value: version });
        }
        Ok(Self {
            owners: read_owners(r)?,
            everyone: read_permissions(r)?,
            nonce: r.array("nonce")?,
            created_ms: r.u64("time of a hub's genesis")?,
            forked_from: read_option(r, |r| Ok(HubId::from_bytes(r.array("hub")?)))?,
            private: version == 2,
        })
    }
}

impl HubAction {
    fn encode(&self, w: &mut Writer, texts: Texts) {
        match self {
            Self::Begin(genesis) => genesis.encode(w),
            Self::Revoke { account, role, cut } => {
                w.raw(account.as_bytes());
                write_role(w, role);
                write_tips(w, cut);
            }
            Self::Kick { account, cut } => {
                w.raw(account.as_bytes());
                write_tips(w, cut);
            }
            Self::Ban { account, cut, purge } => {
                w.raw(account.as_bytes()).u8(u8::from(*purge));
                write_tips(w, cut);
            }
            Self::ExtendCut { removal, operations, cut } => {
                w.raw(removal.as_bytes());
                write_links(w, operations);
                write_tips(w, cut);
            }
            Self::Undo { account, keep } => {
                w.raw(account.as_bytes());
                write_links(w, keep);
            }
            Self::Lift { operation: id }
            | Self::Adopt { operation: id }
            | Self::CloseInvite { invite: id }
            | Self::Dismiss { report: id } => {
                w.raw(id.as_bytes());
            }
            Self::Succession { from, owners } => {
                w.raw(from.as_bytes()).varint(owners.len() as u64);
                for owner in owners {
                    w.raw(owner.as_bytes());
                }
            }
            Self::Leave { cut } => write_tips(w, cut),
            Self::Checkpoint { number } => {
                w.varint(*number);
            }
            Self::Report(report) => report.encode(w),
            Self::Vouch { joins } => write_joins(w, joins),
            _ => self.encode_roles(w, texts),
        }
    }

    /// Roles and invitations.
    fn encode_roles(&self, w: &mut Writer, texts: Texts) {
        match self {
            Self::DefineRole { name, rank, permissions } => {
                texts.write(w, name);
                w.varint(u64::from(rank.number())).u32(permissions.bits());
            }
            Self::ChangeRole { role, name, permissions } => {
                write_role(w, role);
                texts.write(w, name);
                w.u32(permissions.bits());
            }
            Self::Grant { account, role } => {
                w.raw(account.as_bytes());
                write_role(w, role);
            }
            Self::Invite { role, key, uses, expires_ms, account } => {
                write_role(w, role);
                write_option(w, key.as_ref(), |w, key| {
                    w.raw(key.as_bytes());
                });
                w.varint(u64::from(*uses)).u64(*expires_ms);
                write_option(w, account.as_ref(), |w, account| {
                    w.raw(account.as_bytes());
                });
            }
            Self::Join { invite, proof } => {
                w.raw(invite.as_bytes());
                write_option(w, proof.as_ref(), |w, proof| {
                    w.raw(proof.as_bytes());
                });
            }
            _ => self.encode_channels(w, texts),
        }
    }

    /// Channels, settings and messages.
    fn encode_channels(&self, w: &mut Writer, texts: Texts) {
        match self {
            Self::CreateChannel(fields) => {
                for text in [&fields.name, &fields.topic, &fields.category] {
                    texts.write(w, text);
                }
                w.u8(u8::from(fields.read_only));
                if let Some(readers) = &fields.readers {
                    write_readers(w, readers);
                }
            }
            Self::ChangeChannel { channel, change } => {
                w.raw(channel.as_bytes());
                write_change(w, change, texts);
            }
            Self::ChannelRules { channel, who, allow, deny } => {
                w.raw(channel.as_bytes());
                write_who(w, who);
                w.u32(allow.bits()).u32(deny.bits());
            }
            Self::Set(setting) => write_setting(w, setting, texts),
            Self::Pin { channel, entry } => {
                w.raw(channel.as_bytes());
                write_ref(w, entry);
            }
            Self::Hide { entry } | Self::Purge { entry } => write_ref(w, entry),
            _ => {}
        }
    }

    fn decode(kind: u8, r: &mut Reader<'_>, texts: Texts) -> Result<Self, DecodeError> {
        Ok(match kind {
            0x40 => Self::Begin(HubGenesis::decode(r)?),
            0x44 => Self::Revoke {
                account: read_account(r)?,
                role: read_role(r)?,
                cut: read_tips(r, CUT_ITEMS_MAX)?,
            },
            0x45 => Self::Kick { account: read_account(r)?, cut: read_tips(r, CUT_ITEMS_MAX)? },
            0x46 => Self::Ban {
                account: read_account(r)?,
                purge: read_bool(r)?,
                cut: read_tips(r, CUT_ITEMS_MAX)?,
            },
            0x47 => Self::ExtendCut {
                removal: read_id(r)?,
                operations: read_links(r)?,
                cut: read_tips(r, CUT_ITEMS_MAX)?,
            },
            0x48 => Self::Undo { account: read_account(r)?, keep: read_links(r)? },
            0x49 => Self::Lift { operation: read_id(r)? },
            0x4a => Self::Adopt { operation: read_id(r)? },
            0x4b => Self::Succession {
                from: OwnersId::from_bytes(r.array("owners")?),
                owners: read_owners(r)?,
            },
            0x4c => Self::Leave { cut: read_tips(r, CUT_ITEMS_MAX)? },
            0x57 => Self::Checkpoint { number: r.varint(u64::MAX, "number of a checkpoint")? },
            0x58 => Self::Report(SealedReport::decode(r)?),
            0x59 => Self::Dismiss { report: read_id(r)? },
            0x5c => Self::Vouch { joins: read_joins(r)? },
            0x41..=0x43 | 0x4d..=0x4f => Self::decode_roles(kind, r, texts)?,
            _ => Self::decode_channels(kind, r, texts)?,
        })
    }

    fn decode_roles(kind: u8, r: &mut Reader<'_>, texts: Texts) -> Result<Self, DecodeError> {
        Ok(match kind {
            0x41 => Self::DefineRole {
                name: texts.read(r, &ROLE_NAME)?,
                rank: read_rank(r)?,
                permissions: read_permissions(r)?,
            },
            0x42 => Self::ChangeRole {
                role: read_role(r)?,
                name: texts.read(r, &ROLE_NAME)?,
                permissions: read_permissions(r)?,
            },
            0x43 => Self::Grant { account: read_account(r)?, role: read_role(r)? },
            0x4d => Self::Invite {
                role: read_role(r)?,
                key: read_option(r, |r| Ok(DeviceId::from_bytes(r.array("key of a ticket")?)))?,
                uses: u32::try_from(r.varint(u64::from(INVITE_USES_MAX), "uses")?).unwrap_or(0),
                expires_ms: r.u64("expiry")?,
                account: read_option(r, read_account)?,
            },
            0x4e => Self::CloseInvite { invite: read_id(r)? },
            _ => Self::Join {
                invite: read_id(r)?,
                proof: read_option(r, |r| Ok(Signature::from_bytes(r.array("proof")?)))?,
            },
        })
    }

    fn decode_channels(kind: u8, r: &mut Reader<'_>, texts: Texts) -> Result<Self, DecodeError> {
        Ok(match kind {
            0x50 | 0x5a => Self::CreateChannel(ChannelFields {
                name: texts.read(r, &CHANNEL_NAME)?,
                topic: texts.read(r, &TOPIC)?,
                category: texts.read(r, &CATEGORY)?,
                read_only: read_bool(r)?,
                readers: if kind == 0x5a { Some(read_readers(r)?) } else { None },
            }),
            0x51 => Self::ChangeChannel { channel: read_id(r)?, change: read_change(r, texts)? },
            0x52 => Self::ChannelRules {
                channel: read_id(r)?,
                who: read_who(r)?,
                allow: read_permissions(r)?,
                deny: read_permissions(r)?,
            },
            0x53 => Self::Set(read_setting(r, texts)?),
            0x54 => Self::Pin { channel: read_id(r)?, entry: read_ref(r)? },
            0x55 => Self::Hide { entry: read_ref(r)? },
            0x56 => Self::Purge { entry: read_ref(r)? },
            value => return Err(DecodeError::Unknown { reading: "entry kind", value }),
        })
    }
}

fn write_change(w: &mut Writer, change: &ChannelChange, texts: Texts) {
    let text = |w: &mut Writer, property, text| {
        w.u8(property);
        texts.write(w, text);
    };
    match change {
        ChannelChange::Name(name) => text(w, 1, name),
        ChannelChange::Topic(topic) => text(w, 2, topic),
        ChannelChange::Category(category) => text(w, 3, category),
        ChannelChange::ReadOnly(set) => {
            w.u8(4).u8(u8::from(*set));
        }
        ChannelChange::Archived(set) => {
            w.u8(5).u8(u8::from(*set));
        }
        ChannelChange::SlowMs(ms) => {
            w.u8(6).varint(*ms);
        }
        ChannelChange::Readers(readers) => {
            w.u8(7);
            write_readers(w, readers);
        }
    }
}

fn write_setting(w: &mut Writer, setting: &HubSetting, texts: Texts) {
    match setting {
        HubSetting::Name(name) => {
            w.u8(1);
            texts.write(w, name);
        }
        HubSetting::About(about) => {
            w.u8(2);
            texts.write(w, about);
        }
        HubSetting::JoinsClosed(set) => {
            w.u8(3).u8(u8::from(*set));
        }
        HubSetting::MemberQuotaBytes(bytes) => {
            w.u8(4).varint(*bytes);
        }
    }
}

fn read_change(r: &mut Reader<'_>, texts: Texts) -> Result<ChannelChange, DecodeError> {
    Ok(match r.u8("property of a channel")? {
        1 => ChannelChange::Name(texts.read(r, &CHANNEL_NAME)?),
        2 => ChannelChange::Topic(texts.read(r, &TOPIC)?),
        3 => ChannelChange::Category(texts.read(r, &CATEGORY)?),
        4 => ChannelChange::ReadOnly(read_bool(r)?),
        5 => ChannelChange::Archived(read_bool(r)?),
        6 => ChannelChange::SlowMs(r.varint(u64::MAX, "slow mode")?),
        7 => ChannelChange::Readers(read_readers(r)?),
        value => return Err(DecodeError::Unknown { reading: "property of a channel", value }),
    })
}

fn read_setting(r: &mut Reader<'_>, texts: Texts) -> Result<HubSetting, DecodeError> {
    Ok(match r.u8("setting of a hub")? {
        1 => HubSetting::Name(texts.read(r, &HUB_NAME)?),
        2 => HubSetting::About(texts.read(r, &ABOUT)?),
        3 => HubSetting::JoinsClosed(read_bool(r)?),
        4 => HubSetting::MemberQuotaBytes(r.varint(u64::MAX, "quota")?),
        value => return Err(DecodeError::Unknown { reading: "setting of a hub", value }),
    })
}

fn write_readers(w: &mut Writer, readers: &Readers) {
    w.u8(readers.history as u8).varint(readers.roles.len() as u64);
    for role in &readers.roles {
        w.raw(role.as_bytes());
    }
}

fn read_readers(r: &mut Reader<'_>) -> Result<Readers, DecodeError> {
    let history = match r.u8("history of a channel")? {
        0 => History::FromJoin,
        1 => History::All,
        value => return Err(DecodeError::Unknown { reading: "history of a channel", value }),
    };
    let count = r.count(CHANNEL_READER_ROLES_MAX, "roles that read")?;
    let mut roles: Vec<ChangeId> = Vec::with_capacity(count);
    for _ in 0..count {
        let role = read_id(r)?;
        if roles.last().is_some_and(|last| *last >= role) {
            return Err(DecodeError::Rule("roles that read are not in strictly rising order"));
        }
        roles.push(role);
    }
    Ok(Readers { roles, history })
}

fn write_links(w: &mut Writer, links: &[Link]) {
    w.varint(links.len() as u64);
    for link in links {
        w.raw(link.as_bytes());
    }
}

fn read_links(r: &mut Reader<'_>) -> Result<Vec<Link>, DecodeError> {
    let count = r.count(HUB_SEEN_MAX, "links")?;
    let mut links: Vec<Link> = Vec::with_capacity(count);
    for _ in 0..count {
        let link = Link::from_bytes(r.array("link")?);
        if links.last().is_some_and(|last| *last >= link) {
            return Err(DecodeError::Rule("links are not in strictly rising order"));
        }
        links.push(link);
    }
    Ok(links)
}

fn write_joins(w: &mut Writer, joins: &[ChangeId]) {
    w.varint(joins.len() as u64);
    for join in joins {
        w.raw(join.as_bytes());
    }
}

/// Reads joins in rising order, at least one.
fn read_joins(r: &mut Reader<'_>) -> Result<Vec<ChangeId>, DecodeError> {
    let count = r.count(VOUCHED_JOINS_MAX, "joins")?;
    let mut joins: Vec<ChangeId> = Vec::with_capacity(count);
    for _ in 0..count {
        let join = read_id(r)?;
        if joins.last().is_some_and(|last| *last >= join) {
            return Err(DecodeError::Rule("joins are not in strictly rising order"));
        }
        joins.push(join);
    }
    if joins.is_empty() {
        return Err(DecodeError::Rule("vouching for no join"));
    }
    Ok(joins)
}

fn write_role(w: &mut Writer, role: &RoleRef) {
    match role {
        RoleRef::Everyone => w.u8(0),
        RoleRef::Role(id) => w.u8(1).raw(id.as_bytes()),
    };
}

fn read_role(r: &mut Reader<'_>) -> Result<RoleRef, DecodeError> {
    match read_who(r)? {
        Who::Role(role) => Ok(role),
        Who::Account(_) => Err(DecodeError::Rule("an account in the place of a role")),
    }
}

/// Appends a role or an account.
pub(in super::super) fn write_who(w: &mut Writer, who: &Who) {
    match who {
        Who::Role(role) => write_role(w, role),
        Who::Account(account) => {
            w.u8(2).raw(account.as_bytes());
        }
    }
}

/// Reads a role or an account.
pub(in super::super) fn read_who(r: &mut Reader<'_>) -> Result<Who, DecodeError> {
    Ok(match r.u8("kind of role")? {
        0 => Who::Role(RoleRef::Everyone),
        1 => Who::Role(RoleRef::Role(read_id(r)?)),
        2 => Who::Account(read_account(r)?),
        value => return Err(DecodeError::Unknown { reading: "kind of role", value }),
    })
}

fn write_option<T>(w: &mut Writer, value: Option<&T>, write: impl FnOnce(&mut Writer, &T)) {
    w.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        write(w, value);
    }
}

fn read_option<'a, T>(
    r: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if read_bool(r)? { read(r).map(Some) } else { Ok(None) }
}

fn read_bool(r: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match r.u8("yes or no")? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(DecodeError::Unknown { reading: "yes or no", value }),
    }
}

fn read_rank(r: &mut Reader<'_>) -> Result<Rank, DecodeError> {
    let rank = r.varint(u64::from(crate::limits::RANK_MAX), "rank")?;
    let rank = u16::try_from(rank).ok().and_then(Rank::of_role);
    rank.ok_or(DecodeError::Rule("a rank that no role has"))
}

fn read_permissions(r: &mut Reader<'_>) -> Result<Permissions, DecodeError> {
    let bits = r.u32("permissions")?;
    Permissions::from_bits(bits).ok_or(DecodeError::Rule("a permission without meaning"))
}

fn read_account(r: &mut Reader<'_>) -> Result<AccountId, DecodeError> {
    Ok(AccountId::from_bytes(r.array("account")?))
}

fn read_id(r: &mut Reader<'_>) -> Result<ChangeId, DecodeError> {
    Ok(ChangeId::from_bytes(r.array("id")?))
}
