//! What earlier versions wrote is opened: the bytes are theirs, and stay in `tests/fixtures`.

use std::fs::File;
use std::path::Path;

use mosaic_tests::binary::workspace;
use mosaic_tests::home::{Home, field, link, until};

/// Unpacks a home that a program wrote before this one.
fn unpack(name: &str, to: &Path) {
    let file = File::open(workspace().join("tests/fixtures").join(name)).expect("a fixture");
    tar::Archive::new(zstd::Decoder::new(file).expect("zstd")).unpack(to).expect("a home");
}

#[test]
fn a_home_of_store_format_1_opens_and_is_written_on() {
    let root = tempfile::tempdir().unwrap();
    unpack("home-format-1.tar.zst", root.path());
    let home = Home::new(root.path(), "home");
    // as it is, before anything opens it
    let looked = home.json(&["store", "migrate", "--dry-run"]).remove(0);
    assert_eq!(looked["from"], 1);
    assert_eq!(home.run(&["doctor"]).code, 0);
    assert_eq!(home.account(), "5771d47073b5baf56ebf719ea70b416023ba657a91357cee2171925eaf005926");
    let posts = home.json(&["wall", "list"]);
    let texts: Vec<String> = posts.iter().map(|post| field(post, "text")).collect();
    assert_eq!(texts, ["With a file.", "Written by format 1, better."]);
    let old = &posts[1];
    assert_eq!(
        field(old, "id"),
        "ace9af16b6194add159ca4733832deee513d40b6b6249d758de50fe5940e0e99"
    );
    assert_eq!((&old["replies"], &old["reactions"]["👍"]), (&1.into(), &1.into()));
    assert_eq!(home.json(&["profile", "show"])[0]["bio"], "at sea");
    let saved = root.path().join("saved");
    let output = saved.to_str().unwrap();
    home.ok(&["wall", "save", &field(&posts[0], "id"), "--output", output]);
    let wanted: Vec<u8> =
        (0..40_000_u32).map(|i| u8::try_from(i * i % 251).expect("a byte")).collect();
    assert!(std::fs::read(&saved).unwrap() == wanted);
    // everything verifies, before and after it is written on, and every row is built the same
    assert_eq!(home.run(&["store", "verify"]).code, 0);
    home.ok(&["post", "Written by this program."]);
    home.ok(&["store", "rebuild"]);
    assert_eq!(home.run(&["store", "verify"]).code, 0);
    assert_eq!(home.json(&["wall", "list"]).len(), 3);
    let migrated = home.json(&["store", "migrate"]).remove(0);
    assert_eq!(migrated["from"], migrated["to"]);
}

#[test]
fn a_home_of_store_format_3_shows_gives_and_drops_what_came_before() {
    let root = tempfile::tempdir().unwrap();
    unpack("home-format-3.tar.zst", root.path());
    let home = Home::new(root.path(), "home");
    assert_eq!(home.json(&["store", "migrate", "--dry-run"])[0]["from"], 3);
    assert_eq!(home.run(&["doctor"]).code, 0);
    // the wall of somebody else, whose changes share a row, with bodies that do not
    let bo = "a03706b8d2fec332ba8dbce4e300aa7448c44ca50f0fa2464c2bbd71179e822b";
    let texts = |posts: Vec<serde_json::Value>| -> Vec<String> {
        posts.iter().map(|post| field(post, "text")).collect()
    };
    let posts = texts(home.json(&["wall", "list", bo]));
    assert_eq!((posts.len(), posts[0].as_str()), (12, "Bo says number 12."));
    assert_eq!(posts[3], "Bo says number 9, better.");
    assert_eq!(home.json(&["search", "better"]).len(), 1);
    home.ok(&["post", "Written by this program."]);
    home.ok(&["store", "rebuild"]);
    assert_eq!(home.run(&["store", "verify"]).code, 0);
    // what is given to another device is what it was
    let tablet = link(&home, root.path(), "tablet");
    let node = home.node();
    tablet.ok(&["follow", bo]);
    until("the tablet has the wall", || {
        let _ = tablet.run(&["sync", "--peer", &node.ticket(), "--timeout", "20s"]);
        texts(tablet.json(&["wall", "list", bo])) == posts
    });
    node.stop();
    assert_eq!(tablet.run(&["store", "verify"]).code, 0);
    let old = field(&home.json(&["wall", "list"])[1], "id");
    home.ok(&["wall", "delete", &old]);
    assert_eq!(texts(home.json(&["wall", "list"])), ["Written by this program."]);
    assert_eq!(home.run(&["store", "verify"]).code, 0);
}
