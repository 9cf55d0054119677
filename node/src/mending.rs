//! Passes keys of conversations on while the node runs: to devices that were linked since, and to
//! those that ask for one.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::clock;

/// How long what comes in gathers before it is looked at.
const GATHER: Duration = Duration::from_secs(1);

/// Looks at what is here, and then at what comes, until the node stops.
pub(crate) async fn keep_mended(app: Arc<App>) {
    let mut news = app.news();
    let stop = app.stopping().clone();
    loop {
        news.mark_unchanged();
        let Ok(replica) = app.replica() else { return };
        let mend = move || replica.mend_conversations(clock::now_ms());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(mend).await {
            tracing::warn!(%error, "keys of conversations were not passed on");
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
