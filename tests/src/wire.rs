//! What went over the wire: datagrams as they were sent, and what was said in them.
//!
//! Nodes that are built for tests log the keys of their connections (feature `keylog`), so their
//! QUIC packets can be opened here, with the same cipher as they use. Multipath puts the number of
//! the path into the nonce. A side changes its keys after as many packets as it likes (RFC 9001, section 6).

pub mod capture;
mod frames;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rustls::SupportedCipherSuite;
use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::crypto::ring::cipher_suite::TLS13_AES_256_GCM_SHA384;
use rustls::crypto::tls13::OkmBlock;
use rustls::quic::{HeaderProtectionKey, PacketKey};

/// Bytes of the ids that nodes give their connections.
const CONNECTION_ID: usize = 8;
/// Paths that a connection is thought to have at most.
const PATHS: u32 = 16;
/// Sizes of datagrams that one call of the system may have sent together.
const TOGETHER: std::ops::Range<usize> = 22..1500;

/// Bit of the first byte of a packet that changes with its keys.
const PHASE: u8 = 4;

/// One direction of one connection.
struct Direction {
    header: Box<dyn HeaderProtectionKey>,
    phases: Vec<Phase>,
    /// The largest number of each path.
    seen: BTreeMap<u32, u64>,
}

/// Keys that one direction used for a while.
struct Phase {
    secret: OkmBlock,
    packet: Box<dyn PacketKey>,
}

/// Packets that were opened, and what they said.
#[derive(Default)]
pub struct Wire {
    directions: Vec<Direction>,
    known: HashMap<Vec<u8>, (usize, u32)>,
    /// What each stream said, by direction and id.
    streams: BTreeMap<(usize, u64), BTreeMap<u64, Vec<u8>>>,
    /// Packets with data that were opened.
    pub opened: usize,
    /// Packets of connections whose keys are known, and that did not open.
    pub closed: usize,
    /// What looks like a packet and names no connection of which one opened.
    pub strange: usize,
    /// Packets in which something stands that is not understood here.
    pub odd: usize,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { opened, closed, strange, odd, .. } = self;
        f.debug_struct("Wire")
            .field("directions", &self.directions.len())
            .field("streams", &self.streams.len())
            .field("opened", opened)
            .field("closed", closed)
            .field("strange", strange)
            .field("odd", odd)
            .finish_non_exhaustive()
    }
}

impl Wire {
    /// Reads the keys of a log in the format of NSS.
    ///
    /// # Panics
    /// If a key is not of the suite that nodes agree on.
    #[must_use]
    pub fn with_keys(log: &str) -> Self {
        let mut secrets = BTreeSet::new();
        for line in log.lines() {
            let mut words = line.split(' ');
            if matches!(words.next(), Some("CLIENT_TRAFFIC_SECRET_0" | "SERVER_TRAFFIC_SECRET_0")) {
                secrets.insert(unhex(words.nth(1).expect("a secret")));
            }
        }
        Self { directions: secrets.iter().map(|of| Direction::of(of)).collect(), ..Self::default() }
    }

    /// Takes what one call of the system sent: one datagram, or several of one size.
    pub fn take(&mut self, sent: &[u8]) {
        if self.datagram(sent) {
            return;
        }
        for size in TOGETHER.rev().filter(|size| *size < sent.len()) {
            let first = sent.get(..size).unwrap_or_default();
            if self.datagram(first) {
                for one in sent.chunks(size).skip(1) {
                    if !self.datagram(one) {
                        self.not_opened(one);
                    }
                }
                return;
            }
        }
        self.not_opened(sent);
    }

    fn not_opened(&mut self, sent: &[u8]) {
        let known = sent.get(1..=CONNECTION_ID).is_some_and(|id| self.known.contains_key(id));
        *if known { &mut self.closed } else { &mut self.strange } += 1;
    }

    /// Opens the packets of one datagram. False if the last one is closed to it.
    fn datagram(&mut self, mut datagram: &[u8]) -> bool {
        while let Some(first) = datagram.first() {
            if first & 0x80 == 0 {
                return self.short(datagram);
            }
            // What a handshake says is no data of ours; nothing is said before it is over.
            let Some((early, length)) = frames::long(datagram) else { return false };
            if early {
                return false;
            }
            datagram = datagram.get(length..).unwrap_or_default();
        }
        true
    }

    fn short(&mut self, packet: &[u8]) -> bool {
        let Some(id) = packet.get(1..=CONNECTION_ID) else { return false };
        let known = self.known.get(id).copied();
        let all = (0..self.directions.len()).flat_map(|n| (0..PATHS).map(move |path| (n, path)));
        let tries: Vec<(usize, u32)> = match known {
            Some(known) => vec![known],
            None => all.collect(),
        };
        for (n, path) in tries {
            let Some(plain) = self.directions.get_mut(n).and_then(|of| of.open(path, packet))
            else {
                continue;
            };
            self.known.insert(id.to_vec(), (n, path));
            self.opened += 1;
            let mut said = Vec::new();
            if frames::read(&plain, &mut said).is_none() {
                self.odd += 1;
            }
            for frames::Said { stream, offset, data } in said {
                let pieces = self.streams.entry((n, stream)).or_default();
                let piece = pieces.entry(offset).or_default();
                if data.len() > piece.len() {
                    *piece = data;
                }
            }
            return true;
        }
        false
    }

