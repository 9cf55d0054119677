//! Passes keys of conversations on while the node runs: to devices that were linked since, and to
//! those that ask for one; drops texts whose time is over, and vouches for who joined hubs.

use std::sync::Arc;
use std::time::Duration;

use mosaic_engine::replica::{EngineError, Replica};

use crate::app::App;
use crate::clock;

/// How long what comes in gathers before it is looked at.
const GATHER: Duration = Duration::from_secs(1);
/// How often it is looked whether the time of a text is over, at least.
const LOOK: Duration = Duration::from_secs(600);

/// Erases keys whose time is over, changes the own prekey if it is old, vouches for joins by own invitations, and
/// passes keys on. Only that the last fails is a reason to seal nothing.
///
/// # Errors
/// If keys cannot be passed on.
pub(crate) fn mend_keys(replica: &Replica, now_ms: u64) -> Result<(), EngineError> {
    if let Err(error) = replica.forget_keys(now_ms) {
        tracing::warn!(%error, "keys of texts whose time is over were not erased");
    }
    if let Err(error) = replica.tend_prekeys(now_ms) {
        tracing::warn!(%error, "the key that others seal to was not changed");
    }
    if let Err(error) = replica.vouch_for_joins(now_ms) {
        tracing::warn!(%error, "nothing vouches for who joined hubs by invitations of this account");
    }
    replica.mend_conversations(now_ms)
}

/// Looks at what is here, and then at what comes, until the node stops.
pub(crate) async fn keep_mended(app: Arc<App>) {
    let mut news = app.news();
    let stop = app.stopping().clone();
    loop {
        news.mark_unchanged();
        let Ok(replica) = app.replica() else { return };
        let mend = move || {
            let now_ms = clock::now_ms();
            if let Err(error) = replica.expire(now_ms) {
                tracing::warn!(%error, "texts whose time is over were not dropped");
            }
            mend_keys(&replica, now_ms)?;
            Ok::<_, EngineError>(replica.next_expiry()?.map(|at_ms| at_ms.saturating_sub(now_ms)))
        };
        let next_ms = match tokio::task::spawn_blocking(mend).await {
            Ok(Ok(next_ms)) => next_ms.map(Duration::from_millis),
            Ok(Err(error)) => {
                tracing::warn!(%error, "keys of conversations were not passed on");
                None
            }
            Err(_) => None,
        };
        // A clock that is set again is looked at after a while.
        let next = next_ms.unwrap_or(LOOK).clamp(GATHER, LOOK);
        tokio::select! {
            () = stop.cancelled() => return,
            changed = news.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(next) => continue,
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(GATHER) => {}
        }
    }
}
