//! Messages of a link, one at a time, each with a deadline.

use iroh::endpoint::{RecvStream, SendStream};
use tokio::time::timeout;

use super::{KIND_REFUSAL, LINK_MESSAGE_BYTES_MAX, MESSAGE_TIMEOUT};
use crate::error::NodeError;

/// Why an inviter says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No open invitation has this secret.
    Unknown = 1,
    /// The invitation was used.
    Used = 2,
    /// The invitation is too old.
    Expired = 3,
    /// The account does not take the device.
    Denied = 4,
}

impl Refusal {
    fn from_byte(byte: u8) -> Self {
        match byte {
            2 => Self::Used,
            3 => Self::Expired,
            4 => Self::Denied,
            _ => Self::Unknown,
        }
    }

    fn error(self, peer: String) -> NodeError {
        match self {
            Self::Used => NodeError::TicketSpent { state: "used already" },
            Self::Expired => NodeError::TicketSpent { state: "expired" },
            Self::Unknown => NodeError::TicketSpent { state: "not open any more" },
            Self::Denied => NodeError::Refused { peer },
        }
    }
}

/// One stream, spoken message by message.
pub(super) struct Frames {
    pub(super) peer: String,
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
}

impl Frames {
    pub(super) async fn write(&mut self, kind: u8, body: &[u8]) -> Result<(), NodeError> {
        let length = u32::try_from(body.len().saturating_add(1)).unwrap_or(u32::MAX);
        let mut message = length.to_be_bytes().to_vec();
        message.push(kind);
        message.extend_from_slice(body);
        let written = timeout(MESSAGE_TIMEOUT, self.send.write_all(&message)).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.broken(&error)),
            Err(_) => Err(self.broken(&"it does not read")),
        }
    }

    pub(super) async fn refuse(&mut self, refusal: Refusal) {
        let _ = self.write(KIND_REFUSAL, &[refusal as u8]).await;
        let _ = self.send.finish();
        // the connection goes with the handler: wait until the remote has it
        let _ = timeout(MESSAGE_TIMEOUT, self.send.stopped()).await;
    }

    /// Reads the next message, which must be of `kind`.
    pub(super) async fn read(&mut self, kind: u8) -> Result<Vec<u8>, NodeError> {
        match timeout(MESSAGE_TIMEOUT, self.read_any()).await {
            Ok(Ok((found, body))) if found == kind => Ok(body),
            Ok(Ok((KIND_REFUSAL, body))) => {
                let refusal = Refusal::from_byte(body.first().copied().unwrap_or_default());
                Err(refusal.error(self.peer.clone()))
            }
            Ok(Ok((found, _))) => Err(self.broken(&format!("message {found} out of turn"))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.broken(&"it sends nothing")),
        }
    }

    async fn read_any(&mut self) -> Result<(u8, Vec<u8>), NodeError> {
        let mut header = [0; 5];
        self.exact(&mut header).await?;
        let [a, b, c, d, kind] = header;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length == 0 || length > LINK_MESSAGE_BYTES_MAX {
            return Err(self.broken(&format!("a message of {length} bytes")));
        }
        let mut body = vec![0; length.saturating_sub(1)];
        self.exact(&mut body).await?;
        Ok((kind, body))
    }

    async fn exact(&mut self, into: &mut [u8]) -> Result<(), NodeError> {
        let read = self.recv.read_exact(into).await;
        read.map_err(|error| self.broken(&error))
    }

    pub(super) fn broken(&self, reason: &impl ToString) -> NodeError {
        let reason = format!("broke off the link: {}", reason.to_string());
        NodeError::Peer { peer: self.peer.clone(), reason }
    }
}
