//! A node as a service: what it tells a service manager, what it measures, how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use mosaic_tests::api::Api;
use mosaic_tests::home::{Home, PATIENCE, field};
use serde_json::json;

/// The socket of a service manager.
struct Manager(UnixDatagram);

impl Manager {
    /// Returns the next thing it is told, line by line.
    fn told(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("told in time");
        let text = String::from_utf8(buffer[..length].to_vec()).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    /// Waits for a word; what is told before it is returned.
    fn until(&self, word: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let lines = self.told();
            before.extend(lines.iter().cloned());
            if lines.iter().any(|line| line == word) {
                return before;
            }
        }
    }
}

fn signal(pid: u32, name: &str) {
    let done = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(done.expect("kill runs").success());
}

#[test]
fn a_service_manager_is_told_how_the_node_is() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let address = root.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&address).unwrap());
    manager.0.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = home.command(&["node", "run"]);
    command.env("NOTIFY_SOCKET", &address).env("WATCHDOG_USEC", "100000");
    let mut child = command.spawn().unwrap();
    // whoever waits for this word finds a node that answers, at the first try
    let before = manager.until("READY=1");
    assert!(before.iter().any(|line| line.starts_with("STATUS=listening at 127.0.0.1:")));
    assert_eq!(home.run(&["node", "status"]).code, 0);
    let supervised = home.json(&["node", "status"]).remove(0);
    assert_eq!(supervised["supervised"], true, "{supervised}");
    assert_eq!(home.run(&["node", "restart"]).code, 2, "it is not ours to restart");
    manager.until("WATCHDOG=1");
    manager.until("WATCHDOG=1");
    home.ok(&["config", "set", "log.filter", "mosaic=debug"]);
    signal(child.id(), "-HUP");
    let before = manager.until("RELOADING=1");
    assert!(before.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{before:?}");
    manager.until("READY=1");
    signal(child.id(), "-TERM");
    manager.until("STOPPING=1");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_socket_is_taken_over_and_whoever_came_before_is_served() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let path = mosaic_node::socket_path(&home.path);
    mosaic_node::home::private_folder(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let early = home.command(&["post", "early"]).stderr(Stdio::null()).spawn().unwrap();
    let run = home.command(&["node", "run"]);
    let mut shell = Command::new("sh");
    shell.env_clear().envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // The manager's way: the socket is number 3, and the process is told its own id.
    shell.args(["-c", "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\""]);
    shell.arg(run.get_program()).args(run.get_args()).stdin(OwnedFd::from(listener));
    let node = home.node_as(shell);
    assert!(early.wait_with_output().unwrap().status.success());
    assert_eq!(home.json(&["wall", "list"]).len(), 1);
    node.stop();
}

#[test]
fn the_unit_has_the_lines_of_one() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "lap top");
    let unit = home.ok(&["node", "install", "--print"]);
    for line in ["[Unit]", "[Service]", "Type=notify", "[Install]", "WantedBy=default.target"] {
        assert!(unit.lines().any(|found| found == line), "no {line} in:\n{unit}");
    }
    let start = unit.lines().find(|line| line.starts_with("ExecStart=")).expect("a start");
    assert!(start.ends_with("/mosaic\" --no-input node run"), "{start}");
    assert!(!unit.contains("LoadCredential"), "{unit}");
    let unit = home.ok(&["node", "install", "--print", "--passphrase-file", "/etc/a%b"]);
    let given = " --no-input --passphrase-file ${CREDENTIALS_DIRECTORY}/passphrase node run\n";
    assert!(unit.contains(given), "{unit}");
    assert!(unit.contains("\nLoadCredential=passphrase:/etc/a%%b\n"), "{unit}");
    assert!(unit.contains("\nRestartPreventExitStatus=12\n"), "{unit}");
    assert_eq!(home.run(&["node", "install", "--print", "--passphrase-file", "-"]).code, 2);
}

#[test]
fn a_node_under_load_stops_in_time_and_keeps_what_it_acknowledged() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    for how in ["node stop", "-TERM", "-INT"] {
        let node = home.node();
        let (ids, heard) = mpsc::channel();
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (ids, folder) = (ids.clone(), home.path.clone());
                std::thread::spawn(move || {
                    let api = Api::of(&folder);
                    for n in 0.. {
                        let text = format!("{writer}: {n}");
                        let records = api.try_call("/v1/post/create", &json!({ "text": text }));
                        match records.first() {
                            Some(record) if record["type"] == "post" => {
                                ids.send(field(record, "id")).unwrap();
                            }
                            // it ends
                            _ => return,
                        }
                    }
                })
            })
            .collect();
        drop(ids);
        let mut acknowledged: Vec<String> = heard.iter().take(30).collect();
        match how {
            // five seconds to drain, some more to be seen gone
            "node stop" => {
                home.ok(&["node", "stop", "--timeout", "15s"]);
            }
            name => signal(node.pid(), name),
        }
        node.ended();
        acknowledged.extend(heard.iter());
        for writer in writers {
            writer.join().unwrap();
        }
        assert!(!mosaic_node::socket_path(&home.path).exists(), "{how}: the socket is left");
        let verify = home.run(&["store", "verify"]);
        assert_eq!(verify.code, 0, "{how}: {}{}", verify.out, verify.err);
        let posts = home.json(&["wall", "list", "-n", "100000"]);
        let kept: BTreeSet<String> = posts.iter().map(|post| field(post, "id")).collect();
        for id in &acknowledged {
            assert!(kept.contains(id), "{how}: an acknowledged post is missing");
        }
    }
}

