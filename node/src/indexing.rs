//! Keeps the search index of a running node up to date, so that nobody waits for it who searches.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;

/// How long what is written gathers before it is indexed.
const GATHER: Duration = Duration::from_secs(1);

/// Indexes what is here, and then what comes, until the node stops.
pub(crate) async fn keep_indexed(app: Arc<App>) {
    let mut news = app.news();
    let stop = app.stopping().clone();
    loop {
        news.mark_unchanged();
        let Ok(replica) = app.replica() else { return };
        let settled = tokio::task::spawn_blocking(move || replica.settle_index()).await;
        match settled {
            Ok(Ok(count)) if count > 0 => tracing::debug!(count, "indexed"),
            // A search tries again, and tells.
            Ok(Err(error)) => tracing::warn!(%error, "the search index is behind"),
            _ => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = news.changed() => if changed.is_err() { return },
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(GATHER) => {}
        }
    }
}
