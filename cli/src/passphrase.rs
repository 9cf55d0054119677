//! Passphrases of the keys, and of archives: from a file, a program of the settings, or a person;
//! never from an argument or a variable, which others can see. Asked for once, and only if they are
//! needed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use mosaic_node::api::types::{ErrorKind, ErrorRecord};
use mosaic_node::config::{Config, Settings};
use mosaic_node::keys::{self, KeyState};
use mosaic_node::seal::{MAX_PASSPHRASE, Passphrase};
use mosaic_node::{NodeError, Unlock};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::Failure;

/// Bytes of a program's output at most.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// What to try when a passphrase cannot be used.
const HINT: &str = "mosaic --passphrase-file FILE status";

/// Where passphrases come from, and what was read already.
#[derive(Debug, Default)]
pub(crate) struct Passphrases {
    /// Whether the command makes keys, which are sealed if a passphrase is given.
    pub(crate) makes_keys: bool,
    unlock: Option<Unlock>,
    ahead: Option<Zeroizing<Vec<u8>>>,
}

/// What a person is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The passphrase that opens something.
    Present,
    /// One that is typed twice.
    New,
}

/// What a passphrase is for, and what is said where there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Purpose {
    /// What it opens.
    pub(crate) of: &'static str,
    /// How it is given without a terminal.
    pub(crate) instead: &'static str,
    /// What stays as it was.
    pub(crate) nothing: &'static str,
    /// The next command to try.
    pub(crate) hint: &'static str,
}

const KEYS: Purpose = Purpose {
    of: "the keys",
    instead: "--new-passphrase-file FILE",
    nothing: "nothing was changed",
    hint: HINT,
};

impl Context<'_> {
    /// Takes the passphrase off a pipe, before the command reads the rest of it.
    ///
    /// # Errors
    /// The pipe cannot be read.
    pub(crate) async fn read_ahead(&mut self) -> Result<(), Failure> {
        let piped = self.globals.passphrase_file.as_deref().is_some_and(is_dash);
        if piped && !io::stdin().is_terminal() {
            self.passphrases.ahead = Some(stdin_line().await?);
        }
        Ok(())
    }

    /// Finds what opens the keys of this home: only if they are sealed, or about to be made.
    ///
    /// # Errors
    /// `wrong_passphrase` if none is given; what keeps it from being read.
    pub(crate) async fn unlock(&mut self) -> Result<Option<Unlock>, Failure> {
        if self.passphrases.unlock.is_none() {
            let state = keys::state(&self.paths.home).map_err(ErrorRecord::from)?;
            let passphrase = match state {
                KeyState::Sealed(path) => Some(self.present(path).await?),
                KeyState::Missing if self.passphrases.makes_keys => self.given(Ask::New).await?,
                KeyState::Missing | KeyState::Clear => None,
            };
            self.passphrases.unlock = passphrase.map(Unlock::new);
        }
        Ok(self.passphrases.unlock.clone())
    }

    /// As [`Context::unlock`], and makes sure that it opens them.
    ///
    /// # Errors
    /// As there, and if it does not.
    pub(crate) async fn opened_keys(&mut self) -> Result<Option<Unlock>, Failure> {
        let unlock = self.unlock().await?;
        let (home, trying) = (self.paths.home.clone(), unlock.clone());
        let check = move || keys::check(&home, trying.as_ref()).map_err(ErrorRecord::from);
        crate::apart(move || Ok(check()?)).await?;
        Ok(unlock)
    }

    /// Reads a passphrase that is to be in force from now on.
    ///
    /// # Errors
    /// There is none, it cannot be used, or it was not typed twice.
    pub(crate) async fn new_passphrase(
        &mut self,
        file: Option<&Path>,
    ) -> Result<Passphrase, Failure> {
        const COMMAND: &str = "mosaic identity passphrase --new-passphrase-file FILE";
        self.passphrase_for(Purpose { hint: COMMAND, ..KEYS }, Ask::New, file).await
    }

    /// Reads a passphrase from a file, else from a person.
    ///
    /// # Errors
    /// There is none, it cannot be used, or it was not typed twice.
    pub(crate) async fn passphrase_for(
        &mut self,
        purpose: Purpose,
        what: Ask,
        file: Option<&Path>,
    ) -> Result<Passphrase, Failure> {
        match file {
            Some(path) if is_dash(path) && !io::stdin().is_terminal() => {
                parsed("stdin", &stdin_line().await?, purpose.hint)
            }
            Some(path) if !is_dash(path) => from_file(path, purpose.hint).await,
            _ if self.is_person() => self.ask(purpose, what).await,
            _ => {
                let message = format!(
                    "there is no terminal to type a passphrase at: it needs {}",
                    purpose.instead
                );
                Err(Failure::usage(message, purpose.hint))
            }
        }
    }

    async fn present(&mut self, path: PathBuf) -> Result<Passphrase, Failure> {
        match self.given(Ask::Present).await? {
            Some(passphrase) => Ok(passphrase),
            None if self.is_person() => self.ask(KEYS, Ask::Present).await,
            None => Err(ErrorRecord::from(NodeError::Sealed { path }).into()),
        }
    }

    /// The passphrase that the command line or the settings lead to, if they say so.
    async fn given(&mut self, what: Ask) -> Result<Option<Passphrase>, Failure> {
        if let Some(line) = self.passphrases.ahead.take() {
            return parsed("stdin", &line, HINT).map(Some);
        }
        if let Some(path) = self.globals.passphrase_file.clone() {
            if !is_dash(&path) {
                return from_file(&path, HINT).await.map(Some);
            }
            if !self.is_person() {
                let message = "there is nobody to type the passphrase: name a file, or use a pipe";
                return Err(Failure::usage(message, HINT));
            }
            return self.ask(KEYS, what).await.map(Some);
        }
        let settings = Settings::load(&self.layers()).map_err(ErrorRecord::from)?;
        match Config::from(&settings).keys.passphrase_command {
            Some(words) => self.printed(&words).await.map(Some),
            None => Ok(None),
        }
    }

    /// The first line that a program prints.
    async fn printed(&self, words: &[String]) -> Result<Passphrase, Failure> {
        const NAME: &str = "keys.passphrase_command";
        const LOOK: &str = "mosaic config get keys.passphrase_command";
        let failed = |why: String| {
            let message = format!("{NAME} gives no passphrase: {why}");
            Failure::hinted(ErrorKind::Error, message, LOOK)
        };
        let program = words.first().cloned().unwrap_or_default();
        let when = |open| if open { Stdio::inherit() } else { Stdio::null() };
        // it may have to ask a person itself
        let ends = (when(self.is_person()), when(!self.output.is_json()));
        let running = crate::printed_by(words, ends, OUTPUT_BYTES_MAX);
        let (output, status) =
            running.await.map_err(|error| failed(format!("{program}: {error}")))?;
        if !status.success() {
            return Err(failed(format!("{program} ended with {status}")));
        }
        Passphrase::from_bytes(&output).map_err(|error| failed(error.to_string()))
    }

    /// Whether somebody is there to be asked.
    pub(crate) fn is_person(&self) -> bool {
        !self.globals.no_input && !self.output.is_json() && io::stdin().is_terminal()
    }

    async fn ask(&mut self, purpose: Purpose, what: Ask) -> Result<Passphrase, Failure> {
        let Purpose { of, nothing, hint, .. } = purpose;
        if what == Ask::Present {
            let typed = self.hidden(&format!("Passphrase of {of}:")).await?;
            return parsed("the terminal", &typed, hint);
        }
        let first = self.hidden(&format!("New passphrase of {of}:")).await?;
        let passphrase = parsed("the terminal", &first, hint)?;
        let second = self.hidden("The same again:").await?;
        if first != second {
            return Err(Failure::usage(format!("the two are not the same: {nothing}"), hint));
        }
        Ok(passphrase)
    }

    /// Reads a line that is not shown while it is typed, and shows again what comes after it,
    /// whatever ends the wait.
    async fn hidden(&mut self, question: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let output = &mut self.output;
        // Ctrl-C has to be caught before the terminal is changed, and nothing may be shown of what
        // is typed as soon as the question is there
        let asking = async move {
            let _hidden = Hidden::begin().map_err(unreadable("the terminal", HINT))?;
            output.question(question);
            stdin_line().await
        };
        crate::interruptible(asking).await
    }
}

