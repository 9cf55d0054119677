//! The only place that prints. Data goes to stdout, talk to stderr.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::ColorChoice;
use mosaic_node::api::types::{ErrorRecord, Notice, Progress, Record};
use unicode_width::UnicodeWidthStr;

use crate::args::Globals;
use crate::error::{self, Failure};
use crate::jq::{Jq, Value};
use crate::pager::Pager;
use crate::quantity::show_bytes;
use crate::render::{self, Cell, View};
use crate::sanitize;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();
/// Columns when the terminal does not say.
const WIDTH_DEFAULT: usize = 80;

/// Columns between two cells.
const GAP: usize = 2;
/// Columns that a cell keeps in the narrowest terminal.
const COLUMN_MIN: usize = 8;

/// Where and how to print.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    terminal: bool,
    color_out: bool,
    color_err: bool,
    /// Rows that wait for the others, so that columns line up.
    table: Vec<Vec<Cell>>,
    progress_shown: bool,
    jq: Option<Jq>,
    paging: Paging,
}

/// Whether stdout goes through a pager.
#[derive(Debug)]
enum Paging {
    /// Never: no terminal, JSON, or not wanted.
    Off,
    /// Only if a command says that its output may be long.
    Possible,
    /// As soon as there is something to print.
    Wanted,
    /// It does.
    On(Pager),
}

impl Output {
    /// Looks at the flags, the environment and the two streams.
    ///
    /// # Errors
    /// If the program of `--jq` is not understood.
    pub(crate) fn new(globals: &Globals) -> Result<Self, Failure> {
        let json = globals.json;
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let jq = globals.jq.as_deref().map(|program| Jq::start(program, globals.timeout));
        Ok(Self {
            json,
            quiet: globals.quiet,
            terminal: out,
            color_out: !json && color(globals.color, out),
            color_err: !json && color(globals.color, err),
            table: Vec::new(),
            progress_shown: false,
            jq: jq.transpose()?,
            paging: paging(globals, out),
        })
    }

    /// Says that the output may be longer than a screen.
    pub(crate) fn page(&mut self) {
        if matches!(self.paging, Paging::Possible) {
            self.paging = Paging::Wanted;
        }
    }

