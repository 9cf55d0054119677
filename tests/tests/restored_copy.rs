//! A copy of a home is put back: both lives' posts stay, and nothing forks.

use mosaic_tests::home::{Home, Node, link};

fn copy(home: &Home, to: &std::path::Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(&home.path).arg(to).status();
    assert!(status.unwrap().success());
}

fn texts(home: &Home, account: &str) -> Vec<String> {
    let wall = home.json(&["wall", "list", account]);
    let mut texts: Vec<String> =
        wall.iter().map(|post| post["text"].as_str().unwrap_or("?").to_owned()).collect();
    texts.sort();
    texts
}

fn meet(home: &Home, node: &Node) -> serde_json::Value {
    home.sync(&node.ticket())
}

#[test]
fn a_copy_put_back_forks_nothing_and_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let phone = link(&laptop, root.path(), "phone");
    let hub = Home::init(root.path(), "hub");
    let account = laptop.account();
    hub.ok(&["sub", "add", &account]);
    let node = hub.node();
    let mut expected = vec!["common".to_owned()];
    laptop.ok(&["post", "common"]);
    meet(&laptop, &node);
    let backup = root.path().join("backup");
    copy(&laptop, &backup);
    for n in 0..5 {
        let text = format!("first life {n}");
        laptop.ok(&["post", &text]);
        expected.push(text);
    }
    meet(&laptop, &node);
    std::fs::remove_dir_all(&laptop.path).unwrap();
    std::fs::rename(&backup, &laptop.path).unwrap();
    for n in 0..5 {
        let text = format!("second life {n}");
        laptop.ok(&["post", &text]);
        expected.push(text);
    }
    expected.sort();
    for _ in 0..20 {
        for home in [&laptop, &phone] {
            let result = meet(home, &node);
            let reasons = result["reasons"].to_string();
            assert!(!reasons.contains("fork"), "{result}");
        }
    }
    for home in [&laptop, &phone, &hub] {
        assert_eq!(texts(home, &account), expected, "{}", home.path.display());
    }
    let heads = laptop.ok(&["doc", "heads", "--who", &account, "--json"]);
    assert_eq!(heads, phone.ok(&["doc", "heads", "--who", &account, "--json"]));
    assert_eq!(heads, hub.ok(&["doc", "heads", "--who", &account, "--json"]));
    let wall = laptop.ok(&["wall", "list", "--json"]);
    assert!(!wall.contains("disputed"), "{wall}");
    node.stop();
    for home in [&laptop, &phone, &hub] {
        assert_eq!(home.run(&["store", "verify"]).code, 0, "{}", home.path.display());
    }
}
