//! No packet leaves the loopback interface unless asked.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;

use mosaic_tests::binary::binary;
use mosaic_tests::home::Home;

/// Inodes of the sockets that a process holds.
fn inodes(pid: u32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    let socket = |target: std::path::PathBuf| {
        let name = target.to_string_lossy().into_owned();
        Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    };
    targets.filter_map(socket).collect()
}

/// Local addresses of the process's sockets of a kind: 8 or 32 hex digits each.
fn bound(pid: u32, table: &str) -> Vec<String> {
    let inodes = inodes(pid);
    let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
    let mut found = Vec::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if inodes.iter().any(|inode| fields.get(9) == Some(&inode.as_str())) {
            found.push(fields[1].split(':').next().unwrap().to_owned());
        }
    }
    found
}

fn is_loopback(address: &str) -> bool {
    if address.len() == 8 {
        let ip = u32::from_str_radix(address, 16).unwrap();
        return Ipv4Addr::from(ip.to_ne_bytes()).is_loopback();
    }
    let words: Vec<u32> =
        (0..4).map(|at| u32::from_str_radix(&address[at * 8..at * 8 + 8], 16).unwrap()).collect();
    let mut bytes = [0; 16];
    for (chunk, word) in bytes.chunks_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    Ipv6Addr::from(bytes).is_loopback()
}

#[test]
fn every_socket_of_a_node_is_bound_to_loopback() {
    let root = tempfile::tempdir().unwrap();
    let (home, other) = (Home::init(root.path(), "one"), Home::init(root.path(), "two"));
    let (node, peer) = (home.node(), other.node());
    home.ok(&["node", "connect", &peer.ticket()]);
    let mut sockets = 0;
    for pid in [node.pid(), peer.pid()] {
        for table in ["udp", "udp6", "tcp", "tcp6"] {
            for address in bound(pid, table) {
                assert!(is_loopback(&address), "{table} {address} of {pid}");
                sockets += 1;
            }
        }
    }
    assert!(sockets >= 2, "{sockets}");
    assert!(is_loopback("0100007F") && !is_loopback("00000000"));
}

#[test]
fn a_namespace_without_interfaces_is_enough() {
    let name = format!("mosaic-{}", std::process::id());
    let ip = |args: &[&str]| Command::new("ip").args(args).output();
    let made = ip(&["netns", "add", &name]).is_ok_and(|made| made.status.success());
    let up =
        made && ip(&["-n", &name, "link", "set", "lo", "up"]).is_ok_and(|up| up.status.success());
    if !up {
        println!("skipped: this system makes no network namespaces");
        let _ = ip(&["netns", "delete", &name]);
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (home, other) = (Home::init(root.path(), "one"), Home::init(root.path(), "two"));
    other.ok(&["post", "from the other side"]);
    let inside = |home: &Home, args: &[&str]| {
        let plain = home.command(args);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &name]).arg(binary()).args(args).env_clear();
        for (key, value) in plain.get_envs() {
            command.env(key, value.unwrap_or_default());
        }
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    };
    let node = other.node_as(inside(&other, &["node", "run"]));
    home.ok(&["follow", &other.account()]);
    let synced = inside(&home, &["sync", "--peer", &node.ticket()]).output().unwrap();
    let shown = home.ok(&["feed"]);
    drop(node);
    let _ = ip(&["netns", "delete", &name]);
    assert!(shown.contains("from the other side"), "{}", String::from_utf8_lossy(&synced.stderr));
}
