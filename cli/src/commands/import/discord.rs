//! What DiscordChatExporter writes of a channel as JSON.

use std::io::{self, BufRead};

use mosaic_node::api::types::parse_rfc3339;
use serde::Deserialize;

use super::channel::{Format, Left, Message, Outline, Part, Take};
use super::objects;

/// Kinds that nobody wrote, by name, and by number where the exporter has no name.
const NOTICES: [&str; 21] = [
    "RecipientAdd",
    "RecipientRemove",
    "Call",
    "ChannelNameChange",
    "ChannelIconChange",
    "ChannelPinnedMessage",
    "GuildMemberJoin",
    "ThreadCreated",
    "8",
    "9",
    "10",
    "11",
    "12",
    "13",
    "14",
    "15",
    "16",
    "17",
    "21",
    "22",
    "24",
];

/// An export.
#[derive(Default)]
pub(super) struct Discord {
    guild: Option<Named>,
    channel: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: Option<Id>,
    name: Option<String>,
}

/// Ids are texts; some programs write them as numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

impl Id {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// What is needed of a message to put it in order.
#[derive(Deserialize)]
struct Head {
    id: Id,
    #[serde(rename = "type")]
    kind: Option<String>,
    reference: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "messageId")]
    message: Option<Id>,
}

#[derive(Deserialize)]
struct Body {
    timestamp: Option<String>,
    author: Option<Author>,
    #[serde(flatten)]
    said: Said,
    #[serde(rename = "forwardedMessage")]
    forwarded: Option<Said>,
}

/// What is said, by the author or by whom he passes on.
#[derive(Default, Deserialize)]
struct Said {
    content: Option<String>,
    attachments: Option<Vec<Attachment>>,
    embeds: Option<Vec<Embed>>,
    stickers: Option<Vec<Sticker>>,
}

#[derive(Deserialize)]
struct Author {
    name: Option<String>,
    nickname: Option<String>,
}

#[derive(Deserialize)]
struct Attachment {
    url: Option<String>,
    #[serde(rename = "fileName")]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Embed {
    title: Option<String>,
    description: Option<String>,
    url: Option<String>,
}

#[derive(Deserialize)]
struct Sticker {
    name: Option<String>,
}

impl Format for Discord {
    const NAME: &'static str = "discord";
    const HINT: &'static str = "mosaic help import discord";
    const WRONG: &'static str =
        "not an export of DiscordChatExporter in JSON: there is no list of messages in it";

    fn each(&mut self, from: &mut dyn BufRead, take: Take<'_>) -> io::Result<bool> {
        let Some(fields) = objects::each(from, take)? else { return Ok(false) };
        for (name, value) in fields {
            let read = || serde_json::from_slice(&value).ok();
            match name.as_str() {
                "\"guild\"" => self.guild = read(),
                "\"channel\"" => self.channel = read(),
                _ => {}
            }
        }
        Ok(true)
    }

    fn outline(bytes: &[u8]) -> Result<Outline, Left> {
        let head: Head = serde_json::from_slice(bytes).map_err(broken)?;
        if head.kind.as_deref().is_some_and(|kind| NOTICES.contains(&kind)) {
            return Err(Left::Kind("notices that nobody wrote"));
        }
        let id = head.id.text();
        if id.is_empty() || id.len() > 64 {
            return Err(Left::Broken("an id that is none".to_owned()));
        }
        let answers = head.reference.filter(|to| to.kind.as_deref() != Some("Forward"));
        let after = answers.and_then(|to| to.message).map(|id| called(&id.text()));
        Ok(Outline { id: called(&id), after: after.into_iter().collect() })
    }