    /// What was said in each stream, from its beginning to the first gap; and how many have gaps.
    #[must_use]
    pub fn said(&self) -> (Vec<Vec<u8>>, usize) {
        let mut gaps = 0;
        let mut out = Vec::new();
        for pieces in self.streams.values() {
            let mut said: Vec<u8> = Vec::new();
            for (offset, piece) in pieces {
                let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
                if offset > said.len() {
                    gaps += 1;
                    out.push(std::mem::take(&mut said));
                    said.resize(offset, 0);
                }
                let known = said.len() - offset;
                said.extend(piece.get(known..).unwrap_or_default());
            }
            out.push(said);
        }
        (out, gaps)
    }
}

/// Derives what a secret is for (RFC 8446, section 7.1).
fn expand(secret: &OkmBlock, label: &str, out: &mut [u8]) {
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_256_GCM_SHA384 else {
        panic!("not a suite of TLS 1.3");
    };
    let expander = suite.hkdf_provider.expander_for_okm(secret);
    let label = format!("tls13 {label}");
    let length = u16::try_from(out.len()).expect("a short key").to_be_bytes();
    let size = [u8::try_from(label.len()).expect("a short label")];
    let info = [&length[..], &size, label.as_bytes(), &[0]];
    expander.expand_slice(&info, out).expect("a key");
}

fn quic() -> &'static dyn rustls::quic::Algorithm {
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_256_GCM_SHA384 else {
        panic!("not a suite of TLS 1.3");
    };
    suite.quic.expect("a suite of QUIC")
}

impl Phase {
    fn of(secret: &[u8]) -> Self {
        assert_eq!(secret.len(), 48, "a secret of another suite than AES-256-GCM with SHA-384");
        let secret = OkmBlock::new(secret);
        let (mut key, mut iv) = ([0; 32], [0; 12]);
        expand(&secret, "quic key", &mut key);
        expand(&secret, "quic iv", &mut iv);
        Self { packet: quic().packet_key(AeadKey::from(key), Iv::new(iv)), secret }
    }

    fn next(&self) -> Self {
        let mut secret = [0; 48];
        expand(&self.secret, "quic ku", &mut secret);
        Self::of(&secret)
    }
}

impl Direction {
    fn of(secret: &[u8]) -> Self {
        let first = Phase::of(secret);
        let mut header = [0; 32];
        expand(&first.secret, "quic hp", &mut header);
        let header = quic().header_protection_key(AeadKey::from(header));
        let phases = vec![first];
        Self { header, phases, seen: BTreeMap::new() }
    }

    /// Opens a packet with a short header, as one of a path.
    fn open(&mut self, path: u32, packet: &[u8]) -> Option<Vec<u8>> {
        let at = 1 + CONNECTION_ID;
        let sample = packet.get(at + 4..at + 4 + self.header.sample_len())?;
        let mut first = *packet.first()?;
        let mut number: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        self.header.decrypt_in_place(sample, &mut first, &mut number).ok()?;
        let length = usize::from(first & 3) + 1;
        let truncated = number.get(..length)?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let expected = self.seen.get(&path).map_or(0, |largest| largest + 1);
        let number = full(truncated, 8 * length as u32, expected);
        let mut header = packet.get(..at)?.to_vec();
        *header.first_mut()? = first;
        header.extend((number as u32).to_be_bytes().get(4 - length..)?);
        let sealed = packet.get(at + length..)?;
        let plain = self.opened(path, number, &header, sealed)?;
        let largest = self.seen.entry(path).or_default();
        *largest = number.max(*largest);
        Some(plain)
    }

    /// Opens what a packet seals, by the keys of its phase: the newest, those before, or the next.
    fn opened(&mut self, path: u32, number: u64, header: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let odd = header.first()? & PHASE != 0;
        let with = |phase: &Phase| {
            let mut payload = sealed.to_vec();
            let plain =
                phase.packet.decrypt_in_place_for_path(path, number, header, &mut payload).ok()?;
            Some(plain.to_vec())
        };
        let of_phase = self.phases.iter().enumerate().rev().filter(|(n, _)| (n % 2 == 1) == odd);
        if let Some(plain) = of_phase.take(2).find_map(|(_, phase)| with(phase)) {
            return Some(plain);
        }
        let last = self.phases.last().filter(|_| (self.phases.len() % 2 == 1) == odd)?;
        let next = last.next();
        let plain = with(&next)?;
        self.phases.push(next);
        Some(plain)
    }
}

/// The number nearest to the expected one that ends so (RFC 9000, appendix A.3).
fn full(truncated: u64, bits: u32, expected: u64) -> u64 {
    let window = 1 << bits;
    let candidate = (expected & !(window - 1)) | truncated;
    if candidate + window / 2 <= expected {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect()
}
