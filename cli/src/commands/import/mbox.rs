//! Mail in the mbox format: where one message ends and the next begins.
//!
//! An entry begins with a line such as `From ada@example.org Tue Jan  5 10:00:00 2021`. Lines of a
//! text that look so are written with `>` in front (mboxrd puts one before those that have one).

use std::io::{self, BufRead, Read};

use super::channel::{Format, Left, Message, Outline, Raw, Take};
use super::mail;

/// Bytes of an entry: it is held in memory.
const ENTRY_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Bytes of a line that are read at once.
const LINE_BYTES: u64 = 64 * 1024;
/// Bytes of a line that separates entries.
const FROM_BYTES_MAX: usize = 1024;
const FROM: &[u8] = b"From ";
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Mail.
pub(super) struct Mbox {
    /// Whether addresses are shown beside names.
    pub(super) addresses: bool,
}

impl Format for Mbox {
    const NAME: &'static str = "mbox";
    const HINT: &'static str = "mosaic help import mbox";
    const WRONG: &'static str = "not an mbox: it does not begin with a line such as 'From ada@example.org Tue Jan  5 10:00:00 2021'";

    fn each(&mut self, from: &mut dyn BufRead, take: Take<'_>) -> io::Result<bool> {
        each(from, take)
    }

    fn outline(bytes: &[u8]) -> Result<Outline, Left> {
        mail::outline(bytes)
    }

    fn again(bytes: Vec<u8>) -> Vec<u8> {
        let mut entry = Vec::new();
        let read = each(&mut bytes.as_slice(), &mut |raw| {
            if entry.is_empty() {
                entry.extend_from_slice(raw.bytes.unwrap_or_default());
            }
            Ok(())
        });
        read.map(|_| entry).unwrap_or_default()
    }

    fn message(&self, bytes: &[u8]) -> Result<Message, Left> {
        mail::message(bytes, self.addresses)
    }

    fn source(&self) -> Option<String> {
        None
    }
}

/// Calls `take` for each entry. False if the file does not begin as an mbox does.
///
/// # Errors
/// If it cannot be read, or `take` fails.
pub(super) fn each(from: &mut dyn BufRead, take: Take<'_>) -> io::Result<bool> {
    let mut piece = Vec::new();
    let (mut offset, mut number) = (0, 0);
    let mut entry: Option<Entry> = None;
    let mut begins_line = true;
    loop {
        piece.clear();
        let read = (&mut *from).take(LINE_BYTES).read_until(b'\n', &mut piece)? as u64;
        if read == 0 {
            break;
        }
        if begins_line && is_from(&piece) {
            if let Some(entry) = entry.take() {
                entry.give(take)?;
            }
            number += 1;
            entry = Some(Entry { number, offset, length: 0, bytes: Vec::new() });
        }
        match &mut entry {
            Some(entry) => entry.add(&piece, begins_line),
            None if piece.iter().all(u8::is_ascii_whitespace) => {}
            None => return Ok(false),
        }
        offset += read;
        begins_line = piece.ends_with(b"\n");
    }
    if let Some(entry) = entry {
        entry.give(take)?;
    }
    Ok(true)
}

/// An entry that is read.
struct Entry {
    number: u64,
    offset: u64,
    length: u64,
    /// At most one piece more than it may have.
    bytes: Vec<u8>,
}

impl Entry {
    fn add(&mut self, piece: &[u8], begins_line: bool) {
        self.length += piece.len() as u64;
        if self.length > ENTRY_BYTES_MAX as u64 {
            self.bytes = Vec::new();
            return;
        }
        self.bytes.extend_from_slice(if begins_line { unquoted(piece) } else { piece });
    }

    fn give(self, take: Take<'_>) -> io::Result<()> {
        let Self { number, offset, length, bytes } = self;
        let bytes = match length > ENTRY_BYTES_MAX as u64 {
            true => Err(Left::Broken(format!("{length} bytes, limit {ENTRY_BYTES_MAX}"))),
            false => Ok(bytes.as_slice()),
        };
        take(Raw { number, offset, length, bytes })
    }
}

/// A line as it was before it was written to an mbox.
fn unquoted(line: &[u8]) -> &[u8] {
    let quotes = line.iter().take_while(|byte| **byte == b'>').count();
    let quoted = quotes > 0 && line.get(quotes..).is_some_and(|rest| rest.starts_with(FROM));
    if quoted { line.get(1..).unwrap_or_default() } else { line }
}

