//! JSON Schema, as far as the document of the API uses it.

use serde_json::Value;

/// Says where and why `value` does not fit `schema`; `document` holds what it refers to.
///
/// # Errors
/// The first misfit.
pub fn fits(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().ok_or("a schema is an object")? {
        let fine = match keyword.as_str() {
            "description" => true,
            "$ref" => {
                let pointer = rule.as_str().and_then(|to| to.strip_prefix('#')).ok_or("a $ref")?;
                let to = document.pointer(pointer).ok_or(format!("{pointer} is nowhere"))?;
                fits(document, to, value, at)?;
                true
            }
            "type" => is_a(value, rule.as_str().unwrap_or_default())?,
            "const" => value == rule,
            "enum" => rule.as_array().ok_or("an enum")?.contains(value),
            "minimum" => value.as_f64() >= rule.as_f64(),
            "maximum" => value.as_f64() <= rule.as_f64(),
            "oneOf" => {
                let mut fitting = 0;
                for schema in rule.as_array().ok_or("a oneOf")? {
                    fitting += usize::from(fits(document, schema, value, at).is_ok());
                }
                fitting == 1
            }
            "required" => {
                let names = rule.as_array().ok_or("a required")?;
                let missing = names.iter().find(|name| value[name.as_str().unwrap()].is_null());
                if let Some(name) = missing {
                    return Err(format!("{at}: {name} is missing in {value}"));
                }
                true
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    fits(document, rule, item, &format!("{at}/{n}"))?;
                }
                true
            }
            "properties" | "additionalProperties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}/{name}");
                    let known = schema["properties"].get(name);
                    match (keyword.as_str(), known) {
                        ("properties", Some(rule)) => fits(document, rule, member, &at)?,
                        ("additionalProperties", None) if rule == &Value::Bool(false) => {
                            return Err(format!("{at} is not allowed"));
                        }
                        ("additionalProperties", None) => fits(document, rule, member, &at)?,
                        _ => {}
                    }
                }
                true
            }
            other => return Err(format!("{other} is not understood here")),
        };
        if !fine {
            return Err(format!("{at}: {value} is not {keyword} {rule}"));
        }
    }
    Ok(())
}

fn is_a(value: &Value, name: &str) -> Result<bool, String> {
    Ok(match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => return Err(format!("the type {other} is not understood here")),
    })
}

/// Says why a line of an answer is none of the records that the document of the API knows.
///
/// # Errors
/// The first misfit: an unknown type, a field that is not declared, a value of another type.
pub fn is_record(document: &Value, record: &Value) -> Result<(), String> {
    let name = record["type"].as_str().ok_or(format!("no type in {record}"))?;
    let schema = &document["components"]["schemas"][name];
    if schema.is_null() {
        return Err(format!("there is no schema of {name}"));
    }
    for field in record.as_object().into_iter().flatten().map(|(name, _)| name) {
        if schema["properties"].get(field).is_none() {
            return Err(format!("{name}.{field} is not declared"));
        }
    }
    fits(document, schema, record, name)
}
