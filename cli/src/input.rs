//! Texts, ids and answers: from arguments, files, pipes, an editor or a person.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use mosaic_engine::limits::{BODY_BYTES_MAX, LONG_TEXT_BYTES_MAX};
use mosaic_node::api::types::{AttachFile, ErrorKind};
use mosaic_node::words::WORDS_BYTES_MAX;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::editor::{self, Written};
use crate::error::Failure;
use crate::output::Output;
use crate::paths;

/// Where a text comes from.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TextSource {
    /// The text, or - to read it from stdin
    #[arg(value_name = "TEXT", conflicts_with_all = ["file", "edit"])]
    text: Option<String>,
    /// Read the text from a file
    #[arg(short = 'F', long, value_name = "FILE", conflicts_with = "edit")]
    file: Option<PathBuf>,
    /// Write the text in $VISUAL or $EDITOR
    #[arg(short, long)]
    edit: bool,
}

/// How something new is written.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Creating {
    /// Write it once: asked again with this key, the same id is printed
    #[arg(long, value_name = "KEY", hide_short_help = true)]
    pub(crate) idempotency_key: Option<String>,
    /// Print the id, then wait until so many peers have it on disk; --timeout: 124
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(crate) wait_replicas: Option<u64>,
}

impl TextSource {
    /// Whether the text will be written in an editor; `optional` if there need not be one.
    pub(crate) fn wants_editor(&self, no_input: bool, optional: bool) -> bool {
        let person = io::stdin().is_terminal() && !no_input;
        let given = self.text.is_some() || self.file.is_some();
        !given && person && (self.edit || !optional)
    }

    /// Reads the text; one line break at its end is dropped. With neither text nor flag: the
    /// editor if a person is there, otherwise a pipe. `None` if nothing was given and
    /// `optional` allows that. `before` is what the editor starts with.
    ///
    /// # Errors
    /// If it cannot be read, is not UTF-8, is empty or too long.
    pub(crate) async fn read(
        &self,
        context: &mut Context<'_>,
        optional: bool,
        before: &str,
    ) -> Result<Option<String>, Failure> {
        let no_input = context.globals.no_input;
        let help = context.globals.help.clone();
        let text = match (&self.text, &self.file) {
            (Some(dash), _) if dash == "-" => piped(help.clone()).await?,
            (Some(text), _) => text.clone(),
            (None, Some(path)) => {
                let (path, help) = (path.clone(), help.clone());
                crate::apart(move || from_file(&path, &help)).await?
            }
            (None, None) if self.wants_editor(no_input, optional) => {
                // What a person adds at the end is a line of its own.
                let before = if before.is_empty() { String::new() } else { format!("{before}\n") };
                edit(context, &before, ".md")?
            }
            (None, None) if self.edit => {
                return Err(Failure::usage(
                    "an editor needs a terminal: give the text as argument, with - or with --file",
                    help,
                ));
            }
            (None, None) if optional => return Ok(None),
            (None, None) if no_input => String::new(),
            (None, None) => piped(help.clone()).await?,
        };
        let text = trim_one_break(&text).to_owned();
        if text.len() > BODY_BYTES_MAX {
            return Err(too_long(BODY_BYTES_MAX, &help));
        }
        if text.trim().is_empty() {
            return Err(Failure::usage(
                "there is no text: give it as argument, with - or with --file",
                help,
            ));
        }
        Ok(Some(text))
    }
}

/// Lets a person write in an editor, beginning with `before`; `suffix` tells it what it is. The
/// text is kept if what it is for fails.
///
/// # Errors
/// The editor does not start, or does not end well.
pub(crate) fn edit(
    context: &mut Context<'_>,
    before: &str,
    suffix: &str,
) -> Result<String, Failure> {
    let written = Written::begin(&context.paths.state, before, suffix)?;
    let path = written.path().to_owned();
    context.written = Some(written);
    editor::edit(&path)?;
    from_file(&path, &context.globals.help)
}

/// Lets a person write a long text in an editor, beginning with `before`; one line break at its
/// end is dropped. The text is kept if what it is for fails.
///
/// # Errors
/// As [`long_text`] and [`edit`].
pub(crate) async fn edit_long(context: &mut Context<'_>, before: &str) -> Result<String, Failure> {
    let written = Written::begin(&context.paths.state, before, ".md")?;
    let path = written.path().to_owned();
    context.written = Some(written);
    editor::edit(&path)?;
    long_text(&path, &context.globals.help).await
}

async fn piped(help: String) -> Result<String, Failure> {
    crate::apart(move || bounded(io::stdin().lock(), "stdin", &help)).await
}

fn from_file(path: &Path, help: &str) -> Result<String, Failure> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|error| {
        Failure::hinted(ErrorKind::NotFound, format!("cannot read {name}: {error}"), help)
    })?;
    bounded(file, &name, help)
}

