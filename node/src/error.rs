//! What can go wrong between the engine and the outside world.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::Fault;

/// A failure of the home folder, the network or a ticket; the API turns it into an exit code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A secret or a private folder can be read by other users.
    #[error("{} has mode {mode:o}, others can read it: chmod {wanted:o} {}", path.display(), path.display())]
    LooseMode {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The bits it should have.
        wanted: u32,
    },
    /// There is no device key in this home.
    #[error("no identity in {}", home.display())]
    NoIdentity {
        /// The home looked at.
        home: PathBuf,
    },
    /// A file of the home exists already and is not overwritten.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file of the home does not hold what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
    /// Half of an identity: the keys or the store are missing, or one is not the other's.
    #[error("{} {reason}; put it back from a copy", path.display())]
    HalfIdentity {
        /// The file or folder at fault.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The keys are under a passphrase, and there is none.
    #[error(
        "{} is sealed, and no passphrase was given: use --passphrase-file, or the setting \
         keys.passphrase_command",
        path.display()
    )]
    Sealed {
        /// The key file.
        path: PathBuf,
    },
    /// The keys are under another passphrase.
    #[error("the passphrase does not open {}: it is another one, or the file was altered", path.display())]
    WrongPassphrase {
        /// The key file.
        path: PathBuf,
    },
    /// The configuration file or an option of it is wrong.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        reason: String,
        /// The setting that has to go, or be another, for the file to be right.
        setting: Option<String>,
    },
    /// A text is not a ticket, or not of the kind asked for.
    #[error("not a valid ticket: {reason}")]
    Ticket {
        /// What is wrong.
        reason: &'static str,
    },
    /// A ticket was used already or is too old.
    #[error("the ticket is {state}")]
    TicketSpent {
        /// `used` or `expired`.
        state: &'static str,
    },
    /// Nobody answered at any address.
    #[error("{peer} does not answer: {reason}")]
    Unreachable {
        /// The peer's short id.
        peer: String,
        /// What was tried.
        reason: String,
    },
    /// The remote refused, or broke the protocol.
    #[error("{peer} {reason}")]
    Peer {
        /// The peer's short id.
        peer: String,
        /// What it did.
        reason: String,
    },
    /// The inviter's account does not take this device.
    #[error("{peer} refuses this device")]
    Refused {
        /// The inviter's short id.
        peer: String,
    },
    /// The certificate was given away, and no answer came: the inviter may have admitted it.
    #[error("{peer} did not confirm the link: {reason}; the keys are kept, try a new ticket")]
    Unconfirmed {
        /// The inviter's short id.
        peer: String,
        /// Why no answer came.
        reason: String,
    },
    /// The endpoint or the local socket cannot be opened.
    #[error("cannot listen on {on}: {reason}")]
    Listen {
        /// Address or socket path.
        on: String,
        /// What the system said.
        reason: String,
    },
    /// A relay that is none.
    #[error("cannot use the relay {url}: {reason}")]
    Relay {
        /// What was given.
        url: String,
        /// What it should be.
        reason: String,
    },
    /// Another process serves this home.
    #[error("a node is running for this home")]
    Running,
    /// The system's source of randomness failed.
    #[error("no randomness from the system: {0}")]
    Entropy(String),
}

impl NodeError {
    /// Wraps an I/O error with what was tried on which path.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// Something is wrong with the settings at a place, and it is not known which one.
    pub(crate) fn config(path: &Path, reason: String) -> Self {
        Self::fault(path, Fault { reason, setting: None })
    }

    /// Something is wrong with a configuration file.
    pub(crate) fn fault(path: &Path, fault: Fault) -> Self {
        let Fault { reason, setting } = fault;
        Self::Config { path: path.to_owned(), reason, setting }
    }
}
