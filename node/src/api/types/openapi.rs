//! The API as an OpenAPI 3.1 document, made from the table of operations that the router is
//! made from too.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schema::{Operation, Part, object, reference, snake, text};
use super::{API_VERSION, ErrorKind, NDJSON, OPERATIONS, RECORDS};

/// Talk, which may stand in any answer.
const TALK: [&str; 2] = ["notice", "progress"];

/// Returns the document.
#[must_use]
pub fn openapi() -> Value {
    let paths: Map<String, Value> =
        OPERATIONS.iter().map(|operation| (operation.path.to_owned(), path(operation))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Mosaic local API",
            "version": API_VERSION.to_string(),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            "description": "Served by a running node on a Unix socket of mode 0600: who may call \
                it may do what the user may. Every operation is a POST of one JSON object of \
                arguments; an answer is JSON Lines, one record a line, `type` first. Records of \
                type `error`, `notice` and `progress` may stand in any answer; the code of the \
                last error is its outcome. Within a version fields are only added: ignore those \
                you do not know, and expect new values where names are listed.",
        },
        "servers": [{ "url": "http://mosaic", "description": "The name is not looked at." }],
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

/// Returns the types of the records that an operation answers, errors and talk left out, as its
/// documentation names them.
#[must_use]
pub fn answers(operation: &Operation) -> Vec<String> {
    let doc = text(operation.doc);
    let known: Vec<String> = RECORDS.iter().map(super::schema::RecordType::name).collect();
    let mut found = Vec::new();
    // Every second part stands in backticks.
    for word in doc.split('`').skip(1).step_by(2) {
        let talk = word == "error" || TALK.contains(&word);
        let is_type = known.iter().any(|name| name == word);
        if is_type && !talk && !found.iter().any(|name| name == word) {
            found.push(word.to_owned());
        }
    }
    found
}

/// Returns the media type of an answer that is no records, as its documentation names it.
#[must_use]
pub fn media_type(operation: &Operation) -> Option<&'static str> {
    let words = operation.doc.iter().flat_map(|line| line.split('`').skip(1).step_by(2));
    words.into_iter().find(|word| word.starts_with("application/"))
}

/// Returns what is answered when all is well.
fn success(operation: &Operation) -> Value {
    if let Some(media_type) = media_type(operation) {
        return json!({ "description": "Bytes.", "content": { media_type: {} } });
    }
    let answers = answers(operation);
    let lines = answers.iter().map(String::as_str).chain(TALK).chain(["error"]);
    let lines: Vec<Value> = lines.map(reference).collect();
    json!({
        "description": "One record a line.",
        "content": { NDJSON: { "schema": { "oneOf": lines } } },
    })
}

fn path(operation: &Operation) -> Value {
    let name = operation.path.trim_start_matches("/v1/");
    let tag = name.split('/').next().unwrap_or_default();
    let node = "Needs a running node.";
    let description = match operation.needs_node {
        true => format!("{} {node}", text(operation.doc)),
        false => text(operation.doc),
    };
    let summary = description.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let mut responses = Map::new();
    responses.insert("200".to_owned(), success(operation));
    responses.insert(
        "default".to_owned(),
        json!({
            "description": "A refusal before the first record: one error.",
            "content": { NDJSON: { "schema": reference("error") } },
        }),
    );
    json!({
        "post": {
            "operationId": name.replace('/', "_"),
            "tags": [tag],
            "summary": summary,
            "description": description,
            "requestBody": {
                "description": "An empty body means no arguments.",
                "required": false,
                "content": { "application/json": {
                    "schema": object(&[], operation.fields, true),
                } },
            },
            "responses": responses,
        }
    })
}

fn schemas() -> BTreeMap<String, Value> {
    let mut schemas = BTreeMap::new();
    let mut parts: Vec<Part> = Vec::new();
    for record in RECORDS {
        let name = record.name();
        let mut schema = (record.schema)();
        type_first(&mut schema, &name);
        schemas.insert(name, schema);
        parts.extend((record.parts)());
    }
    while let Some((name, schema)) = parts.pop() {
        schemas.entry(snake(name)).or_insert_with(schema);
    }
    if let Some(codes) = schemas.get_mut("error").and_then(|error| error.get_mut("properties")) {
        let listed = ErrorKind::ALL.map(|kind| format!("{} {}", kind.code(), kind.name()));
        let doc = format!("Exit code: {}.", listed.join(", "));
        if let Some(code) = codes.get_mut("code").and_then(Value::as_object_mut) {
            code.insert("description".to_owned(), doc.into());
        }
    }
    schemas
}

/// Adds the field that tells records apart.
fn type_first(schema: &mut Value, name: &str) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("type".to_owned(), json!({ "const": name }));
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.insert(0, "type".into());
    }
}
