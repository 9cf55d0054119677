//! `search`: texts that are here, by what they say.

use clap::Args;
use mosaic_node::api::types::{ErrorKind, ErrorRecord, SearchFind};

use super::part::Part;
use crate::context::Context;
use crate::error::Failure;
use crate::quantity;

const LONG_ABOUT: &str = "\
Search posts, comments and messages of hubs that are here, newest first

  word            texts with this word; case and accents make no difference
  \"two words\"     one after the other
  wor*            words that begin so
  -word           texts without it (after -- if it comes first)
  from:WHO        by this account: id or @petname
  in:HUB/CHANNEL  in this channel, or in any of a hub: in:HUB
  has:WHAT        attachment, image, audio, video, link, reply, reaction
  is:KIND         post, comment, quote, edited, message
  after:TIME      since then: 2h, yesterday, 2026-11-22 or RFC 3339
  before:TIME     before then

All must hold, but of several from: or in: any will do; -from:, -in:, -has: and -is:
exclude. What was deleted or hidden is not found, nor is what blocked or muted people
wrote, unless from: names them. The order is that of time, always: nothing is ranked.";

#[derive(Debug, Args)]
#[command(long_about = LONG_ABOUT)]
pub(crate) struct Search {
    /// Words, "phrases", beginnings*, -excluded, from: in: has: is: before: after:
    #[arg(value_name = "QUERY", required = true)]
    query: Vec<String>,
    #[command(flatten)]
    part: Part,
    /// Add names as this home calls people, under --json too
    #[arg(long)]
    names: bool,
}

impl Search {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let words: Vec<String> = self.query.iter().map(|word| quoted(word)).collect();
        let mut query = words.join(" ");
        let since = take_time(&mut query, "after:")?;
        let until = take_time(&mut query, "before:")?;
        let request = SearchFind {
            query,
            limit: self.part.limit(context),
            before: self.part.before,
            since: since.into_iter().chain(self.part.since).max(),
            until: until.into_iter().chain(self.part.until).min(),
            names: self.names || !context.output.is_json(),
        };
        context.show(&request).await
    }
}

/// A channel of several words, which the shell gives as one argument, with quotation marks.
fn quoted(word: &str) -> String {
    let place = word.strip_prefix('-').unwrap_or(word).strip_prefix("in:");
    // Of several words that end in no channel the rest is looked for.
    let channel = |place: &&str| {
        let last = place.rsplit(char::is_whitespace).next().filter(|last| last.len() < place.len());
        last.is_some_and(|last| last.contains('/')) && !place.contains('"')
    };
    match place.filter(channel) {
        Some(place) => format!("{}in:\"{place}\"", if word.starts_with('-') { "-" } else { "" }),
        None => word.to_owned(),
    }
}

/// Takes a time out of a query and reads it as this user means it, in his time zone. What it
/// stood in stays as blanks, so that places in the query remain.
fn take_time(query: &mut String, name: &str) -> Result<Option<String>, ErrorRecord> {
    let mut found = None;
    let mut out = String::with_capacity(query.len());
    let mut quoted = false;
    for token in query.split_inclusive(char::is_whitespace) {
        let value = token.trim_end();
        let fits = |text: &&str| !quoted && !text.is_empty();
        if let Some(text) = value.strip_prefix(name).filter(fits) {
            let at = out.chars().count() + 1;
            let time = quantity::instant(text).map_err(|wrong| {
                let message = format!("character {at} of the query: {wrong}");
                ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic help search")
            })?;
            found = Some(time);
            out.extend(token.chars().map(|_| ' '));
            continue;
        }
        quoted ^= token.matches('"').count() % 2 == 1;
        out.push_str(token);
    }
    *query = out;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_out_and_places_stay() {
        let mut query = "ä after:2026-11-22T00:00:00Z form:x".to_owned();
        let time = take_time(&mut query, "after:").unwrap();
        assert_eq!(time.as_deref(), Some("2026-11-22T00:00:00.000Z"));
        assert_eq!(query.chars().position(|c| c == 'f'), Some(29));
        let mut query = "\"see after:2d there\" -after:2d after:".to_owned();
        assert_eq!(take_time(&mut query, "after:"), Ok(None));
        assert_eq!(query, "\"see after:2d there\" -after:2d after:");
    }

    #[test]
    fn a_channel_of_several_words_is_one_value() {
        assert_eq!(quoted("-in:Book club/general"), "-in:\"Book club/general\"");
        for same in ["in:club/general", "in:club boats", "in:\"Book club/x y/z\"", "boats/x y/z"] {
            assert_eq!(quoted(same), same);
        }
    }

    #[test]
    fn a_wrong_time_is_named_with_its_place() {
        let error = take_time(&mut "ferry before:soon".to_owned(), "before:").unwrap_err();
        assert!(error.message.starts_with("character 7 of the query: 'soon'"), "{error:?}");
    }
}
