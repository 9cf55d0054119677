//! Finding an account by its words, over `mosaic/recover/1`.
//!
//! Whoever has lost every device knows the words and a node, not the account. He asks for the
//! hash of the policy that the words derive, which tells nobody the words, and is told what an
//! account that these words claim began with. The answer proves itself: the genesis commits to
//! the policy, and everything else is signed by its keys.
//!
//! ```text
//! asker -> keeper   version, policy                                       33 bytes
//! asker <- keeper   0; or 1, frozen, genesis, rotations, highest certificate
//! ```
//! No answer and no such words look alike.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use iroh::endpoint::Connection;
use iroh::protocol::{AcceptError, ProtocolHandler};
use mosaic_engine::codec::{DecodeError, Reader, Writer};
use mosaic_engine::hash::PolicyId;
use mosaic_engine::identity::{
    CertificatePath, Genesis, RecoveryCertificate, RecoveryPolicy, Rotation, Verifier,
};
use mosaic_engine::limits::ROTATIONS_MAX;
use mosaic_engine::replica::{Recoverable, Replica};
use tokio::time::timeout;

use crate::clock;
use crate::endpoint::Net;
use crate::error::NodeError;
use crate::ticket::NodeTicket;

/// The protocol name.
pub(crate) const RECOVER_ALPN: &[u8] = b"mosaic/recover/1";
/// How long question and answer may take, each.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a question.
const QUESTION_BYTES: usize = 1 + 32;
/// Bytes of an answer: a genesis, all rotations and the longest certificate.
const ANSWER_BYTES_MAX: usize =
    2 + Genesis::LEN + 1 + ROTATIONS_MAX * Rotation::LEN + 1 + RecoveryCertificate::LEN_MAX;
/// Questions answered at once after a pause, and from then on in a second.
const QUESTIONS_SAVED: u32 = 32;
const QUESTIONS_A_SECOND: u32 = 4;
const VERSION: u8 = 1;

/// Answers those who ask, not more than so many in a time.
#[derive(Clone, Debug)]
pub(crate) struct RecoverHandler {
    replica: Arc<Replica>,
    allowance: Arc<Mutex<Allowance>>,
}

impl RecoverHandler {
    pub(crate) fn new(replica: Arc<Replica>) -> Self {
        let allowance = Allowance { left: QUESTIONS_SAVED, since: clock::instant() };
        Self { replica, allowance: Arc::new(Mutex::new(allowance)) }
    }

    async fn answer(&self, connection: &Connection) -> Result<(), NodeError> {
        let peer = connection.remote_id().fmt_short().to_string();
        let broken = |reason: String| NodeError::Peer { peer: peer.clone(), reason };
        if !self.allowance.lock().unwrap_or_else(PoisonError::into_inner).take(clock::instant()) {
            return Err(broken("asks while too many do".to_owned()));
        }
        let opened = timeout(TIMEOUT, connection.accept_bi()).await;
        let Ok(Ok((mut send, mut recv))) = opened else {
            return Err(broken("opened no stream".to_owned()));
        };
        let question = timeout(TIMEOUT, recv.read_to_end(QUESTION_BYTES)).await;
        let question = match question {
            Ok(Ok(question)) => question,
            Ok(Err(error)) => return Err(broken(format!("asks badly: {error}"))),
            Err(_) => return Err(broken("asks nothing".to_owned())),
        };
        let policy = parse_question(&question).map_err(|error| broken(error.to_string()))?;
        let replica = self.replica.clone();
        let found = tokio::task::spawn_blocking(move || replica.recoverable(&policy)).await;
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "an account was not looked for");
                None
            }
            Err(_) => None,
        };
        let written = timeout(TIMEOUT, send.write_all(&encode(found.as_ref()))).await;
        if !matches!(written, Ok(Ok(()))) {
            return Err(broken("does not read the answer".to_owned()));
        }
        let _ = send.finish();
        // the asker closes once it has read everything
        let _ = timeout(TIMEOUT, connection.closed()).await;
        Ok(())
    }
}

