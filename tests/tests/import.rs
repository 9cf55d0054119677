//! In from elsewhere and out again, whole: files, homes, another node.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use mosaic_tests::home::{Home, field};
use serde_json::{Value, json};

/// With the quirks of real ones: relative names, CDATA, entities, no dates, one id twice.
const ATOM: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://boats.example/">
<title type="html">Ada &amp;amp; boats</title><id>tag:boats.example,2019:feed</id>
<link rel="self" href="https://boats.example/feed.atom"/><link href="https://boats.example/"/>
<updated>2020-05-02T10:00:00Z</updated>
<entry><id>tag:boats.example,2019:2</id><title>Oars</title><link href="/2"/>
<published>2019-03-01T08:30:00+02:00</published><updated>2020-05-02T10:00:00Z</updated>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Two <b>long</b> oars.</p></div></content></entry>
<entry><id>tag:boats.example,2019:1</id><title>Boats</title><link rel="alternate" href="https://boats.example/1"/>
<updated>2019-02-01T00:00:00Z</updated>
<content type="html"><![CDATA[<p>One &amp; two, <a href="https://sea.example">the sea</a></p><script>alert(1)</script>]]></content></entry>
<entry><id>tag:boats.example,2019:1</id><title>Boats again</title><updated>2019-02-01T00:00:00Z</updated></entry>
<entry><id>tag:boats.example,2019:0</id><title></title><updated>2019-01-01T00:00:00Z</updated></entry>
</feed>"#;

const RSS: &str = r#"<?xml version="1.0" encoding="ISO-8859-1"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>
<title>Harbour</title><link>https://harbour.example/</link><description>d</description>
<item><title>Tides</title><guid isPermaLink="false">7</guid><pubDate>Tue, 05 Mar 2019 10:00:00 GMT</pubDate>
<description>short</description><content:encoded><![CDATA[<p>High at <i>noon</i></p>]]></content:encoded></item>
<item><link>https://harbour.example/nameless</link><description>No title, no date</description></item>
</channel></rss>"#;

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn import(home: &Home, kind: &str, file: &Path, more: &[&str]) -> Value {
    let args = [&["import", kind, file.to_str().unwrap()], more].concat();
    let lines = home.json(&args);
    let last = lines.last().unwrap().clone();
    assert_eq!(last["type"], "import", "{last}");
    let said = lines.iter().filter(|line| line["state"] == "added").count();
    assert_eq!(last["added"], said, "{last}");
    last
}

#[test]
fn feeds_come_in_once_and_go_to_other_nodes() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    let atom = write(root.path(), "boats.atom", ATOM.as_bytes());
    let rss = write(root.path(), "harbour.rss", RSS.as_bytes());
    let looked = import(&ada, "feed", &atom, &["--dry-run"]);
    assert_eq!((&looked["new"], &looked["added"]), (&json!(2), &json!(0)), "{looked}");
    assert!(ada.json(&["wall", "list"]).is_empty());
    let first = import(&ada, "feed", &atom, &[]);
    assert_eq!(first["source"], "Ada & boats");
    assert_eq!(first["skipped"], json!({"twice in the file": 1, "without text": 1}), "{first}");
    assert_eq!(import(&ada, "feed", &rss, &[])["added"], 2);
    for file in [&atom, &rss] {
        let again = import(&ada, "feed", file, &[]);
        assert_eq!((&again["added"], &again["known"]), (&json!(0), &json!(2)), "{again}");
    }
    // Through a node it is the same; so is what comes from stdin.
    let node = ada.node();
    assert_eq!(import(&ada, "feed", &atom, &[])["added"], 0);
    bob.ok(&["follow", &ada.account()]);
    bob.sync(&node.ticket());
    let wall = bob.json(&["wall", "list", &ada.account()]);
    let oars = wall.iter().find(|post| post["text"] == "Oars\n\nTwo **long** oars.");
    let oars = oars.unwrap_or_else(|| panic!("{wall:?}"));
    assert_eq!(oars["created_at"], "2019-03-01T06:30:00.000Z");
    assert_eq!(oars["origin"]["link"], "https://boats.example/2");
    assert!(bob.ok(&["wall", "show", &field(oars, "id")]).contains("Two"));
    let tides = wall.iter().find(|post| post["origin"]["id"] == "https://harbour.example/#7");
    assert_eq!(tides.unwrap()["text"], "Tides\n\nHigh at noon", "{wall:?}");
    assert!(!wall.iter().any(|post| field(post, "text").contains("alert")), "{wall:?}");
    // What was deleted stays so.
    ada.ok(&["wall", "delete", &field(oars, "id")]);
    assert_eq!(import(&ada, "feed", &atom, &[])["added"], 0);
    node.stop();
    assert_eq!(ada.run(&["store", "verify"]).code, 0);
}

