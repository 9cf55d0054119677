//! What is for some alone is nowhere in the clear but where it may be read: searched for in the
//! store of a node that carries it, in every log, in what went over the wire, and in homes that are
//! closed. What is for all is found by the same search, or else the search proves nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use mosaic_node::ticket::{Address, NodeTicket};
use mosaic_tests::home::{Home, Node, until};
use mosaic_tests::wire::Wire;
use mosaic_tests::wire::capture::Capture;

const DIRECT: &str = "canary-direct-4e17b0";
const DRAFT: &str = "canary-draft-a93c55";
const LIMITED: &str = "canary-limited-71d2f8";
const LIST: &str = "canary-list-c08e64";
const TITLE: &str = "canary-title-5b9a1d";
const PETNAME: &str = "canary-petname-e6f203";
const NOTE: &str = "canary-note-90ab47";
/// In a hub that its members alone keep.
const HUB: &str = "canary-hub-3d15f9";
/// In a private channel of a hub that the node in between keeps.
const CHANNEL: &str = "canary-channel-b7208c";
/// What that hub is called, what it says about itself, a role of it, and why somebody got that.
const CELLAR: &str = "canary-cellar-f02b6e";
const ABOUT: &str = "canary-about-1c7d93";
const ROLE: &str = "canary-role-86fe20";
const REASON: &str = "canary-reason-d4a517";
/// What that channel is called, and what it is about.
const BOARD: &str = "canary-board-3e90cb";
const TOPIC: &str = "canary-topic-7715da";
/// What everybody may read.
const PUBLIC: &str = "canary-public-28b7ca";

const SECRETS: [&str; 15] = [
    DIRECT, DRAFT, LIMITED, LIST, TITLE, PETNAME, NOTE, HUB, CHANNEL, CELLAR, ABOUT, ROLE, REASON,
    BOARD, TOPIC,
];

/// How what is compressed begins.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A text that holds a word often enough that no cut between packets hides it.
fn text(word: &str) -> String {
    format!("{word} ").repeat(200)
}

/// The words that stand in bytes as they are, in hex, or in a part of them that is compressed.
fn found_in(bytes: &[u8]) -> BTreeSet<&'static str> {
    let words = SECRETS.into_iter().chain([PUBLIC]);
    let standing = |bytes: &[u8]| -> BTreeSet<&'static str> {
        // What is no text stands for nothing of a word.
        let text = String::from_utf8_lossy(bytes);
        let hex = |word: &str| word.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let stands = |word: &&str| {
            [(*word).to_owned(), hex(word), hex(word).to_uppercase()]
                .iter()
                .any(|form| text.contains(form))
        };
        words.clone().filter(stands).collect()
    };
    let mut found = standing(bytes);
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == ZSTD[0]) {
        if bytes[at..].starts_with(&ZSTD) {
            let mut opened = Vec::new();
            let mut reader = zstd::stream::read::Decoder::new(&bytes[at..]).unwrap().single_frame();
            // What does not end is searched as far as it goes.
            let _ = reader.read_to_end(&mut opened);
            found.extend(standing(&opened));
        }
    }
    found
}

/// That no secret is among what was found.
fn assert_no_secret(found: &BTreeSet<&str>, place: &str) {
    let secrets: Vec<_> = SECRETS.iter().filter(|word| found.contains(*word)).collect();
    assert!(secrets.is_empty(), "{secrets:?} in {place}");
}

/// Every file below a folder.
fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        match path.symlink_metadata().unwrap() {
            is if is.is_dir() => found.extend(files(&path)),
            is if is.is_file() => found.push((path.clone(), fs::read(&path).unwrap())),
            _ => {}
        }
    }
    found
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// Whether bytes have an id in them, which is given in hex.
fn has(bytes: &[u8], id: &str) -> bool {
    let id = unhex(id);
    bytes.windows(id.len()).any(|part| part == id)
}

/// Whether files of a home have an id in them as it is.
fn shows(home: &Home, id: &str) -> bool {
    files(&home.path).iter().any(|(_, bytes)| has(bytes, id))
}

