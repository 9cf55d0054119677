//! The configuration file: read with lines for errors, changed without losing a comment.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, json};
use toml_edit::{Document, DocumentMut, Item, Table, TableLike, TomlError};

use super::value::{Kind, Value};
use super::{KEYS, Key, similar};

/// A configuration file that is right, as text and as values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    text: String,
    values: Vec<(&'static Key, Value)>,
}

/// What is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A sentence with the line.
    pub reason: String,
    /// What has to go, or be another, for the file to be right: see [`without`].
    pub setting: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Fault {
    fn syntax(text: &str, error: &TomlError) -> Self {
        let at = error.span().map_or(0, |span| span.start);
        let reason = format!("line {}: {}", line_of(text, at), error.message().trim());
        Self { reason, setting: None }
    }
}

impl Draft {
    /// Reads a text.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: String) -> Result<Self, Fault> {
        let document =
            Document::parse(text.as_str()).map_err(|error| Fault::syntax(&text, &error))?;
        let mut values = Vec::new();
        collect(document.as_table(), "", &text, &mut values)?;
        Ok(Self { text, values })
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The settings that it has.
    #[must_use]
    pub fn values(&self) -> &[(&'static Key, Value)] {
        &self.values
    }

    /// Returns the file with a setting changed; everything else stays as it is.
    ///
    /// # Errors
    /// A table of the file is written in a way that cannot hold it.
    pub fn with(&self, key: &Key, value: &Value) -> Result<Self, String> {
        self.edit(|document| {
            let (table, name) = split(key)?;
            let entry = document.entry(table).or_insert_with(|| Item::Table(Table::new()));
            let held = entry
                .as_table_like_mut()
                .ok_or_else(|| format!("'{table}' is no table in the file"))?;
            let mut new = value.to_toml();
            if let Some(Item::Value(old)) = held.get(name) {
                *new.decor_mut() = old.decor().clone();
            }
            match held.get_mut(name) {
                Some(old) => *old = Item::Value(new),
                None => {
                    held.insert(name, Item::Value(new));
                }
            }
            Ok(())
        })
    }

    /// Returns the file without a setting; everything else stays as it is, comments about the
    /// setting too.
    ///
    /// # Errors
    /// What is left is wrong.
    pub fn without(&self, key: &Key) -> Result<Self, Fault> {
        match without(&self.text, key.name)? {
            Some(text) => Self::parse(text),
            None => Ok(self.clone()),
        }
    }

    fn edit(
        &self,
        change: impl FnOnce(&mut DocumentMut) -> Result<(), String>,
    ) -> Result<Self, String> {
        let mut document: DocumentMut =
            self.text.parse().map_err(|error: TomlError| error.message().to_owned())?;
        change(&mut document)?;
        Self::parse(document.to_string()).map_err(|fault| fault.reason)
    }
}

/// Returns the text of a file without what it has under a name, be it a setting or not, and
/// whatever else is wrong with the file; comments about it stay, but not those in a table that
/// goes. `None` if it has no such thing.
///
/// # Errors
/// The text is no TOML.
pub fn without(text: &str, name: &str) -> Result<Option<String>, Fault> {
    let document = Document::parse(text).map_err(|error| Fault::syntax(text, &error))?;
    let root = document.as_table();
    let (table, own) = match name.split_once('.') {
        Some((table, own)) if !root.contains_key(name) => (Some(table), own),
        _ => (None, name),
    };
    let held = match table {
        None => Some(root),
        Some(table) => root.get(table).and_then(Item::as_table),
    };
    if let Some((key, item)) = held.and_then(|held| held.get_key_value(own))
        && item.is_value()
        && let (Some(key), Some(value)) = (key.span(), item.span())
    {
        return Ok(Some(cut(text, key.start, value.end)));
    }
    // what spans several lines or shares one with others
    let mut document = document.into_mut();
    let held: Option<&mut dyn TableLike> = match table {
        None => Some(document.as_table_mut()),
        Some(table) => document.get_mut(table).and_then(Item::as_table_like_mut),
    };
    let gone = held.and_then(|held| held.remove(own));
    Ok(gone.map(|_| document.to_string()))
}

/// Returns a text without the lines from one place to another; a comment behind them stays.
fn cut(text: &str, from: usize, to: usize) -> String {
    let before = text.get(..from).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let rest = text.get(to..).unwrap_or_default();
    let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
    let comment = line.trim();
    let mut left = before.get(..start).unwrap_or_default().to_owned();
    if !comment.is_empty() {
        left.push_str(comment);
        left.push('\n');
    }
    left + after
}

fn split(key: &Key) -> Result<(&'static str, &'static str), String> {
    key.name.split_once('.').ok_or_else(|| format!("'{}' is in no table", key.name))
}

/// Collects the settings of a table whose name is `prefix`.
fn collect(
    table: &Table,
    prefix: &str,
    text: &str,
    values: &mut Vec<(&'static Key, Value)>,
) -> Result<(), Fault> {
    for (name, item) in table {
        let full = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        let at = table.key(name).and_then(toml_edit::Key::span);
        let line = line_of(text, at.or_else(|| item.span()).map_or(0, |span| span.start));
        let wrong = |what: String| {
            Err(Fault { reason: format!("line {line}: {what}"), setting: Some(full.clone()) })
        };
        if let Some(key) = KEYS.iter().find(|key| key.name == full) {
            match key.kind.take(item) {
                Ok(value) => values.push((key, value)),
                Err(reason) => return wrong(format!("{full}: {reason}")),
            }
            continue;
        }
        let tables = KEYS.iter().filter_map(|key| key.name.split_once('.')).map(|(table, _)| table);
        if prefix.is_empty() && tables.clone().any(|known| known == name) {
            let Ok(inner) = item.clone().into_table() else {
                return wrong(format!("'{name}' must be a table"));
            };
            collect(&inner, name, text, values)?;
            continue;
        }
        let known: Vec<&str> = match prefix.is_empty() {
            true => KEYS.iter().map(|key| key.name).chain(tables).collect(),
            false => KEYS.iter().map(|key| key.name).collect(),
        };
        let alike = similar(&full, known.into_iter());
        let mean = alike.map(|alike| format!("; did you mean '{alike}'?")).unwrap_or_default();
        return wrong(format!("no setting '{full}'{mean}"));
    }
    Ok(())
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Returns a file in which every setting stands as a comment, with its default.
#[must_use]
pub fn template() -> String {
    let mut text = String::from("# Settings of Mosaic. What starts with # is the default.\n");
    let mut table = "";
    for key in KEYS {
        let (own, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if own != table {
            text.push_str(&format!("\n[{own}]\n"));
            table = own;
        }
        let value = key.kind.parse(key.default).ok().flatten();
        let value = value.map_or_else(|| "\"\"".to_owned(), |value| value.to_toml().to_string());
        text.push_str(&format!("# {}\n# {name} = {}\n", key.about, value.trim()));
    }
    text
}

/// Returns the JSON Schema of the configuration file, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut tables: BTreeMap<&str, Map<String, serde_json::Value>> = BTreeMap::new();
    for key in KEYS {
        let (table, name) = key.name.split_once('.').unwrap_or(("", key.name));
        tables.entry(table).or_default().insert(name.to_owned(), field_schema(key));
    }
    let tables: Map<String, serde_json::Value> = tables
        .into_iter()
        .map(|(table, fields)| {
            let schema = json!({
                "type": "object", "additionalProperties": false, "properties": fields,
            });
            (table.to_owned(), schema)
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mosaic settings",
        "type": "object",
        "additionalProperties": false,
        "properties": tables,
    })
}

fn field_schema(key: &Key) -> serde_json::Value {
    let mut field = Map::new();
    let mut put = |name: &str, value: serde_json::Value| field.insert(name.to_owned(), value);
    let kind = match key.kind {
        Kind::Flag => "boolean",
        Kind::Number { .. } => "integer",
        Kind::Text | Kind::Command | Kind::Filter | Kind::Url | Kind::Choice(_) => "string",
        Kind::Addresses => "array",
    };
    put("type", kind.into());
    match key.kind {
        Kind::Number { min, max } => {
            put("minimum", min.into());
            put("maximum", max.into());
        }
        Kind::Url => {
            put("format", "uri".into());
        }
        Kind::Choice(words) => {
            put("enum", json!(words));
        }
        Kind::Addresses => {
            put("items", json!({"type": "string"}));
        }
        Kind::Flag | Kind::Text | Kind::Command | Kind::Filter => {}
    }
    put("description", key.about.into());
    if let Ok(Some(value)) = key.kind.parse(key.default) {
        put("default", value.to_json());
    }
    field.into()
}
