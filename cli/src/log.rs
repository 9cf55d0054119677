//! The log of this process: stderr, which is a file for a node in the background.

use tracing_subscriber::EnvFilter;

use crate::args::Globals;

/// Starts it. A node always says what matters; other commands only if asked with -v.
pub(crate) fn start(globals: &Globals, node: bool) {
    let level = match (globals.quiet, globals.verbose) {
        (true, _) => "error",
        (false, 0) if node => "warn,mosaic=info,mosaic_node=info,mosaic_engine=info",
        (false, 0) => "off",
        (false, 1) => "warn,mosaic=info,mosaic_node=info,mosaic_engine=info",
        (false, 2) => "info,mosaic=debug,mosaic_node=debug,mosaic_engine=debug",
        (false, _) => "debug,mosaic=trace,mosaic_node=trace,mosaic_engine=trace",
    };
    let filter = EnvFilter::try_from_env("MOSAIC_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    // It is the only one in this process.
    let _ = if globals.json { log.json().try_init() } else { log.try_init() };
}
