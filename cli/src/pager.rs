//! Long output on a terminal goes through the pager of the person.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

/// The pager if the environment names none: ends by itself if everything fits on the screen,
/// shows colours, leaves the text on the screen.
const PAGER_DEFAULT: &str = "less -FRX";

/// A running pager.
#[derive(Debug)]
pub(crate) struct Pager(Child);

impl Pager {
    /// Starts the pager of the environment: `$MOSAIC_PAGER`, `$PAGER`, else `less -FRX`. `None`
    /// if it is empty or `cat`, or does not start: then the output goes to the terminal.
    pub(crate) fn start() -> Option<Self> {
        let named = |name: &str| std::env::var(name).ok();
        let pager = chosen(named("MOSAIC_PAGER"), named("PAGER"))?;
        let mut words = pager.split_whitespace();
        let child = Command::new(words.next()?).args(words).stdin(Stdio::piped()).spawn();
        child.ok().map(Self)
    }

    /// Passes bytes on.
    ///
    /// # Errors
    /// If the person has closed it.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(stdin) = self.0.stdin.as_mut() else { return Ok(()) };
        stdin.write_all(bytes)?;
        stdin.flush()
    }
}

impl Drop for Pager {
    /// Waits until the person has read.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It is the person who ends it, and how it ended is not ours to tell.
        let _ = self.0.wait();
    }
}

fn chosen(own: Option<String>, everybodys: Option<String>) -> Option<String> {
    let pager = own.or(everybodys).unwrap_or_else(|| PAGER_DEFAULT.to_owned());
    let pager = pager.trim();
    (!pager.is_empty() && pager != "cat").then(|| pager.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_pager_comes_first_and_none_is_a_choice() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(chosen(None, None), some("less -FRX"));
        assert_eq!(chosen(None, some("more")), some("more"));
        assert_eq!(chosen(some("most -s"), some("more")), some("most -s"));
        assert_eq!(chosen(some(""), some("more")), None);
        assert_eq!(chosen(None, some("cat")), None);
    }
}
