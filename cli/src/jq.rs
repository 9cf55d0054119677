//! `--jq`: a program that picks from records before they are printed.
//!
//! It runs on a thread of its own, with a deep stack: whoever waits for it can still be stopped by
//! time, memory, or Ctrl-C, and what it was doing ends with the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data};
use jaq_json::{Val, read, write};
use mosaic_node::api::types::{ErrorKind, is_hidden};
use mosaic_node::clock;

use crate::error::Failure;

/// Bytes of a program.
const PROGRAM_BYTES_MAX: usize = 64 * 1024;
/// Stack of the thread: a program is read, and may recurse, thousands of levels deep.
const STACK_BYTES: usize = 256 * 1024 * 1024;
/// How long a program may work until its next value.
const VALUE_TIME_MAX: Duration = Duration::from_secs(10);
/// How much this process may grow while a program works.
const GROWTH_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How often time, memory and Ctrl-C are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Values that wait to be printed.
const VALUES_WAITING: usize = 64;

/// Set by Ctrl-C, for those who wait in a way that nothing else ends.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A program that was understood, and waits for records.
#[derive(Debug)]
pub(crate) struct Jq {
    records: SyncSender<Vec<u8>>,
    steps: Receiver<Step>,
    /// When `--timeout` is over.
    deadline: Option<Instant>,
}

/// What became of a record.
#[derive(Debug)]
enum Step {
    /// The program could not be understood.
    Bad(String),
    /// It was understood; or it is done with a record.
    Ready,
    /// A string, to be printed bare.
    Text(String),
    /// Any other value, as JSON.
    Json(String),
    /// The program failed on a record.
    Failed(String),
    /// The program asked to end.
    Halt(i32),
}

/// A value to print.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A string, bare.
    Text(String),
    /// Anything else, as one line of JSON.
    Json(String),
}

impl Jq {
    /// Reads a program; `limit` is the time that the whole command has.
    ///
    /// # Errors
    /// A usage error that says where the program is wrong.
    pub(crate) fn start(program: &str, limit: Option<Duration>) -> Result<Self, Failure> {
        if program.len() > PROGRAM_BYTES_MAX {
            let message =
                format!("--jq: the program has {} bytes, limit {PROGRAM_BYTES_MAX}", program.len());
            return Err(Failure::usage(message, "mosaic help json"));
        }
        let (records, incoming) = mpsc::sync_channel(1);
        let (outgoing, steps) = mpsc::sync_channel(VALUES_WAITING);
        let program = program.to_owned();
        std::thread::Builder::new()
            .name("jq".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || work(&program, &incoming, &outgoing))?;
        let deadline = limit.map(|limit| clock::instant() + limit);
        let jq = Self { records, steps, deadline };
        match jq.next()? {
            Step::Bad(why) => Err(Failure::usage(format!("--jq: {why}"), "mosaic help json")),
            _ => Ok(jq),
        }
    }

    /// Gives a record to the program and hands on its values as they come.
    ///
    /// # Errors
    /// If the program fails on it or goes beyond its bounds, or `print` fails.
    pub(crate) fn run(
        &mut self,
        record: &[u8],
        mut print: impl FnMut(Value) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let gone = |_| Failure::new(ErrorKind::Error, "--jq: the program has ended");
        self.records.send(record.to_vec()).map_err(gone)?;
        loop {
            match self.next()? {
                Step::Ready | Step::Bad(_) => return Ok(()),
                Step::Text(text) => print(Value::Text(text))?,
                Step::Json(text) => print(Value::Json(text))?,
                Step::Halt(0) => return Err(Failure::Closed),
                Step::Halt(_) => return Err(Failure::Told(ErrorKind::Error)),
                Step::Failed(why) => {
                    let error = format!("--jq: {why}");
                    return Err(Failure::hinted(ErrorKind::Error, error, "mosaic help json"));
                }
            }
        }
    }