#[test]
fn a_home_with_a_path_of_200_characters_runs_a_node() {
    let root = tempfile::tempdir().unwrap();
    let length = 200_usize.saturating_sub(root.path().as_os_str().len() + 1);
    let home = Home::new(root.path(), &"long".repeat(50)[..length]);
    home.ok(&["init", "--name", "Ada"]);
    assert_eq!(home.path.as_os_str().len(), 200);
    home.ok(&["node", "start"]);
    home.ok(&["post", "from far below"]);
    let status = home.json(&["node", "status"]).remove(0);
    let socket = field(&status, "socket");
    assert!(socket.len() < 108, "{socket}");
    assert_eq!(home.json(&["wall", "list"]).len(), 1);
    assert_eq!(home.run(&["doctor"]).code, 0);
    home.ok(&["node", "restart"]);
    home.ok(&["node", "stop"]);
    assert!(!std::path::Path::new(&socket).exists());
    assert_eq!(home.run(&["node", "status"]).code, 17);
}

/// Metrics by name and labels, as a scraper reads them; anything else than its form is refused.
fn scraped(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let (mut helped, mut typed) = (BTreeSet::new(), BTreeMap::new());
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let body = text.strip_suffix("# EOF\n").expect("it has an end");
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help");
            assert!(help.len() > 5 && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert!(typed.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            assert!(rest.contains(' '), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            assert!(name.starts_with("mosaic_") && is_name(name), "{line}");
            let family = match name.strip_suffix("_total") {
                Some(family) if typed.get(family).is_some_and(|kind| kind == "counter") => family,
                _ => name,
            };
            let kind = typed.get(family).unwrap_or_else(|| panic!("{line}: no type"));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(helped.contains(family), "{line}: no help");
            let labels = labels.strip_suffix('}').expect("an end of the labels");
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once('=').expect("a label");
                assert!(["reason", "state", "table"].contains(&name), "{line}");
                let value = value.trim_matches('"').replace('-', "_");
                assert!(is_name(&value), "{line}: a label of our own words");
            }
            let value = value.parse().unwrap_or_else(|_| panic!("{line}: no number"));
            assert!(samples.insert(series.to_owned(), value).is_none(), "{line}: twice");
        }
    }
    samples
}

#[test]
fn metrics_are_what_prometheus_reads_and_name_nobody() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "zaphod");
    let other = Home::init(root.path(), "trillian");
    let node = home.node();
    home.ok(&["post", "heartofgold"]);
    // a peer that is known, and a session with it
    let peer = other.node();
    home.ok(&["follow", &other.account(), "--as", "trillian"]);
    home.ok(&["node", "connect", &peer.ticket(), "--name", "trillian"]);
    home.sync("trillian");
    let text = home.ok(&["node", "metrics"]) + "\n";
    let before = scraped(&text);
    let devices = home.json(&["device", "list"]).into_iter().chain(other.json(&["device", "list"]));
    let mut secrets: Vec<String> = devices.map(|device| field(&device, "id")).collect();
    secrets.extend([home.account(), other.account()]);
    secrets.extend(["zaphod", "trillian", "heartofgold"].map(str::to_owned));
    for secret in &secrets {
        assert!(!text.contains(secret.as_str()), "{secret} in:\n{text}");
    }
    assert!(before["mosaic_sent_bytes_total"] > 0.0, "{text}");
    home.ok(&["post", "again"]);
    // the same over HTTP, with the form that a scraper asks for
    let mut stream = UnixStream::connect(mosaic_node::socket_path(&home.path)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: mosaic\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    let after = scraped(body);
    let series = |samples: &BTreeMap<String, f64>| samples.keys().cloned().collect::<Vec<_>>();
    assert_eq!(series(&before), series(&after), "however much is stored, the lines stay as few");
    let commits = "mosaic_commits_total";
    assert!(after[commits] > before[commits], "{body}");
    node.stop();
}
