//! Two machines on one cable: with `--lan` nodes find each other without an address, without it
//! they send nothing.

use std::process::Command;

use mosaic_tests::binary::binary;
use mosaic_tests::home::{Home, link, until};

fn ip(args: &[&str]) -> bool {
    let output = Command::new("ip").args(args).output();
    output.is_ok_and(|output| output.status.success())
}

/// Two network namespaces with a cable between them.
struct Cable {
    names: [String; 2],
}

impl Cable {
    /// Lays the cable; `None` where this is not permitted.
    fn lay() -> Option<Self> {
        let name = |side: &str| format!("mosaic-{side}-{}", std::process::id());
        let cable = Self { names: [name("a"), name("b")] };
        let [a, b] = &cable.names;
        let mut laid = ip(&["netns", "add", a]) && ip(&["netns", "add", b]);
        for name in &cable.names {
            // Only what a node sends shall be counted.
            let quiet = ["/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"];
            let script = format!("echo {} > {}", quiet[1], quiet[0]);
            laid = laid && ip(&["netns", "exec", name, "sh", "-c", &script]);
        }
        laid = laid
            && ip(&["-n", a, "link", "add", "cable", "type", "veth", "peer", "cable", "netns", b]);
        for (name, address) in cable.names.iter().zip(["10.99.7.1/24", "10.99.7.2/24"]) {
            laid = laid
                && ip(&["-n", name, "address", "add", address, "dev", "cable"])
                && ip(&["-n", name, "link", "set", "lo", "up"])
                && ip(&["-n", name, "link", "set", "cable", "up"])
                && ip(&["-n", name, "route", "add", "224.0.0.0/4", "dev", "cable"]);
        }
        laid.then_some(cable)
    }

    /// A command of a home on one of the two machines.
    fn inside(&self, side: usize, home: &Home, args: &[&str]) -> Command {
        let plain = home.command(args);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[side]]).arg(binary()).args(args).env_clear();
        for (key, value) in plain.get_envs() {
            command.env(key, value.unwrap_or_default());
        }
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Packets that one machine has sent over the cable.
    fn sent(&self, side: usize) -> u64 {
        let count = "cat /sys/class/net/cable/statistics/tx_packets";
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[side], "sh", "-c", count]);
        let output = command.output().expect("a count");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&["netns", "delete", name]);
        }
    }
}

fn texts(home: &Home) -> Vec<String> {
    let wall = home.json(&["wall", "list"]);
    wall.iter().map(|post| post["text"].as_str().unwrap_or("?").to_owned()).collect()
}

#[test]
fn nodes_find_each_other_in_the_local_network_if_told_to() {
    let Some(cable) = Cable::lay() else {
        println!("skipped: this system makes no network namespaces");
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let phone = link(&laptop, root.path(), "phone");
    laptop.ok(&["post", "from the laptop"]);
    phone.ok(&["post", "from the phone"]);
    let start = |side, home: &Home, lan: bool| {
        let args: &[&str] = if lan { &["node", "run", "--lan"] } else { &["node", "run"] };
        home.node_as(cable.inside(side, home, args))
    };
    // Without the word nothing leaves, whoever is there and known.
    let (one, other) = (start(0, &laptop, false), start(1, &phone, true));
    let _ = laptop.run(&["sync", "--timeout", "5s"]);
    assert_eq!(cable.sent(0), 0);
    drop((one, other));
    assert_eq!((texts(&laptop).len(), texts(&phone).len()), (1, 1));
    let (one, other) = (start(0, &laptop, true), start(1, &phone, true));
    until("both have both posts", || texts(&laptop).len() == 2 && texts(&phone).len() == 2);
    assert!(cable.sent(0) > 0 && cable.sent(1) > 0);
    drop((one, other));
}
