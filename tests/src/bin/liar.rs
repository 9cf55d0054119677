//! The liar: signs anything and offers it to a running node, in messages and in packs.
//!
//! ```text
//! liar identity KEY                          makes a key file and prints its account
//! liar offer --key KEY [--path PATH] --node TICKET [--file F]...
//! liar bytes --key KEY --node TICKET --file F      any bytes in place of a message
//! ```
//!
//! Without `--file` it tells every lie it knows. `--key` is a device's key file, `--path`
//! its certificate path (of a device that a victim enrolled); without a path the device is
//! the first one of an account that begins with its key. One JSON line for each offer:
//! what it was, how it travelled, and what the node said.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use mosaic_engine::codec::Reader;
use mosaic_engine::entropy::{Entropy, random};
use mosaic_engine::identity::{CertificatePath, DeviceSecret, Genesis};
use mosaic_node::entropy::OsEntropy;
use mosaic_node::ticket::NodeTicket;
use mosaic_tests::liar::author::{Author, encode_path};
use mosaic_tests::liar::line::{Heard, Speaker, Way};
use mosaic_tests::liar::net::NetLine;
use mosaic_tests::liar::pump::now_ms;
use mosaic_tests::liar::table::{Answer, Offer, lies, offers_of_file};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "liar: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), Failure> {
    let (verb, rest) = args.split_first().ok_or("say identity, offer or bytes")?;
    match verb.as_str() {
        "identity" => identity(rest.first().ok_or("say which key file")?),
        "offer" => offer(&Asked::parse(rest)?),
        "bytes" => bytes(&Asked::parse(rest)?),
        other => Err(format!("{other} is not identity, offer or bytes").into()),
    }
}

/// What the command line asks for.
#[derive(Default)]
struct Asked {
    key: String,
    path: Option<String>,
    node: String,
    files: Vec<String>,
}

impl Asked {
    fn parse(args: &[String]) -> Result<Self, Failure> {
        let mut asked = Self::default();
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?.clone();
            match flag.as_str() {
                "--key" => asked.key = value,
                "--path" => asked.path = Some(value),
                "--node" => asked.node = value,
                "--file" => asked.files.push(value),
                other => return Err(format!("{other} is not a flag").into()),
            }
        }
        Ok(asked)
    }

    fn author(&self) -> Result<Author, Failure> {
        let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy::open()?);
        let secret = secret(&self.key)?;
        let path = match &self.path {
            Some(file) => std::fs::read(file)?,
            None => std::fs::read(format!("{}.path", self.key))?,
        };
        let path = CertificatePath::decode(&mut Reader::new(&path))?;
        Ok(Author::enrolled(secret, path, entropy))
    }

    fn speaker(&self, author: &Author) -> Result<Speaker<NetLine>, Failure> {
        let ticket = NodeTicket::parse(&self.node)?;
        Ok(Speaker::new(NetLine::new(author.secret(), &ticket)))
    }
}

fn secret(file: &str) -> Result<DeviceSecret, Failure> {
    let bytes: [u8; DeviceSecret::LEN] =
        std::fs::read(file)?.try_into().map_err(|_| "a key file has 64 bytes")?;
    DeviceSecret::from_bytes(&bytes).ok_or_else(|| "the key file holds no keys".into())
}

/// Makes a key file and the path of an account that begins with it.
fn identity(file: &str) -> Result<(), Failure> {
    let entropy = OsEntropy::open()?;
    let bytes: [u8; DeviceSecret::LEN] = random(&entropy);
    std::fs::write(file, bytes)?;
    let genesis = Genesis::create(&secret(file)?, [0; 32], now_ms(), &entropy);
    let path = CertificatePath::first(genesis);
    std::fs::write(format!("{file}.path"), encode_path(&path))?;
    let device = path.claimed_device().to_string();
    print(&json!({
        "type": "identity", "account": path.account().to_string(), "device": device,
    }))
}

fn offer(asked: &Asked) -> Result<(), Failure> {
    let author = asked.author()?;
    let now = now_ms();
    let mut offers: Vec<Offer> = Vec::new();
    for file in &asked.files {
        offers.extend(offers_of_file(&author, file, &std::fs::read(file)?, now));
    }
    if asked.files.is_empty() {
        offers = lies(&author, now);
    }
    let mut speaker = asked.speaker(&author)?;
    for offer in &offers {
        for way in [Way::Inline, Way::Pack] {
            let heard = speaker.offer(&offer.received, way);
            print(&verdict(&offer.what, way.name(), heard, Some(offer.answer)))?;
        }
    }
    Ok(())
}

fn bytes(asked: &Asked) -> Result<(), Failure> {
    let author = asked.author()?;
    let mut speaker = asked.speaker(&author)?;
    for file in &asked.files {
        let heard = speaker.say(&std::fs::read(file)?);
        print(&verdict(file, "message", heard, None))?;
    }
    Ok(())
}

fn verdict(what: &str, way: &str, heard: Heard, expected: Option<Answer>) -> serde_json::Value {
    let (verdict, reason) = match heard {
        Heard::Answer(answer) => (answer.name(), answer.reason().map(|reason| reason.name())),
        Heard::Closed(_) => ("closed", None),
    };
    let as_expected = expected.is_none_or(|expected| heard == Heard::Answer(expected));
    let mut line = json!({ "type": "verdict", "lie": what, "way": way, "verdict": verdict });
    if let Some(reason) = reason {
        line["reason"] = reason.into();
    }
    if !as_expected && let Some(expected) = expected {
        let reason = expected.reason().map(|reason| reason.name());
        line["expected"] = format!("{} {}", expected.name(), reason.unwrap_or("")).into();
    }
    line
}

fn print(line: &serde_json::Value) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
