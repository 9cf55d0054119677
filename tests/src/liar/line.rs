//! How lies travel: the protocol spoken by hand, over any line to a replica.

use std::collections::VecDeque;

use bytes::Bytes;
use mosaic_engine::chain::ChainKey;
use mosaic_engine::hash::{BlobHash, DeviceId};
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::exchange::{PackRef, Received};
use mosaic_engine::sync::outcome::Outcome;
use mosaic_engine::sync::{Input, Options, Output, Role, Session, Tally};
use mosaic_engine::wire::{
    ChainGive, ChangePacker, FRAME_PREFIX_BYTES, GivenHead, Message, Scope, ScopeKind,
};

use super::table::Answer;

/// A line to a replica that listens.
pub trait Line {
    /// Opens a session as its initiator, in place of the one before.
    fn open(&mut self);
    /// Writes bytes, whatever they are.
    fn send(&mut self, bytes: &[u8]);
    /// Waits for the next message; `None` once the session is over.
    fn receive(&mut self) -> Option<Message>;
    /// Serves a blob to the replica.
    fn serve(&mut self, bytes: Bytes) -> PackRef;
}

/// How an offer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Inside the message.
    Inline,
    /// In a pack.
    Pack,
}

impl Way {
    /// Its name for people and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Pack => "pack",
        }
    }
}

/// What came of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The replica looked at it.
    Answer(Answer),
    /// The replica ended the session.
    Closed(Option<u8>),
}

/// Speaks the protocol as far as offering needs it.
#[derive(Debug)]
pub struct Speaker<L> {
    line: L,
    open: bool,
    pushes: u64,
}

impl<L: Line> Speaker<L> {
    /// Speaks over a line.
    #[must_use]
    pub const fn new(line: L) -> Self {
        Self { line, open: false, pushes: 0 }
    }

    /// The line.
    pub const fn line(&mut self) -> &mut L {
        &mut self.line
    }

    /// Offers a chain and waits for what is said to it.
    pub fn offer(&mut self, received: &Received, way: Way) -> Heard {
        let chain = ChainGive::chain_of(&received.head);
        let mut parts = received.parts.clone();
        let mut packs = Vec::new();
        if let (Way::Pack, Some(chain)) = (way, chain) {
            packs.push(self.pack(chain, &mut parts));
        }
        match self.give(received, parts, packs) {
            Some(heard) => heard,
            // No message holds it; only a pack does.
            None => self.offer(received, Way::Pack),
        }
    }

    /// Offers a chain whose changes are said to be in a pack of these bytes, which is served,
    /// and of this size.
    pub fn offer_pack(&mut self, received: &Received, bytes: Bytes, size: u64) -> Heard {
        let pack = PackRef { size, ..self.line.serve(bytes) };
        self.give(received, Vec::new(), vec![pack]).expect("a message of a few hundred bytes")
    }

    /// Offers a chain whose changes are said to be in a pack that is never served.
    pub fn offer_nothing(&mut self, received: &Received) -> Heard {
        self.line.serve(Bytes::new());
        let pack = PackRef { hash: BlobHash::of(b"nowhere"), size: 7 };
        self.give(received, Vec::new(), vec![pack]).expect("a message of a few hundred bytes")
    }

    /// Gives one chain, and hears what is said to it; `None` if no message holds it.
    fn give(
        &mut self,
        received: &Received,
        parts: Vec<mosaic_engine::wire::Part>,
        packs: Vec<PackRef>,
    ) -> Option<Heard> {
        self.greet();
        self.pushes += 1;
        let scope = Scope { kind: ScopeKind::Push, id: self.pushes };
        let give = Message::Give {
            scope,
            paths: vec![(0, received.path.clone())],
            packs,
            chains: vec![ChainGive {
                head: GivenHead::Whole {
                    path: 0,
                    description: received.description.clone(),
                    head: received.head,
                },
                fork: received.fork,
                parts,
            }],
            bodies: Vec::new(),
        };
        let frame = give.encode();
        if frame.len() > mosaic_engine::limits::MESSAGE_BYTES_MAX {
            self.pushes -= 1;
            return None;
        }
        self.line.send(&frame);
        self.line.send(&Message::End { scope }.encode());
        Some(self.hear(scope))
    }

