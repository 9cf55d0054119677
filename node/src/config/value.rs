//! What a setting may be, and what it is.

use std::fmt;
use std::net::SocketAddr;

use toml_edit::Item;
use tracing_subscriber::EnvFilter;

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number from `min` to `max`.
    Number {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Any text.
    Text,
    /// A program and its arguments, with the quotes of a shell.
    Command,
    /// What to log: levels and where they hold.
    Filter,
    /// A web address.
    Url,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Addresses with ports.
    Addresses,
}

/// What a setting is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// See [`Kind::Flag`].
    Flag(bool),
    /// See [`Kind::Number`].
    Number(u64),
    /// A text, a word or a web address.
    Text(String),
    /// See [`Kind::Addresses`].
    List(Vec<String>),
}

impl Kind {
    /// Reads a value as people type it: a list with commas. An empty text is no value.
    ///
    /// # Errors
    /// A sentence that says what it should be.
    pub fn parse(&self, text: &str) -> Result<Option<Value>, String> {
        let text = text.trim();
        let value = match self {
            Self::Addresses => {
                let list = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Value::List(list.map(str::to_owned).collect())
            }
            _ if text.is_empty() => return Ok(None),
            Self::Flag => Value::Flag(text.parse().map_err(|_| self.refuse(&quote(text)))?),
            Self::Number { .. } => {
                Value::Number(text.parse().map_err(|_| self.refuse(&quote(text)))?)
            }
            Self::Text | Self::Command | Self::Filter | Self::Url | Self::Choice(_) => {
                Value::Text(text.to_owned())
            }
        };
        self.check(value).map(Some)
    }

    /// Reads a value of the configuration file.
    ///
    /// # Errors
    /// A sentence that says what it should be.
    pub(super) fn take(&self, item: &Item) -> Result<Value, String> {
        let found = || self.refuse(&format!("a {}", item.type_name()));
        let value = match self {
            Self::Flag => Value::Flag(item.as_bool().ok_or_else(found)?),
            Self::Number { .. } => {
                let number = item.as_integer().ok_or_else(found)?;
                Value::Number(u64::try_from(number).map_err(|_| self.refuse(&number.to_string()))?)
            }
            Self::Text | Self::Command | Self::Filter | Self::Url | Self::Choice(_) => {
                Value::Text(item.as_str().ok_or_else(found)?.to_owned())
            }
            Self::Addresses => {
                let array = item.as_array().ok_or_else(found)?;
                let texts = array.iter().map(|part| part.as_str().map(str::to_owned));
                Value::List(texts.collect::<Option<_>>().ok_or_else(found)?)
            }
        };
        self.check(value)
    }

    fn check(&self, value: Value) -> Result<Value, String> {
        let fits = match (self, &value) {
            (Self::Number { min, max }, Value::Number(number)) => (min..=max).contains(&number),
            (Self::Choice(words), Value::Text(text)) => words.contains(&text.as_str()),
            (Self::Command, Value::Text(text)) => {
                shlex::split(text).is_some_and(|words| !words.is_empty())
            }
            (Self::Filter, Value::Text(text)) => EnvFilter::try_new(text).is_ok(),
            (Self::Url, Value::Text(text)) => {
                let scheme = ["https://", "http://"].iter().find_map(|s| text.strip_prefix(s));
                scheme.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
            }
            (Self::Addresses, Value::List(list)) => {
                list.iter().all(|address| address.parse::<SocketAddr>().is_ok())
            }
            _ => true,
        };
        if fits { Ok(value) } else { Err(self.refuse(&quote(&value.to_string()))) }
    }

    fn refuse(&self, found: &str) -> String {
        format!("it must be {self}, not {found}")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("true or false"),
            Self::Number { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Text => f.write_str("a text"),
            Self::Command => f.write_str("a program and its arguments, each quote closed"),
            Self::Filter => f.write_str("a filter such as info,mosaic_node=debug"),
            Self::Url => f.write_str("a web address"),
            Self::Choice(words) => f.write_str(&words.join(" or ")),
            Self::Addresses => f.write_str("a list of addresses with ports"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::List(list) => f.write_str(&list.join(",")),
        }
    }
}

impl Value {
    /// Returns it as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Flag(flag) => (*flag).into(),
            Self::Number(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(list) => list.as_slice().into(),
        }
    }

    /// Returns it as TOML.
    pub(super) fn to_toml(&self) -> toml_edit::Value {
        match self {
            Self::Flag(flag) => (*flag).into(),
            Self::Number(number) => i64::try_from(*number).unwrap_or(i64::MAX).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(list) => {
                list.iter().map(String::as_str).collect::<toml_edit::Array>().into()
            }
        }
    }
}

fn quote(text: &str) -> String {
    format!("'{text}'")
}
