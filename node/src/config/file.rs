//! The configuration file: read with lines for errors, changed without losing a comment.

use std::collections::BTreeMap;

use serde_json::{Map, json};
use toml_edit::{Document, DocumentMut, Item, Table};

use super::value::{Kind, Value};
use super::{KEYS, Key, similar};

/// A configuration file that is right, as text and as values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    text: String,
    values: Vec<(&'static Key, Value)>,
}

impl Draft {
    /// Reads a text.
    ///
    /// # Errors
    /// A sentence with the line of the first thing that is wrong.
    pub fn parse(text: String) -> Result<Self, String> {
        let document = Document::parse(text.as_str()).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            format!("line {}: {}", line_of(&text, at), error.message().trim())
        })?;
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
    /// As [`Draft::with`].
    pub fn without(&self, key: &Key) -> Result<Self, String> {
        let (table, name) = split(key)?;
        let document =
            Document::parse(self.text.as_str()).map_err(|error| error.message().to_owned())?;
        let Some(held) = document.get(table).and_then(Item::as_table) else {
            return self.edit(|document| {
                if let Some(held) = document.get_mut(table).and_then(Item::as_table_like_mut) {
                    held.remove(name);
                }
                Ok(())
            });
        };
        let spans = held.get_key_value(name).map(|(key, item)| (key.span(), item.span()));
        match spans {
            Some((Some(key), Some(value))) => Self::parse(self.cut(key.start, value.end)),
            _ => Ok(self.clone()),
        }
    }

    /// Returns the text without the lines from one place to another; a comment behind them stays.
    fn cut(&self, from: usize, to: usize) -> String {
        let before = self.text.get(..from).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = self.text.get(to..).unwrap_or_default();
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let comment = line.trim();
        let mut text = before.get(..start).unwrap_or_default().to_owned();
        if !comment.is_empty() {
            text.push_str(comment);
            text.push('\n');
        }
        text + after
    }

    fn edit(
        &self,
        change: impl FnOnce(&mut DocumentMut) -> Result<(), String>,
    ) -> Result<Self, String> {
        let mut document: DocumentMut =
            self.text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
        change(&mut document)?;
        Self::parse(document.to_string())
    }
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
) -> Result<(), String> {
    for (name, item) in table {
        let full = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        let at = table.key(name).and_then(toml_edit::Key::span);
        let line = line_of(text, at.or_else(|| item.span()).map_or(0, |span| span.start));
        if let Some(key) = KEYS.iter().find(|key| key.name == full) {
            let value = key.kind.take(item);
            values.push((key, value.map_err(|reason| format!("line {line}: {full}: {reason}"))?));
            continue;
        }
        let tables = KEYS.iter().filter_map(|key| key.name.split_once('.')).map(|(table, _)| table);
        if prefix.is_empty() && tables.clone().any(|known| known == name) {
            let inner = item.clone().into_table();
            let inner = inner.map_err(|_| format!("line {line}: '{name}' must be a table"))?;
            collect(&inner, name, text, values)?;
            continue;
        }
        let known: Vec<&str> = match prefix.is_empty() {
            true => KEYS.iter().map(|key| key.name).chain(tables).collect(),
            false => KEYS.iter().map(|key| key.name).collect(),
        };
        let alike = similar(&full, known.into_iter());
        let mean = alike.map(|alike| format!("; did you mean '{alike}'?")).unwrap_or_default();
        return Err(format!("line {line}: no setting '{full}'{mean}"));
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
        Kind::Text | Kind::Command | Kind::Url | Kind::Choice(_) => "string",
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
        Kind::Flag | Kind::Text | Kind::Command => {}
    }
    put("description", key.about.into());
    if let Ok(Some(value)) = key.kind.parse(key.default) {
        put("default", value.to_json());
    }
    field.into()
}
