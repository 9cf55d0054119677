//! A process that is killed while it copies, takes what is pushed, or writes; it says what is
//! durable, and its store is looked at afterwards.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::Arc;

use mosaic_engine::chain::ChainKey;
use mosaic_engine::entropy::{SeededEntropy, random};
use mosaic_engine::hash::{AccountId, ChangeId, DeviceId, DocumentId, Incarnation};
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{Replica, ReplicaOptions};
use mosaic_engine::sync::exchange::Exchange;
use mosaic_engine::sync::outcome::Counters;
use mosaic_engine::sync::{Input, News, Options, Output, Role, Session};
use mosaic_engine::wire::FRAME_PREFIX_BYTES;
use serde::{Deserialize, Serialize};

use super::fan::written;
use super::{ABSENT, ASK, FRAME, Line, PACK, Task, Told, array, start};
use crate::measure::wall_ns;
use crate::workload::hub;
use crate::{TIME_MS, disk_store};

/// What is held of a chain, durably.
const HELD: u8 = b'K';
/// An own post that is durable.
const POSTED: u8 = b'P';
/// Bytes that name a chain.
const CHAIN_BYTES: usize = 80;

/// What the process does until it is killed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mortal {
    /// Its home, that of one that was killed perhaps.
    pub home: PathBuf,
    /// The accounts it keeps, 32 bytes each; none: it posts.
    pub accounts: Option<PathBuf>,
    /// Where its keys and randomness come from.
    pub seed: u64,
}

/// What was said to be durable.
#[derive(Debug, Default)]
pub struct Promised {
    /// Changes of each chain.
    pub held: BTreeMap<ChainKey, u64>,
    /// Own posts.
    pub posts: Vec<ChangeId>,
}

/// What one life came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Life {
    /// What the giver counted.
    pub counters: Counters,
}

/// Opens a home, that of the same device each time.
///
/// # Panics
/// If it does not open.
#[must_use]
pub fn opened(home: &Path, seed: u64) -> Replica {
    let store = disk_store(home);
    let key = seed ^ 0x0b5e_55ed;
    let entropy = SeededEntropy::new(key);
    let (secret, same) =
        (DeviceSecret::generate(&entropy), DeviceSecret::generate(&SeededEntropy::new(key)));
    // What is drawn must not be drawn again by the next life.
    let drawn = Arc::new(SeededEntropy::new(seed ^ wall_ns()));
    let options = ReplicaOptions { secret: Some(secret), fresh_incarnation: false };
    let replica = Replica::open(store, drawn, options).expect("a replica");
    if replica.account().is_err() {
        replica.create_account(same, "mortal", random(&entropy), TIME_MS).expect("an account");
    }
    replica
}

/// Is the process.
pub(super) fn be(mortal: &Mortal) -> io::Result<Told> {
    let replica = opened(&mortal.home, mortal.seed);
    let mut line = Line::new(io::stdin(), io::stdout());
    let Some(accounts) = &mortal.accounts else {
        for n in held(&replica).values().sum::<u64>().. {
            line.say(POSTED, written(&replica, n).as_bytes())?;
            line.flush()?;
        }
        return Ok(Told::default());
    };
    let bytes = std::fs::read(accounts)?;
    let accounts = bytes.chunks_exact(32).map(|id| Ok(AccountId::from_bytes(array(id)?)));
    hub::keep(&replica, &accounts.collect::<io::Result<Vec<_>>>()?);
    line.say(FRAME, replica.own_device().as_bytes())?;
    let (_, other) = line.hear()?;
    line.remote = DeviceId::from_bytes(array(&other)?);
    let mut session = Session::new(Role::Initiator, line.remote, [9; 16], Options::default());
    let mut told = BTreeMap::new();
    let mut next = Some(Input::Start);
    loop {
        if let Some(input) = next.take() {
            session.handle(TIME_MS, input, &replica);
        }
        while let Some(output) = session.poll() {
            match output {
                Output::Send(frame) => line.say(FRAME, &frame[FRAME_PREFIX_BYTES..])?,
                Output::Fetch(pack) => line.say(ASK, pack.hash.as_bytes())?,
                Output::Continue => session.handle(TIME_MS, Input::Continue, &replica),
                Output::Close(reason) => return Err(io::Error::other(reason.name())),
                Output::Finished(_) => {}
            }
        }
        promise(&replica, &mut told, &mut line)?;
        let (kind, bytes) = line.hear()?;
        next = Some(match kind {
            PACK | ABSENT => {
                let hash = mosaic_engine::hash::BlobHash::from_bytes(array(&bytes[..32])?);
                Input::Fetched { hash, bytes: (kind == PACK).then(|| bytes.slice(32..)) }
            }
            _ => Input::Frame(bytes),
        });
    }
}

/// Says of each chain that grew how much of it is held.
fn promise<W: Write>(
    replica: &Replica,
    told: &mut BTreeMap<ChainKey, u64>,
    line: &mut Line<W>,
) -> io::Result<()> {
    for (chain, held) in held(replica) {
        let before = told.insert(chain, held).unwrap_or(0);
        if held > before {
            let (doc, device) = (chain.doc.as_bytes(), chain.device.as_bytes());
            let name = [doc.as_slice(), device, chain.incarnation.as_bytes()].concat();
            line.say(HELD, &[&*name, &held.to_be_bytes()].concat())?;
        }
    }
    Ok(())
}

