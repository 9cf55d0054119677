//! What the types of the API look like as JSON, told by the same lines that declare them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{AttachFile, BlobRule, ErrorRecord, Flag, ImportMessage, ImportPost, ReplyRule};

/// A type of the API that knows how it looks as JSON.
pub trait Shape {
    /// Whether a record may leave it out.
    const OPTIONAL: bool = false;

    /// Returns its JSON Schema.
    #[must_use]
    fn schema() -> Value;

    /// Returns the types that its schema refers to by name.
    #[must_use]
    fn parts() -> Vec<Part> {
        Vec::new()
    }
}

/// A named schema.
pub type Part = (&'static str, fn() -> Value);

/// One field of a request or record.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its documentation, a line each.
    pub doc: &'static [&'static str],
    /// Whether a record may leave it out.
    pub optional: bool,
    /// Its schema.
    pub schema: fn() -> Value,
    /// Types that its schema refers to.
    pub parts: fn() -> Vec<Part>,
}

/// One operation of the API.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Where it is posted to.
    pub path: &'static str,
    /// Whether it only means something in a running node.
    pub needs_node: bool,
    /// Its documentation, a line each. The types of records that it answers stand in it in
    /// backticks.
    pub doc: &'static [&'static str],
    /// Its arguments.
    pub fields: &'static [Field],
}

/// One type of record.
#[derive(Debug, Clone, Copy)]
pub struct RecordType {
    /// As the variant is called.
    pub variant: &'static str,
    /// Its schema, without the type.
    pub schema: fn() -> Value,
    /// Types that its schema refers to.
    pub parts: fn() -> Vec<Part>,
}

impl RecordType {
    /// Returns the value of its field `type`.
    #[must_use]
    pub fn name(&self) -> String {
        snake(self.variant)
    }
}

/// Returns documentation as running text.
#[must_use]
pub fn text(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// Returns `TypeName` as `type_name`.
#[must_use]
pub fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Refers to a schema by its name.
#[must_use]
pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", snake(name)) })
}

/// Describes an object. Arguments of a request may all be left out, and no others are taken;
/// a record may get more fields.
#[must_use]
pub fn object(doc: &[&str], fields: &[Field], is_request: bool) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let mut schema = (field.schema)();
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), text(field.doc).into());
        }
        properties.insert(field.name.to_owned(), schema);
        if !field.optional && !is_request {
            required.push(Value::from(field.name));
        }
    }
    let mut schema =
        json!({ "type": "object", "description": text(doc), "properties": properties });
    if let Some(schema) = schema.as_object_mut() {
        if is_request {
            schema.insert("additionalProperties".to_owned(), false.into());
        } else {
            schema.insert("required".to_owned(), required.into());
        }
    }
    schema
}

macro_rules! plain {
    ($($type:ty => $schema:tt;)*) => { $(
        impl Shape for $type {
            fn schema() -> Value {
                json!($schema)
            }
        }
    )* };
}

plain! {
    String => { "type": "string" };
    bool => { "type": "boolean" };
    Value => {};
    f64 => { "type": "number" };
    u8 => { "type": "integer", "minimum": 0, "maximum": 255 };
    u32 => { "type": "integer", "minimum": 0 };
    u64 => { "type": "integer", "minimum": 0 };
    Map<String, Value> => { "type": "object" };
    ReplyRule => { "type": "string", "enum": ["everyone", "admitted", "nobody"] };
    BlobRule => { "oneOf": [
        { "type": "string", "enum": ["all", "none"] },
        {
            "type": "object",
            "properties": { "up_to_bytes": { "type": "integer", "minimum": 0 } },
            "required": ["up_to_bytes"],
        },
    ] };
    AttachFile => {
        "type": "object",
        "properties": {
            "path": { "type": "string" },
            "alt": { "type": "string" },
            "name": { "type": "string" },
            "media_type": { "type": "string" },
            "keep_metadata": { "type": "boolean" },
        },
        "required": ["path"],
        "additionalProperties": false,
    };
    ImportPost => {
        "type": "object",
        "properties": {
            "text": { "type": "string" },
            "created_at": { "type": "string" },
            "source": { "type": "string" },
            "id": { "type": "string" },
            "link": { "type": "string" },
            "after": { "type": "string" },
            "attachments": { "type": "array", "items": AttachFile::schema() },
        },
        "required": ["source", "id"],
        "additionalProperties": false,
    };
    ImportMessage => {
        "type": "object",
        "properties": {
            "text": { "type": "string" },
            "created_at": { "type": "string" },
            "author": { "type": "string" },
            "source": { "type": "string" },
            "id": { "type": "string" },
            "link": { "type": "string" },
            "after": { "type": "array", "items": { "type": "string" } },
            "attachments": { "type": "array", "items": AttachFile::schema() },
        },
        "required": ["source", "id"],
        "additionalProperties": false,
    };
    ErrorRecord => {
        "type": "object",
        "description": "A failure.",
        "properties": {
            "code": { "type": "integer", "minimum": 1, "maximum": 255, "description": "Exit code." },
            "name": { "type": "string", "description": "Stable name of the code." },
            "message": { "type": "string", "description": "What is wrong and why, in one line." },
            "hint": { "type": "string", "description": "A command to try next." },
            "candidates": {
                "type": "array",
                "items": { "type": "string" },
                "description": "What an ambiguous prefix could mean.",
            },
        },
        "required": ["code", "name", "message", "hint"],
    };
}

impl Shape for Flag {
    const OPTIONAL: bool = true;
    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

impl<T: Shape> Shape for Option<T> {
    const OPTIONAL: bool = true;
    fn schema() -> Value {
        T::schema()
    }
    fn parts() -> Vec<Part> {
        T::parts()
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
    fn parts() -> Vec<Part> {
        T::parts()
    }
}

impl<T: Shape> Shape for BTreeMap<String, T> {
    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
    fn parts() -> Vec<Part> {
        T::parts()
    }
}
