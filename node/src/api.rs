//! The local API: HTTP over the node's socket, or the same router in process.

mod answer;
mod doc;
mod event;
mod failure;
mod identity;
mod join;
mod names;
mod node;
mod older;
mod profile;
mod relation;
mod resolve;
mod save;
mod search;
mod status;
mod store;
mod sync;
mod sync_status;
pub mod types;
mod view;
mod wall;

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;

use crate::app::App;
use types::{ErrorKind, ErrorRecord};

/// Every operation over one home.
pub(crate) fn router(app: Arc<App>) -> Router {
    let router = identity::routes(Router::new());
    let router = join::routes(router);
    let router = profile::routes(router);
    let router = wall::routes(router);
    let router = relation::routes(router);
    let router = save::routes(router);
    let router = search::routes(router);
    let router = sync::routes(router);
    let router = status::routes(router);
    let router = event::routes(router);
    let router = node::routes(router);
    let router = store::routes(router);
    doc::routes(router).fallback(unknown).with_state(app)
}

async fn unknown(uri: Uri) -> axum::response::Response {
    let message = format!("no operation {}", uri.path());
    answer::refuse(ErrorRecord::new(ErrorKind::NotFound, message).with_hint("mosaic help"))
}