impl ProtocolHandler for RecoverHandler {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        if let Err(error) = self.answer(&connection).await {
            tracing::info!(%error, "a question for an account was not answered");
        }
        Ok(())
    }
}

/// How many more questions are answered now.
#[derive(Debug)]
struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / QUESTIONS_A_SECOND;
        let passed = now.saturating_duration_since(self.since);
        let more = u32::try_from(passed.as_millis() / each.as_millis()).unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(QUESTIONS_SAVED);
            self.since = now;
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

/// Asks one node for the account that words of this policy claim; `None` if it knows of none.
///
/// # Errors
/// [`NodeError::Unreachable`] if nobody answers, [`NodeError::Peer`] if the answer is none, or is
/// not about this policy.
pub(crate) async fn ask(
    net: &Net,
    node: &NodeTicket,
    policy: &RecoveryPolicy,
) -> Result<Option<Recoverable>, NodeError> {
    let peer = node.device.short();
    let broken = |reason: String| NodeError::Peer { peer: peer.clone(), reason };
    let connection = net.connect(node, RECOVER_ALPN).await?;
    let asking = async {
        let (mut send, mut recv) =
            connection.open_bi().await.map_err(|error| format!("took no question: {error}"))?;
        let question = [&[VERSION][..], policy.id().as_bytes()].concat();
        let written = send.write_all(&question).await;
        written.map_err(|error| format!("took no question: {error}"))?;
        let _ = send.finish();
        let answer = recv.read_to_end(ANSWER_BYTES_MAX).await;
        answer.map_err(|error| format!("gave no answer: {error}"))
    };
    let answer = timeout(TIMEOUT, asking).await;
    connection.close(0u32.into(), b"asked");
    let answer = answer.map_err(|_| broken("gave no answer in time".to_owned()))?;
    let answer = answer.map_err(&broken)?;
    let found = decode(&answer).map_err(|error| broken(format!("answered badly: {error}")))?;
    match found {
        Some(found) if !proves(&found, policy) => {
            Err(broken("answered with an account of other words".to_owned()))
        }
        found => Ok(found),
    }
}

/// Whether an answer is about an account that commits to this policy.
fn proves(found: &Recoverable, policy: &RecoveryPolicy) -> bool {
    let (account, verifier) = (found.genesis.account(), Verifier::new());
    let mut committed = PolicyId::from_bytes(found.genesis.recovery);
    for rotation in &found.rotations {
        if rotation.policy.id() != committed || rotation.verify(&account, &verifier).is_err() {
            return false;
        }
        committed = rotation.next;
    }
    let highest = found.highest.clone().is_none_or(|highest| {
        let of_these = highest.policy == *policy;
        let path = CertificatePath::recovered(found.genesis.clone(), highest);
        of_these && path.verify(&verifier).is_ok()
    });
    committed == policy.id() && highest
}

fn parse_question(bytes: &[u8]) -> Result<PolicyId, DecodeError> {
    let mut r = Reader::new(bytes);
    let value = r.u8("recovery version")?;
    if value != VERSION {
        return Err(DecodeError::Unknown { reading: "recovery version", value });
    }
    let policy = PolicyId::from_bytes(r.array("recovery policy")?);
    r.end()?;
    Ok(policy)
}

fn encode(found: Option<&Recoverable>) -> Vec<u8> {
    let mut w = Writer::new();
    let Some(found) = found else {
        w.u8(0);
        return w.finish();
    };
    w.u8(1).u8(u8::from(found.frozen)).raw(&found.genesis.encode());
    w.varint(found.rotations.len() as u64);
    for rotation in &found.rotations {
        w.raw(&rotation.encode());
    }
    match &found.highest {
        None => w.u8(0),
        Some(highest) => w.u8(1).raw(&highest.encode()),
    };
    w.finish()
}