/// A terminal that shows nothing of what is typed but the end of the line; until dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

fn is_dash(path: &Path) -> bool {
    path == Path::new("-")
}

async fn from_file(path: &Path, hint: &str) -> Result<Passphrase, Failure> {
    let (name, path) = (path.display().to_string(), path.to_owned());
    let unreadable = unreadable(&name, hint);
    let reading = move || {
        let line = File::open(path).and_then(|file| line_of(BufReader::new(file)));
        line.map_err(unreadable)
    };
    parsed(&name, &crate::apart(reading).await?, hint)
}

async fn stdin_line() -> Result<Zeroizing<Vec<u8>>, Failure> {
    crate::apart(|| line_of(io::stdin().lock()).map_err(unreadable("stdin", HINT))).await
}

/// Reads a line, or as much of it as shows that it is too long.
fn line_of(from: impl BufRead) -> io::Result<Zeroizing<Vec<u8>>> {
    let limit = MAX_PASSPHRASE.saturating_add(2);
    let mut line = Zeroizing::new(Vec::with_capacity(limit));
    from.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_until(b'\n', &mut line)?;
    Ok(line)
}

fn parsed(name: &str, line: &[u8], hint: &str) -> Result<Passphrase, Failure> {
    Passphrase::from_bytes(line)
        .map_err(|error| Failure::usage(format!("{error}: it was read from {name}"), hint))
}

fn unreadable(name: &str, hint: &str) -> impl FnOnce(io::Error) -> Failure + use<> {
    let (name, hint) = (name.to_owned(), hint.to_owned());
    move |error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Error,
        };
        Failure::hinted(kind, format!("cannot read the passphrase from {name}: {error}"), hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_taken_and_the_rest_is_left() {
        let mut pipe = &b"open sesame\nthe text of a post\n"[..];
        assert_eq!(**line_of(&mut pipe).unwrap(), *b"open sesame\n");
        assert_eq!(pipe, b"the text of a post\n");
        assert_eq!(line_of(&b""[..]).unwrap().len(), 0);
    }

    #[test]
    fn what_never_ends_is_too_long() {
        let line = line_of(BufReader::new(io::repeat(b'a'))).unwrap();
        let Err(Failure::Error(error)) = parsed("x", &line, HINT) else { panic!("taken") };
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message.contains("longer than"), "{}", error.message);
        assert!(parsed("x", &[b'a'; MAX_PASSPHRASE], HINT).is_ok());
        assert!(parsed("x", &[&[b'a'; MAX_PASSPHRASE][..], b"\r\n"].concat(), HINT).is_ok());
    }
}
