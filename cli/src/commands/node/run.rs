//! `node run`: this process becomes the node.

use mosaic_node::{App, AppOptions, ServeOptions};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use super::Settings;
use crate::context::Context;
use crate::error::Failure;

impl Settings {
    /// Serves until the node is stopped by a signal or `node stop`.
    pub(super) async fn serve(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        log_to_stderr(context.globals.verbose, context.globals.quiet);
        let app = App::open(AppOptions {
            home: context.paths.home.clone(),
            state_dir: context.paths.state.clone(),
            lan: self.lan,
            relay: self.relay.clone(),
        })?;
        let options = ServeOptions { listen: self.listen.clone(), ..ServeOptions::default() };
        mosaic_node::serve(app, options).await?;
        Ok(())
    }
}

/// Sends the log to stderr: a file if the node was started in the background.
fn log_to_stderr(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn,mosaic=info,mosaic_node=info,mosaic_engine=info",
        (false, 1) => "info",
        (false, 2) => "debug",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_env("MOSAIC_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    // Somebody embeds us and logs already: theirs is as good.
    let _ = log.try_init();
}
