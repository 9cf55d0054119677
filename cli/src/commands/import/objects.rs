//! A JSON object with a list of messages in it, read without holding it in memory: where each
//! message begins and ends. What stands in one is for a parser to say.

use std::io::{self, BufRead};

use super::channel::{Left, Raw, Take};

/// Bytes of a message: it is held in memory.
const OBJECT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of what stands beside the list, as far as it is of use.
const FIELD_BYTES_MAX: usize = 64 * 1024;
/// The name of the list.
const LIST: &str = "\"messages\"";

/// What stands beside the list: names with their quotes, and values.
pub(super) type Fields = Vec<(String, Vec<u8>)>;

/// Calls `take` for each message. `None` if there is no list of messages.
///
/// # Errors
/// If it cannot be read, or `take` fails.
pub(super) fn each(from: &mut dyn BufRead, take: Take<'_>) -> io::Result<Option<Fields>> {
    let mut scan = Scan { from, offset: 0 };
    if scan.peek()? == Some(0xef) {
        scan.skip(3)?;
    }
    if scan.next()? != Some(b'{') {
        return Ok(None);
    }
    let (mut fields, mut found) = (Fields::new(), false);
    loop {
        let name = match scan.next()? {
            Some(b'"') => scan.value(b'"', FIELD_BYTES_MAX)?,
            Some(b',') => continue,
            _ => break,
        };
        let (Some(b':'), Some(first)) = (scan.next()?, scan.next()?) else { break };
        if !found && first == b'[' && name.bytes == LIST.as_bytes() {
            found = true;
            if !messages(&mut scan, take)? {
                break;
            }
            continue;
        }
        let value = scan.value(first, FIELD_BYTES_MAX)?;
        if !value.whole {
            break;
        }
        if value.length <= FIELD_BYTES_MAX as u64 && fields.len() < 64 {
            fields.push((String::from_utf8_lossy(&name.bytes).into_owned(), value.bytes));
        }
    }
    Ok(found.then_some(fields))
}

/// Gives each message of a list; false if the list does not end as one.
fn messages(scan: &mut Scan<'_>, take: Take<'_>) -> io::Result<bool> {
    let mut number = 0;
    loop {
        let (offset, first) = match scan.next()? {
            Some(b']') => return Ok(true),
            Some(b',') if number > 0 => continue,
            Some(first) => (scan.offset - 1, first),
            None => (scan.offset, b' '),
        };
        number += 1;
        let mut give = |length, bytes| take(Raw { number, offset, length, bytes });
        let broken = |why: String| Err(Left::Broken(why));
        match first {
            b' ' => {
                give(0, broken("the file ends in the list of messages".to_owned()))?;
                return Ok(false);
            }
            b'}' | b':' => {
                give(0, broken("what follows is no message".to_owned()))?;
                return Ok(false);
            }
            first => {
                let value = scan.value(first, OBJECT_BYTES_MAX)?;
                let length = value.length;
                if !value.whole {
                    give(length, broken("the file ends in it".to_owned()))?;
                    return Ok(false);
                }
                match length > OBJECT_BYTES_MAX as u64 {
                    true => {
                        give(length, broken(format!("{length} bytes, limit {OBJECT_BYTES_MAX}")))?;
                    }
                    false => give(length, Ok(&value.bytes))?,
                }
            }
        }
    }
}

/// A value as it stands.
struct Value {
    /// Empty if there are more than wanted.
    bytes: Vec<u8>,
    length: u64,
    /// Whether it ends before the file does.
    whole: bool,
}

struct Scan<'a> {
    from: &'a mut dyn BufRead,
    offset: u64,
}

impl Scan<'_> {
    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.from.fill_buf()?.first().copied())
    }

    fn skip(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            if self.peek()?.is_some() {
                self.from.consume(1);
                self.offset += 1;
            }
        }
        Ok(())
    }

    /// The next byte that is no white space.
    fn next(&mut self) -> io::Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            self.skip(1)?;
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
        }
        Ok(None)
    }

    /// Reads a value of which the first byte was read.
    fn value(&mut self, first: u8, bytes_max: usize) -> io::Result<Value> {
        let mut state = State::default();
        let mut value = Value { bytes: vec![first], length: 1, whole: false };
        let nested = matches!(first, b'{' | b'[' | b'"');
        if state.step(first) && nested {
            value.whole = true;
        }
        while !value.whole {
            let buffer = self.from.fill_buf()?;
            if buffer.is_empty() {
                // A number ends where the file does.
                break;
            }
            let mut used = 0;
            for byte in buffer {
                if !nested && matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t') {
                    value.whole = true;
                    break;
                }
                used += 1;
                if state.step(*byte) && nested {
                    value.whole = true;
                    break;
                }
            }
            value.length += used as u64;
            if value.length <= bytes_max as u64 {
                value.bytes.extend_from_slice(buffer.get(..used).unwrap_or_default());
            } else {
                value.bytes = Vec::new();
            }
            self.from.consume(used);
            self.offset += used as u64;
        }
        Ok(value)
    }
}

