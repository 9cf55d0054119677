//! Tickets: text that holds all one needs to connect, or to link a device.
//!
//! ```text
//! prefix ‖ base32( version 1 ‖ device 32 ‖ count u8 ‖ addresses ‖ [secret 16 ‖ expires_ms u64be] ‖ check 4 )
//! hub     = version 1 ‖ hub 32 ‖ invitation 32 ‖ seed 32 ‖ flags u8
//!           ‖ [1: version 1 ‖ device 32 ‖ count u8 ‖ addresses] ‖ [2: count u8 ‖ keys of names 32 each]
//! address = 4 ‖ ip 4 ‖ port u16be  |  6 ‖ ip 16 ‖ port u16be  |  1 ‖ length u8 ‖ relay url
//! ```
//! The check is the start of a hash over prefix and bytes: a mistyped ticket is told apart from
//! one that nobody answers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use data_encoding::BASE32_NOPAD;
use mosaic_engine::hash::{ChangeId, DeviceId, HubId, derive};
use mosaic_engine::replica::INVITATION_KEYS_MAX;
use mosaic_engine::seal::EpochKey;

use crate::error::NodeError;

/// Addresses in one ticket.
pub const TICKET_ADDRESSES_MAX: usize = 16;
/// Characters of a ticket, all addresses used.
pub const TICKET_CHARS_MAX: usize = 8192;

const VERSION: u8 = 1;
const NODE_PREFIX: &str = "mosaicnode";
const LINK_PREFIX: &str = "mosaiclink";
const HUB_PREFIX: &str = "mosaichub";
const CHECK_BYTES: usize = 4;

/// A way to reach a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// UDP at a socket address.
    Socket(SocketAddr),
    /// A relay server that the device listens on; at most 255 bytes.
    Relay(String),
}

/// Where a device can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTicket {
    /// The device; its key authenticates the connection.
    pub device: DeviceId,
    /// At most [`TICKET_ADDRESSES_MAX`] ways to it.
    pub addresses: Vec<Address>,
}

/// An invitation for one new device of an account.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkTicket {
    /// The inviting device.
    pub node: NodeTicket,
    /// Known to nobody but who holds the ticket; good for one use.
    pub secret: [u8; 16],
    /// When the inviter stops accepting it, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// What lets an account join a hub.
#[derive(Clone, PartialEq, Eq)]
pub struct HubTicket {
    /// The hub.
    pub hub: HubId,
    /// The invitation.
    pub invite: ChangeId,
    /// Seed of the Ed25519 key that signs for whoever joins.
    pub seed: [u8; 32],
    /// A node that keeps the hub; `None` if none ran where the ticket was made.
    pub node: Option<NodeTicket>,
    /// Keys of names of a private hub, at most [`INVITATION_KEYS_MAX`].
    pub texts: Vec<EpochKey>,
}

/// Flags of a hub's ticket, in the order of what follows them.
const NAMES_NODE: u8 = 1;
const BRINGS_KEYS: u8 = 2;

impl fmt::Display for HubTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        for part in [self.hub.as_bytes(), self.invite.as_bytes(), &self.seed] {
            bytes.extend_from_slice(part);
        }
        let flag = |set, flag| if set { flag } else { 0 };
        bytes.push(
            flag(self.node.is_some(), NAMES_NODE) | flag(!self.texts.is_empty(), BRINGS_KEYS),
        );
        bytes.extend(self.node.iter().flat_map(NodeTicket::encode));
        let keys = self.texts.iter().take(INVITATION_KEYS_MAX);
        if !self.texts.is_empty() {
            bytes.push(u8::try_from(keys.len()).unwrap_or(0));
        }
        bytes.extend(keys.flat_map(|key| *key.to_bytes()));
        f.write_str(&seal(HUB_PREFIX, bytes))
    }
}

impl fmt::Debug for HubTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("HubTicket");
        shown.field("hub", &self.hub).field("invite", &self.invite).field("node", &self.node);
        shown.finish_non_exhaustive()
    }
}

impl HubTicket {
    /// Reads a ticket for a hub. Whether its invitation is still good the hub says.
    ///
    /// # Errors
    /// As [`NodeTicket::parse`].
    pub fn parse(text: &str) -> Result<Self, NodeError> {
        let bytes = open(HUB_PREFIX, text)?;
        let mut reader = Reader(&bytes);
        if reader.byte()? != VERSION {
            return Err(bad("it is of a newer version"));
        }
        let hub = HubId::from_bytes(reader.array()?);
        let invite = ChangeId::from_bytes(reader.array()?);
        let seed = reader.array()?;
        let flags = reader.byte()?;
        if flags > NAMES_NODE | BRINGS_KEYS {
            return Err(bad("it is of a newer version"));
        }
        let named = flags & NAMES_NODE != 0;
        let node = named.then(|| NodeTicket::decode(&mut reader)).transpose()?;
        let count = if flags & BRINGS_KEYS == 0 { 0 } else { usize::from(reader.byte()?) };
        if count > INVITATION_KEYS_MAX || (count == 0 && flags & BRINGS_KEYS != 0) {
            return Err(bad("too many keys, or none"));
        }
        let texts = (0..count).map(|_| reader.array().map(EpochKey::from_bytes));
        let texts = texts.collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { hub, invite, seed, node, texts })
    }
}

