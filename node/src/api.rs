//! The local API: HTTP over the node's socket, or the same router in process.

mod answer;
mod failure;
pub mod types;

use std::sync::Arc;

use axum::Router;

use crate::app::App;

/// Every operation over one home.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new().with_state(app)
}
