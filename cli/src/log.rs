//! The log of this process: the journal under a service manager, a file a day for a node in the
//! background, else stderr.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use mosaic_node::api::types::{ErrorKind, ErrorRecord};
use mosaic_node::config::{Config, LogConfig};
use mosaic_node::home;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::args::Globals;
use crate::error::Failure;

/// How the names of the files begin; the day follows.
pub(crate) const FILE_PREFIX: &str = "node";
/// How they end.
pub(crate) const FILE_SUFFIX: &str = "log";

/// What a node logs if nobody says otherwise; of datagrams that are none, nothing: anybody can send
/// them.
const NODE_LEVEL: &str =
    "warn,iroh::protocol=error,noq_proto=error,mosaic=info,mosaic_node=info,mosaic_engine=info";

/// Changes the filter while the process runs.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

type Filtered = Layered<reload::Layer<EnvFilter, Registry>, Registry>;
type Lines = Box<dyn Layer<Filtered> + Send + Sync>;

/// What a node logs, and where.
#[derive(Debug, Clone)]
pub(crate) struct NodeLog {
    /// The settings.
    pub(crate) config: LogConfig,
    /// The folder of the files; none means the journal, or stderr.
    pub(crate) folder: Option<PathBuf>,
}

/// Starts the log of a command: silent unless -v or `MOSAIC_LOG` asks.
pub(crate) fn start(globals: &Globals) {
    // Whoever wants to hear less hears the one error that the command ends with.
    let asked = level(globals).filter(|_| !globals.quiet);
    let filter = EnvFilter::new(asked.unwrap_or("off"));
    let filter = EnvFilter::try_from_env("MOSAIC_LOG").unwrap_or(filter);
    init(filter, lines(globals.json, std::io::stderr));
}

/// Starts the log of a node.
///
/// # Errors
/// The filter of the settings is none, or the files cannot be written.
pub(crate) fn start_node(globals: &Globals, log: &NodeLog) -> Result<(), Failure> {
    let filter = node_filter(globals, &log.config)
        .map_err(|reason| Failure::usage(reason, "mosaic config unset log.filter"))?;
    let json = globals.json || log.config.json;
    let lines = match &log.folder {
        Some(folder) => {
            home::private_folder(folder).map_err(ErrorRecord::from)?;
            let files = RollingFileAppender::builder()
                .rotation(Rotation::DAILY)
                .filename_prefix(FILE_PREFIX)
                .filename_suffix(FILE_SUFFIX)
                .max_log_files(log.config.days)
                .build(folder)
                .map_err(|error| {
                    let message = format!("cannot log to {}: {error}", folder.display());
                    Failure::new(ErrorKind::Error, message)
                })?;
            lines(json, files)
        }
        None => match tracing_journald::layer() {
            Ok(journal) if stderr_is_journal() => journal.boxed(),
            _ => lines(json, std::io::stderr),
        },
    };
    init(filter, lines);
    Ok(())
}

/// Returns what brings a changed filter of the settings into force.
pub(crate) fn apply(globals: &Globals) -> mosaic_node::Apply {
    let globals = globals.clone();
    mosaic_node::Apply::new(move |config: &Config| {
        let filter = node_filter(&globals, &config.log)?;
        match FILTER.get() {
            Some(handle) => handle.reload(filter).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    })
}

/// `MOSAIC_LOG` wins over -v, -v over the settings.
fn node_filter(globals: &Globals, config: &LogConfig) -> Result<EnvFilter, String> {
    if let Ok(filter) = EnvFilter::try_from_env("MOSAIC_LOG") {
        return Ok(filter);
    }
    match (level(globals), &config.filter) {
        (Some(level), _) => Ok(EnvFilter::new(level)),
        (None, None) => Ok(EnvFilter::new(NODE_LEVEL)),
        (None, Some(filter)) => {
            EnvFilter::try_new(filter).map_err(|error| format!("log.filter: {error}: '{filter}'"))
        }
    }
}

/// What the flags ask for.
const fn level(globals: &Globals) -> Option<&'static str> {
    match (globals.quiet, globals.verbose) {
        (true, _) => Some("error"),
        (false, 0) => None,
        (false, 1) => Some(NODE_LEVEL),
        (false, 2) => Some("info,mosaic=debug,mosaic_node=debug,mosaic_engine=debug"),
        (false, _) => Some("debug,mosaic=trace,mosaic_node=trace,mosaic_engine=trace"),
    }
}

fn lines<W>(json: bool, writer: W) -> Lines
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    if json { lines.json().boxed() } else { lines.boxed() }
}

fn init(filter: EnvFilter, lines: Lines) {
    let (filter, handle) = reload::Layer::new(filter);
    // It is the only one in this process.
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = FILTER.set(handle);
    }
}

/// Whether what goes to stderr ends in the journal anyway, without levels and fields.
fn stderr_is_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(found) = std::fs::metadata("/dev/stderr") else { return false };
    stream.to_str() == Some(&format!("{}:{}", found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globals(line: &str) -> Globals {
        let words = line.split(' ').map(std::ffi::OsString::from);
        crate::args::parse(words).unwrap().globals
    }

    #[test]
    fn flags_win_over_the_settings_and_a_wrong_filter_is_told() {
        let config = LogConfig { filter: Some("mosaic=trace".to_owned()), ..LogConfig::default() };
        let filter = |line: &str, config| node_filter(&globals(line), config).unwrap().to_string();
        assert_eq!(filter("mosaic status", &config), "mosaic=trace");
        assert_eq!(filter("mosaic status -q", &config), "error");
        assert!(filter("mosaic status", &LogConfig::default()).contains("mosaic_node=info"));
        let wrong = LogConfig { filter: Some("mosaic=loud".to_owned()), ..config };
        let reason = node_filter(&globals("mosaic status"), &wrong).unwrap_err();
        assert!(reason.contains("'mosaic=loud'"), "{reason}");
    }
}
