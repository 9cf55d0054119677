//! One end of a session in a process of its own, so that its memory is its own.
//!
//! The program starts itself; frames and packs go over the pipes of the child, as
//! `kind u8 ‖ length u32be ‖ bytes`.

pub mod fan;
pub mod mortal;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use mosaic_engine::hash::{AccountId, BlobHash, DeviceId};
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::exchange::Exchange;
use mosaic_engine::sync::outcome::OutcomeKind;
use mosaic_engine::sync::{Input, Options, Output, Role, Session};
use mosaic_engine::wire::FRAME_PREFIX_BYTES;
use serde::{Deserialize, Serialize};

use crate::measure::process::{peak_rss, rss};
use crate::measure::{cpu_ns, wall_ns};
use crate::workload::hub;
use crate::{TIME_MS, disk_store};

const FRAME: u8 = b'F';
const ASK: u8 = b'Q';
const PACK: u8 = b'A';
const ABSENT: u8 = b'N';
/// Messages that wait to be handled.
const WAITING: usize = 16;

/// What a child does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// Receives all of some accounts over its pipes, into an empty home.
    Receive {
        /// Its home.
        home: PathBuf,
        /// The accounts, 32 bytes each, one after the other.
        accounts: PathBuf,
        /// Where randomness comes from.
        seed: u64,
    },
    /// Serves many subscribers over its pipes.
    Fan(fan::Fan),
    /// Is killed.
    Mortal(mortal::Mortal),
    /// Opens a home and does nothing more.
    Open {
        /// The home.
        home: PathBuf,
    },
}

/// What a child says at its end.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Told {
    /// Highest resident memory, in bytes.
    pub peak_rss: u64,
    /// Resident memory before the work.
    pub rss_before: u64,
    /// Resident memory at the end.
    pub rss: u64,
    /// Processor time of the work, in nanoseconds.
    pub cpu_ns: u64,
    /// Time of the work on the clock, in nanoseconds.
    pub wall_ns: u64,
    /// Whether all sections were equal at the end.
    pub equal: bool,
    /// Fsyncs of the work.
    pub fsyncs: u64,
    /// Bytes that wait for one who does not read, at most.
    pub queued_max: u64,
    /// Sessions that were given up for silence.
    pub given_up: u64,
}

/// Is a child: does the task that stands in a file, and writes what it came to into another.
///
/// # Errors
/// If a file or pipe fails.
pub fn be(task: &Path, told: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(task).map_err(|error| error.to_string())?;
    let task: Task = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let done = match task {
        Task::Receive { home, accounts, seed } => receive(&home, &accounts, seed),
        Task::Fan(fan) => fan::be(&fan),
        Task::Mortal(mortal) => mortal::be(&mortal),
        Task::Open { home } => Ok(open(&home)),
    };
    let done = done.map_err(|error| error.to_string())?;
    let text = serde_json::to_string(&done).map_err(|error| error.to_string())?;
    std::fs::write(told, text).map_err(|error| error.to_string())
}

fn open(home: &Path) -> Told {
    let (rss_before, begun, spent) = (rss(), wall_ns(), cpu_ns());
    let replica = crate::replica(disk_store(home), 1);
    let told = Told {
        peak_rss: 0,
        rss_before,
        rss: rss(),
        cpu_ns: cpu_ns() - spent,
        wall_ns: wall_ns() - begun,
        equal: true,
        ..Told::default()
    };
    replica.close().expect("a closed replica");
    Told { peak_rss: peak_rss(), ..told }
}

fn receive(home: &Path, accounts: &Path, seed: u64) -> io::Result<Told> {
    let accounts: Vec<AccountId> = std::fs::read(accounts)?
        .chunks_exact(32)
        .map(|id| AccountId::from_bytes(id.try_into().expect("32 bytes")))
        .collect();
    let reader = hub::node(disk_store(home), seed);
    hub::keep(&reader, &accounts);
    let remote = reader.own_device();
    let mut line = Line::new(io::stdin(), io::stdout());
    // The first thing that is said is who speaks.
    line.say(FRAME, remote.as_bytes())?;
    let (_, other) = line.hear()?;
    let other = DeviceId::from_bytes(array(&other)?);
    line.remote = other;
    let (rss_before, begun, spent) = (rss(), wall_ns(), cpu_ns());
    let session = Session::new(Role::Initiator, other, [9; 16], Options::default());
    let equal = talk(session, &reader, &mut line)?;
    let told = Told {
        peak_rss: peak_rss(),
        rss_before,
        rss: rss(),
        cpu_ns: cpu_ns() - spent,
        wall_ns: wall_ns() - begun,
        equal,
        ..Told::default()
    };
    reader.close().expect("a closed replica");
    Ok(told)
}

