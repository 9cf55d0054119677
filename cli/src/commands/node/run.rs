//! `node run`: this process becomes the node.

use mosaic_node::{App, AppOptions, ServeOptions};

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
        let app = App::open(AppOptions {
            home: context.paths.home.clone(),
            state_dir: context.paths.state.clone(),
            lan: self.lan,
            relay: self.relay.clone(),
        })?;
        let socket = context.globals.node.clone();
        let options = ServeOptions { listen: self.listen.clone(), socket };
        mosaic_node::serve(app, options).await?;
        Ok(())
    }
}