/// Keys and values of all rows of a store, one after the other.
fn rows(home: &Home, more: &[&str]) -> Vec<Vec<u8>> {
    let dump = home.json(&[&["store", "dump", "--values"], more].concat());
    let fields = dump.iter().flat_map(|row| [&row["key"], &row["value"]]);
    fields.map(|field| unhex(field.as_str().unwrap())).collect()
}

fn port(node: &Node) -> u16 {
    let ticket = NodeTicket::parse(&node.ticket()).unwrap();
    let mut ports = ticket.addresses.iter().filter_map(|address| match address {
        Address::Socket(socket) => Some(socket.port()),
        Address::Relay(_) => None,
    });
    ports.next_back().unwrap()
}

/// A node that logs all there is, and the keys of its connections.
fn talkative(home: &Home, keys: &Path, more: &[&str]) -> Node {
    let mut command: Command = home.command(&[&["node", "run"], more].concat());
    command.env("MOSAIC_LOG", "trace").env("SSLKEYLOGFILE", keys);
    home.node_as(command)
}

/// A home whose keys are under a passphrase, and the file with it.
fn closed(root: &Path, name: &str) -> (Home, String) {
    let file = root.join(format!("{name}.passphrase"));
    fs::write(&file, format!("open {name}")).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let home = Home::new(root, name);
    home.ok(&["init", "--name", name, "--passphrase-file", &file]);
    (home, file)
}

/// Ada writes something of each kind.
fn write(ada: &Home, bob: &str, more: &[&str]) {
    let write = |args: &[&str]| ada.ok(&[args, more].concat());
    write(&["dm", "send", bob, &text(DIRECT)]);
    write(&["dm", "group", "create", TITLE, "--with", bob]);
    write(&["draft", "create", &text(DRAFT)]);
    write(&["block", &"c0".repeat(32), "--note", &text(NOTE)[..900]]);
    write(&["hub", "send", &format!("{CELLAR}/wine"), &text(HUB)]);
    write(&["hub", "send", &format!("Makers/{BOARD}"), &text(CHANNEL)]);
    write(&["audience", "create", LIST]);
    write(&["audience", "add", LIST, bob]);
    write(&["post", &text(LIMITED), "--audience", &format!("list:{LIST}")]);
    write(&["post", &text(PUBLIC)]);
}

/// Ada makes a hub for all with a private channel, and one that its members alone keep.
fn found_hubs(ada: &Home, more: &[&str]) {
    let found = |args: &[&str]| ada.ok(&[args, more].concat());
    found(&["hub", "create", "Makers", "--channel", "general"]);
    let board = format!("Makers/{BOARD}");
    found(&["hub", "channel", "create", &board, "--private", "--topic", TOPIC]);
    found(&["hub", "create", CELLAR, "--private", "--channel", "wine", "--about", ABOUT]);
    found(&["hub", "role", "create", CELLAR, ROLE, "--rank", "3", "--allow", "send"]);
}

/// Bob joins both, and a node in between keeps the one.
fn join_hubs(ada: &Home, bob: &Home, between: &Home) {
    let makers = ada.json(&["hub", "show", "Makers"])[0]["id"].as_str().unwrap().to_owned();
    between.ok(&["hub", "serve", &makers]);
    for name in ["Makers", CELLAR] {
        let ticket = ada.ok(&["hub", "invite", name]);
        bob.ok(&["hub", "join", ticket.lines().next().unwrap()]);
        // What it is called comes with the ticket.
        assert_eq!(bob.json(&["hub", "show", name])[0]["name"], name);
    }
    ada.ok(&["hub", "mod", "set", CELLAR, "--member-quota", "64MB", "--reason", REASON]);
}

