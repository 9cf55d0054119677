//! Layers, refusals with their line, and changes that keep every comment.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn layers(file: &Path) -> Layers {
    Layers { file: file.to_owned(), ..Layers::default() }
}

fn key(name: &str) -> &'static Key {
    Key::find(name).unwrap()
}

#[test]
fn the_file_is_optional_and_strict() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let config = |path: &Path| Settings::load(&layers(path)).map(|found| Config::from(&found));
    let empty = config(&path).unwrap();
    assert_eq!(empty.node, NodeConfig::default());
    assert_eq!(empty.log, LogConfig { filter: None, json: false, days: 7 });
    std::fs::write(&path, "[node]\nlisten = [\"127.0.0.1:4747\"]\nlan = true\n").unwrap();
    assert!(config(&path).unwrap().node.lan);
    for (text, says) in [
        ("\n[node]\nlane = true\n", "line 3: no setting 'node.lane'; did you mean 'node.lan'?"),
        ("[nod]\nlan = true\n", "line 1: no setting 'nod'; did you mean 'node'?"),
        ("node = 3\n", "line 1: 'node' must be a table"),
        ("[node]\nlan = \"yes\"\n", "line 2: node.lan: it must be true or false, not a string"),
        ("[node]\n\nlan = 1 2\n", "line 3: "),
        ("[log]\ndays = 0\n", "line 2: log.days: it must be a number from 1 to 365, not '0'"),
        ("[log]\ndays = -1\n", "line 2: log.days: it must be a number from 1 to 365, not -1"),
        ("[node]\nlisten = [\"here\"]\n", "line 2: node.listen: it must be a list of addresses"),
        ("[node]\nlisten = [7]\n", "line 2: node.listen: it must be a list of addresses"),
        ("[node]\nrelay = \"ftp:x\"\n", "line 2: node.relay: it must be a web address"),
        (
            "[log]\nfilter = \"[[[\"\n",
            "line 2: log.filter: it must be a filter such as info,mosaic_",
        ),
        (
            "[keys]\npassphrase_command = \"pass 'x\"\n",
            "line 2: keys.passphrase_command: it must be",
        ),
        ("[keys]\npassphrase = \"x\"\n", "line 2: no setting 'keys.passphrase'; did you mean"),
        ("xyz = 1\n", "line 1: no setting 'xyz'"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = config(&path).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    std::fs::write(&path, "# ".repeat(CONFIG_BYTES_MAX)).unwrap();
    let error = config(&path).unwrap_err();
    assert!(matches!(error, NodeError::Config { .. }), "{error}");
    assert!(error.to_string().ends_with("longer than 65536 bytes"), "{error}");
}

#[test]
fn what_is_wrong_can_be_taken_out_by_its_name() {
    for (text, name, left) in [
        ("# a\n[node]\nlam = true # b\nlan = true\n", "node.lam", "# a\n[node]\n# b\nlan = true\n"),
        ("[log]\nfilter = \"[[[\"\ndays = 3\n", "log.filter", "[log]\ndays = 3\n"),
        ("xyz = 1\n\n[node]\nlan = true\n", "xyz", "\n[node]\nlan = true\n"),
        ("[nod]\nlan = true\n\n[node]\nlan = true\n", "nod", "\n[node]\nlan = true\n"),
        ("node = 3\n[log]\ndays = 3\n", "node", "[log]\ndays = 3\n"),
        ("[node.lan]\na = 1\n[log]\ndays = 3\n", "node.lan", "[log]\ndays = 3\n"),
        ("node = { lam = 1, lan = true }\n", "node.lam", "node = { lan = true }\n"),
        (
            "\"node.lan\" = 7\nnode.relay = \"https://a.b\"\n",
            "node.lan",
            "node.relay = \"https://a.b\"\n",
        ),
    ] {
        let fault = Draft::parse(text.to_owned()).unwrap_err();
        assert_eq!(fault.setting.as_deref(), Some(name), "{text}: {fault}");
        let less = without(text, name).unwrap().unwrap();
        assert_eq!(less.replace("{lan", "{ lan"), left, "{text}");
        Draft::parse(less).unwrap();
    }
    assert_eq!(without("[node]\nlan = true\n", "node.lam"), Ok(None));
    assert_eq!(without("", "xyz"), Ok(None));
    let fault = without("[node\n", "node.lan").unwrap_err();
    assert!(fault.reason.starts_with("line 1: ") && fault.setting.is_none(), "{fault}");
}

#[test]
fn the_hint_of_a_wrong_file_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    for (text, hint) in [
        ("[node]\nlam = true\n", "mosaic config unset node.lam"),
        ("[log]\nfilter = \"[[[\"\n", "mosaic config unset log.filter"),
        ("\"a b\" = 1\n", "mosaic config edit"),
        ("[node\n", "mosaic config edit"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = crate::api::types::ErrorRecord::from(read(&path).unwrap_err());
        assert_eq!((error.code, error.hint.as_str()), (2, hint), "{text}");
    }
}

#[test]
fn later_layers_win_and_each_value_knows_where_it_is_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let origin = |layers: &Layers| {
        let found = Settings::load(layers).unwrap();
        found
            .find(key("node.lan"))
            .map(|(value, origin)| (value.to_string(), origin.name()))
            .unwrap()
    };
    let mut all = layers(&path);
    assert_eq!(origin(&all), ("false".to_owned(), "default"));
    std::fs::write(&path, "node.lan = true\n").unwrap();
    assert_eq!(origin(&all), ("true".to_owned(), "file"));
    all.environment = vec![("MOSAIC_NODE_LAN".to_owned(), "false".to_owned())];
    assert_eq!(origin(&all), ("false".to_owned(), "environment"));
    all.flags = vec!["node.lan=true".to_owned()];
    assert_eq!(origin(&all), ("true".to_owned(), "flag"));
    for (flag, says) in [
        ("node.lan", "--set node.lan: it is not of the form KEY=VALUE"),
        ("node.lam=true", "did you mean 'node.lan'?"),
        ("node.lan=perhaps", "it must be true or false, not 'perhaps'"),
    ] {
        let wrong = Layers { flags: vec![flag.to_owned()], ..layers(&path) };
        let error = Settings::load(&wrong).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    all.environment = vec![("MOSAIC_LOG_DAYS".to_owned(), "many".to_owned())];
    assert!(Settings::load(&all).unwrap_err().to_string().starts_with("MOSAIC_LOG_DAYS: "));
    // an empty variable takes back what the file says
    std::fs::write(&path, "[node]\nrelay = \"https://relay.example\"\n").unwrap();
    all.environment = vec![("MOSAIC_NODE_RELAY".to_owned(), String::new())];
    assert_eq!(Settings::load(&all).unwrap().find(key("node.relay")), None);
}

#[test]
fn changes_keep_every_comment_and_blank_line() {
    let text = "# mine\n\n[node] # the node\n# why\nlan = false   # for now\n\n# the end\n";
    let draft = Draft::parse(text.to_owned()).unwrap();
    let set = draft.with(key("node.lan"), &Value::Flag(true)).unwrap();
    assert_eq!(set.text(), text.replace("false", "true"));
    let more = set.with(key("log.days"), &Value::Number(3)).unwrap();
    assert!(more.text().contains("# the end") && more.text().contains("[log]\ndays = 3\n"));
    let back = more.without(key("log.days")).unwrap().without(key("log.filter")).unwrap();
    assert!(back.text().contains("lan = true   # for now"), "{}", back.text());
    let inline = Draft::parse("node = { lan = false } # short\n".to_owned()).unwrap();
    let inline = inline.with(key("node.lan"), &Value::Flag(true)).unwrap();
    assert_eq!(inline.text(), "node = { lan = true } # short\n");
}

#[test]
fn the_template_is_right_and_says_nothing() {
    let draft = Draft::parse(template()).unwrap();
    assert!(draft.values().is_empty());
    let told: String = template().lines().map(|line| line.trim_start_matches("# ")).fold(
        String::new(),
        |all, line| {
            if line.contains(" = ") || line.starts_with('[') { all + line + "\n" } else { all }
        },
    );
    let told = told.lines().filter(|line| !line.ends_with("= \"\"")).collect::<Vec<_>>().join("\n");
    let told = Draft::parse(told).unwrap();
    for (key, value) in told.values() {
        assert_eq!(key.kind.parse(key.default).unwrap().as_ref(), Some(value), "{}", key.name);
    }
}

#[test]
fn the_schema_has_every_setting() {
    let schema = schema();
    for key in KEYS {
        let (table, name) = key.name.split_once('.').unwrap();
        let field = &schema["properties"][table]["properties"][name];
        assert_eq!(field["description"], key.about, "{}", key.name);
    }
    assert!(KEYS.is_sorted_by_key(|key| key.name));
}

fn setting() -> impl Strategy<Value = (usize, Value)> {
    (0..KEYS.len(), any::<bool>(), 1u64..366, "[a-z]{1,8}").prop_map(|(at, flag, number, word)| {
        let value = match KEYS[at].kind {
            Kind::Flag => Value::Flag(flag),
            Kind::Number { .. } => Value::Number(number),
            Kind::Text | Kind::Command | Kind::Filter => Value::Text(word),
            Kind::Url => Value::Text(format!("https://{word}.example")),
            Kind::Choice(words) => Value::Text(words[usize::from(flag)].to_owned()),
            Kind::Addresses => Value::List(vec![format!("127.0.0.1:{number}")]),
        };
        (at, value)
    })
}

/// A file with a comment above, behind and below each setting.
fn commented() -> String {
    let mut text = String::from("# first\n");
    let mut table = "";
    for (n, key) in KEYS.iter().enumerate() {
        let (own, name) = key.name.split_once('.').unwrap();
        if own != table {
            text.push_str(&format!("\n[{own}] # table {own}\n"));
            table = own;
        }
        let value = match key.kind {
            Kind::Flag => "true",
            Kind::Number { .. } => "9",
            Kind::Text | Kind::Command | Kind::Url => "\"https://a.example\"",
            Kind::Filter => "\"info,mosaic_node=debug\"",
            Kind::Choice(_) => "\"json\"",
            Kind::Addresses => "[\n  \"127.0.0.1:1\",\n]",
        };
        text.push_str(&format!("# above {n}\n{name} = {value} # behind {n}\n# below {n}\n\n"));
    }
    text + "# last\n"
}

fn comments(text: &str) -> Vec<String> {
    let comment = |line: &str| line.find('#').map(|at| line[at..].trim().to_owned());
    let mut comments: Vec<String> = text.lines().filter_map(comment).collect();
    comments.sort();
    comments
}

proptest! {
    #[test]
    fn what_is_set_is_read_back_and_no_comment_goes(
        steps in prop::collection::vec((setting(), any::<bool>()), 1..12),
    ) {
        let text = commented();
        let mut draft = Draft::parse(text.clone()).unwrap();
        let mut expected: BTreeMap<_, _> =
            draft.values().iter().map(|(key, value)| (key.name, value.clone())).collect();
        for ((at, value), removed) in steps {
            let key = &KEYS[at];
            if removed {
                draft = draft.without(key).unwrap();
                expected.remove(key.name);
            } else {
                draft = draft.with(key, &value).unwrap();
                expected.insert(key.name, value);
            }
        }
        let found: BTreeMap<_, _> =
            draft.values().iter().map(|(key, value)| (key.name, value.clone())).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(comments(draft.text()), comments(&text), "{}", draft.text());
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,64}|([a-z.\\[\\]=\"\n ]{0,64})") {
        let _ = Draft::parse(text);
    }
}