    fn again(bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    fn message(&self, bytes: &[u8]) -> Result<Message, Left> {
        let Outline { id, after } = Self::outline(bytes)?;
        let body: Body = serde_json::from_slice(bytes).map_err(broken)?;
        let time = body.timestamp.as_deref().and_then(parse_rfc3339);
        let mut message = Message {
            link: self.link(&id),
            author: body.author.map(author).unwrap_or_default(),
            created_at: time.and_then(|ms| i64::try_from(ms).ok()),
            id,
            after,
            ..Message::default()
        };
        let mut lines = Vec::new();
        say(body.said, &mut lines, &mut message);
        if let Some(forwarded) = body.forwarded {
            lines.push("[forwarded]".to_owned());
            say(forwarded, &mut lines, &mut message);
        }
        message.text = lines.join("\n");
        Ok(message)
    }

    fn source(&self) -> Option<String> {
        let name = |of: &Option<Named>| of.as_ref()?.name.clone().filter(|name| !name.is_empty());
        match (name(&self.guild), name(&self.channel)) {
            (Some(guild), Some(channel)) => Some(format!("Discord {guild} #{channel}")),
            (Some(name), None) | (None, Some(name)) => Some(format!("Discord {name}")),
            (None, None) => None,
        }
    }
}

impl Discord {
    /// Where a message is read there.
    fn link(&self, id: &str) -> Option<String> {
        let digits = |id: &String| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        let id_of = |of: &Option<Named>| Some(of.as_ref()?.id.as_ref()?.text()).filter(digits);
        let message = id.rsplit(':').next().map(str::to_owned).filter(digits)?;
        // Letters between two people belong to no server.
        let guild = id_of(&self.guild).filter(|id| id != "0").unwrap_or_else(|| "@me".to_owned());
        let channel = id_of(&self.channel)?;
        Some(format!("https://discord.com/channels/{guild}/{channel}/{message}"))
    }
}

/// What a message is called: ids are given once in all of Discord.
fn called(id: &str) -> String {
    format!("discord:{id}")
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err calls it")]
fn broken(error: serde_json::Error) -> Left {
    Left::Broken(error.to_string())
}

/// The name that others saw, and beside it the one that is given once.
fn author(author: Author) -> String {
    let filled = |name: Option<String>| name.filter(|name| !name.trim().is_empty());
    match (filled(author.nickname), filled(author.name)) {
        (Some(shown), Some(name)) if shown != name => format!("{shown} ({name})"),
        (shown, name) => shown.or(name).unwrap_or_default(),
    }
}

fn say(said: Said, lines: &mut Vec<String>, message: &mut Message) {
    let content = said.content.unwrap_or_default();
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let before = (lines.len(), message.files.len());
    for attachment in said.attachments.unwrap_or_default() {
        let Some(url) = filled(&attachment.url) else { continue };
        if url.contains("://") {
            if !content.contains(&url) {
                lines.push(url);
            }
            *message
                .left_out
                .entry("files elsewhere on the web, of which the link stays")
                .or_default() += 1;
            continue;
        }
        // The exporter writes paths as the system that it ran on.
        let path = url.replace('\\', "/");
        let last = path.rsplit('/').next().unwrap_or_default().to_owned();
        let name = filled(&attachment.name).unwrap_or(last);
        message.files.push(Part::Beside { name, path });
    }
    if !content.trim().is_empty() {
        lines.insert(before.0, content);
    }
    let stickers = said.stickers.unwrap_or_default().into_iter();
    lines.extend(stickers.filter_map(|one| one.name).map(|name| format!("[sticker: {name}]")));
    // Beside a text they are what its links lead to.
    if (lines.len(), message.files.len()) == before {
        for embed in said.embeds.unwrap_or_default() {
            lines.extend([embed.title, embed.description, embed.url].iter().filter_map(filled));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORT: &str = r#"{"guild":{"id":"10","name":"Boats"},"channel":{"id":"20","name":"general"},"messages":[
{"id":"1","type":"Default","timestamp":"2021-01-05T10:00:00+00:00","content":"Thursday?",
 "author":{"id":"7","name":"ada","nickname":"Ada"},"attachments":[],"embeds":[]},
{"id":2,"type":"Reply","timestamp":"2021-01-05T11:00:00.5+01:00","content":"",
 "author":{"name":"bob","nickname":"bob"},"reference":{"messageId":"1","channelId":"20"},
 "attachments":[{"url":"x.json_Files\\a.txt","fileName":"a.txt"},{"url":"https://cdn.example/b.png","fileName":"b.png"}],
 "stickers":[{"name":"wave"}],"embeds":[{"title":"not shown"}]},
{"id":"3","type":"GuildMemberJoin","content":"Joined the server."},
{"id":"4","reference":{"type":"Forward","messageId":"1"},"forwardedMessage":{"content":"old","attachments":[]}},
{"id":"5","content":"","embeds":[{"title":"T","description":"D","url":"https://x.example"}]}]}"#;

    fn messages(text: &str) -> (Discord, Vec<Result<Message, Left>>) {
        let (mut discord, mut raws) = (Discord::default(), Vec::new());
        let whole = discord.each(&mut text.as_bytes(), &mut |raw| {
            raws.push(raw.bytes.map(<[u8]>::to_vec));
            Ok(())
        });
        assert!(whole.unwrap());
        let read = raws.into_iter().map(|raw| discord.message(&raw?)).collect();
        (discord, read)
    }

    #[test]
    fn messages_have_author_time_thread_files_and_link() {
        let (discord, read) = messages(EXPORT);
        assert_eq!(discord.source().as_deref(), Some("Discord Boats #general"));
        let first = read[0].as_ref().unwrap();
        assert_eq!((first.author.as_str(), first.text.as_str()), ("Ada (ada)", "Thursday?"));
        assert_eq!(first.created_at, Some(1_609_840_800_000));
        assert_eq!(first.link.as_deref(), Some("https://discord.com/channels/10/20/1"));
        let second = read[1].as_ref().unwrap();
        assert_eq!(
            (second.id.as_str(), &second.after[..]),
            ("discord:2", &["discord:1".to_owned()][..])
        );
        assert_eq!(second.text, "https://cdn.example/b.png\n[sticker: wave]");
        assert!(
            matches!(&second.files[..], [Part::Beside { path, .. }] if path == "x.json_Files/a.txt")
        );
        assert!(matches!(read[2], Err(Left::Kind(_))));
        let forwarded = read[3].as_ref().unwrap();
        assert_eq!((forwarded.text.as_str(), forwarded.after.len()), ("[forwarded]\nold", 0));
        assert_eq!(read[4].as_ref().unwrap().text, "T\nD\nhttps://x.example");
    }

    #[test]
    fn what_is_wrong_with_one_message_is_told_of_it_alone() {
        let list = r#"{"messages":[7,null,{},{"id":""},{"id":true},{"id":"1","content":7},
            {"id":"2","attachments":{}},{"id":"3","timestamp":"soon"},{"id":"4","author":null}]}"#;
        let (_, read) = messages(list);
        let whole: Vec<bool> = read.iter().map(Result::is_ok).collect();
        assert_eq!(whole, [false, false, false, false, false, false, false, true, true]);
    }

    #[test]
    fn an_export_that_ends_anywhere_is_read_as_far_as_it_goes() {
        for end in 0..EXPORT.len() {
            let mut discord = Discord::default();
            let text = &EXPORT.as_bytes()[..end];
            let mut take = |raw: super::super::channel::Raw<'_>| {
                if let Ok(bytes) = raw.bytes {
                    let _ = discord_free(bytes);
                }
                Ok(())
            };
            discord.each(&mut &text[..], &mut take).unwrap();
        }
    }

    fn discord_free(bytes: &[u8]) -> Result<Message, Left> {
        Discord::default().message(bytes)
    }
}