    /// Waits for the next step, within all bounds.
    fn next(&self) -> Result<Step, Failure> {
        let (started, before) = (clock::instant(), resident_bytes());
        let over = |kind, message: String| Failure::hinted(kind, message, "mosaic help json");
        loop {
            match self.steps.recv_timeout(LOOK_EVERY) {
                Ok(step) => return self.in_time().map(|()| step),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(over(ErrorKind::Error, "--jq: the program broke down".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.in_time()?;
            if clock::instant().saturating_duration_since(started) > VALUE_TIME_MAX {
                let limit = VALUE_TIME_MAX.as_secs();
                let message = format!("--jq: the program gave no value for {limit} s");
                return Err(over(ErrorKind::Timeout, message));
            }
            if resident_bytes().saturating_sub(before) > GROWTH_BYTES_MAX {
                let message = "--jq: the program takes more than 1 GiB of memory".to_owned();
                return Err(over(ErrorKind::Error, message));
            }
        }
    }

    fn in_time(&self) -> Result<(), Failure> {
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Err(Failure::new(ErrorKind::Interrupted, "interrupted"));
        }
        match self.deadline {
            Some(deadline) if deadline <= clock::instant() => Err(Failure::late()),
            _ => Ok(()),
        }
    }
}

/// Memory of this process; 0 where the system does not say.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(PAGE_BYTES)
}

/// Reads the program, then runs it on each record until nobody listens.
fn work(program: &str, records: &Receiver<Vec<u8>>, steps: &SyncSender<Step>) {
    let arena = Arena::default();
    let filter = match compile(program, &arena) {
        Ok(filter) => filter,
        Err(why) => {
            let _ = steps.send(Step::Bad(why));
            return;
        }
    };
    // Whoever stopped listening has ended the command.
    while steps.send(Step::Ready).is_ok() {
        let Ok(record) = records.recv() else { return };
        let record = match read::parse_single(&record) {
            Ok(record) => record,
            Err(error) => {
                let _ = steps.send(Step::Failed(error.to_string()));
                return;
            }
        };
        let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
        for value in filter.id.run((context, record)) {
            let step = match value {
                Ok(value) => step_of(&value),
                Err(exception) => match exception.get_err() {
                    Ok(error) => Step::Failed(told(error)),
                    Err(halt) => Step::Halt(halt.get_halt().unwrap_or(1)),
                },
            };
            let last = matches!(step, Step::Failed(_) | Step::Halt(_));
            if steps.send(step).is_err() || last {
                return;
            }
        }
    }
}

/// The text that a program gave to `error`, or what went wrong in words.
fn told(error: jaq_json::Error) -> String {
    match error.into_val() {
        Val::TStr(text) => String::from_utf8_lossy(&text).into_owned(),
        other => plain(&other.to_string()),
    }
}

fn step_of(value: &Val) -> Step {
    if let Val::TStr(text) = value {
        return Step::Text(String::from_utf8_lossy(text).into_owned());
    }
    let mut json = Vec::new();
    // Writing to memory does not fail.
    let _ = write::write(&mut json, &write::Pp::<String>::default(), 0, value);
    Step::Json(plain(&String::from_utf8_lossy(&json)))
}

/// Escapes what a terminal would obey. In JSON it can only stand inside strings.
fn plain(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

type Filter = jaq_core::Filter<data::JustLut<Val>>;

fn compile(program: &str, arena: &Arena) -> Result<Filter, String> {
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let loader = Loader::new(defs);
    let modules =
        loader.load(arena, File { path: (), code: program }).map_err(|errors| syntax(&errors))?;
    Compiler::default().with_funs(funs).compile(modules).map_err(|errors| {
        let first = errors.iter().find_map(|(file, errors)| Some((file.code, errors.first()?)));
        let Some((code, (name, what))) = first else { return "not understood".to_owned() };
        format!("{}: there is no {} {name}", place(code, name), what.as_str())
    })
}

/// Says where and what is wrong first.
fn syntax(errors: &load::Errors<&str, ()>) -> String {
    let Some((file, error)) = errors.first() else { return "not understood".to_owned() };
    let code = file.code;
    let (expected, found) = match error {
        load::Error::Io(errors) => match errors.first() {
            Some((path, why)) => return format!("{}: {why}", place(code, path)),
            None => return "a module cannot be read".to_owned(),
        },
        load::Error::Lex(errors) => match errors.first() {
            Some((expected, rest)) => (expected.as_str(), *rest),
            None => return "not understood".to_owned(),
        },
        load::Error::Parse(errors) => match errors.first() {
            Some((expected, found)) => (expected.as_str(), *found),
            None => return "not understood".to_owned(),
        },
    };
    let found = match found.split_whitespace().next() {
        Some(word) => format!("'{word}'"),
        None => "the end".to_owned(),
    };
    format!("{}: expected {expected}, found {found}", place(code, found_at(code, error)))
}

/// The part of the program that an error is about.
fn found_at<'a>(code: &'a str, error: &load::Error<&'a str>) -> &'a str {
    let end = code.get(code.len()..).unwrap_or_default();
    match error {
        load::Error::Io(errors) => errors.first().map_or(end, |(path, _)| path),
        load::Error::Lex(errors) => errors.first().map_or(end, |(_, rest)| rest),
        load::Error::Parse(errors) => errors.first().map_or(end, |(_, found)| found),
    }
}

/// Names the place of `part` in `code`, both from 1.
fn place(code: &str, part: &str) -> String {
    let before = code.get(..load::span(code, part).start).unwrap_or(code);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(program: &str, record: &str) -> Result<Vec<Value>, Failure> {
        let mut values = Vec::new();
        Jq::start(program, None)?.run(record.as_bytes(), |value| {
            values.push(value);
            Ok(())
        })?;
        Ok(values)
    }

    fn told(program: &str, record: &str) -> (u8, String) {
        match all(program, record) {
            Err(Failure::Error(error)) => (error.code, error.message),
            other => panic!("{program}: {other:?}"),
        }
    }

    #[test]
    fn strings_are_bare_and_everything_else_is_json() {
        let record = r#"{"type":"post","id":"ab","n":2,"tags":["x","y"]}"#;
        assert_eq!(all(".id", record).unwrap(), [Value::Text("ab".into())]);
        assert_eq!(all(".n, .tags[]", record).unwrap().len(), 3);
        let object = Value::Json(r#"{"id":"ab","n":4}"#.into());
        assert_eq!(all("{id, n: (.n * 2)}", record).unwrap(), [object]);
        assert_eq!(all("select(.type == \"x\")", record).unwrap(), []);
        assert_eq!(all(".tags | map(ascii_upcase) | join(\"+\")", record).unwrap().len(), 1);
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped_in_json() {
        let values = all("[.text]", r#"{"text":"a\u009b2J"}"#).unwrap();
        assert_eq!(values, [Value::Json(r#"["a\u009b2J"]"#.into())]);
    }

    #[test]
    fn bad_programs_are_usage_errors_with_a_place() {
        for (program, place) in [
            (".a |", "line 1, column 5"),
            (".a\n| nosuch", "line 2, column 3"),
            (". as $x | $y", "line 1, column 11"),
            ("(.a", "line 1, column 4"),
            ("\"a", "line 1, column"),
            ("import \"m\" as m; .", "line 1, column"),
        ] {
            let (code, message) = told(program, "{}");
            assert_eq!(code, ErrorKind::Usage.code(), "{message}");
            assert!(message.contains(place), "{program:?}: {message}");
        }
        assert_eq!(told(&"x".repeat(PROGRAM_BYTES_MAX + 1), "{}").0, ErrorKind::Usage.code());
    }

    #[test]
    fn programs_that_fail_are_errors_that_say_why() {
        let (code, message) = told(".a.b", r#"{"a":1}"#);
        assert_eq!(code, ErrorKind::Error.code());
        assert!(message.contains("cannot index"), "{message}");
        assert_eq!(told("error(\"mine\")", "{}").1, "--jq: mine");
    }

    #[test]
    fn endless_programs_end() {
        let mut jq = Jq::start("repeat(1)", None).unwrap();
        let mut count = 0;
        let outcome = jq.run(b"{}", |_| {
            count += 1;
            if count < 1000 { Ok(()) } else { Err(Failure::Closed) }
        });
        assert!(matches!(outcome, Err(Failure::Closed)));
        let mut jq = Jq::start("def f: f; f", Some(Duration::from_millis(200))).unwrap();
        let Err(Failure::Error(error)) = jq.run(b"{}", |_| Ok(())) else { panic!("it ended") };
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(all(&deep, "{}").unwrap().len(), 1);
    }
}