    /// Sends any bytes in place of a message, and listens until the session is over or
    /// silent about it.
    pub fn say(&mut self, bytes: &[u8]) -> Heard {
        self.greet();
        self.line.send(bytes);
        self.pushes += 1;
        let scope = Scope { kind: ScopeKind::Push, id: self.pushes };
        self.line.send(&Message::End { scope }.encode());
        self.hear(scope)
    }

    fn pack(&mut self, chain: ChainKey, parts: &mut Vec<mosaic_engine::wire::Part>) -> PackRef {
        let mut packer = ChangePacker::new();
        packer.add(chain, parts);
        parts.clear();
        self.line.serve(packer.finish())
    }

    /// Opens a session in which no space is named.
    fn greet(&mut self) {
        if self.open {
            return;
        }
        self.line.open();
        self.open = true;
        self.pushes = 0;
        let open =
            Message::Open { round: 1, first: true, more: false, missing: 0, entries: vec![] };
        self.line.send(&open.encode());
        while let Some(message) = self.line.receive() {
            if matches!(message, Message::Answer { more: false, .. }) {
                return;
            }
        }
    }

    fn hear(&mut self, scope: Scope) -> Heard {
        let mut code = None;
        while let Some(message) = self.line.receive() {
            match message {
                Message::Done(done) if done.scope == scope => {
                    let reason = done.causes.first().map(|cause| cause.reason);
                    return Heard::Answer(match reason {
                        None => Answer::Accepted,
                        Some(reason) if reason.is_refusal() => Answer::Refused(reason),
                        Some(reason) => Answer::Deferred(reason),
                    });
                }
                Message::Close { code: said } => code = Some(said),
                _ => {}
            }
        }
        self.open = false;
        Heard::Closed(code)
    }
}

/// A line to a replica of this process.
#[derive(Debug)]
pub struct Pipe<'a> {
    replica: &'a Replica,
    own: DeviceId,
    now_ms: u64,
    session: Option<Session>,
    heard: VecDeque<Message>,
    blobs: Vec<(BlobHash, Bytes)>,
    /// What the replica says of its rounds.
    pub outcomes: Vec<Outcome>,
    /// What it did not take, by reason.
    pub tally: Tally,
    /// Packs that it asked for.
    pub fetches: u64,
}

impl<'a> Pipe<'a> {
    /// Connects as `own`.
    #[must_use]
    pub fn new(replica: &'a Replica, own: DeviceId, now_ms: u64) -> Self {
        Self {
            replica,
            own,
            now_ms,
            session: None,
            heard: VecDeque::new(),
            blobs: Vec::new(),
            outcomes: Vec::new(),
            tally: Tally::default(),
            fetches: 0,
        }
    }

    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Some(session) = &mut self.session else { return };
            session.handle(self.now_ms, input, self.replica);
            let outputs: Vec<_> = std::iter::from_fn(|| session.poll()).collect();
            self.tally.absorb(&mut session.take_tally());
            for output in outputs {
                match output {
                    Output::Send(frame) => {
                        let body = frame.slice(FRAME_PREFIX_BYTES..);
                        self.heard.push_back(Message::decode(&body).expect("an honest message"));
                    }
                    Output::Fetch(pack) => {
                        self.fetches += 1;
                        let served = self.blobs.iter().find(|(hash, _)| *hash == pack.hash);
                        let bytes = served.map(|(_, bytes)| bytes.clone());
                        inputs.push(Input::Fetched { hash: pack.hash, bytes });
                    }
                    Output::Finished(outcome) => self.outcomes.push(*outcome),
                    Output::Continue => inputs.push(Input::Continue),
                    Output::Close(_) => self.session = None,
                }
            }
        }
    }
}

impl Line for Pipe<'_> {
    fn open(&mut self) {
        self.heard.clear();
        let options = Options::default();
        self.session = Some(Session::new(Role::Responder, self.own, [0; 16], options));
        self.input(Input::Start);
    }

    fn send(&mut self, bytes: &[u8]) {
        let body = bytes.get(FRAME_PREFIX_BYTES..).unwrap_or_default();
        self.input(Input::Frame(Bytes::copy_from_slice(body)));
    }

    fn receive(&mut self) -> Option<Message> {
        self.heard.pop_front()
    }

    fn serve(&mut self, bytes: Bytes) -> PackRef {
        let hash = BlobHash::of(&bytes);
        let size = bytes.len() as u64;
        self.blobs = vec![(hash, bytes)];
        PackRef { hash, size }
    }
}
