//! Drafts with a time go out from a running node.

use std::sync::Arc;
use std::time::Duration;

use mosaic_engine::replica::{EngineError, Replica};

use crate::app::App;
use crate::clock;

/// How long at most between two looks: clocks are set, and computers sleep.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long commits may gather before the next look.
const GATHER: Duration = Duration::from_millis(200);

/// Posts what is due until the node stops.
pub(crate) fn keep_posting(app: &Arc<App>) {
    let app = app.clone();
    tokio::spawn(async move {
        let stop = app.stopping().clone();
        stop.run_until_cancelled(post_in_time(&app)).await;
    });
}

async fn post_in_time(app: &App) {
    let started_ms = clock::now_ms();
    let mut news = app.news();
    loop {
        news.mark_unchanged();
        let wait = match app.replica() {
            Ok(replica) => {
                let look = tokio::task::spawn_blocking(move || look(&replica, started_ms));
                look.await.unwrap_or(LOOK_AGAIN)
            }
            Err(_) => LOOK_AGAIN,
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = news.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(GATHER.min(wait)).await;
            }
        }
    }
}

/// Posts what is due now and returns how long to wait for the rest.
fn look(replica: &Replica, started_ms: u64) -> Duration {
    match post_due(replica, started_ms) {
        Ok(wait) => wait,
        Err(error) => {
            tracing::warn!(%error, "scheduled posts wait");
            LOOK_AGAIN
        }
    }
}

fn post_due(replica: &Replica, started_ms: u64) -> Result<Duration, EngineError> {
    let withdrawn = replica.settle_drafts(clock::now_ms())?;
    if withdrawn > 0 {
        tracing::info!(withdrawn, "posts that another device had made as well were withdrawn");
    }
    let due = replica.due_drafts(started_ms, clock::now_ms())?;
    for draft in due.now {
        let post = replica.post_draft(draft, clock::now_ms())?;
        tracing::info!(%draft, %post, "a scheduled post went out");
    }
    let wait = due.next_ms.map_or(LOOK_AGAIN, |next_ms| {
        Duration::from_millis(next_ms.saturating_sub(clock::now_ms()))
    });
    Ok(wait.min(LOOK_AGAIN))
}
