//! Tells open sessions which chains grew by commits here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mosaic_engine::chain::ChainKey;
use mosaic_engine::hash::DocumentId;
use mosaic_engine::replica::{Event, Replica};
use mosaic_engine::sync::News;
use mosaic_engine::sync::exchange::Exchange;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Sessions;

/// Documents whose growth waits to be told; beyond it sessions compare instead.
const DOCUMENTS_MAX: usize = 4096;
/// Chains whose length is remembered from one commit to the next.
const CHAINS_MAX: usize = 16 * 1024;

/// Commits that sessions have not been told of.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// Changes added to each document.
    grown: Mutex<HashMap<DocumentId, u64>>,
    more: Notify,
}

impl Growth {
    /// Watches the commits of a replica.
    pub(super) fn watch(replica: &Replica) -> Arc<Self> {
        let growth = Arc::new(Self::default());
        let noted = growth.clone();
        replica.listen(Box::new(move |events| noted.note(events)));
        growth
    }

    fn note(&self, events: &[Event]) {
        let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let doc = match event {
                Event::Entry { doc, .. } => *doc,
                Event::Head { chain } => chain.doc,
                _ => continue,
            };
            if grown.len() < DOCUMENTS_MAX || grown.contains_key(&doc) {
                *grown.entry(doc).or_default() += 1;
            }
        }
        self.more.notify_one();
    }

    /// Gives every session the news, until stopped.
    pub(super) async fn spread(self: Arc<Self>, sessions: Arc<Sessions>, stop: CancellationToken) {
        let mut lengths = HashMap::new();
        loop {
            tokio::select! {
                () = self.more.notified() => {}
                () = stop.cancelled() => return,
            }
            let grown =
                std::mem::take(&mut *self.grown.lock().unwrap_or_else(PoisonError::into_inner));
            let replica = sessions.replica().clone();
            let found = tokio::task::spawn_blocking(move || {
                let news = news(&replica, &grown, &mut lengths);
                (news, lengths)
            });
            let Ok((news, kept)) = found.await else { return };
            lengths = kept;
            if !news.is_empty() {
                sessions.tell(&news);
            }
        }
    }
}

fn news(
    replica: &Replica,
    grown: &HashMap<DocumentId, u64>,
    lengths: &mut HashMap<ChainKey, u64>,
) -> Vec<News> {
    let mut news = Vec::new();
    for (doc, added) in grown {
        let Ok(heads) = replica.heads(doc) else { continue };
        for head in heads {
            // of a chain not met before, as many changes as the commit may have added
            let before = lengths.get(&head.key).copied();
            let before = before.unwrap_or_else(|| head.held.saturating_sub(*added));
            if head.held <= before {
                continue;
            }
            let Ok(tips) = replica.chain_tips(&head.key) else { continue };
            let Some((section, _)) = tips.first() else { continue };
            news.push(News { section: *section, chain: head.key, from_n: before + 1 });
            if lengths.len() >= CHAINS_MAX {
                lengths.clear();
            }
            lengths.insert(head.key, head.held);
        }
    }
    news
}