/// How far into a value one is.
#[derive(Default)]
struct State {
    depth: u64,
    quoted: bool,
    escaped: bool,
}

impl State {
    /// Takes a byte in; whether a value may end with it.
    fn step(&mut self, byte: u8) -> bool {
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
            return !self.quoted && self.depth == 0;
        }
        match byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.depth == 0 && !self.quoted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Vec<(u64, Result<String, String>)>;

    fn found(text: &str) -> Option<(Fields, Found)> {
        let mut found = Found::new();
        // A small buffer, so that everything is cut somewhere.
        let mut from = io::BufReader::with_capacity(3, text.as_bytes());
        let fields = each(&mut from, &mut |raw| {
            let [start, length] = [raw.offset, raw.length].map(|n| usize::try_from(n).unwrap());
            let read = raw.bytes.map(|bytes| {
                assert_eq!(bytes, &text.as_bytes()[start..start + length]);
                String::from_utf8(bytes.to_vec()).unwrap()
            });
            found.push((raw.number, read.map_err(|left| format!("{left:?}"))));
            Ok(())
        });
        fields.unwrap().map(|fields| (fields, found))
    }

    const EXPORT: &str = "\u{feff}{ \"guild\": {\"name\":\"a]}\\\"\"}, \"n\":1,\"messages\" : [ \
        {\"id\":\"1\",\"x\":[{}]}, 7, \"s\\\\\", {}\n], \"messageCount\": 4 }";

    #[test]
    fn messages_and_what_stands_beside_them_are_found() {
        let (fields, found) = found(EXPORT).unwrap();
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["\"guild\"", "\"n\"", "\"messageCount\""]);
        let read: Vec<_> = found.iter().map(|(_, read)| read.as_deref().unwrap()).collect();
        assert_eq!(read, ["{\"id\":\"1\",\"x\":[{}]}", "7", "\"s\\\\\"", "{}"]);
    }

    #[test]
    fn an_export_that_ends_anywhere_has_what_came_before() {
        let list = EXPORT.find('[').unwrap();
        for end in (0..EXPORT.len()).filter(|end| EXPORT.is_char_boundary(*end)) {
            let Some((_, found)) = found(&EXPORT[..end]) else {
                assert!(end <= EXPORT.find(": [").unwrap() + 2, "{end}");
                continue;
            };
            assert!(end > list && found.len() <= 5, "{end}");
            let broken = found.iter().filter(|(_, read)| read.is_err()).count();
            assert_eq!(broken, usize::from(end <= EXPORT.rfind(']').unwrap()), "{end} {found:?}");
        }
    }

    #[test]
    fn what_is_no_export_is_told() {
        for bad in
            ["", "[]", "{", "{}", "{\"messages\":{}}", "{\"messages\":7}", "From a", "nul", "{]"]
        {
            assert!(found(bad).is_none(), "{bad}");
        }
        assert_eq!(found("{\"messages\":[]}"), Some((vec![], vec![])));
        assert!(found("{\"messages\":[}").unwrap().1[0].1.is_err());
    }

    #[test]
    fn a_text_without_end_is_passed_over() {
        let long = format!("{{\"messages\":[\"{}\",2]}}", "x".repeat(100 * 1024 * 1024));
        let mut found = Vec::new();
        let fields = each(&mut long.as_bytes(), &mut |raw| {
            found.push(raw.bytes.is_ok());
            Ok(())
        });
        assert!(fields.unwrap().is_some());
        assert_eq!(found, [false, true]);
        let deep = format!("{{\"messages\":[{}", "[".repeat(1024 * 1024));
        each(&mut deep.as_bytes(), &mut |raw| {
            assert!(raw.bytes.is_err());
            Ok(())
        })
        .unwrap();
    }
}