/// Changes held of each chain.
///
/// # Panics
/// If the store fails.
#[must_use]
pub fn held(replica: &Replica) -> BTreeMap<ChainKey, u64> {
    let sections = replica.kept_sections().expect("sections");
    let tips = sections.iter().flat_map(|section| replica.tips(section).expect("tips"));
    tips.map(|tip| (tip.chain, tip.held_n)).collect()
}

/// Begins a life, and ends it after so many messages and nanoseconds; what comes from it before
/// it is gone counts as said. `news` gives what is written next when all is there.
///
/// # Panics
/// If the process cannot be started, or fails before it is killed.
pub fn kill(
    mortal: &Mortal,
    folder: &Path,
    source: Option<&Replica>,
    mut news: Option<&mut dyn FnMut() -> News>,
    (messages, delay_ns): (u64, u64),
    promised: &mut Promised,
) -> Life {
    let mut child = start(&Task::Mortal(mortal.clone()), folder);
    let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take());
    let mut giver = Giver::new(Line::new(output.expect("a pipe"), input), source);
    for _ in 0..messages {
        let Some(whole) = giver.go_on(promised) else { panic!("it ended by itself") };
        if whole {
            match &mut news {
                Some(news) => giver.push(news()),
                None => break,
            }
        }
    }
    let begun = wall_ns();
    while wall_ns() - begun < delay_ns {
        std::hint::spin_loop();
    }
    child.kill().expect("a child");
    child.wait().expect("a child");
    giver.source = None;
    while giver.go_on(promised).is_some() {}
    Life { counters: giver.session.as_ref().map(Session::counters).unwrap_or_default() }
}

struct Giver<'a> {
    line: Line<ChildStdin>,
    source: Option<&'a Replica>,
    session: Option<Session>,
}

impl<'a> Giver<'a> {
    fn new(line: Line<ChildStdin>, source: Option<&'a Replica>) -> Self {
        Self { line, source, session: None }
    }

    /// Does what the next message asks for, if the process still says something; whether a
    /// round or push ended by it.
    fn go_on(&mut self, promised: &mut Promised) -> Option<bool> {
        let (kind, bytes) = self.line.hear().ok()?;
        match (kind, self.source) {
            (HELD, _) => {
                let (name, held) = bytes.split_at(CHAIN_BYTES);
                let chain = ChainKey {
                    doc: DocumentId::from_bytes(name[..32].try_into().expect("a name")),
                    device: DeviceId::from_bytes(name[32..64].try_into().expect("a name")),
                    incarnation: Incarnation::from_bytes(name[64..].try_into().expect("a name")),
                };
                let held = u64::from_be_bytes(held.try_into().expect("a count"));
                promised.held.insert(chain, held);
            }
            (POSTED, _) => {
                let id = bytes[..].try_into().expect("an id");
                promised.posts.push(ChangeId::from_bytes(id));
            }
            (_, None) => {}
            (ASK, Some(source)) => {
                let hash =
                    mosaic_engine::hash::BlobHash::from_bytes(array(&bytes).expect("a hash"));
                let pack = source.blob_for(&self.line.remote, &hash).expect("a store");
                let (kind, pack) = pack.map_or((ABSENT, Default::default()), |pack| (PACK, pack));
                self.say(kind, &[hash.as_bytes(), &*pack].concat());
            }
            (_, Some(source)) if self.session.is_none() => {
                let remote = DeviceId::from_bytes(array(&bytes).expect("a device"));
                self.line.remote = remote;
                self.session =
                    Some(Session::new(Role::Responder, remote, [9; 16], Options::default()));
                self.say(FRAME, source.own_device().as_bytes());
            }
            _ => return Some(self.handle(Input::Frame(bytes))),
        }
        Some(false)
    }

    fn push(&mut self, news: News) {
        self.handle(Input::News(vec![news]));
    }

    /// Whether a round or push ended by it.
    fn handle(&mut self, input: Input) -> bool {
        let (Some(session), Some(source)) = (&mut self.session, self.source) else { return false };
        let (mut whole, mut frames, mut next) = (false, Vec::new(), Some(input));
        while let Some(input) = next.take() {
            session.handle(TIME_MS, input, source);
            while let Some(output) = session.poll() {
                match output {
                    Output::Send(frame) => frames.push(frame),
                    Output::Continue => next = Some(Input::Continue),
                    Output::Finished(_) => whole = true,
                    Output::Fetch(_) | Output::Close(_) => {}
                }
            }
        }
        frames.iter().for_each(|frame| self.say(FRAME, &frame[FRAME_PREFIX_BYTES..]));
        whole
    }

    /// Who is dead hears nothing.
    fn say(&mut self, kind: u8, bytes: &[u8]) {
        let _ = self.line.say(kind, bytes).and_then(|()| self.line.flush());
    }
}
