//! The contract of the API: one table makes router, document and schemas, and what was once
//! promised stays.

use mosaic_node::api::types::{OPERATIONS, RECORDS, answers, media_type, openapi};
use mosaic_node::client::Client;
use mosaic_node::{App, AppOptions};
use mosaic_tests::binary::workspace;
use mosaic_tests::schema::fits;
use serde_json::{Value, json};

/// The document as it was promised. With `MOSAIC_BLESS=1` what was added is written into it;
/// what was removed or changed its type is refused all the same.
#[test]
fn nothing_is_removed_or_retyped() {
    let path = workspace().join("docs/openapi.json");
    let promised = std::fs::read_to_string(&path).unwrap_or_else(|_| "{}".into());
    let promised: Value = serde_json::from_str(&promised).expect("JSON");
    let now = openapi();
    let mut broken = Vec::new();
    compare(&promised, &now, "", &mut broken);
    assert!(broken.is_empty(), "within /v1 this may not change:\n{}", broken.join("\n"));
    if std::env::var_os("MOSAIC_BLESS").is_some() {
        std::fs::write(&path, format!("{now:#}\n")).expect("written");
    } else {
        assert!(
            promised == now,
            "docs/openapi.json is old: MOSAIC_BLESS=1 cargo test --workspace --test whole contract"
        );
    }
}

/// Whether all that was promised still holds: more may come, words may change.
fn compare(promised: &Value, now: &Value, at: &str, broken: &mut Vec<String>) {
    match (promised, now) {
        (Value::Object(promised), Value::Object(_)) => {
            for (name, value) in promised {
                if matches!(name.as_str(), "description" | "summary") && value.is_string() {
                    continue;
                }
                match now.get(name) {
                    Some(now) => compare(value, now, &format!("{at}/{name}"), broken),
                    None => broken.push(format!("{at}/{name} is gone")),
                }
            }
        }
        // Fields that are always there, values of an enum, records of an answer: in any order.
        (Value::Array(promised), Value::Array(now)) => {
            let gone = promised.iter().filter(|item| !now.contains(item));
            broken.extend(gone.map(|item| format!("{at}: {item} is gone")));
        }
        _ if promised == now => {}
        _ => broken.push(format!("{at}: {promised} became {now}")),
    }
}

#[test]
fn a_removed_a_renamed_and_a_retyped_field_are_noticed() {
    let now = openapi();
    let changes: [fn(&mut Value); 4] = [
        |schema| drop(schema["properties"].as_object_mut().unwrap().remove("text")),
        |schema| schema["properties"]["replies"]["type"] = "string".into(),
        |schema| schema["properties"]["attachments"]["items"] = json!({"type": "string"}),
        |schema| drop(schema["required"].as_array_mut().unwrap().remove(1)),
    ];
    for change in changes {
        let mut changed = now.clone();
        change(&mut changed["components"]["schemas"]["post"]);
        let mut broken = Vec::new();
        compare(&now, &changed, "", &mut broken);
        assert_eq!(broken.len(), 1, "{broken:?}");
    }
    let mut more = now.clone();
    more["components"]["schemas"]["post"]["properties"]["more"] = json!({"type": "string"});
    let mut broken = Vec::new();
    compare(&now, &more, "", &mut broken);
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test]
async fn the_router_has_the_operations_of_the_document_and_no_other() {
    let home = tempfile::tempdir().unwrap();
    let options = AppOptions {
        home: home.path().join("home"),
        state_dir: home.path().join("state"),
        ..AppOptions::default()
    };
    let app = App::open(options).unwrap();
    let client = Client::local(app.router());
    let document = openapi();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), OPERATIONS.len());
    for (path, item) in paths {
        let schema = &item["post"]["requestBody"]["content"]["application/json"]["schema"];
        // An argument that the document does not know is refused by both.
        let odd = json!({ "no such argument": 1 });
        assert!(fits(&document, schema, &odd, "").is_err());
        let answer = client.post(path, odd.to_string().into_bytes()).await.unwrap();
        let (status, error) = first(answer).await;
        assert!(status == 400 || error["name"] == "no_node", "{path}: {error}");
        // Arguments that it knows are understood: whatever follows, it is no unknown field.
        for name in schema["properties"].as_object().unwrap().keys() {
            let odd = json!({ name.clone(): { "x": [] } });
            let answer = client.post(path, odd.to_string().into_bytes()).await.unwrap();
            let (_, error) = first(answer).await;
            let message = error["message"].as_str().unwrap_or_default();
            assert!(!message.contains(&format!("unknown field `{name}`")), "{path}: {message}");
        }
    }
    let (status, error) = first(client.post("/v1/no/such", Vec::new()).await.unwrap()).await;
    assert_eq!((status, &error["name"]), (404, &json!("not_found")));
    app.close().await;
}

async fn first(mut answer: mosaic_node::client::Answer) -> (u16, Value) {
    let status = answer.status();
    let line = answer.line().await.unwrap().unwrap_or_default();
    (status, serde_json::from_slice(&line).unwrap_or_default())
}

#[test]
fn the_page_of_the_api_names_every_argument_and_answer() {
    let page = std::fs::read_to_string(workspace().join("docs/api.md")).expect("docs/api.md");
    let mut wrong = Vec::new();
    for operation in OPERATIONS {
        let name = operation.path.trim_start_matches("/v1/");
        let row = page.lines().find(|line| {
            line.starts_with('|')
                && line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{name}`")))
        });
        let Some(row) = row else {
            wrong.push(format!("{name} has no row"));
            continue;
        };
        let cells: Vec<&str> = row.split('|').collect();
        for field in operation.fields {
            if !words(cells[2]).any(|word| word == field.name) {
                wrong.push(format!("{name}: the argument {} is not named", field.name));
            }
        }
        for answer in answers(operation) {
            if !words(cells[3]).any(|word| word == answer) {
                wrong.push(format!("{name}: the answer {answer} is not named"));
            }
        }
    }
    assert!(wrong.is_empty(), "docs/api.md:\n{}", wrong.join("\n"));
}

fn words(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[test]
fn every_operation_answers_something_that_has_a_schema() {
    let document = openapi();
    for operation in OPERATIONS {
        let records = answers(operation).len();
        let bytes = media_type(operation).is_some();
        assert!(bytes == (records == 0), "{}: records or bytes, one of them", operation.path);
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for record in RECORDS {
        let schema = &schemas[&record.name()];
        assert_eq!(schema["properties"]["type"]["const"], record.name());
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for to in
        text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next())
    {
        assert!(schemas.contains_key(to), "{to}");
    }
}
