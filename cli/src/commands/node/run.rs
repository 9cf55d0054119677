//! `node run`: this process becomes the node.

use mosaic_node::{AppOptions, ServeOptions};

use super::Settings;
use crate::context::Context;
use crate::error::Failure;

impl Settings {
    /// Serves until the node is stopped by a signal or `node stop`.
    pub(super) async fn serve(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        if context.globals.timeout.is_some() {
            let message = "a node has no --timeout: it serves until it is stopped";
            return Err(Failure::usage(message, "mosaic node stop"));
        }
        let options = AppOptions { lan: self.lan, relay: self.relay.clone(), ..context.options() };
        let app = context.open(options).await?;
        let socket = context.globals.node.clone();
        let options = ServeOptions { listen: self.listen.clone(), socket };
        mosaic_node::serve(app, options).await?;
        Ok(())
    }
}