/// Reads a long text from a file, or from stdin if it is `-`; one line break at its end is
/// dropped.
///
/// # Errors
/// If it cannot be read, is not UTF-8, is empty or too long.
pub(crate) async fn long_text(path: &Path, help: &str) -> Result<String, Failure> {
    let (path, shown) = (path.to_owned(), help.to_owned());
    let text = crate::apart(move || {
        if path.as_os_str() == "-" {
            return within(io::stdin().lock(), "stdin", LONG_TEXT_BYTES_MAX, &shown);
        }
        let name = path.display().to_string();
        let file = std::fs::File::open(&path).map_err(|error| {
            Failure::hinted(ErrorKind::NotFound, format!("cannot read {name}: {error}"), &shown)
        })?;
        within(file, &name, LONG_TEXT_BYTES_MAX, &shown)
    });
    let text = text.await?;
    let text = trim_one_break(&text);
    if text.trim().is_empty() {
        return Err(Failure::usage("there is no text", help));
    }
    Ok(text.to_owned())
}

/// Reads at most one byte more than a text may have.
fn bounded(from: impl Read, name: &str, help: &str) -> Result<String, Failure> {
    within(from, name, BODY_BYTES_MAX, help)
}

/// Reads a text of at most `max` bytes and a line break.
fn within(from: impl Read, name: &str, max: usize, help: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(2);
    from.take(limit).read_to_end(&mut bytes).map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::IsADirectory => ErrorKind::Usage,
            _ => ErrorKind::Error,
        };
        Failure::hinted(kind, format!("cannot read {name}: {error}"), help)
    })?;
    if bytes.len() > max + 1 {
        return Err(too_long(max, help));
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{name} is not UTF-8 text"), help))
}

fn too_long(max: usize, help: &str) -> Failure {
    let over = format!("the text is longer than {max} bytes");
    match help {
        "mosaic help dm send" | "mosaic help dm edit" => {
            return Failure::usage(format!("{over}; send it in parts"), "mosaic dm send WHO TEXT");
        }
        "mosaic help hub send" | "mosaic help hub message edit" => {
            let hint = "mosaic hub send HUB/CHANNEL TEXT --attach FILE";
            return Failure::usage(format!("{over}; send it in parts, or a file"), hint);
        }
        _ => {}
    }
    if max < LONG_TEXT_BYTES_MAX {
        // What is for some alone is not led to where everybody reads it.
        let message =
            format!("{over}; `mosaic post --text FILE` posts a longer one, for everybody");
        return Failure::usage(message, help);
    }
    Failure::usage(format!("{over}; attach it as a file instead"), "mosaic post --attach FILE TEXT")
}

fn trim_one_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Files to attach and their descriptions, paired by position.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Attachments {
    /// Attach a file of up to 4 GiB; repeat for more
    #[arg(short, long = "attach", value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Describe the file attached at the same place
    #[arg(long, value_name = "TEXT", requires = "attach")]
    alt: Vec<String>,
    /// Call the file attached at the same place so
    #[arg(long, value_name = "NAME", requires = "attach")]
    name: Vec<String>,
    /// Attach images with what they say about who took them where (Exif, XMP, ...)
    #[arg(long, requires = "attach")]
    keep_metadata: bool,
}

impl Attachments {
    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.attach.is_empty()
    }

    /// Checks that the files are there and returns them with absolute paths.
    ///
    /// # Errors
    /// If one is not a readable file, or there are more descriptions than files.
    pub(crate) fn files(&self, help: &str) -> Result<Vec<AttachFile>, Failure> {
        for (given, what) in [(&self.alt, "--alt"), (&self.name, "--name")] {
            if given.len() > self.attach.len() {
                let message = format!("there are more {what} than --attach");
                return Err(Failure::usage(message, help));
            }
        }
        let paired = |given: &[String], at: usize| given.get(at).cloned();
        let files = self.attach.iter().enumerate().map(|(at, path)| {
            let file = attach_file(path, self.keep_metadata, help)?;
            Ok(AttachFile { alt: paired(&self.alt, at), name: paired(&self.name, at), ..file })
        });
        files.collect()
    }
}

/// Checks that a file is there and returns it with its absolute path.
///
/// # Errors
/// If it is not a readable file, or its path is not UTF-8.
pub(crate) fn attach_file(
    path: &Path,
    keep_metadata: bool,
    help: &str,
) -> Result<AttachFile, Failure> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| {
        Failure::hinted(ErrorKind::NotFound, format!("cannot attach {shown}: {error}"), help)
    })?;
    if !metadata.is_file() {
        return Err(Failure::usage(format!("cannot attach {shown}: not a file"), help));
    }
    Ok(AttachFile { path: absolute_text(path)?, keep_metadata, ..AttachFile::default() })
}

/// Returns an absolute path as text.
///
/// # Errors
/// If it is not UTF-8.
pub(crate) fn absolute_text(path: &Path) -> Result<String, Failure> {
    paths::absolute(path)?.into_os_string().into_string().map_err(|path| {
        let message = format!("{} is not a UTF-8 path", path.to_string_lossy());
        Failure::new(ErrorKind::Usage, message)
    })
}

