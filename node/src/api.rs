//! The local API: HTTP over the node's socket, or the same router in process.

mod answer;
mod doc;
mod failure;
mod identity;
mod profile;
mod relation;
mod resolve;
mod store;
pub mod types;
mod view;
mod wall;

use std::sync::Arc;

use axum::Router;

use crate::app::App;

/// Every operation over one home.
pub(crate) fn router(app: Arc<App>) -> Router {
    let router = identity::routes(Router::new());
    let router = profile::routes(router);
    let router = wall::routes(router);
    let router = relation::routes(router);
    let router = store::routes(router);
    doc::routes(router).with_state(app)
}
