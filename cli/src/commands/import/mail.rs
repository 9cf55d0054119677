//! One mail as a message: who, when, what it answers, text and files.

use mailparse::{
    DispositionType, MailAddr, MailHeader, MailHeaderMap, ParsedMail, addrparse_header, dateparse,
    parse_headers, parse_mail,
};
use mosaic_engine::hash::BlobHash;
use mosaic_engine::limits::{MEDIA_TYPE_BYTES_MAX, ORIGIN_ID_BYTES_MAX};

use super::channel::{Left, Message, Outline, PARENTS_MAX, Part};
use super::{Skipped, mbox, text};

/// Bytes of what stands before the text.
const HEADERS_BYTES_MAX: usize = 256 * 1024;
/// Lines of a mail: each may be a header, which takes more memory than its bytes.
const LINES_MAX: usize = 1024 * 1024;
/// Lines that may begin a part, which takes still more.
const MARKS_MAX: usize = 65_536;
/// Headers of which a mail has one.
const HEADERS: [&str; 4] = ["From", "Date", "Subject", "Message-ID"];
/// Files that say who signed, and mean nothing beside another text.
const SIGNATURES: [&str; 3] =
    ["application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"];

/// Returns what a mail is called and which it may answer, looking at nothing else.
///
/// # Errors
/// If it is no mail.
pub(super) fn outline(raw: &[u8]) -> Result<Outline, Left> {
    let (_, mail) = split(raw);
    let (headers, _) = parse_headers(head(mail)?).map_err(broken)?;
    if !HEADERS.iter().any(|name| headers.get_first_header(name).is_some()) {
        return Err(Left::Broken("no From, Date, Subject or Message-ID".to_owned()));
    }
    let value = |name: &str| headers.get_first_value(name).unwrap_or_default();
    let id = ids(&value("Message-ID")).next().map(|id| format!("mid:{id}"));
    let id = id.filter(|id| id.len() <= ORIGIN_ID_BYTES_MAX);
    let id = id.unwrap_or_else(|| format!("mbox:{}", BlobHash::of(raw.trim_ascii_end())));
    let mut after: Vec<String> = Vec::new();
    let (answered, thread) = (value("In-Reply-To"), value("References"));
    let thread: Vec<&str> = ids(&thread).collect();
    for parent in ids(&answered).chain(thread.into_iter().rev()) {
        let parent = format!("mid:{parent}");
        if after.len() < PARENTS_MAX && parent != id && !after.contains(&parent) {
            after.push(parent);
        }
    }
    after.retain(|id| id.len() <= ORIGIN_ID_BYTES_MAX);
    Ok(Outline { id, after })
}

/// Reads a whole mail. `addresses` are shown beside names if that is wanted.
///
/// # Errors
/// If it is no mail, or nobody wrote it.
pub(super) fn message(raw: &[u8], addresses: bool) -> Result<Message, Left> {
    let Outline { id, after } = outline(raw)?;
    let (separator, mail) = split(raw);
    let lines = mail.split(|byte| *byte == b'\n');
    let (count, marks) = lines.fold((0, 0), |(count, marks), line| {
        (count + 1, marks + usize::from(line.starts_with(b"--")))
    });
    if count > LINES_MAX || marks > MARKS_MAX {
        return Err(Left::Broken(format!("{count} lines, {marks} of which may begin a part")));
    }
    let mail = parse_mail(mail).map_err(broken)?;
    let value = |name: &str| mail.headers.get_first_value(name).unwrap_or_default();
    // What is no date is read as none, or as 0.
    let date = dateparse(&value("Date")).ok().filter(|seconds| *seconds > 0);
    let date = date.and_then(|seconds| seconds.checked_mul(1000));
    let author = mail.headers.get_first_header("From").map(|from| author(from, addresses));
    let mut read = Read::default();
    read.part(&mail, true);
    let subject = one_line(&value("Subject"));
    let body = read.texts.join("\n\n");
    let text = match (subject.is_empty(), body.is_empty()) {
        (true, _) => body,
        (false, true) => subject,
        (false, false) => format!("{subject}\n\n{body}"),
    };
    Ok(Message {
        id,
        after,
        author: author.unwrap_or_default(),
        text,
        created_at: date.or_else(|| mbox::date_of(&separator)),
        link: None,
        files: read.files,
        left_out: read.left_out,
    })
}

