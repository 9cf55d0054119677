//! How much has moved while a sync goes on.

use std::collections::BTreeMap;

use mosaic_engine::hash::DeviceId;
use mosaic_engine::sync::outcome::Counters;

use super::types::Progress;

/// Peers that are being met, and what moved between them and this node since then.
#[derive(Debug, Default)]
pub(super) struct Moved(BTreeMap<DeviceId, Bytes>);

#[derive(Debug, Default)]
struct Bytes {
    /// What the session had moved before.
    before: u64,
    /// What was told last.
    told: u64,
}

impl Moved {
    /// Begins with a peer, whose session has moved `total` if there is one.
    pub(super) fn begin(&mut self, device: DeviceId, total: Option<Counters>) {
        let before = total.map_or(0, |total| bytes(&total));
        self.0.insert(device, Bytes { before, told: 0 });
    }

    /// Ends with a peer.
    pub(super) fn end(&mut self, device: &DeviceId) {
        self.0.remove(device);
    }

    /// Returns how far those are with whom something moved since this was asked last.
    pub(super) fn news(&mut self, total: impl Fn(&DeviceId) -> Option<Counters>) -> Vec<Progress> {
        let mut news = Vec::new();
        for (device, known) in &mut self.0 {
            let Some(now) = total(device).map(|total| bytes(&total)) else { continue };
            if now < known.before.saturating_add(known.told) {
                // a session that was opened anew counts from nothing
                *known = Bytes::default();
            }
            let done_bytes = now.saturating_sub(known.before);
            if done_bytes > known.told {
                known.told = done_bytes;
                let (op, peer) = ("sync".to_owned(), Some(device.to_string()));
                news.push(Progress { op, peer, done_bytes, ..Progress::default() });
            }
        }
        news
    }
}

const fn bytes(of: &Counters) -> u64 {
    let changes = of.inline_bytes.saturating_add(of.blob_bytes);
    changes.saturating_add(of.body_bytes).saturating_add(of.control_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_moved_is_news() {
        let (one, other) = (DeviceId::from_bytes([1; 32]), DeviceId::from_bytes([2; 32]));
        let counted = |body_bytes| Counters { body_bytes, control_bytes: 5, ..Counters::default() };
        let mut moved = Moved::default();
        moved.begin(one, Some(counted(95)));
        moved.begin(other, None);
        let mut news = |bytes: u64| {
            let news = moved.news(|device| (*device == one).then(|| counted(bytes)));
            news.into_iter().map(|told| (told.peer, told.done_bytes)).collect::<Vec<_>>()
        };
        let of = |bytes| vec![(Some(one.to_string()), bytes)];
        assert_eq!(news(95), []);
        assert_eq!(news(195), of(100));
        assert_eq!(news(195), []);
        assert_eq!(news(295), of(200));
        // it began anew
        assert_eq!(news(15), of(20));
        assert_eq!(news(16), of(21));
        moved.end(&one);
        assert_eq!(moved.news(|_| Some(counted(100))).len(), 1);
    }
}
