//! Records about settings and about what may be wrong with a home.

use crate::api::types::schema::{self, Field, Part, Shape};
use serde::{Deserialize, Serialize};

use super::Omit;
use crate::config::{Key, Settings};

records! {
    /// A setting and what it is.
    Setting {
        /// Its name.
        key: String,
        /// What it is; absent if it is nothing.
        value: Option<serde_json::Value>,
        /// `default`, `file`, `environment` or `flag`; absent without a value.
        origin: Option<String>,
        /// `applied` or `needs_restart`, where it was changed.
        state: Option<String>,
    }
    /// One thing that was looked at.
    Check {
        /// What: `clock`, `disk`, `store`, ...
        name: String,
        /// `ok`, `warn` or `fail`.
        state: String,
        /// What was found.
        message: String,
        /// What to do about it, as a command; absent if nothing is to be done.
        fix: Option<String>,
    }
}

impl Setting {
    /// Describes one of the settings.
    #[must_use]
    pub fn of(settings: &Settings, key: &Key) -> Self {
        let found = settings.find(key);
        Self {
            key: key.name.to_owned(),
            value: found.map(|(value, _)| value.to_json()),
            origin: found.map(|(_, origin)| origin.name().to_owned()),
            state: None,
        }
    }
}
