//! The passphrase of an archive: from a file, a pipe, or a person who types it unseen.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal};
use std::path::Path;

use mosaic_node::seal::Passphrase;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::Failure;
use crate::passphrase::{is_dash, line_of, stdin_line, unreadable};

/// What a person is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The passphrase that opens it.
    Present,
    /// One that is typed twice.
    New,
}

impl Context<'_> {
    /// Reads the passphrase of an archive; `hint` says how else it can be given.
    ///
    /// # Errors
    /// There is none, it cannot be used, or it was not typed twice.
    pub(crate) async fn archive_passphrase(
        &mut self,
        file: Option<&Path>,
        what: Ask,
        hint: &str,
    ) -> Result<Zeroizing<String>, Failure> {
        let (name, line) = match file {
            Some(path) if is_dash(path) && !io::stdin().is_terminal() => {
                ("stdin".to_owned(), stdin_line().await?)
            }
            Some(path) if !is_dash(path) => {
                let (name, path) = (path.display().to_string(), path.to_owned());
                let shown = name.clone();
                let reading = move || {
                    let line = File::open(path).and_then(|file| line_of(BufReader::new(file)));
                    line.map_err(unreadable(&shown))
                };
                (name, crate::apart(reading).await?)
            }
            _ if self.is_person() => ("the terminal".to_owned(), self.typed(what, hint).await?),
            _ => {
                let message = "there is no terminal to type a passphrase at: it needs \
                               --archive-passphrase-file FILE, or a key";
                return Err(Failure::usage(message, hint));
            }
        };
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Passphrase::from_bytes(line)
            .map_err(|error| Failure::usage(format!("{error}: it was read from {name}"), hint))?;
        Ok(Zeroizing::new(String::from_utf8_lossy(line).into_owned()))
    }

    async fn typed(&mut self, what: Ask, hint: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if what == Ask::Present {
            return self.hidden("Passphrase of the archive:").await;
        }
        let first = self.hidden("New passphrase of the archive:").await?;
        let second = self.hidden("The same again:").await?;
        if first != second {
            let message = "the two are not the same: no archive was made";
            return Err(Failure::usage(message, hint));
        }
        Ok(first)
    }
}
