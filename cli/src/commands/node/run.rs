//! `node run`: this process becomes the node.

use mosaic_node::api::types::ErrorRecord;
use mosaic_node::config::{Config, Settings as Configured};
use mosaic_node::{AppOptions, ServeOptions};

use super::{LogFormat, Run};
use crate::context::Context;
use crate::error::Failure;
use crate::log::{self, NodeLog};

impl Run {
    /// Serves until the node is stopped by a signal or `node stop`.
    pub(super) async fn serve(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        if context.globals.timeout.is_some() {
            let message = "a node has no --timeout: it serves until it is stopped";
            return Err(Failure::usage(message, "mosaic node stop"));
        }
        let settings = &self.settings;
        self.start_log(context)?;
        let options =
            AppOptions { lan: settings.lan, relay: settings.relay.clone(), ..context.options() };
        let app = context.open(options).await?;
        let options = ServeOptions {
            listen: settings.listen.clone(),
            socket: context.globals.node.clone(),
            apply: Some(log::apply(&context.globals)),
        };
        mosaic_node::serve(app, options).await?;
        Ok(())
    }

    fn start_log(&self, context: &Context<'_>) -> Result<(), Failure> {
        let configured = Configured::load(&context.layers()).map_err(ErrorRecord::from)?;
        let mut config = Config::from(&configured).log;
        if let Some(format) = self.settings.log_format {
            config.json = matches!(format, LogFormat::Json);
        }
        let folder = self.background.then(|| context.paths.logs());
        log::start_node(&context.globals, &NodeLog { config, folder })
    }
}