/// Returns ids; `-` among them reads more from stdin, one a line.
///
/// # Errors
/// If stdin cannot be read or there are none.
pub(crate) async fn ids(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for id in given {
        if id == "-" {
            let text = crate::apart(|| all(io::stdin().lock())).await?;
            let words = text.lines().filter_map(|line| line.split('\t').next());
            ids.extend(words.map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned));
        } else {
            ids.push(id.clone());
        }
    }
    if ids.is_empty() {
        return Err(Failure::usage("there are no ids on stdin", "mosaic wall list"));
    }
    Ok(ids)
}

fn all(from: impl Read) -> Result<String, Failure> {
    io::read_to_string(from).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::usage("stdin is not UTF-8 text", "mosaic wall list"),
        _ => Failure::new(ErrorKind::Error, format!("cannot read stdin: {error}")),
    })
}

/// Returns a word, or the first line of stdin for `-`.
///
/// # Errors
/// If stdin cannot be read or is empty.
pub(crate) async fn word_or_stdin(given: &str) -> Result<String, Failure> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let line = line("stdin").await?;
    let word = line.trim();
    if word.is_empty() {
        return Err(Failure::usage("there is nothing on stdin", "mosaic device invite"));
    }
    Ok(word.to_owned())
}

/// Reads recovery words from a file, or from stdin for `-`.
///
/// # Errors
/// If they cannot be read or are no text. Whether they are words is not looked at.
pub(crate) async fn words(
    output: &mut Output,
    no_input: bool,
    file: &Path,
) -> Result<Zeroizing<String>, Failure> {
    const HINT: &str = "mosaic init --recover FILE --peer TICKET";
    let name = file.display().to_string();
    let cannot = |error: io::Error| {
        let (kind, why) = match error.kind() {
            io::ErrorKind::InvalidData => (ErrorKind::Usage, "it is not UTF-8 text".to_owned()),
            io::ErrorKind::IsADirectory => (ErrorKind::Usage, error.to_string()),
            _ => (ErrorKind::NotFound, error.to_string()),
        };
        Failure::hinted(kind, format!("cannot read {name}: {why}"), HINT)
    };
    let text = if file == Path::new("-") {
        if io::stdin().is_terminal() && !no_input && !output.is_json() {
            output.question("Recovery words, all in one line:");
            Zeroizing::new(line("the words").await?)
        } else {
            let all = || Ok(few(io::stdin().lock()));
            crate::apart(all).await?.map_err(cannot)?
        }
    } else {
        std::fs::File::open(file).and_then(few).map_err(cannot)?
    };
    if text.len() > WORDS_BYTES_MAX {
        let message = format!("{name} is longer than recovery words: {WORDS_BYTES_MAX} bytes");
        return Err(Failure::usage(message, HINT));
    }
    Ok(text)
}

/// Reads at most one byte more than recovery words may have.
fn few(from: impl Read) -> io::Result<Zeroizing<String>> {
    let limit = u64::try_from(WORDS_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Zeroizing::new(String::new());
    from.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// Reads a line of stdin; `what` names it in the error.
async fn line(what: &'static str) -> Result<String, Failure> {
    crate::apart(move || {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(|error| {
            Failure::new(ErrorKind::Error, format!("cannot read {what}: {error}"))
        })?;
        Ok(line)
    })
    .await
}

/// Makes sure that somebody is there to use an editor.
///
/// # Errors
/// `usage` with `hint` if not.
pub(crate) fn person(no_input: bool, hint: &str) -> Result<(), Failure> {
    if no_input || !io::stdin().is_terminal() {
        return Err(Failure::usage("an editor needs a terminal", hint));
    }
    Ok(())
}

/// Lets a person type `name` again before something that cannot be taken back.
///
/// # Errors
/// If nobody is there to ask: the flag is named, with the command that takes it.
pub(crate) async fn confirmation(
    output: &mut Output,
    no_input: bool,
    question: &str,
    (flag, command): (&str, &str),
) -> Result<String, Failure> {
    if no_input || output.is_json() || !io::stdin().is_terminal() {
        let message = format!("this cannot be undone: without a terminal it needs {flag}");
        return Err(Failure::usage(message, format!("{command} {flag}")));
    }
    output.question(question);
    Ok(line("the answer").await?.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_is_dropped() {
        assert_eq!(trim_one_break("a\n\n"), "a\n");
        assert_eq!(trim_one_break("a\r\n"), "a");
        assert_eq!(trim_one_break("a"), "a");
    }

    #[test]
    fn texts_have_a_limit() {
        let fits = vec![b'a'; BODY_BYTES_MAX];
        assert!(bounded(fits.as_slice(), "x", "").is_ok());
        let long = vec![b'a'; BODY_BYTES_MAX + 2];
        assert!(bounded(long.as_slice(), "x", "").is_err());
        assert!(bounded(&[0xff][..], "x", "").is_err());
    }

    #[test]
    fn descriptions_are_paired_by_position() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        let attachments = Attachments {
            attach: vec![path.clone(), path],
            alt: vec!["a".into()],
            ..Attachments::default()
        };
        let files = attachments.files("").unwrap();
        assert_eq!(files[0].alt.as_deref(), Some("a"));
        assert_eq!(files[1].alt, None);
        let attachments = Attachments { alt: vec!["a".into()], ..Attachments::default() };
        assert!(attachments.files("").is_err());
    }
}