fn outbox() -> Value {
    let actor = "https://social.example/users/ada";
    let note = |n: u64, to: &str, more: Value| {
        let id = format!("{actor}/statuses/{n}");
        let mut object = json!({
            "id": id, "type": "Note", "summary": null, "inReplyTo": null,
            "published": format!("2018-01-0{n}T12:00:00Z"), "url": format!("https://social.example/@ada/{n}"),
            "content": format!("<p>Note {n}<br />&lt;3</p>"), "attachment": [],
        });
        for (key, value) in more.as_object().unwrap() {
            object[key] = value.clone();
        }
        json!({ "id": format!("{id}/activity"), "type": "Create", "actor": actor, "to": [to], "cc": [], "object": object })
    };
    let public = "https://www.w3.org/ns/activitystreams#Public";
    json!({ "@context": "https://www.w3.org/ns/activitystreams", "id": "outbox.json",
        "type": "OrderedCollection", "totalItems": 7, "orderedItems": [
        note(1, public, json!({})),
        note(2, public, json!({ "inReplyTo": format!("{actor}/statuses/1"), "summary": "boats" })),
        note(3, public, json!({ "inReplyTo": "https://other.example/1" })),
        note(4, &format!("{actor}/followers"), json!({})),
        note(5, public, json!({ "content": "", "attachment": [
            { "type": "Document", "mediaType": "text/plain", "url": "/media_attachments/files/1/original/a.txt", "name": "A list" },
            { "type": "Document", "mediaType": "image/png", "url": "/media_attachments/files/../../../etc/passwd", "name": null },
        ] })),
        { "type": "Announce", "actor": actor, "to": [public], "object": "https://other.example/2" },
        note(6, public, json!({ "type": "Question", "oneOf": [{ "name": "yes" }, { "name": "no" }] })),
    ] })
}

/// As some versions write it: an empty list before the full one.
fn twice(outbox: &Value) -> Vec<u8> {
    let text = outbox.to_string();
    text.replacen("\"orderedItems\":", "\"orderedItems\":[],\"orderedItems\":", 1).into_bytes()
}