/// Starts a child that receives everything of some accounts from `source`, and gives it to it.
///
/// # Panics
/// If the child cannot be started, or fails.
#[must_use]
pub fn give(source: &Replica, accounts: &[AccountId], folder: &Path, seed: u64) -> Told {
    let list = folder.join("accounts");
    let bytes: Vec<u8> = accounts.iter().flat_map(|id| *id.as_bytes()).collect();
    std::fs::write(&list, bytes).expect("a file");
    let task = Task::Receive { home: folder.join("reader"), accounts: list, seed };
    let mut child = start(&task, folder);
    let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take());
    let mut line = Line::new(output.expect("a pipe"), input);
    let (_, other) = line.hear().expect("a child");
    let other = DeviceId::from_bytes(array(&other).expect("a device"));
    line.remote = other;
    line.say(FRAME, source.own_device().as_bytes()).expect("a pipe");
    let session = Session::new(Role::Responder, other, [9; 16], Options::default());
    // The child goes when it has what it wants.
    let _ = talk(session, source, &mut line);
    drop(line);
    end(child, folder)
}

/// Opens a home in a child of its own.
///
/// # Panics
/// If the child cannot be started, or fails.
#[must_use]
pub fn open_apart(home: &Path, folder: &Path) -> Told {
    let child = start(&Task::Open { home: home.to_owned() }, folder);
    end(child, folder)
}

fn start(task: &Task, folder: &Path) -> Child {
    let text = serde_json::to_string(task).expect("JSON");
    std::fs::write(folder.join("task"), text).expect("a file");
    let program = std::env::current_exe().expect("a program");
    Command::new(program)
        .arg("child")
        .args([folder.join("task"), folder.join("told")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child")
}

fn end(mut child: Child, folder: &Path) -> Told {
    let status = child.wait().expect("a child");
    assert!(status.success(), "the child failed: {status}");
    let text = std::fs::read_to_string(folder.join("told")).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

/// A session over a line until its first round has ended here; whether all is equal then.
fn talk<W: Write>(mut session: Session, replica: &Replica, line: &mut Line<W>) -> io::Result<bool> {
    let mut inputs = std::collections::VecDeque::from([Input::Start]);
    loop {
        while let Some(input) = inputs.pop_front() {
            session.handle(TIME_MS, input, replica);
            while let Some(output) = session.poll() {
                match output {
                    Output::Send(frame) => line.say(FRAME, &frame[FRAME_PREFIX_BYTES..])?,
                    Output::Fetch(pack) => line.say(ASK, pack.hash.as_bytes())?,
                    Output::Continue => inputs.push_back(Input::Continue),
                    Output::Close(reason) => return Err(io::Error::other(reason.name())),
                    Output::Finished(outcome) if outcome.kind == OutcomeKind::Round => {
                        line.flush()?;
                        return Ok(outcome.is_equal() && outcome.missing_here == 0);
                    }
                    Output::Finished(_) => {}
                }
            }
        }
        line.flush()?;
        let (kind, bytes) = line.hear()?;
        match kind {
            ASK => {
                let hash = BlobHash::from_bytes(array(&bytes)?);
                match replica.blob_for(&line.remote, &hash).map_err(io::Error::other)? {
                    Some(pack) => line.say(PACK, &[hash.as_bytes(), &*pack].concat())?,
                    None => line.say(ABSENT, hash.as_bytes())?,
                }
            }
            PACK | ABSENT => {
                let hash = BlobHash::from_bytes(array(&bytes[..32])?);
                let bytes = (kind == PACK).then(|| bytes.slice(32..));
                inputs.push_back(Input::Fetched { hash, bytes });
            }
            _ => inputs.push_back(Input::Frame(bytes)),
        }
    }
}

fn array(bytes: &[u8]) -> io::Result<[u8; 32]> {
    bytes.try_into().map_err(io::Error::other)
}

/// Two pipes; what comes is read by a thread, so that both ends may write at once.
struct Line<W: Write> {
    incoming: Receiver<(u8, Bytes)>,
    outgoing: io::BufWriter<W>,
    remote: DeviceId,
}

impl<W: Write> Line<W> {
    fn new(incoming: impl Read + Send + 'static, outgoing: W) -> Self {
        let (sender, receiver) = sync_channel(WAITING);
        std::thread::spawn(move || listen(io::BufReader::new(incoming), &sender));
        let remote = DeviceId::from_bytes([0; 32]);
        Self { incoming: receiver, outgoing: io::BufWriter::new(outgoing), remote }
    }

    fn say(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.outgoing.write_all(&[kind])?;
        self.outgoing.write_all(&length.to_be_bytes())?;
        self.outgoing.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.outgoing.flush()
    }

    fn hear(&mut self) -> io::Result<(u8, Bytes)> {
        self.flush()?;
        self.incoming.recv().map_err(io::Error::other)
    }
}

fn listen(mut from: impl Read, to: &SyncSender<(u8, Bytes)>) -> Option<()> {
    loop {
        let mut head = [0; 5];
        from.read_exact(&mut head).ok()?;
        let [kind, length @ ..] = head;
        let mut bytes = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
        from.read_exact(&mut bytes).ok()?;
        to.send((kind, bytes.into())).ok()?;
    }
}