/// Whether a line separates entries: a date stands in it, as in no sentence.
fn is_from(line: &[u8]) -> bool {
    if !line.starts_with(FROM) || line.len() > FROM_BYTES_MAX {
        return false;
    }
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace().skip(2);
    let month = words.any(|word| MONTHS.contains(&word));
    let day = words.next().is_some_and(|word| is_number(word, 1..=2));
    let time = words.next().is_some_and(|word| {
        let parts: Vec<&str> = word.split(':').collect();
        (2..=3).contains(&parts.len()) && parts.iter().all(|part| is_number(part, 1..=2))
    });
    month && day && time && words.any(|word| is_number(word, 4..=4))
}

fn is_number(word: &str, digits: std::ops::RangeInclusive<usize>) -> bool {
    digits.contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The date of a line that separates entries, in milliseconds since 1970.
pub(super) fn date_of(line: &str) -> Option<i64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let month = words.iter().position(|word| MONTHS.contains(word))?;
    let year = words.iter().skip(month + 3).find(|word| is_number(word, 4..=4))?;
    let [month, day, time] = [month, month + 1, month + 2].map(|at| words.get(at));
    let month = MONTHS.iter().position(|name| Some(name) == month)? + 1;
    let mut time = time?.split(':').chain(["00"]);
    let mut part = || time.next().unwrap_or_default();
    let text =
        format!("{year}-{month:02}-{:0>2}T{:0>2}:{:0>2}:{:0>2}", day?, part(), part(), part());
    let at: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entries = Vec<(u64, u64, Result<Vec<u8>, String>)>;

    fn entries(bytes: &[u8]) -> (bool, Entries) {
        let mut found = Entries::new();
        let whole = each(&mut &bytes[..], &mut |raw| {
            assert!(raw.offset + raw.length <= bytes.len() as u64);
            let read = raw.bytes.map(<[u8]>::to_vec).map_err(|left| format!("{left:?}"));
            found.push((raw.number, raw.offset, read));
            Ok(())
        });
        (whole.unwrap(), found)
    }

    const TWO: &[u8] = b"From ada@example.org Tue Jan  5 10:00:00 2021\nSubject: a\n\n\
        >From here\n>>From there\nFrom now on\n>> text\n\n\
        From - Mon Feb 01 09:30:00 +0100 2021\r\nSubject: b\r\n\r\nc\r\n";

    #[test]
    fn entries_are_told_apart_and_unquoted() {
        let (whole, found) = entries(TWO);
        assert!(whole);
        assert_eq!(found.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [1, 2]);
        let first = String::from_utf8(found[0].2.clone().unwrap()).unwrap();
        assert!(first.ends_with("\n\nFrom here\n>From there\nFrom now on\n>> text\n\n"), "{first}");
        assert_eq!(&TWO[usize::try_from(found[1].1).unwrap()..][..6], b"From -");
    }

    #[test]
    fn what_is_no_mbox_is_told() {
        for bad in ["x", "From here on it goes\n", "{\"messages\":[]}", "\u{0}\u{1}", "From "] {
            assert!(!entries(bad.as_bytes()).0, "{bad}");
        }
        for empty in ["", "\n\n"] {
            assert_eq!(entries(empty.as_bytes()), (true, Entries::new()));
        }
    }

    #[test]
    fn a_line_or_an_entry_without_end_is_passed_over() {
        let mut long = b"From a Tue Jan  5 10:00:00 2021\n".to_vec();
        long.resize(ENTRY_BYTES_MAX + 100, b'x');
        long.extend_from_slice(b"\nFrom b Tue Jan  5 10:00:00 2021\nSubject: b\n\n");
        let (whole, found) = entries(&long);
        assert!(whole && found[0].2.is_err() && found[1].2.is_ok());
    }

    #[test]
    fn a_file_that_ends_anywhere_has_what_came_before() {
        for end in 0..TWO.len() {
            let (whole, found) = entries(&TWO[..end]);
            assert!(found.len() <= 2 && (whole || end < 45), "{end}");
        }
    }

    #[test]
    fn dates_of_separators_are_read() {
        let at = |text| date_of(text).map(|ms| ms / 1000);
        assert_eq!(at("From a Tue Jan  5 10:00:00 2021"), Some(1_609_840_800));
        assert_eq!(at("From a Tue Jan  5 9:00 2021"), Some(1_609_837_200));
        assert_eq!(at("From a Tue Jan 99 10:00:00 2021"), None);
        assert_eq!(at("From nobody"), None);
    }
}