/// The line before a mail, and the mail.
fn split(raw: &[u8]) -> (String, &[u8]) {
    let end = raw.iter().position(|byte| *byte == b'\n').map_or(raw.len(), |at| at + 1);
    let (line, mail) = raw.split_at(end);
    (String::from_utf8_lossy(line).into_owned(), mail)
}

/// What stands before the first empty line.
fn head(mail: &[u8]) -> Result<&[u8], Left> {
    let mut end = 0;
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            break;
        }
        end += line.len();
        if end > HEADERS_BYTES_MAX {
            return Err(Left::Broken(format!("headers of more than {HEADERS_BYTES_MAX} bytes")));
        }
    }
    Ok(mail.get(..end).unwrap_or_default())
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err calls it")]
fn broken(error: mailparse::MailParseError) -> Left {
    Left::Broken(error.to_string())
}

/// What stands between angle brackets.
fn ids(value: &str) -> impl Iterator<Item = &str> {
    let parts = value.split('<').skip(1).filter_map(|part| part.split_once('>'));
    parts.map(|(id, _)| id.trim()).filter(|id| !id.is_empty())
}

fn author(from: &MailHeader<'_>, addresses: bool) -> String {
    let first = addrparse_header(from).ok().and_then(|list| list.into_inner().into_iter().next());
    let (name, address) = match first {
        Some(MailAddr::Single(one)) => (one.display_name.unwrap_or_default(), one.addr),
        Some(MailAddr::Group(group)) => (group.group_name, String::new()),
        None => (from.get_value(), String::new()),
    };
    let name = one_line(&name);
    match (name.is_empty(), addresses) {
        (false, true) if !address.is_empty() => format!("{name} <{address}>"),
        (true, true) => address,
        // What is imported is public, and addresses are gathered.
        (true, false) => address.split('@').next().unwrap_or_default().to_owned(),
        (false, _) => name,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What was read of the parts of a mail.
#[derive(Default)]
struct Read {
    texts: Vec<String>,
    files: Vec<Part>,
    left_out: Skipped,
}

impl Read {
    /// Reads a part and those in it; `texts` too, or only files.
    fn part(&mut self, part: &ParsedMail<'_>, texts: bool) {
        let kind = part.ctype.mimetype.as_str();
        if part.subparts.is_empty() {
            self.leaf(part, texts);
        } else if kind == "multipart/alternative" {
            let best = if texts { best(part) } else { None };
            for (at, inner) in part.subparts.iter().enumerate() {
                self.part(inner, Some(at) == best);
            }
        } else {
            for inner in &part.subparts {
                self.part(inner, texts);
            }
        }
    }

    fn leaf(&mut self, part: &ParsedMail<'_>, texts: bool) {
        let kind = part.ctype.mimetype.as_str();
        if let Some(html) = text_kind(part) {
            if !texts {
                return;
            }
            match part.get_body() {
                Ok(body) if html => self.say(&text::of_html(&body, true)),
                Ok(body) => self.say(&body.replace("\r\n", "\n")),
                Err(_) => self.leave("texts that cannot be decoded"),
            }
            return;
        }
        if SIGNATURES.contains(&kind) {
            return self.leave("signatures");
        }
        let Ok(bytes) = part.get_body_raw() else {
            return self.leave("files that cannot be decoded");
        };
        let name = file_name(part).unwrap_or_else(|| {
            let ending = if kind == "message/rfc822" { "eml" } else { "bin" };
            format!("part-{}.{ending}", self.files.len() + 1)
        });
        let fits = kind.contains('/') && kind.len() <= MEDIA_TYPE_BYTES_MAX;
        let media_type = Some(kind.to_owned()).filter(|_| fits && !kind.ends_with("octet-stream"));
        self.files.push(Part::Bytes { name, media_type, bytes });
    }

    fn say(&mut self, text: &str) {
        let text = text.trim_end().trim_start_matches(['\n', '\r']);
        if !text.trim().is_empty() {
            self.texts.push(text.to_owned());
        }
    }

    fn leave(&mut self, reason: &'static str) {
        *self.left_out.entry(reason).or_default() += 1;
    }
}

/// Whether a part is text to be read, and then whether it is HTML.
fn text_kind(part: &ParsedMail<'_>) -> Option<bool> {
    let kind = part.ctype.mimetype.as_str();
    let html = kind == "text/html";
    let attached = part.get_content_disposition().disposition == DispositionType::Attachment;
    // A multipart in which nothing begins is what it says.
    let text = html || kind == "text/plain" || kind.starts_with("multipart/");
    (text && !attached && file_name(part).is_none()).then_some(html)
}

/// Which of several forms of one text is read: the plain one, or else the last that has any.
fn best(of: &ParsedMail<'_>) -> Option<usize> {
    let has = |part: &ParsedMail<'_>, html: bool| {
        part.parts().any(|inner| text_kind(inner) == Some(html) && inner.subparts.is_empty())
    };
    let plain = of.subparts.iter().position(|part| {
        has(part, false)
            && part.parts().any(|inner| inner.get_body().is_ok_and(|b| !b.trim().is_empty()))
    });
    plain.or_else(|| of.subparts.iter().rposition(|part| has(part, true)))
}

fn file_name(part: &ParsedMail<'_>) -> Option<String> {
    let disposition = part.get_content_disposition();
    let name = disposition.params.get("filename").or_else(|| part.ctype.params.get("name"));
    name.map(|name| one_line(name)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "From ada@boats.example Tue Jan  5 10:00:00 2021\n";

    fn read(mail: &str) -> Message {
        message(format!("{FROM}{mail}").as_bytes(), false).unwrap()
    }

    const FULL: &str = "From: =?ISO-8859-1?Q?Ad=E9?= <ada@boats.example>\r\n\
        Date: Tue, 05 Jan 2021 11:30:00 +0200\r\nSubject: =?utf-8?B?Qm9hdHMg4piD?=\r\n\
        Message-ID: <2@boats.example>\r\nIn-Reply-To: Your message of \"Monday\" <1@boats.example>\r\n\
        References: <0@boats.example>\r\n <1@boats.example>\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=\"m\"\r\n\r\npreamble\r\n--m\r\n\
        Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n\
        Content-Type: text/plain; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        caf=E9 =80\r\n--a\r\nContent-Type: text/html\r\n\r\n<p>caf&eacute;</p>\r\n--a--\r\n--m\r\n\
        Content-Type: image/png; name=\"x.png\"\r\nContent-Transfer-Encoding: base64\r\n\
        Content-Disposition: attachment; filename*=utf-8''b%C3%B6t.png\r\n\r\niVBO\r\nRw0K\r\n--m\r\n\
        Content-Type: application/pgp-signature\r\n\r\nx\r\n--m--\r\n";

    fn file(part: &Part) -> (&str, &[u8]) {
        match part {
            Part::Bytes { name, bytes, .. } => (name, bytes),
            Part::Beside { name, .. } => (name, &[]),
        }
    }

    fn files(message: &Message) -> Vec<(&str, &[u8])> {
        message.files.iter().map(file).collect()
    }

    #[test]
    fn a_mail_has_author_date_thread_text_and_files() {
        let mail = read(FULL);
        assert_eq!((mail.author.as_str(), mail.created_at), ("Adé", Some(1_609_839_000_000)));
        assert_eq!(mail.id, "mid:2@boats.example");
        assert_eq!(mail.after, ["mid:1@boats.example", "mid:0@boats.example"]);
        assert_eq!(mail.text, "Boats ☃\n\ncafé €");
        assert_eq!(files(&mail), [("böt.png", &b"\x89PNG\r\n"[..])]);
        assert_eq!(mail.left_out.get("signatures"), Some(&1));
        let shown = message(format!("{FROM}{FULL}").as_bytes(), true).unwrap();
        assert_eq!(shown.author, "Adé <ada@boats.example>");
    }

    #[test]
    fn a_mail_without_much_is_one_too() {
        let mail = read("From: ada@boats.example\n\nhello\n\n");
        assert_eq!((mail.author.as_str(), mail.text.as_str()), ("ada", "hello"));
        assert_eq!(mail.created_at, Some(1_609_840_800_000), "of the line before it");
        assert!(mail.id.starts_with("mbox:"), "{}", mail.id);
        // Behind the last one an empty line may be missing.
        assert_eq!(read("From: ada@boats.example\n\nhello").id, mail.id);
        let html = "Subject: x\nContent-Type: text/html; charset=utf-8\n\n<p>a &amp; <b>b</b></p>";
        assert_eq!(read(html).text, "x\n\na & **b**");
        let inner = "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\
            Content-Type: message/rfc822\n\nSubject: y\n\nz\n--b\nContent-Type: text/plain\n\n\n--b--\n";
        assert_eq!(files(&read(inner)), [("part-1.eml", &b"Subject: y\n\nz"[..])]);
        for bad in ["", "\n\nno header", "  leading: space\n\n", "X-Only: this\n\nx", "just text"] {
            let left = message(format!("{FROM}{bad}").as_bytes(), false);
            assert!(matches!(left, Err(Left::Broken(_))), "{bad:?}");
        }
    }

    #[test]
    fn of_several_forms_one_is_read_and_no_file_is_lost() {
        let mail = |parts: &[&str]| {
            let parts: String = parts.iter().map(|part| format!("--b\n{part}\n")).collect();
            read(&format!(
                "Subject:\nContent-Type: multipart/alternative; boundary=b\n\n{parts}--b--\n"
            ))
        };
        let (plain, html) =
            ("Content-Type: text/plain\n\nplain", "Content-Type: text/html\n\n<b>html</b>");
        let nested = "Content-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: text/html\n\n\
            <b>html</b>\n--c\nContent-Type: application/pdf; name=a.pdf\n\npdf\n--c--\n";
        assert_eq!(mail(&[plain, html]).text, "plain");
        assert_eq!(mail(&["Content-Type: text/plain\n\n \n", html]).text, "**html**");
        let both = mail(&[plain, nested]);
        assert_eq!((both.text.as_str(), files(&both)), ("plain", vec![("a.pdf", &b"pdf"[..])]));
    }

    #[test]
    fn what_nobody_wrote_ends_nothing() {
        let nested: String = (0..1000)
            .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}.\n\n--b{n}.\n"))
            .collect();
        let left = message(format!("{FROM}Subject: x\n{nested}").as_bytes(), false);
        assert!(matches!(left, Err(Left::Broken(_))));
        let flat = format!(
            "{FROM}Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n{}",
            "--b\n\n".repeat(100_000)
        );
        assert!(matches!(message(flat.as_bytes(), false), Err(Left::Broken(_))));
        let headers = format!("{FROM}Subject: x\n{}\n\n", "a:\n".repeat(200_000));
        assert!(matches!(outline(headers.as_bytes()), Err(Left::Broken(_))));
        let lines = format!("{FROM}Subject: x\n\n{}", "\n".repeat(LINES_MAX + 1));
        assert!(matches!(message(lines.as_bytes(), false), Err(Left::Broken(_))));
        let endless = read(&format!(
            "Subject: x\nContent-Type: image/png; name=x.png\nContent-Transfer-Encoding: base64\n\n{}",
            "iVBORw0K".repeat(200_000)
        ));
        assert_eq!(files(&endless)[0].1.len(), 1_200_000);
        let cut = "Subject: x\nContent-Type: image/png; name=x.png\nContent-Transfer-Encoding: base64\n\niV!";
        assert_eq!(read(cut).left_out.get("files that cannot be decoded"), Some(&1));
    }

    #[test]
    fn a_mail_that_ends_or_is_damaged_anywhere_ends_nothing() {
        let whole = format!("{FROM}{FULL}").into_bytes();
        for at in 0..whole.len() {
            let _ = message(&whole[..at], true);
            for byte in [0, b'\n', b'"', b'<', b'=', 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                let _ = message(&damaged, true);
            }
        }
    }
}
