//! What may be wrong with a home, looked at from outside: nothing is opened, nothing changed.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use mosaic_engine::store::STORE_FORMAT;
use mosaic_engine::store::disk::{DiskOptions, DiskStore};

use crate::api::types::{Check, ErrorRecord, rfc3339};
use crate::clock;
use crate::config::{Config, Layers, Settings};
use crate::home;
use crate::keys::{self, KeyState};

/// Free bytes below which a store soon takes no more.
const FREE_BYTES_MIN: u64 = 128 * 1024 * 1024;
/// Free bytes below which it is time to think of it.
const FREE_BYTES_LOW: u64 = 1024 * 1024 * 1024;
/// No clock was right before: 2026-01-01.
const CLOCK_MS_MIN: u64 = 1_767_225_600_000;
/// How far the newest file may be ahead of the clock.
const CLOCK_SLACK_MS: u64 = 5 * 60 * 1000;

/// Where to look.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The home.
    pub home: &'a Path,
    /// Its state folder.
    pub state: &'a Path,
    /// Its settings.
    pub layers: &'a Layers,
    /// Whether a node answers for it.
    pub node_answers: bool,
}

/// Looks at everything that can be seen without opening the store.
#[must_use]
pub fn examine(places: &Places<'_>) -> Vec<Check> {
    let mut checks = vec![clock_check(places), disk(places), folder("home", places.home)];
    let settings = Settings::load(places.layers).map(|settings| Config::from(&settings));
    let asked = settings.as_ref().is_ok_and(|config| config.keys.passphrase_command.is_some());
    if places.home.is_dir() {
        checks.push(keys(places.home, asked));
        checks.push(store(places));
        checks.push(lock(places));
        checks.push(socket(places));
    }
    if places.state.exists() {
        checks.push(folder("state", places.state));
    }
    match settings {
        Err(error) => checks.push(fail("settings", error.to_string(), "mosaic config edit")),
        Ok(Config { node: config, .. }) => {
            checks.push(ok("settings", "they are right"));
            checks.push(listen(&config.listen, places.node_answers));
            checks.push(match &config.relay {
                Some(relay) => ok("relay", &format!("{relay} is used")),
                None => ok("relay", "none is set, none is used"),
            });
        }
    }
    checks
}

/// Says that something is as it should be.
#[must_use]
pub fn ok(name: &str, message: &str) -> Check {
    check(name, "ok", message.to_owned(), None)
}

/// Says that something should be looked after.
#[must_use]
pub fn warn(name: &str, message: String, fix: &str) -> Check {
    check(name, "warn", message, Some(fix))
}

/// Says that something does not work.
#[must_use]
pub fn fail(name: &str, message: String, fix: &str) -> Check {
    check(name, "fail", message, Some(fix))
}

fn check(name: &str, state: &str, message: String, fix: Option<&str>) -> Check {
    let fix = fix.map(str::to_owned);
    Check { name: name.to_owned(), state: state.to_owned(), message, fix }
}

fn clock_check(places: &Places<'_>) -> Check {
    let now_ms = clock::now_ms();
    let shown = rfc3339(now_ms);
    if now_ms < CLOCK_MS_MIN {
        let message = format!("the clock says {shown}, which is long past");
        return fail("clock", message, "set the clock of this machine");
    }
    let newest = ["highwater", "lock", "marker"].iter().filter_map(|name| {
        let written = fs::metadata(places.home.join(name)).and_then(|found| found.modified());
        u64::try_from(written.ok()?.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    });
    match newest.max() {
        Some(newest) if newest > now_ms.saturating_add(CLOCK_SLACK_MS) => {
            let message =
                format!("the clock says {shown}, the store was written at {}", rfc3339(newest));
            warn("clock", message, "set the clock of this machine")
        }
        _ => ok("clock", &shown),
    }
}

fn disk(places: &Places<'_>) -> Check {
    let there = places.home.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let Ok(found) = rustix::fs::statvfs(there) else {
        return warn("disk", format!("the space at {} is not known", there.display()), "df");
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let message = format!("{} MiB are free at {}", free >> 20, there.display());
    match free {
        0..FREE_BYTES_MIN => fail("disk", message, "mosaic sub list"),
        FREE_BYTES_MIN..FREE_BYTES_LOW => warn("disk", message, "mosaic sub list"),
        _ => ok("disk", &message),
    }
}

/// Whether a folder is ours, and ours alone.
fn folder(name: &str, path: &Path) -> Check {
    let shown = path.display();
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return fail(name, format!("{shown} is not there"), "mosaic init --name NAME");
        }
        Err(error) => return fail(name, format!("cannot read {shown}: {error}"), "ls -ld"),
    };
    if !found.is_dir() {
        return fail(name, format!("{shown} is no folder"), "mosaic --home FOLDER doctor");
    }
    private(name, path, &found, 0o700)
}

