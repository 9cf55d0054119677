//! The local API: HTTP over the node's socket, or the same router in process.

mod answer;
mod attach;
mod audience;
mod backup;
mod create;
mod dm;
mod doc;
mod draft;
mod event;
mod export;
mod failure;
mod feed;
mod holder;
mod hub;
mod identity;
mod import;
mod join;
mod label;
mod metrics;
mod moved;
mod names;
mod node;
mod older;
mod privacy;
mod profile;
mod recover;
mod relation;
mod resolve;
mod save;
mod search;
mod status;
mod store;
mod stream;
mod sync;
mod sync_status;
pub mod types;
mod view;
mod wall;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, Uri};
use axum::response::Response;

use crate::app::App;
pub use backup::COMMIT_HEADER;
pub(crate) use event::note;
pub use export::CONTENTS_HEADER;
pub(crate) use join::device_name;
use types::{ErrorKind, ErrorRecord, VERSION_HEADER};

/// Every operation over one home.
pub(crate) fn router(app: Arc<App>) -> Router {
    let router = identity::routes(Router::new());
    let router = join::routes(router);
    let router = recover::routes(router);
    let router = export::routes(router);
    let router = profile::routes(router);
    let router = wall::routes(router);
    let router = draft::routes(router);
    let router = hub::routes(router);
    let router = dm::routes(router);
    let router = audience::routes(router);
    let router = privacy::routes(router);
    let router = import::routes(router);
    let router = relation::routes(router);
    let router = save::routes(router);
    let router = search::routes(router);
    let router = sync::routes(router);
    let router = holder::routes(router);
    let router = status::routes(router);
    let router = event::routes(router);
    let router = node::routes(router);
    let router = store::routes(router);
    let router = backup::routes(router);
    let router = metrics::routes(router);
    let router = doc::routes(router).fallback(unknown).with_state(app);
    router.layer(axum::middleware::map_response(stamp))
}

/// Says which version answers.
async fn stamp(mut response: Response) -> Response {
    let version = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));
    response.headers_mut().insert(VERSION_HEADER, version);
    response
}

async fn unknown(uri: Uri) -> Response {
    let message = format!("no operation {}", uri.path());
    answer::refuse(ErrorRecord::new(ErrorKind::NotFound, message).with_hint("mosaic help"))
}
