//! Reports to moderators. Everybody sees that somebody reports something; what he says opens for
//! the devices that it was sealed to alone.

use super::super::{EntryRef, Wrap, read_ref, write_ref};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, DeviceId, EpochId};
use crate::limits::{
    BODY_SALT_BYTES, HUB_REPORT_BYTES_MAX, HUB_REPORT_DEVICES_MAX, HUB_REPORT_REASON_BYTES_MAX,
    HUB_REPORT_TEXT_BYTES_MAX,
};
use crate::seal::WRAP_BYTES;

/// Bytes of the tag of what is sealed.
const TAG_BYTES: usize = 16;
/// What a report says is filled up to this, so that its length tells nothing.
const PLAIN_BYTES: usize = HUB_REPORT_BYTES_MAX - TAG_BYTES;

/// A report as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedReport {
    /// Hash of the key that it is sealed with, so that nobody can open it to anything else.
    pub epoch: EpochId,
    /// The key, sealed to devices; 1 to 64, rising by device. Those of whom the report is about
    /// get a copy that opens for nobody.
    pub wraps: Vec<Wrap>,
    /// An encoded [`Report`], sealed.
    pub sealed: Vec<u8>,
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportSubject {
    /// A message, reaction or poll.
    Message(EntryRef),
    /// A member.
    Member(AccountId),
}

impl ReportSubject {
    /// Whose doing it is.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        match self {
            Self::Message(entry) => entry.account,
            Self::Member(account) => *account,
        }
    }
}

/// What a report says to those who can open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it is about.
    pub about: ReportSubject,
    /// Why; at most 1,024 bytes.
    pub reason: String,
    /// The body of the message, as its author signed the hash of it; empty if it is long, or was
    /// not here. At most 2,048 bytes and the salt.
    pub body: Vec<u8>,
}

impl SealedReport {
    /// Appends `epoch 32 ‖ wraps ‖ sealed bytes`.
    pub(super) fn encode(&self, w: &mut Writer) {
        w.raw(self.epoch.as_bytes()).varint(self.wraps.len() as u64);
        for wrap in &self.wraps {
            w.raw(wrap.device.as_bytes()).bytes(&wrap.sealed);
        }
        w.bytes(&self.sealed);
    }

    /// Reads one.
    ///
    /// # Errors
    /// If malformed or over a limit.
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let epoch = EpochId::from_bytes(r.array("key of a report")?);
        let count = r.count(HUB_REPORT_DEVICES_MAX, "wraps")?;
        let mut wraps: Vec<Wrap> = Vec::with_capacity(count);
        for _ in 0..count {
            let device = DeviceId::from_bytes(r.array("device")?);
            if wraps.last().is_some_and(|last| last.device >= device) {
                return Err(DecodeError::Rule("devices are not in strictly rising order"));
            }
            let sealed = r.bytes(WRAP_BYTES, "wrap")?.to_vec();
            if sealed.len() != WRAP_BYTES {
                return Err(DecodeError::Rule("a wrap has 81 bytes"));
            }
            wraps.push(Wrap { device, sealed });
        }
        if wraps.is_empty() {
            return Err(DecodeError::Rule("a report for nobody"));
        }
        let sealed = r.bytes(HUB_REPORT_BYTES_MAX, "report")?.to_vec();
        Ok(Self { epoch, wraps, sealed })
    }
}

impl Report {
    /// Encodes `1 message entry, or 2 member account ‖ reason ‖ body`, and zeros up to
    /// 4,080 bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match &self.about {
            ReportSubject::Message(entry) => write_ref(w.u8(1), entry),
            ReportSubject::Member(account) => {
                w.u8(2).raw(account.as_bytes());
            }
        }
        w.text(&self.reason).bytes(&self.body);
        let mut bytes = w.finish();
        bytes.resize(PLAIN_BYTES.max(bytes.len()), 0);
        bytes
    }

    /// Reads one that was opened.
    ///
    /// # Errors
    /// If malformed or over a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let about = match r.u8("subject of a report")? {
            1 => ReportSubject::Message(read_ref(&mut r)?),
            2 => ReportSubject::Member(AccountId::from_bytes(r.array("account")?)),
            value => return Err(DecodeError::Unknown { reading: "subject of a report", value }),
        };
        let reason = r.text(HUB_REPORT_REASON_BYTES_MAX, "reason")?.to_owned();
        let most = HUB_REPORT_TEXT_BYTES_MAX + BODY_SALT_BYTES;
        let body = r.bytes(most, "body of what is reported")?.to_vec();
        if bytes.len() != PLAIN_BYTES || r.rest().iter().any(|byte| *byte != 0) {
            return Err(DecodeError::Rule("a report is filled up with zeros to its one length"));
        }
        Ok(Self { about, reason, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::ChangeId;

    #[test]
    fn the_longest_report_fits_and_its_length_tells_nothing() {
        let entry = EntryRef {
            account: AccountId::from_bytes([1; 32]),
            entry: ChangeId::from_bytes([2; 32]),
        };
        for (reason, body) in [(0, 0), (HUB_REPORT_REASON_BYTES_MAX, HUB_REPORT_TEXT_BYTES_MAX)] {
            let about = ReportSubject::Message(entry);
            let body = vec![b'y'; body + BODY_SALT_BYTES];
            let report = Report { about, reason: "x".repeat(reason), body };
            let bytes = report.encode();
            assert_eq!(bytes.len() + TAG_BYTES, HUB_REPORT_BYTES_MAX);
            assert_eq!(Report::decode(&bytes), Ok(report));
            // Nothing else has a place in it.
            let mut more = bytes.clone();
            *more.last_mut().unwrap() = 1;
            assert!(Report::decode(&more).is_err() && Report::decode(&bytes[1..]).is_err());
            assert!(Report::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        let member = ReportSubject::Member(AccountId::from_bytes([1; 32]));
        let long = "x".repeat(HUB_REPORT_REASON_BYTES_MAX + 1);
        let report = Report { about: member, reason: long, body: Vec::new() };
        assert!(Report::decode(&report.encode()).is_err());
    }
}