/// Waits until a node in between has all that it carries.
fn carries(between: &Home, homes: [&Home; 2]) {
    // It keeps the hub for all, without a word of its private channel, and not the other.
    let kept = |name: &str| between.run(&["hub", "read", name]);
    until("the node in between has the private channel", || {
        // It does not know what that is called.
        let named = |id: String| format!("Makers/{id}");
        let closed =
            between.ok(&["hub", "channel", "list", "Makers", "--jq", "select(.sealed).id"]);
        let read = kept(&named(closed)).out;
        read.contains("sealed") && !read.contains(CHANNEL)
    });
    assert_eq!(kept(&format!("{CELLAR}/wine")).code, 13);
    until("the node in between has what is private of both", || {
        homes.iter().all(|home| {
            let states = home.json(&["sync", "status"]);
            let private = states.iter().filter(|state| state["section"] == "private");

            private.clone().count() > 0 && private.clone().all(|state| state["state"] == "in-sync")
        })
    });
}

/// Waits until Bob reads all that is for him, and what it is called.
fn reads_all(bob: &Home, ada: &str) {
    let reads = |args: &[&str], word: &str| bob.run(args).out.contains(word);
    until("Bob reads all that is for him", || {
        reads(&["dm", "read", ada, "--keep-unread"], DIRECT)
            && reads(&["dm", "list"], TITLE)
            && reads(&["feed"], LIMITED)
            && reads(&["feed"], PUBLIC)
            && reads(&["hub", "read", &format!("Makers/{BOARD}")], CHANNEL)
            && reads(&["hub", "read", &format!("{CELLAR}/wine")], HUB)
            && reads(&["hub", "show", CELLAR], ABOUT)
            && reads(&["hub", "channel", "list", "Makers"], TOPIC)
            && reads(&["hub", "role", "list", CELLAR], ROLE)
            && reads(&["hub", "mod", "log", CELLAR], REASON)
    });
}

#[test]
fn a_hub_that_carries_it_its_logs_and_the_wire_do_not_have_it() {
    let root = tempfile::tempdir().unwrap();
    let keys = root.path().join("keys");
    let (ada, of_ada) = closed(root.path(), "ada");
    let (bob, of_bob) = closed(root.path(), "bob");
    let hub = Home::init(root.path(), "hub");
    let accounts = [(&ada, &of_ada), (&bob, &of_bob)].map(|(home, passphrase)| {
        let shown =
            home.ok(&["identity", "show", "--jq", ".account", "--passphrase-file", passphrase]);
        hub.ok(&["sub", "add", &shown]);
        shown
    });
    let capture = Capture::begin();
    if capture.is_none() {
        println!("not looked at: the wire, which this system does not let this test read");
    }
    let carrying = talkative(&hub, &keys, &[]);
    let nodes = [(&ada, &of_ada), (&bob, &of_bob)]
        .map(|(home, passphrase)| talkative(home, &keys, &["--passphrase-file", passphrase]));
    let ports = [port(&carrying), port(&nodes[0]), port(&nodes[1])];
    for home in [&ada, &bob] {
        home.ok(&["node", "connect", &carrying.ticket()]);
    }
    ada.ok(&["follow", &accounts[1], "--as", PETNAME]);
    bob.ok(&["follow", &accounts[0], "--as", "ada"]);
    until("each knows the devices of the other", || {
        let knows = |home: &Home, who: &str| home.json(&["device", "list", who]).len() == 1;
        let devices = |home: &Home, who: &str| {
            knows(home, who) && home.json(&["device", "list", who])[0]["type"] == "device"
        };
        devices(&ada, &accounts[1]) && devices(&bob, &accounts[0])
    });
    found_hubs(&ada, &[]);
    // What is kept by members alone goes between them.
    bob.ok(&["node", "connect", &nodes[0].ticket()]);
    join_hubs(&ada, &bob, &hub);
    write(&ada, &accounts[1], &[]);
    reads_all(&bob, &accounts[0]);
    carries(&hub, [&ada, &bob]);
    for node in nodes {
        node.stop();
    }
    carrying.stop();
    let sent = capture.map(|capture| capture.end(&ports));

    // The node that carries it.
    let carried: BTreeSet<_> = rows(&hub, &[]).iter().flat_map(|row| found_in(row)).collect();
    assert!(carried.contains(PUBLIC), "the search does not find what is there");
    assert_no_secret(&carried, "the store of who carries it");
    // Its files, logs, and homes that are closed.
    for home in [&hub, &ada, &bob] {
        for (path, bytes) in files(&home.path) {
            assert_no_secret(&found_in(&bytes), &path.display().to_string());
        }
    }
    for name in ["ada", "bob", "hub"] {
        let log = fs::read(root.path().join(format!("{name}.log"))).unwrap();
        assert!(log.len() > 10_000, "{name} logs {} bytes", log.len());
        let found = found_in(&log);
        assert!(found.is_empty(), "{found:?} in the log of {name}");
    }
    if let Some(sent) = sent {
        on_the_wire(&sent, &fs::read_to_string(&keys).unwrap());
    }
}

