//! A command prints the same whether a node answers it or the store is opened for it.

use mosaic_tests::home::Home;

/// What is asked; `ID` stands for a post.
const READS: [&[&str]; 16] = [
    &["identity", "show"],
    &["identity", "list"],
    &["device", "list"],
    &["profile", "show", "--conflicts"],
    &["wall", "list", "--conflicts", "--deleted"],
    &["wall", "show", "ID", "--hidden"],
    &["wall", "history", "ID"],
    &["wall", "policy"],
    &["feed"],
    &["follow", "list"],
    &["block", "list"],
    &["sub", "list"],
    &["doc", "list"],
    &["doc", "heads"],
    &["wall", "show", "00000000"],
    &["sub", "show", "@nobody"],
];

#[test]
fn a_node_and_the_store_give_the_same_answers() {
    let root = tempfile::tempdir().unwrap();
    let (home, other) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    let id = home.ok(&["post", "first"]);
    home.ok(&["wall", "edit", &id, "second"]);
    home.ok(&["wall", "comment", &id, "to myself"]);
    home.ok(&["wall", "react", &id, "👍"]);
    home.ok(&["profile", "set", "--bio", "here"]);
    home.ok(&["follow", &other.account(), "--as", "bob"]);
    home.ok(&["block", &other.account()]);
    let ask = || -> Vec<_> {
        let fill =
            |word: &&'static str| if *word == "ID" { id.clone() } else { (*word).to_owned() };
        let ask = |json: bool| {
            READS.map(|words| {
                let mut words: Vec<String> = words.iter().map(fill).collect();
                if json {
                    words.push("--json".to_owned());
                }
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let done = home.run(&words);
                (words.join(" "), done.code, done.out, done.err)
            })
        };
        ask(false).into_iter().chain(ask(true)).collect()
    };
    let alone = ask();
    let node = home.node();
    let beside = ask();
    node.stop();
    for (alone, beside) in alone.iter().zip(&beside) {
        assert_eq!(alone, beside);
    }
    let printed = alone.iter().filter(|(_, code, out, _)| *code == 0 && !out.is_empty()).count();
    assert!(printed >= 2 * 12, "{printed} of them print something: {alone:#?}");
}