    /// Whether records go out as they came.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person reads stdout.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.terminal && !self.json
    }

    /// Prints bytes as they are, for example a script or a document.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if matches!(self.paging, Paging::Wanted) {
            self.paging = Pager::start().map_or(Paging::Off, Paging::On);
        }
        if let Paging::On(pager) = &mut self.paging {
            return Ok(pager.write(bytes)?);
        }
        // It may be the same screen.
        self.clear_progress();
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }

    /// Prints a record that came as a line of JSON, or what the program of `--jq` makes of it.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let Some(mut jq) = self.jq.take() else {
            return self.bytes(&[line, b"\n"].concat());
        };
        let terminal = self.terminal;
        let outcome = jq.run(line, |value| {
            let text = match &value {
                Value::Text(text) if terminal => sanitize::row(text),
                Value::Text(text) | Value::Json(text) => text.clone(),
            };
            self.bytes(format!("{text}\n").as_bytes())
        });
        self.jq = Some(jq);
        outcome
    }

    /// Whether `--jq` picks from what is printed.
    pub(crate) const fn picks(&self) -> bool {
        self.jq.is_some()
    }

    /// Prints one value alone on its line: an id, a path, a ticket.
    pub(crate) fn value(&mut self, value: &str) -> Result<(), Failure> {
        self.bytes(format!("{}\n", sanitize::line(value)).as_bytes())
    }

    /// Prints texts that no record of the API has, as a JSON object or as values.
    pub(crate) fn object(&mut self, kind: &str, fields: &[(&str, &str)]) -> Result<(), Failure> {
        if !self.json {
            return fields.iter().try_for_each(|(_, value)| self.value(value));
        }
        // Written by hand: a map would sort its keys, and the type comes first.
        let mut line = format!("{{\"type\":{}", quoted(kind));
        for (name, value) in fields {
            line.push_str(&format!(",{}:{}", quoted(name), quoted(value)));
        }
        line.push('}');
        self.line(line.as_bytes())
    }

    /// Prints a record for people, or as a line of JSON.
    pub(crate) fn record(&mut self, record: &Record) -> Result<(), Failure> {
        if self.json {
            return self.line(record.to_line().trim_ascii_end());
        }
        match render::view(record) {
            View::Row(cells) => {
                self.table.push(cells);
                Ok(())
            }
            View::Fields(fields) => self.fields(&fields),
            View::Block { head, lines, .. } if self.terminal => {
                self.flush()?;
                self.block(&head, &lines)
            }
            View::Block { rows, .. } => {
                self.table.extend(rows);
                self.flush()
            }
        }
    }

    /// Prints a line of a newer node that this program cannot read.
    pub(crate) fn unknown(&mut self, line: &str) -> Result<(), Failure> {
        self.value(line)
    }

    /// Prints the rows that waited.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let table = std::mem::take(&mut self.table);
        if table.is_empty() {
            return Ok(());
        }
        let text = if self.terminal { self.aligned(&table) } else { tabbed(&table) };
        self.bytes(text.as_bytes())
    }

    fn aligned(&self, table: &[Vec<Cell>]) -> String {
        let shown: Vec<Vec<String>> =
            table.iter().map(|row| row.iter().map(Cell::pretty).collect()).collect();
        let widths = widths(&shown, width());
        let mut text = String::new();
        for (row, cells) in shown.iter().zip(table) {
            let mut line = String::new();
            for ((cell, value), width) in cells.iter().zip(row).zip(&widths) {
                let value = fit(value, *width);
                let pad = width.saturating_sub(value.width()) + GAP;
                line.push_str(&self.paint(style_of(cell), &value));
                line.extend(std::iter::repeat_n(' ', pad));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn fields(&mut self, fields: &[(String, Cell)]) -> Result<(), Failure> {
        self.flush()?;
        let width = fields.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, cell) in fields {
            if self.terminal {
                let pad = " ".repeat(width.saturating_sub(name.width()) + 2);
                let name = self.paint(DIM, &sanitize::line(name));
                let value = self.paint(style_of(cell), &cell.pretty());
                text.push_str(&format!("{name}{pad}{value}\n"));
            } else {
                text.push_str(&format!("{}\t{}\n", sanitize::field(name), cell.plain()));
            }
        }
        self.bytes(text.as_bytes())
    }

    fn block(&mut self, head: &[Cell], lines: &[String]) -> Result<(), Failure> {
        let mut text = String::new();
        let head: Vec<String> =
            head.iter().map(|cell| self.paint(style_of(cell), &cell.pretty())).collect();
        text.push_str(&head.join(" · "));
        text.push('\n');
        for line in lines {
            text.push_str(&sanitize::row(line));
            text.push('\n');
        }
        text.push('\n');
        self.bytes(text.as_bytes())
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.color_out && style != Style::new() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// Tells a person something on stderr; under JSON and `-q` nothing.
    pub(crate) fn talk(&mut self, message: &str) {
        if !self.json && !self.quiet {
            self.clear_progress();
            say(&format!("{}\n", sanitize::line(message)));
        }
    }

    /// Passes on what the node has to say.
    pub(crate) fn notice(&mut self, notice: &Notice) {
        if self.json && !self.quiet {
            say(&String::from_utf8_lossy(&Record::Notice(notice.clone()).to_line()));
        } else {
            self.talk(&notice.message);
        }
    }

    /// Shows how far a long operation is: a line that stays in place on a terminal, an object
    /// a line under JSON, nothing in a pipe.
    pub(crate) fn progress(&mut self, progress: &Progress) {
        if self.quiet {
            return;
        }
        if self.json {
            say(&String::from_utf8_lossy(&Record::Progress(progress.clone()).to_line()));
        } else if io::stderr().is_terminal() {
            let peer = progress.peer.as_deref().map(render::short).unwrap_or_default();
            let total = progress.total_bytes.map(|n| format!(" of {}", show_bytes(n)));
            let done = show_bytes(progress.done_bytes);
            let line = format!("{} {peer} {done}{}", progress.op, total.unwrap_or_default());
            say(&format!("\r{}\u{1b}[K", fit(&sanitize::line(&line), width())));
            self.progress_shown = true;
        }
    }

    fn clear_progress(&mut self) {
        if std::mem::take(&mut self.progress_shown) {
            say("\r\u{1b}[K");
        }
    }

    /// Prints an error and its hint.
    pub(crate) fn error(&mut self, record: &ErrorRecord) {
        if self.json {
            json_error(record);
            return;
        }
        self.clear_progress();
        let paint = |style: Style, text: &str| {
            if self.color_err { format!("{style}{text}{style:#}") } else { text.to_owned() }
        };
        let mut text = format!("{} {}\n", paint(RED, "error:"), sanitize::line(&record.message));
        for candidate in &record.candidates {
            text.push_str(&format!("  {}\n", sanitize::line(candidate)));
        }
        if !record.hint.is_empty() {
            text.push_str(&format!("{} {}\n", paint(BOLD, "hint:"), sanitize::line(&record.hint)));
        }
        say(&text);
    }

    /// Asks a person something. Call only if somebody can answer.
    pub(crate) fn question(&mut self, question: &str) {
        self.clear_progress();
        say(&format!("{} ", sanitize::line(question)));
    }

    /// Prints what is left and returns the exit code.
    pub(crate) fn finish(mut self, outcome: Result<(), Failure>) -> ExitCode {
        let flushed = self.flush();
        let outcome = outcome.and(flushed);
        self.clear_progress();
        // What is said after it has to stay on the screen.
        self.paging = Paging::Off;
        if let Err(Failure::Error(record)) = &outcome {
            self.error(record);
        }
        error::exit_code(&outcome)
    }
}

/// Prints why a command did not even begin, and returns its exit code.
pub(crate) fn refuse(globals: &Globals, failure: Failure) -> ExitCode {
    match Output::new(&Globals { jq: None, ..globals.clone() }) {
        Ok(output) => output.finish(Err(failure)),
        Err(failure) => error::exit_code(&Err(failure)),
    }
}

/// Prints a usage error of the parser, with a command to try instead of its own last line.
pub(crate) fn clap_error(error: &clap::Error, hint: &str) {
    let ansi = color(ColorChoice::Auto, io::stderr().is_terminal());
    let text = error.render();
    let text = if ansi { text.ansi().to_string() } else { text.to_string() };
    let told = text.split("\nFor more information").next().unwrap_or(&text).trim_end();
    say(&format!("{told}\n\nhint: {hint}\n"));
}

/// Prints the parser's own message: help on stdout, errors on stderr.
pub(crate) fn clap(error: &clap::Error) {
    // Nobody is left to tell if this fails.
    let _ = error.print();
}

/// Prints one JSON object on stderr.
pub(crate) fn json_error(record: &ErrorRecord) {
    say(&String::from_utf8_lossy(&Record::Error(record.clone()).to_line()));
}

/// Prints short help on stderr, for a call without a command.
pub(crate) fn short_help(tree: &mut clap::Command) {
    let help = tree.render_help();
    let ansi = color(ColorChoice::Auto, io::stderr().is_terminal());
    say(&if ansi { help.ansi().to_string() } else { help.to_string() });
}

/// Whether a pager may come: never before what is for a program.
const fn paging(globals: &Globals, terminal: bool) -> Paging {
    if terminal && !globals.no_pager && !globals.json { Paging::Possible } else { Paging::Off }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn say(text: &str) {
    // Nobody is left to tell if this fails.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn color(choice: ColorChoice, terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    color_of(choice, terminal, set("NO_COLOR"), std::env::var("TERM").is_ok_and(|t| t == "dumb"))
}

const fn color_of(choice: ColorChoice, terminal: bool, no_color: bool, dumb: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && !no_color && !dumb,
    }
}

fn width() -> usize {
    terminal_size::terminal_size().map_or(WIDTH_DEFAULT, |(width, _)| usize::from(width.0))
}

/// Returns the widths of columns. What is too wide for the terminal is taken from the widest.
fn widths(shown: &[Vec<String>], room: usize) -> Vec<usize> {
    let columns = shown.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |i: usize| shown.iter().filter_map(|row| row.get(i)).map(|c| c.width()).max();
    let mut widths: Vec<usize> = (0..columns).map(|i| widest(i).unwrap_or(0)).collect();
    loop {
        let gaps = GAP * columns.saturating_sub(1);
        let excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
        let Some(widest) = widths.iter_mut().max_by_key(|width| **width) else { return widths };
        if excess == 0 || *widest <= COLUMN_MIN {
            return widths;
        }
        *widest = widest.saturating_sub(excess).max(*widest / 2).max(COLUMN_MIN);
    }
}

/// Cuts `text` to `room` columns, with an ellipsis.
fn fit(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        cut.push(c);
        if cut.width() + 1 > room {
            cut.pop();
            break;
        }
    }
    cut.push('…');
    cut
}

const fn style_of(cell: &Cell) -> Style {
    match cell {
        Cell::Id(_) => CYAN,
        Cell::Time(_) => DIM,
        Cell::Name(_) => BOLD,
        Cell::Text(_) | Cell::Count(..) | Cell::Bytes(_) | Cell::Millis(_) => Style::new(),
    }
}

fn tabbed(table: &[Vec<Cell>]) -> String {
    let mut text = String::new();
    for row in table {
        let cells: Vec<String> = row.iter().map(Cell::plain).collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_only_where_it_is_wanted() {
        assert!(color_of(ColorChoice::Auto, true, false, false));
        assert!(!color_of(ColorChoice::Auto, false, false, false));
        assert!(!color_of(ColorChoice::Auto, true, true, false));
        assert!(!color_of(ColorChoice::Auto, true, false, true));
        assert!(color_of(ColorChoice::Always, false, true, true));
        assert!(!color_of(ColorChoice::Never, true, false, false));
    }

    #[test]
    fn piped_rows_are_full_and_tab_separated() {
        let row = vec![Cell::Id("ab".repeat(32)), Cell::Text("a\tb\n".into()), Cell::Bytes(1500)];
        assert_eq!(tabbed(&[row]), format!("{}\ta\\tb\\n\t1500\n", "ab".repeat(32)));
    }

    #[test]
    fn the_widest_column_gives_way() {
        let rows = [vec!["a".repeat(8), "b".repeat(60), "c".repeat(10)]];
        assert_eq!(widths(&rows, 100), [8, 60, 10]);
        assert_eq!(widths(&rows, 50), [8, 28, 10]);
        assert_eq!(widths(&rows, 10), [8, 8, 8]);
        assert!(widths(&[], 10).is_empty());
    }

    #[test]
    fn long_cells_are_cut_to_the_room() {
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abc", 0), "…");
    }
}