/// Nothing of it in datagrams as they are, nor in what they say once they are opened.
fn on_the_wire(sent: &[Vec<u8>], keys: &str) {
    let mut wire = Wire::with_keys(keys);
    for datagrams in sent {
        let found = found_in(datagrams);
        assert!(found.is_empty(), "{found:?} went out in the clear");
        wire.take(datagrams);
    }
    let (said, gaps) = wire.said();
    let bytes: usize = said.iter().map(Vec::len).sum();
    println!("{} sent, {wire:?}, {bytes} bytes in {} streams, {gaps} gaps", sent.len(), said.len());
    let unread = (wire.odd, gaps, wire.closed);
    assert_eq!(unread, (0, 0, 0), "all that was said is to be read: {wire:?}");
    // What is sent to a connection that has ended is answered by bytes that are no packet, and look
    // like one; how many depends on who is gone first.
    assert!(wire.opened > 300 && wire.strange < 20 && bytes > 50_000, "{wire:?}");
    let found: BTreeSet<_> = said.iter().flat_map(|stream| found_in(stream)).collect();
    assert!(found.contains(PUBLIC), "what is for all is not found");
    assert_no_secret(&found, "what nodes said to each other");
}

#[test]
fn claim_a_passphrase_closes_what_is_sealed() {
    let root = tempfile::tempdir().unwrap();
    let (ada, passphrase) = closed(root.path(), "ada");
    let bob = Home::init(root.path(), "bob");
    let card = root.path().join("card").display().to_string();
    bob.ok(&["dm", "bundle", "export", "--all", &card]);
    let more = ["--passphrase-file", &passphrase];
    let said = |args: &[&str]| ada.ok(&[args, &more].concat());
    let (who, device) = (bob.account(), bob.ok(&["device", "list", "--jq", ".id"]));
    let own = said(&["device", "list", "--jq", ".id"]);
    // Whom one follows is not seen, but whose wall is kept there.
    said(&["follow", &who, "--as", PETNAME]);
    assert!(!shows(&ada, &who));
    let node = bob.node();
    said(&["sync", "--peer", &node.ticket(), "--timeout", "20s"]);
    node.stop();
    assert!(shows(&ada, &who), "whose wall is kept does not show");
    said(&["dm", "bundle", "import", &card]);
    // And what carriers see of what is sealed: who takes part, and which devices have its keys.
    let carried = || {
        let rows = rows(&ada, &more);
        [&who, &device].map(|id| rows.chunks(2).any(|row| has(&row[0], &own) && has(&row[1], id)))
    };
    assert_eq!(carried(), [false, false]);
    found_hubs(&ada, &more);
    write(&ada, &who, &more);
    assert_eq!(carried(), [true, true]);
    let talks = said(&["dm", "list", "--jq", ".id"]);
    assert!(talks.lines().count() == 2 && talks.lines().all(|talk| shows(&ada, talk)), "{talks}");
    let read = ada.ok(&[&["dm", "read", &who][..], &more].concat());
    assert!(read.contains(DIRECT));
    let mut found: BTreeSet<_> = rows(&ada, &more).iter().flat_map(|row| found_in(row)).collect();
    found.extend(files(&ada.path).iter().flat_map(|(_, bytes)| found_in(bytes)));
    assert!(found.contains(PUBLIC), "the search does not find what is there");
    assert_no_secret(&found, "a home that is closed");
}
