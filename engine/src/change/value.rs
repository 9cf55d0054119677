//! What a map document holds under a key.

/// A value of a map document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Value {
    /// Nothing, but present.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Milliseconds since 1970, as claimed.
    Timestamp(i64),
}

impl Value {
    /// Returns the text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Returns the bytes, if it is bytes.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Value> for automerge::ScalarValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Boolean(value),
            Value::Int(value) => Self::Int(value),
            Value::Uint(value) => Self::Uint(value),
            Value::Text(text) => Self::Str(text.into()),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::Timestamp(ms) => Self::Timestamp(ms),
        }
    }
}

impl TryFrom<&automerge::ScalarValue> for Value {
    type Error = &'static str;

    /// Fails for kinds that no vetted change puts into a map.
    fn try_from(value: &automerge::ScalarValue) -> Result<Self, Self::Error> {
        use automerge::ScalarValue;
        match value {
            ScalarValue::Null => Ok(Self::Null),
            ScalarValue::Boolean(value) => Ok(Self::Bool(*value)),
            ScalarValue::Int(value) => Ok(Self::Int(*value)),
            ScalarValue::Uint(value) => Ok(Self::Uint(*value)),
            ScalarValue::Str(text) => Ok(Self::Text(text.to_string())),
            ScalarValue::Bytes(bytes) => Ok(Self::Bytes(bytes.clone())),
            ScalarValue::Timestamp(ms) => Ok(Self::Timestamp(*ms)),
            ScalarValue::F64(_) | ScalarValue::Counter(_) | ScalarValue::Unknown { .. } => {
                Err("a kind of value that maps do not hold")
            }
        }
    }
}