fn zipped(folder: &Path) -> PathBuf {
    let path = folder.join("archive.zip");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let plain = zip::write::SimpleFileOptions::default();
    for (name, bytes) in [
        ("../../escaped.txt", b"out".to_vec()),
        ("media_attachments/files/1/original/a.txt", b"oars".to_vec()),
        ("outbox.json", twice(&outbox())),
    ] {
        archive.start_file(name, plain).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap();
    path
}

fn tarred(folder: &Path) -> PathBuf {
    let path = folder.join("archive.tar.gz");
    let packed = flate2::write::GzEncoder::new(
        std::fs::File::create(&path).unwrap(),
        flate2::Compression::fast(),
    );
    let mut archive = tar::Builder::new(packed);
    for (name, bytes) in [
        ("./outbox.json", outbox().to_string().into_bytes()),
        ("./media_attachments/files/1/original/a.txt", b"oars".to_vec()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
    path
}

#[test]
fn an_archive_of_mastodon_comes_in_with_its_files_and_threads() {
    let root = tempfile::tempdir().unwrap();
    for (name, archive) in [("zip", zipped(root.path())), ("tar", tarred(root.path()))] {
        let ada = Home::init(root.path(), name);
        let done = import(&ada, "mastodon", &archive, &[]);
        assert_eq!(done["added"], 4, "{done}");
        assert_eq!(done["source"], "Mastodon @ada@social.example");
        let left = json!({
            "answers to others": 1, "boosts": 1, "files that are not there": 1,
            "for followers or some people only": 1,
        });
        assert_eq!(done["skipped"], left);
        let wall = ada.json(&["wall", "list"]);
        let texts: Vec<_> = wall.iter().map(|post| field(post, "text")).collect();
        assert_eq!(texts, ["Note 6\n<3\n\n- yes\n- no", "", "[boats]\n\nNote 2\n<3", "Note 1\n<3"]);
        assert_eq!(wall[2]["quote"]["id"], wall[3]["id"]);
        assert_eq!(wall[1]["attachments"][0]["alt"], "A list");
        let saved = root.path().join(format!("{name}.saved"));
        ada.ok(&["wall", "save", &field(&wall[1], "id"), "--output", saved.to_str().unwrap()]);
        let file = if saved.is_dir() { saved.join("a.txt") } else { saved };
        assert_eq!(std::fs::read(file).unwrap(), b"oars");
        assert_eq!(import(&ada, "mastodon", &archive, &[])["added"], 0);
        assert_eq!(import(&ada, "mastodon", &archive, &["--replies"])["added"], 1);
        assert!(!root.path().join("escaped.txt").exists());
    }
}

#[test]
fn what_is_no_feed_or_archive_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let sparse = root.path().join("sparse");
    std::fs::File::create(&sparse).unwrap().set_len(10 << 30).unwrap();
    let zero_zip = write(root.path(), "sparse.zip", b"PK\x03\x04");
    std::fs::File::options().write(true).open(&zero_zip).unwrap().set_len(10 << 30).unwrap();
    let whole = std::fs::read(zipped(root.path())).unwrap();
    let gzip = std::fs::read(tarred(root.path())).unwrap();
    let deep = "<a>".repeat(200_000);
    let cases = [
        ("feed", write(root.path(), "text", b"hello")),
        ("feed", write(root.path(), "cut.atom", &ATOM.as_bytes()[..700])),
        ("feed", write(root.path(), "deep.xml", deep.as_bytes())),
        ("feed", write(root.path(), "empty", b"")),
        ("feed", sparse.clone()),
        ("feed", root.path().to_owned()),
        ("feed", root.path().join("none")),
        ("mastodon", sparse),
        ("mastodon", zero_zip),
        ("mastodon", write(root.path(), "cut.zip", &whole[..whole.len() - 40])),
        ("mastodon", write(root.path(), "cut.tar.gz", &gzip[..gzip.len() / 2])),
        ("mastodon", write(root.path(), "list.json", b"[1]")),
        ("mastodon", root.path().join("none")),
    ];
    let before = ada.ok(&["doc", "heads", "--json"]);
    for (kind, file) in cases {
        let done = ada.run(&["import", kind, file.to_str().unwrap()]);
        let said = (done.code, done.err.lines().count());
        assert!(matches!(said, (2 | 13, 2)), "{}: {said:?} {}", file.display(), done.err);
        assert!(done.err.starts_with("error: ") && done.err.contains("\nhint: "), "{}", done.err);
    }
    assert_eq!(ada.ok(&["doc", "heads", "--json"]), before);
}

#[test]
fn a_wall_goes_out_as_feeds_that_others_read() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    assert!(ada.ok(&["export", "atom"]).contains("<updated>"), "an empty wall is a feed");
    let atom = write(root.path(), "boats.atom", ATOM.as_bytes());
    import(&ada, "feed", &atom, &[]);
    let text = "a <script> & \u{1b}[2J ]]> \u{b}\n\nsecond \u{202e} line";
    ada.ok(&["post", text]);
    let gone = ada.ok(&["post", "gone"]);
    ada.ok(&["wall", "delete", &gone]);
    for kind in ["atom", "json", "html"] {
        let file = root.path().join(format!("out.{kind}"));
        let path = file.to_str().unwrap();
        ada.ok(&["export", kind, "-o", path]);
        let written = std::fs::read_to_string(&file).unwrap();
        assert_eq!(ada.ok(&["export", kind]), written.trim_end());
        assert!(!written.contains('\u{1b}') || kind == "json", "{written}");
        assert!(!written.contains("<script>") || kind == "json", "{written}");
        assert!(!written.contains("gone"), "{written}");
        if kind == "html" {
            continue;
        }
        // Whoever wrote it knows it; somebody else gets it with its dates.
        assert_eq!(import(&ada, "feed", &file, &[])["added"], 0, "{kind}");
        let other = Home::init(root.path(), &format!("reader of {kind}"));
        assert_eq!(import(&other, "feed", &file, &[])["added"], 3, "{kind}");
        let dates = |home: &Home| -> Vec<_> {
            let wall = home.json(&["wall", "list"]);
            wall.iter().map(|post| post["created_at"].clone()).collect()
        };
        assert_eq!(dates(&other), dates(&ada), "{kind}");
    }
    let feed: Value = serde_json::from_str(&ada.ok(&["export", "json"])).unwrap();
    assert!(feed["items"][0]["content_text"].as_str().unwrap().contains("script"), "{feed}");
    let refused = bob.run(&["export", "atom", "-o", "/nowhere/at/all"]);
    assert_eq!((refused.code, refused.err.lines().count()), (1, 2), "{}", refused.err);
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_was() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let items = (0..1000)
        .map(|n| json!({ "id": format!("https://a.example/{n}"), "content_text": n.to_string() }));
    let feed = json!({ "version": "https://jsonfeed.org/version/1.1", "title": "Ada", "items": items.collect::<Vec<_>>() });
    let file = write(root.path(), "feed.json", feed.to_string().as_bytes());
    let mut added = 0;
    for lines in [1, 100, 300] {
        let mut command = ada.command(&["import", "feed", file.to_str().unwrap(), "--json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().take(lines);
        added += said.filter(|line| line.as_ref().unwrap().contains("\"added\"")).count();
        child.kill().unwrap();
        child.wait().unwrap();
        // What was said to be there is.
        assert!(ada.json(&["wall", "list"]).len() >= added);
    }
    assert_eq!(added, 401);
    let here = ada.json(&["wall", "list"]).len();
    let last = import(&ada, "feed", &file, &[]);
    assert_eq!(last["added"], 1000 - here, "{last}");
    assert_eq!(ada.json(&["wall", "list"]).len(), 1000);
    assert_eq!(ada.run(&["store", "verify"]).code, 0);
}

#[test]
fn what_a_post_cannot_have_is_counted() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let item = |n: u64, date: &str| {
        json!({ "id": format!("https://a.example/{n}"), "content_text": "x", "date_published": date,
            "attachments": [{ "url": "https://a.example/sound.ogg", "mime_type": "audio/ogg" }] })
    };
    let items = [
        item(1, "1969-07-20T20:17:00Z"),
        item(2, "2999-01-01T00:00:00Z"),
        item(3, "1970-01-01T00:00:00Z"),
    ];
    let feed =
        json!({ "version": "https://jsonfeed.org/version/1.1", "title": "Ada", "items": items });
    let file = write(root.path(), "feed.json", feed.to_string().as_bytes());
    let done = import(&ada, "feed", &file, &[]);
    let left = json!({ "dates before 1970 or to come": 2, "files elsewhere on the web": 3 });
    assert_eq!((&done["added"], &done["skipped"]), (&json!(3), &left), "{done}");
}

/// An archive that was unpacked, of posts with the given files.
fn unpacked(folder: &Path, posts: &[(&str, Vec<Value>)]) -> PathBuf {
    let actor = "https://social.example/users/ada";
    let items = posts.iter().enumerate().map(|(n, (text, files))| {
        let id = format!("{actor}/statuses/{n}");
        json!({ "type": "Create", "actor": actor, "to": ["as:Public"], "object": {
            "id": id, "type": "Note", "published": "2018-01-01T12:00:00Z", "url": id,
            "content": text, "attachment": files,
        } })
    });
    let outbox = json!({ "orderedItems": items.collect::<Vec<_>>() });
    std::fs::create_dir_all(folder.join("media_attachments/files/1")).unwrap();
    write(folder, "outbox.json", outbox.to_string().as_bytes());
    folder.to_owned()
}

fn document(name: &str, media_type: &str, alt: &str) -> Value {
    let url = format!("/media_attachments/files/{name}");
    json!({ "type": "Document", "mediaType": media_type, "url": url, "name": alt })
}

#[test]
fn one_file_or_description_ends_no_import() {
    let root = tempfile::tempdir().unwrap();
    let text = |alt: &str| document("1/a.txt", "text/plain", alt);
    let archive = unpacked(
        &root.path().join("archive"),
        &[
            ("long", vec![text(&"船".repeat(1500))]),
            ("cut", vec![text("x"), document("1/cut.png", "image/png", "x")]),
            ("", vec![document("1/a.avif", "image/avif", "x")]),
            ("many", vec![text(&"é".repeat(1500)); 20]),
            ("odd", vec![document("1/a.txt", &"x/".repeat(100), "x")]),
            ("last", vec![]),
        ],
    );
    let files = archive.join("media_attachments/files/1");
    write(&files, "a.txt", b"oars");
    write(&files, "cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR");
    write(&files, "a.avif", b"\0\0\0\x20ftypavif");
    for (name, node) in [("alone", false), ("served", true)] {
        let ada = Home::init(root.path(), name);
        let node = node.then(|| ada.node());
        let done = import(&ada, "mastodon", &archive, &[]);
        let left = json!({
            "ends of long descriptions": 17, "files more than a post may have": 4,
            "files that cannot be attached": 2, "media types that are none": 1,
        });
        assert_eq!((&done["added"], &done["skipped"]), (&json!(6), &left), "{done}");
        let wall = ada.json(&["wall", "list"]);
        let of = |text: &str| wall.iter().find(|post| post["text"] == text).unwrap().clone();
        let alt = field(&of("long")["attachments"][0], "alt");
        assert_eq!((alt.len(), alt.chars().all(|c| c == '船')), (1998, true));
        let count = |text: &str| of(text)["attachments"].as_array().unwrap().len();
        assert_eq!([count("cut"), count("many"), count("odd"), count("last")], [1, 16, 1, 0]);
        assert_eq!(of("odd")["attachments"][0]["media_type"], "text/plain");
        assert_eq!(count("https://social.example/users/ada/statuses/2"), 0);
        assert_eq!(import(&ada, "mastodon", &archive, &[])["known"], 6);
        drop(node);
    }
    // What is wrong is said with the post and the file.
    let bob = Home::init(root.path(), "bob");
    let said = bob.run(&["import", "mastodon", archive.to_str().unwrap()]).err;
    let why = "statuses/2 comes in, but not all of it: cannot remove the metadata of a.avif (AVIF)";
    assert!(said.contains(why), "{said}");
    let eve = Home::init(root.path(), "eve");
    let done = import(&eve, "mastodon", &archive, &["--keep-metadata"]);
    assert_eq!(done["skipped"]["files that cannot be attached"], Value::Null, "{done}");
}

#[test]
fn a_post_that_cannot_be_written_leaves_the_others() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let post = |id: &str, text: &str| json!({ "source": "x", "id": id, "text": text });
    let long = "x".repeat(300_000);
    let body =
        json!({ "posts": [post("1", "a"), post("2", &long), post("", "b"), post("3", "c")] });
    let body = write(root.path(), "body", body.to_string().as_bytes());
    let done = ada.json(&["api", "/v1/post/import", "--input", body.to_str().unwrap()]);
    let states: Vec<_> = done.iter().map(|one| field(one, "state")).collect();
    assert_eq!(states, ["added", "refused", "refused", "added"], "{done:?}");
    assert!(done[1]["reasons"][0].as_str().unwrap().contains("limit 262144"), "{}", done[1]);
    // Posts of one millisecond stand in the order of their ids.
    let wall = ada.json(&["wall", "list"]);
    let mut shown: Vec<_> = wall.iter().map(|post| field(post, "id")).collect();
    let mut added = [field(&done[0], "id"), field(&done[3], "id")];
    shown.sort_unstable();
    added.sort_unstable();
    assert_eq!(shown, added);
}

#[test]
fn a_folder_gives_its_own_files_and_no_others() {
    let root = tempfile::tempdir().unwrap();
    let files = ["1/a.txt", "1/link.txt", "2/key"].map(|name| document(name, "text/plain", "x"));
    let archive = unpacked(&root.path().join("archive"), &[("all", files.to_vec())]);
    let outside = root.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    write(&outside, "key", b"secret");
    let within = archive.join("media_attachments/files");
    write(&within, "1/a.txt", b"oars");
    std::os::unix::fs::symlink(outside.join("key"), within.join("1/link.txt")).unwrap();
    std::os::unix::fs::symlink(&outside, within.join("2")).unwrap();
    // From where the command runs, which is not where the node does.
    for (name, folder, path) in [
        ("folder", root.path(), "archive"),
        ("outbox", root.path(), "archive/outbox.json"),
        ("inside", archive.as_path(), "outbox.json"),
        ("dot", archive.as_path(), "."),
    ] {
        let ada = Home::init(root.path(), name);
        let node = ada.node();
        let mut command = ada.command(&["import", "mastodon", path, "--json"]);
        let done = command.current_dir(folder).output().unwrap();
        let done = String::from_utf8(done.stdout).unwrap();
        let last: Value = serde_json::from_str(done.lines().last().unwrap()).unwrap();
        let left = json!({ "files behind symbolic links": 2 });
        assert_eq!((&last["added"], &last["skipped"]), (&json!(1), &left), "{name}: {done}");
        let wall = ada.json(&["wall", "list"]);
        assert_eq!(wall[0]["attachments"].as_array().unwrap().len(), 1, "{name}: {wall:?}");
        node.stop();
    }
}

#[test]
fn what_is_exported_is_for_others_and_says_what_it_lacks() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let plain = write(root.path(), "plain", b"");
    let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions();
    ada.ok(&["post", "here"]);
    for kind in ["atom", "json", "html"] {
        let file = root.path().join(kind);
        let node = (kind != "json").then(|| ada.node());
        let done = ada.run(&["export", kind, "-o", file.to_str().unwrap()]);
        assert_eq!((done.code, done.err.as_str()), (0, ""));
        assert_eq!(mode(&file), mode(&plain), "{kind}");
        drop(node);
    }
    let before = blobs(&ada.path);
    let text = write(root.path(), "text", "large ".repeat(10_000).as_bytes());
    ada.ok(&["post", "--file", text.to_str().unwrap()]);
    let lost = blobs(&ada.path).into_iter().find(|path| !before.contains(path)).unwrap();
    std::fs::remove_file(lost).unwrap();
    let (bob, node) = (Home::init(root.path(), "bob"), ada.node());
    bob.ok(&["follow", &ada.account(), "--as", "ada"]);
    bob.sync(&node.ticket());
    node.stop();
    for more in [&["atom"][..], &["html"], &["json", "--json"]] {
        let done = bob.run(&[&["export"], more, &["@ada"]].concat());
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(done.out.contains("here") && !done.out.contains("large"), "{}", done.out);
        assert!(done.err.contains("1 posts are not here, and not in it"), "{more:?}: {}", done.err);
    }
}

fn blobs(home: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(home.join("store/blobs")).unwrap();
    let folders = folders.map(|folder| folder.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    // not what is kept of its tree
    files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_none()).collect()
}