fn private(name: &str, path: &Path, found: &fs::Metadata, wanted: u32) -> Check {
    let shown = path.display();
    let mode = found.permissions().mode() & 0o777;
    if found.uid() != rustix::process::getuid().as_raw() {
        let message = format!("{shown} belongs to another user");
        return fail(name, message, &format!("chown it to yourself: {shown}"));
    }
    if mode & 0o077 != 0 {
        let message = format!("{shown} has mode {mode:o}: others can read it");
        return fail(name, message, &format!("chmod {wanted:o} {shown}"));
    }
    ok(name, &format!("{shown} is yours alone"))
}

/// The key file; `asked` if the settings say where its passphrase comes from.
fn keys(root: &Path, asked: bool) -> Check {
    let path = root.join("device.key");
    let again = "put it back from a backup, or mosaic --home NEW_FOLDER device link TICKET";
    match fs::symlink_metadata(&path) {
        Ok(found) if !found.is_file() => {
            fail("keys", format!("{} is no file", path.display()), again)
        }
        Ok(found) if found.len() == 0 => {
            fail("keys", format!("{} is empty", path.display()), again)
        }
        Ok(found) => match (private("keys", &path, &found, 0o600), keys::state(root)) {
            (Check { state, message, .. }, Ok(keys)) if state == "ok" => match keys {
                KeyState::Sealed(_) => {
                    ok("keys", &format!("{message}, and sealed with a passphrase"))
                }
                _ if asked => {
                    let message = format!(
                        "{message}, and not sealed, although keys.passphrase_command is set"
                    );
                    warn("keys", message, "mosaic identity passphrase")
                }
                _ => ok("keys", &format!("{message}, without a passphrase")),
            },
            (check, _) => check,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            match root.join("store").exists() {
                true => fail("keys", format!("{} is missing", path.display()), again),
                false => fail("keys", "there is no identity".to_owned(), "mosaic init --name NAME"),
            }
        }
        Err(error) => fail("keys", format!("cannot read {}: {error}", path.display()), "ls -l"),
    }
}

/// The format of the store, and whether its marks fit together.
fn store(places: &Places<'_>) -> Check {
    let options = DiskOptions::new(places.home, places.state);
    match DiskStore::look(&options) {
        Ok(None) => fail("store", "there is none".to_owned(), "mosaic init --name NAME"),
        Err(error) => {
            let record = ErrorRecord::from(error);
            fail("store", record.message, &record.hint)
        }
        Ok(Some(look)) => match look.doubt {
            Some(why) => {
                let message = format!("{why}: the device begins a new life when it is opened");
                warn("store", message, "mosaic sync")
            }
            None if look.format < STORE_FORMAT => {
                warn("store", format!("it has format {}", look.format), "mosaic store migrate")
            }
            None => ok("store", &format!("it has format {}, and its marks fit", look.format)),
        },
    }
}

fn lock(places: &Places<'_>) -> Check {
    match (home::holder(places.home), home::node_process(places.home)) {
        (None, _) => ok("lock", "nobody holds the store"),
        (Some(pid), Some(_)) if places.node_answers => {
            ok("lock", &format!("the node (pid {pid}) holds the store"))
        }
        (Some(pid), Some(_)) => {
            let message = format!("the node (pid {pid}) holds the store and does not answer");
            fail("lock", message, "mosaic node stop")
        }
        (Some(pid), None) => {
            warn("lock", format!("process {pid} holds the store"), "wait until it ends")
        }
    }
}

fn socket(places: &Places<'_>) -> Check {
    let path = home::socket_path(places.home);
    match (places.node_answers, path.exists()) {
        (true, _) => ok("node", "it answers"),
        (false, false) => ok("node", "none is running"),
        (false, true) => {
            let message = format!("{} was left by a node that was killed", path.display());
            warn("node", message, "mosaic node start")
        }
    }
}

/// Whether the configured addresses can be had, if no node has them.
fn listen(addresses: &[SocketAddr], node_answers: bool) -> Check {
    if node_answers {
        return ok("listen", "the node has its addresses");
    }
    for address in addresses {
        if let Err(error) = UdpSocket::bind(address) {
            let message = format!("cannot listen at {address}: {error}");
            return fail("listen", message, "mosaic config set node.listen ADDRESS");
        }
    }
    match addresses.is_empty() {
        true => ok("listen", "a free port of the loopback interface"),
        false => ok("listen", &format!("{} addresses are free", addresses.len())),
    }
}