impl fmt::Display for NodeTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&seal(NODE_PREFIX, self.encode()))
    }
}

impl fmt::Display for LinkTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.node.encode();
        bytes.extend_from_slice(&self.secret);
        bytes.extend_from_slice(&self.expires_ms.to_be_bytes());
        f.write_str(&seal(LINK_PREFIX, bytes))
    }
}

impl fmt::Debug for LinkTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkTicket")
            .field("node", &self.node)
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

impl NodeTicket {
    /// Reads a node ticket.
    ///
    /// # Errors
    /// [`NodeError::Ticket`] for any text that [`fmt::Display`] did not write.
    pub fn parse(text: &str) -> Result<Self, NodeError> {
        let bytes = open(NODE_PREFIX, text)?;
        let mut reader = Reader(&bytes);
        let ticket = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(ticket)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(self.device.as_bytes());
        let kept = || self.addresses.iter().filter(|address| address.fits());
        let count = kept().take(TICKET_ADDRESSES_MAX).count();
        out.push(u8::try_from(count).unwrap_or(0));
        for address in kept().take(TICKET_ADDRESSES_MAX) {
            address.encode(&mut out);
        }
        out
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, NodeError> {
        if reader.byte()? != VERSION {
            return Err(bad("it is of a newer version"));
        }
        let device = DeviceId::from_bytes(reader.array()?);
        let count = usize::from(reader.byte()?);
        if count > TICKET_ADDRESSES_MAX {
            return Err(bad("too many addresses"));
        }
        let addresses = (0..count).map(|_| Address::decode(reader)).collect::<Result<_, _>>()?;
        Ok(Self { device, addresses })
    }
}

impl LinkTicket {
    /// Reads a link ticket. Whether it is still good only the inviter knows.
    ///
    /// # Errors
    /// As [`NodeTicket::parse`].
    pub fn parse(text: &str) -> Result<Self, NodeError> {
        let bytes = open(LINK_PREFIX, text)?;
        let mut reader = Reader(&bytes);
        let node = NodeTicket::decode(&mut reader)?;
        let secret = reader.array()?;
        let expires_ms = u64::from_be_bytes(reader.array()?);
        reader.finish()?;
        Ok(Self { node, secret, expires_ms })
    }
}

impl Address {
    fn fits(&self) -> bool {
        matches!(self, Self::Socket(_)) || matches!(self, Self::Relay(url) if url.len() <= 255)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Socket(socket) => {
                match socket.ip() {
                    IpAddr::V4(ip) => {
                        out.push(4);
                        out.extend_from_slice(&ip.octets());
                    }
                    IpAddr::V6(ip) => {
                        out.push(6);
                        out.extend_from_slice(&ip.octets());
                    }
                }
                out.extend_from_slice(&socket.port().to_be_bytes());
            }
            Self::Relay(url) => {
                out.push(1);
                out.push(u8::try_from(url.len()).unwrap_or(u8::MAX));
                out.extend_from_slice(url.as_bytes());
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, NodeError> {
        match reader.byte()? {
            4 => {
                let ip = Ipv4Addr::from(reader.array::<4>()?);
                Ok(Self::Socket(SocketAddr::new(ip.into(), u16::from_be_bytes(reader.array()?))))
            }
            6 => {
                let ip = Ipv6Addr::from(reader.array::<16>()?);
                Ok(Self::Socket(SocketAddr::new(ip.into(), u16::from_be_bytes(reader.array()?))))
            }
            1 => {
                let length = usize::from(reader.byte()?);
                let url = std::str::from_utf8(reader.take(length)?);
                url.map(|url| Self::Relay(url.to_owned())).map_err(|_| bad("a relay is not text"))
            }
            _ => Err(bad("an address of an unknown kind")),
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], NodeError> {
        let (head, tail) = self.0.split_at_checked(count).ok_or_else(|| bad("it is cut short"))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NodeError> {
        self.take(N)?.try_into().map_err(|_| bad("it is cut short"))
    }

    fn byte(&mut self) -> Result<u8, NodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn finish(self) -> Result<(), NodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(bad("it has extra characters")) }
    }
}

fn seal(prefix: &str, mut bytes: Vec<u8>) -> String {
    let check = check(prefix, &bytes);
    bytes.extend_from_slice(&check);
    format!("{prefix}{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}

fn open(prefix: &str, text: &str) -> Result<Vec<u8>, NodeError> {
    let text = text.trim();
    if text.len() > TICKET_CHARS_MAX {
        return Err(bad("it is too long"));
    }
    // The small alphabet of QR codes has capitals only.
    let text = text.to_ascii_lowercase();
    let text = text.as_str();
    let Some(body) = text.strip_prefix(prefix) else {
        return Err(match (prefix, text) {
            (NODE_PREFIX, link) if link.starts_with(LINK_PREFIX) => {
                bad("it is a device link; use it with `mosaic device link`")
            }
            (LINK_PREFIX, node) if node.starts_with(NODE_PREFIX) => {
                bad("it is a node ticket; use it with `mosaic node connect`")
            }
            (NODE_PREFIX | LINK_PREFIX, hub) if hub.starts_with(HUB_PREFIX) => {
                bad("it is a ticket for a hub; use it with `mosaic hub join`")
            }
            (HUB_PREFIX, _) => bad("it does not start with mosaichub"),
            (LINK_PREFIX, _) => bad("it does not start with mosaiclink"),
            _ => bad("it does not start with mosaicnode"),
        });
    };
    let mut bytes = BASE32_NOPAD
        .decode(body.to_ascii_uppercase().as_bytes())
        .map_err(|_| bad("it has characters that no ticket has, or is cut short"))?;
    let end = bytes.len().checked_sub(CHECK_BYTES).ok_or_else(|| bad("it is cut short"))?;
    let found = bytes.split_off(end);
    if found != check(prefix, &bytes) {
        return Err(bad("a character is wrong or missing"));
    }
    Ok(bytes)
}

fn check(prefix: &str, bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let [a, b, c, d, ..] = derive("mosaic ticket 1", &[prefix.as_bytes(), bytes]);
    [a, b, c, d]
}

const fn bad(reason: &'static str) -> NodeError {
    NodeError::Ticket { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeTicket {
        NodeTicket {
            device: DeviceId::from_bytes([7; 32]),
            addresses: vec![
                Address::Socket("127.0.0.1:4747".parse().unwrap()),
                Address::Socket("[::1]:1".parse().unwrap()),
                Address::Relay("https://relay.example".to_owned()),
            ],
        }
    }

    #[test]
    fn tickets_survive_a_round_trip() {
        let text = node().to_string();
        assert!(text.starts_with("mosaicnode"), "{text}");
        assert_eq!(NodeTicket::parse(&format!(" {text}\n")).unwrap(), node());
        let link = LinkTicket { node: node(), secret: [9; 16], expires_ms: 5 };
        assert_eq!(LinkTicket::parse(&link.to_string()).unwrap(), link);
        assert!(!format!("{link:?}").contains("9, 9"), "the secret must not be printed");
        for node in [None, Some(node())] {
            let (hub, invite) = (HubId::from_bytes([1; 32]), ChangeId::from_bytes([2; 32]));
            let keys = [EpochKey::from_bytes([3; 32]), EpochKey::from_bytes([4; 32])];
            for texts in [Vec::new(), keys.to_vec()] {
                let node = node.clone();
                let ticket = HubTicket { hub, invite, seed: [9; 32], node, texts };
                assert_eq!(HubTicket::parse(&ticket.to_string()).unwrap(), ticket);
                let shown = format!("{ticket:?}");
                assert!(!shown.contains("9, 9") && !shown.contains("3, 3"), "a secret is printed");
            }
        }
        // None of other forms.
        let texts = vec![EpochKey::from_bytes([3; 32]); INVITATION_KEYS_MAX + 1];
        let (hub, invite) = (HubId::from_bytes([1; 32]), ChangeId::from_bytes([2; 32]));
        let ticket = HubTicket { hub, invite, seed: [9; 32], node: None, texts };
        let fits = HubTicket::parse(&ticket.to_string()).unwrap();
        assert_eq!(fits.texts.len(), INVITATION_KEYS_MAX);
        let bytes = open(HUB_PREFIX, &ticket.to_string()).unwrap();
        for (at, byte) in [(97, 4), (97, 0), (98, 0), (98, 5), (98, 3)] {
            let mut other = bytes.clone();
            other[at] = byte;
            assert!(HubTicket::parse(&seal(HUB_PREFIX, other)).is_err(), "{at} {byte}");
        }
    }

    #[test]
    fn any_changed_or_lost_character_is_noticed() {
        let text = node().to_string();
        for at in 0..text.len() {
            let mut broken = text.clone().into_bytes();
            broken[at] = if broken[at] == b'a' { b'b' } else { b'a' };
            assert!(NodeTicket::parse(std::str::from_utf8(&broken).unwrap()).is_err(), "{at}");
            assert!(NodeTicket::parse(&text[..at]).is_err(), "{at}");
        }
        assert!(LinkTicket::parse(&text).is_err());
        assert!(NodeTicket::parse(&"a".repeat(TICKET_CHARS_MAX + 1)).is_err());
    }

    #[test]
    fn only_sixteen_addresses_fit() {
        let mut many = node();
        many.addresses =
            (0..20).map(|port| Address::Socket(([127, 0, 0, 1], port).into())).collect();
        let parsed = NodeTicket::parse(&many.to_string()).unwrap();
        assert_eq!(parsed.addresses.len(), TICKET_ADDRESSES_MAX);
    }
}