fn decode(bytes: &[u8]) -> Result<Option<Recoverable>, DecodeError> {
    let mut r = Reader::new(bytes);
    if !flag(&mut r)? {
        r.end()?;
        return Ok(None);
    }
    let frozen = flag(&mut r)?;
    let genesis = Genesis::decode(&mut r)?;
    let count = r.count(ROTATIONS_MAX, "rotations")?;
    let rotations = (0..count).map(|_| Rotation::decode(&mut r)).collect::<Result<_, _>>()?;
    let highest = flag(&mut r)?.then(|| RecoveryCertificate::decode(&mut r)).transpose()?;
    r.end()?;
    Ok(Some(Recoverable { genesis, rotations, highest, frozen }))
}

fn flag(r: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match r.u8("flag")? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(DecodeError::Unknown { reading: "flag", value }),
    }
}

#[cfg(test)]
mod tests {
    use mosaic_engine::identity::{DeviceSecret, RecoverySecret};

    use super::*;
    use crate::entropy::OsEntropy;

    fn words(seed: u8) -> RecoverySecret {
        RecoverySecret::derive(&[seed; 32]).unwrap()
    }

    fn found() -> Recoverable {
        let entropy = OsEntropy::open().unwrap();
        let (first, second) = (DeviceSecret::generate(&entropy), DeviceSecret::generate(&entropy));
        let recovery = *words(0).policy().id().as_bytes();
        let genesis = Genesis::create(&first, recovery, 1, &entropy);
        let account = genesis.account();
        let rotations = vec![words(0).rotate(account, words(1).policy().id(), &[], 2)];
        let highest = words(1).certify(account, rotations.clone(), &second, 201, 3).unwrap();
        Recoverable { genesis, rotations, highest: Some(highest), frozen: false }
    }

    #[test]
    fn answers_round_trip_and_prove_themselves() {
        let found = found();
        for answer in
            [None, Some(found.clone()), Some(Recoverable { highest: None, ..found.clone() })]
        {
            let bytes = encode(answer.as_ref());
            assert!(bytes.len() <= ANSWER_BYTES_MAX);
            assert_eq!(decode(&bytes).as_ref(), Ok(&answer));
        }
        assert!(proves(&found, words(1).policy()));
        assert!(!proves(&found, words(0).policy()) && !proves(&found, words(2).policy()));
        let rotations = Vec::new();
        assert!(!proves(&Recoverable { rotations, ..found.clone() }, words(1).policy()));
        let mut other = found.clone();
        other.genesis.nonce = [9; 16];
        assert!(!proves(&other, words(1).policy()));
    }

    #[test]
    fn every_altered_answer_is_refused() {
        let honest = encode(Some(&found()));
        for at in 0..honest.len() {
            let mut altered = honest.clone();
            altered[at] ^= 1;
            let decoded = decode(&altered);
            // whether the account is frozen is the keeper's word
            let taken = decoded.ok().flatten().is_some_and(|it| proves(&it, words(1).policy()));
            assert_eq!(taken, at == 1, "byte {at}");
        }
        assert!(decode(&[]).is_err() && decode(&[2]).is_err() && decode(&[0, 0]).is_err());
        assert!(parse_question(&[1; 32]).is_err() && parse_question(&[2; 33]).is_err());
    }

    #[test]
    fn questions_are_few() {
        let start = clock::instant();
        let mut allowance = Allowance { left: QUESTIONS_SAVED, since: start };
        let taken = (0..1000).filter(|_| allowance.take(start)).count();
        assert_eq!(taken, QUESTIONS_SAVED as usize);
        let later = start + Duration::from_millis(1100);
        assert_eq!((0..1000).filter(|_| allowance.take(later)).count(), 4);
        let much = start + Duration::from_secs(3600);
        let taken = (0..1000).filter(|_| allowance.take(much)).count();
        assert_eq!(taken, QUESTIONS_SAVED as usize);
    }
}
