//! Archives of accounts: made, and looked at.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::home::{Home, field};

const SECRET: &str = "correct horse battery staple";

/// A path as an argument.
///
/// # Panics
/// If it is not UTF-8.
#[must_use]
pub fn path(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// A file with the passphrase.
///
/// # Panics
/// If it cannot be written.
#[must_use]
pub fn secret(root: &Path) -> String {
    let file = root.join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).expect("it works");
    path(&file).to_owned()
}

/// Exports to a sealed file.
pub fn export(home: &Home, secret: &str, to: &Path) {
    let sealed = ["--archive-passphrase-file", secret, "--output", path(to)];
    home.ok(&[&["export", "mosaic"][..], &sealed].concat());
}

/// Heads of every document of the account, private ones and those on other walls too.
#[must_use]
pub fn heads(home: &Home) -> Vec<Value> {
    let account = home.account();
    let documents = home.json(&["doc", "list"]).into_iter();
    let own = documents.filter(|doc| doc["account"] == *account || doc["space"] == *account);
    let ids: Vec<String> = own.map(|doc| field(&doc, "id")).collect();
    let ids = ids.iter().map(String::as_str);
    home.json(&["doc", "heads"].into_iter().chain(ids).collect::<Vec<_>>())
}

/// Reads and checks a whole store.
///
/// # Panics
/// If something is damaged.
pub fn verified(home: &Home) {
    let verify = home.run(&["store", "verify"]);
    assert_eq!(verify.code, 0, "{}: {}{}", home.path.display(), verify.out, verify.err);
}

/// Files and folders beside `home`.
///
/// # Panics
/// If its folder cannot be read.
#[must_use]
pub fn beside(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.parent().expect("it works")).expect("it works");
    let mut names: Vec<PathBuf> = entries.map(|entry| entry.expect("it works").path()).collect();
    names.sort();
    names
}

/// Bytes that no compression makes fewer.
#[must_use]
pub fn bytes_that_do_not_pack(size: u32) -> Vec<u8> {
    let mut noise = 1_u64;
    let step = |_| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (noise >> 56) as u8
    };
    (0..size).map(step).collect()
}
