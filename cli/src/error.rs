//! Failures: an exit code, one line of what and why, one command to try next.

use std::io;
use std::process::ExitCode;

use mosaic_node::api::types::{ErrorKind, ErrorRecord};

use crate::output;

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A failure to tell.
    Error(ErrorRecord),
    /// A failure that was told already.
    Told(ErrorKind),
    /// Who read our output has gone: nothing to tell, nothing wrong.
    Closed,
}

impl Failure {
    /// Makes a failure of `kind` with its default hint.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Error(ErrorRecord::new(kind, message))
    }

    /// Makes a failure of `kind` with a command to try.
    pub(crate) fn hinted(
        kind: ErrorKind,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Error(ErrorRecord::new(kind, message).with_hint(hint))
    }

    /// The time that `--timeout` gave is over.
    pub(crate) fn late() -> Self {
        Self::new(ErrorKind::Timeout, "the time given by --timeout is over")
    }

    /// Makes a usage error with a command to try.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::hinted(ErrorKind::Usage, message, hint)
    }
}

impl From<ErrorRecord> for Failure {
    fn from(record: ErrorRecord) -> Self {
        Self::Error(record)
    }
}

/// Failures of writing our output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Closed;
        }
        Self::new(ErrorKind::Error, format!("cannot write the output: {error}"))
    }
}

/// Returns the exit code of an outcome.
pub(crate) fn exit_code(outcome: &Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Error(record)) => ExitCode::from(record.code),
        Err(Failure::Told(kind)) => ExitCode::from(kind.code()),
    }
}

/// What parsing ended in, other than a command.
#[derive(Debug)]
pub(crate) enum Early {
    /// Help, version or a usage error of the parser, whether JSON was asked for, and a command
    /// to try.
    Clap(clap::Error, bool, String),
}

impl Early {
    /// Prints it and returns the exit code.
    pub(crate) fn finish(self) -> ExitCode {
        let Self::Clap(error, json, hint) = self;
        let text = error.to_string();
        if error.use_stderr() && json {
            let record = ErrorRecord::new(ErrorKind::Usage, first_line(&text));
            output::json_error(&record.with_hint(help_of(&text).unwrap_or(hint)));
        } else if error.use_stderr() {
            output::clap_error(&error, &help_of(&text).unwrap_or(hint));
        } else {
            output::clap(&error);
        }
        ExitCode::from(if error.use_stderr() { ErrorKind::Usage.code() } else { 0 })
    }
}

/// Returns the command whose help says how it is meant, as the usage line names it.
fn help_of(text: &str) -> Option<String> {
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: "))?;
    let words = usage.split_whitespace();
    let named: Vec<&str> =
        words.take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect();
    Some(format!("{} --help", named.join(" ")))
}

fn first_line(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let end = text.find("\n\n").unwrap_or(text.len());
    let first = text.get(..end).unwrap_or(text);
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_exits_with_its_code() {
        for kind in ErrorKind::ALL {
            let outcome = Err(Failure::new(kind, "x"));
            let expected = ExitCode::from(kind.code());
            assert_eq!(format!("{:?}", exit_code(&outcome)), format!("{expected:?}"));
        }
    }

    #[test]
    fn a_reader_that_goes_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(failure, Failure::Closed));
        let code = format!("{:?}", exit_code(&Err(failure)));
        assert_eq!(code, format!("{:?}", ExitCode::SUCCESS));
    }

    #[test]
    fn usage_errors_name_the_help_that_helps() {
        let text = "error: unexpected argument '--x'\n\nUsage: mosaic wall edit [OPTIONS] <ID>\n";
        assert_eq!(help_of(text).unwrap(), "mosaic wall edit --help");
        assert_eq!(help_of("error: invalid value"), None);
    }

    #[test]
    fn usage_errors_become_one_line() {
        let text = "error: unexpected argument '--x' found\n\nUsage: mosaic";
        assert_eq!(first_line(text), "unexpected argument '--x' found");
        let text = "error: the following required arguments were not provided:\n  <ID>\n\nUsage";
        assert_eq!(first_line(text), "the following required arguments were not provided: <ID>");
    }
}
