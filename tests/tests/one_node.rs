//! A home has one node: it can be found and ended, and none waits to take its place.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use mosaic_node::home::{holder, node_process};
use mosaic_tests::home::Home;

/// Processes that are, or want to become, the node of a home.
fn nodes(home: &Path) -> usize {
    let home = home.display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
    lines.filter(|line| line.contains(&home) && line.contains("node\0run")).count()
}

#[test]
fn a_node_whose_socket_is_gone_is_found_and_ended() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let node = home.node();
    assert_eq!(node_process(&home.path), Some(node.pid()));
    fs::remove_file(home.path.join("run/node.sock")).unwrap();
    let status = home.run(&["node", "status"]);
    assert_eq!(status.code, 17, "{}", status.err);
    assert!(status.err.contains(&format!("pid {}", node.pid())), "{}", status.err);
    assert!(status.err.contains("mosaic node stop"), "{}", status.err);
    node.stop();
    assert_eq!(holder(&home.path), None);
    let status = home.run(&["node", "status"]);
    assert!(status.err.contains("no node is running"), "{}", status.err);
    home.ok(&["post", "the store is free"]);
}

#[test]
fn of_many_nodes_started_at_once_one_stays() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let start = |_| {
        let mut command = home.command(&["node", "start"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let starts: Vec<Child> = (0..4).map(start).collect();
    let ended = starts.into_iter().map(|mut start| start.wait().unwrap().code());
    let codes: Vec<Option<i32>> = ended.collect();
    assert!(codes.contains(&Some(0)), "{codes:?}");
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 11))), "{codes:?}");
    assert_eq!(nodes(&home.path), 1);
    home.ok(&["node", "stop"]);
    assert_eq!((nodes(&home.path), holder(&home.path)), (0, None));
}

#[test]
fn a_port_that_was_asked_for_is_kept_as_well() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let asked = free.local_addr().unwrap().to_string();
    drop(free);
    let node = home.node_as(home.command(&["node", "run", "--listen", &asked]));
    node.stop();
    let node = home.node();
    let status = home.json(&["node", "status"]);
    assert_eq!(status[0]["addresses"][0].as_str(), Some(asked.as_str()), "{status:?}");
    node.stop();
}
