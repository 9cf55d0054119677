//! The bytes of an archive: the same whoever writes them, refused when one is another.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use mosaic_engine::hash::BlobHash;
use mosaic_tests::api::Api;
use mosaic_tests::archives::{beside, bytes_that_do_not_pack, export, heads, path, secret};
use mosaic_tests::binary::binary;
use mosaic_tests::home::{Done, Home};
use serde_json::{Value, json};

#[test]
fn what_does_not_open_or_is_not_whole_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "home");
    let large = root.path().join("large.bin");
    std::fs::write(&large, vec![7; 400_000]).unwrap();
    home.ok(&["post", "hello", "--attach", path(&large)]);
    let secret = secret(root.path());
    let file = root.path().join("home.mosaic");
    export(&home, &secret, &file);
    let bytes = std::fs::read(&file).unwrap();
    let folder = root.path().join("target");
    std::fs::create_dir(&folder).unwrap();
    let (copy, odd) = (Home::new(&folder, "home"), root.path().join("odd"));
    let refused = |bytes: &[u8], with: &[&str], code: i32, says: &str| {
        std::fs::write(&odd, bytes).unwrap();
        let done = copy.run(&[&["import", "mosaic", path(&odd)], with].concat());
        assert_eq!(done.code, code, "{says}: {}", done.err);
        assert!(done.err.contains(says), "{says}: {}", done.err);
        assert_eq!(done.err.lines().count(), 2, "one line and a hint: {}", done.err);
        assert!(beside(&copy.path).is_empty(), "{:?}", beside(&copy.path));
    };
    let with = ["--archive-passphrase-file", secret.as_str()];
    let wrong = root.path().join("wrong");
    std::fs::write(&wrong, "correct horse").unwrap();
    refused(&bytes, &["--archive-passphrase-file", path(&wrong)], 12, "passphrase does not open");
    refused(&bytes, &[], 2, "--archive-passphrase-file");
    let key = root.path().join("key.txt");
    std::fs::write(&key, "nothing\n").unwrap();
    refused(&bytes, &["--identity-file", path(&key)], 2, "line 1 is no key");
    refused(b"", &[], 2, "no archive of mosaic");
    refused(b"#!/bin/sh\necho no\n", &[], 2, "no archive of mosaic");
    refused(b"#!/bin/sh\necho no\n", &with, 2, "not sealed");
    let len = bytes.len();
    for cut in [40, 150, 300, len / 3, len / 2, len - 17, len - 1] {
        refused(&bytes[..cut], &with, 16, "cut short or damaged");
    }
    for at in [len / 4, len / 2, len - 3] {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        refused(&altered, &with, 16, "cut short or damaged");
    }
    // the same after it was opened: nothing rests on the seal
    let plain = root.path().join("plain");
    home.ok(&["export", "mosaic", "--without-keys", "--output", path(&plain)]);
    let bytes = std::fs::read(&plain).unwrap();
    let len = bytes.len();
    refused(&bytes, &[], 2, "it needs the recovery words");
    let dry = ["--dry-run"];
    for cut in [5, len / 9, len / 3, len / 2, len - 30, len - 1] {
        refused(&bytes[..cut], &dry, 16, "cut short or damaged");
    }
    for at in (1..8).map(|part| len * part / 8) {
        let mut altered = bytes.clone();
        altered[at] ^= 4;
        refused(&altered, &dry, 16, "cut short or damaged");
    }
    std::fs::write(&odd, &bytes).unwrap();
    copy.ok(&["import", "mosaic", path(&odd), "--dry-run"]);
    assert!(beside(&copy.path).is_empty());
}

/// Name and bytes of each entry of an unsealed archive.
type Entries = Vec<(String, Vec<u8>)>;

fn entries(archive: &Path) -> Entries {
    let file = std::fs::File::open(archive).unwrap();
    let mut tar = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        Read::read_to_end(&mut entry, &mut bytes).unwrap();
        (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), bytes)
    };
    tar.entries().unwrap().map(read).collect()
}

/// Packs entries, with an end that fits them.
fn packed(mut entries: Entries) -> Vec<u8> {
    entries.retain(|(name, _)| name != "end.json");
    let mut sum = Vec::new();
    for (name, bytes) in &entries {
        sum.extend((name.len() as u64).to_be_bytes());
        sum.extend(name.as_bytes());
        sum.extend((bytes.len() as u64).to_be_bytes());
        sum.extend(bytes);
    }
    let end = json!({ "entries": entries.len(), "blake3": BlobHash::of(&sum).to_string() });
    entries.push(("end.json".to_owned(), end.to_string().into_bytes()));
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 3).unwrap());
    for (name, bytes) in &entries {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// An archive without keys, one of somebody else, and an empty home.
struct Trial {
    _root: tempfile::TempDir,
    one: Entries,
    two: Entries,
    other: String,
    copy: Home,
    odd: PathBuf,
}

impl Trial {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = Home::init(root.path(), "home");
        let other = Home::init(root.path(), "other");
        for home in [&home, &other] {
            home.ok(&["post", "hello"]);
        }
        let large = root.path().join("large.bin");
        std::fs::write(&large, vec![7; 400_000]).unwrap();
        home.ok(&["post", "a file", "--attach", path(&large)]);
        let [one, two] = [&home, &other].map(|home| {
            let file = home.path.with_extension("mosaic");
            home.ok(&["export", "mosaic", "--without-keys", "--output", path(&file)]);
            entries(&file)
        });
        let folder = root.path().join("target");
        std::fs::create_dir(&folder).unwrap();
        let (copy, odd) = (Home::new(&folder, "home"), root.path().join("odd"));
        Self { other: other.account(), _root: root, one, two, copy, odd }
    }

    fn import(&self, bytes: &[u8]) -> Done {
        std::fs::write(&self.odd, bytes).unwrap();
        let done = self.copy.run(&["import", "mosaic", path(&self.odd), "--dry-run"]);
        let left = beside(&self.copy.path);
        assert!(left.is_empty(), "{left:?}");
        done
    }

    fn refused(&self, entries: Entries, code: i32, says: &str) {
        let done = self.import(&packed(entries));
        assert_eq!(done.code, code, "{says}: {}{}", done.out, done.err);
        assert!(done.err.contains(says), "{says}: {}", done.err);
    }

    fn at(&self, start: &str) -> usize {
        self.one.iter().position(|(name, _)| name.starts_with(start)).unwrap()
    }

    fn with(&self, at: usize, bytes: Vec<u8>) -> Entries {
        let mut entries = self.one.clone();
        entries[at].1 = bytes;
        entries
    }
}

#[test]
fn an_archive_with_a_right_checksum_makes_nobody_believe_it() {
    let trial = Trial::new();
    let one = &trial.one;
    let whole = trial.import(&packed(one.clone())).out;
    assert!(whole.contains("changes"), "as it is: {whole}");
    let [chains, bodies, files] = ["chains/", "bodies/", "files/"].map(|start| trial.at(start));
    // what is signed and what is named by its hash; only a second copy of a certificate path is
    // not looked at, and then all is as it was
    let mut taken = Vec::new();
    for place in (0..one[chains].1.len()).step_by(211) {
        let mut bytes = one[chains].1.clone();
        bytes[place] ^= 0x10;
        let done = trial.import(&packed(trial.with(chains, bytes)));
        assert!(done.code == 0 || done.code == 16, "{}", done.err);
        taken.extend((done.code == 0).then_some(done.out));
    }
    assert!(taken.len() < 5 && taken.iter().all(|out| *out == whole), "{taken:?}");
    for (entry, says) in [(bodies, "that nothing names"), (files, "bytes of file")] {
        let mut bytes = one[entry].1.clone();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        trial.refused(trial.with(entry, bytes), 16, says);
    }
    // what is announced has to come, and nothing else
    for entry in [chains, bodies, files] {
        let mut less = one.clone();
        less.remove(entry);
        assert_eq!(trial.import(&packed(less)).code, 16, "without {}", one[entry].0);
        let mut more = one.clone();
        // a chain may come twice, under an older head first; what is known already changes nothing
        more.extend(vec![one[entry].clone(); 2]);
        assert_eq!(trial.import(&packed(more)).code, 16, "again and again {}", one[entry].0);
    }
    let theirs = trial.two.iter().find(|(name, _)| name.starts_with("chains/")).unwrap();
    assert_eq!(trial.import(&packed(trial.with(chains, theirs.1.clone()))).code, 16);
}

#[test]
fn names_headers_and_bombs_lead_nowhere() {
    let trial = Trial::new();
    let one = &trial.one;
    let none = "files/0000000000000000000000000000000000000000000000000000000000000000";
    let names =
        ["../../../tmp/x", "/etc/passwd", "files/../../x", "device.key", "a\u{1b}[2J", none];
    for name in names {
        let mut more = one.clone();
        more.insert(trial.at("files/"), (name.to_owned(), b"x".to_vec()));
        trial.refused(more, 16, "cut short or damaged");
    }
    // another version, another account, promises that no disk can keep
    let header = |change: &dyn Fn(&mut Value)| {
        let mut header: Value = serde_json::from_slice(&one[0].1).unwrap();
        change(&mut header);
        trial.with(0, header.to_string().into_bytes())
    };
    let other = json!(trial.other);
    trial.refused(header(&|header| header["format"] = json!(3)), 1, "format 3");
    trial.refused(header(&|header| header["account"] = other.clone()), 16, "another account");
    trial.refused(header(&|header| header["file_bytes"] = json!(u64::MAX / 2)), 1, "no room");
    trial.refused(header(&|header| header["keys"] = json!(true)), 16, "keys are missing");
    trial.refused(header(&|header| header["heads"] = json!("00")), 16, "not everything");
    trial.refused(one[1..].to_vec(), 2, "archive of something else");
    // what unfolds to a gigabyte is refused at its first entry
    let mut bomb = tar::Builder::new(zstd::Encoder::new(Vec::new(), 3).unwrap());
    let mut head = tar::Header::new_gnu();
    head.set_path("mosaic.json").unwrap();
    head.set_size(1 << 30);
    head.set_cksum();
    bomb.append(&head, std::io::repeat(0).take(1 << 30)).unwrap();
    let done = trial.import(&bomb.into_inner().unwrap().finish().unwrap());
    assert_eq!(done.code, 16, "{}", done.err);
    assert!(done.err.contains("over 65536"), "{}", done.err);
}

#[test]
fn both_ways_of_running_write_the_same_and_a_pipe_takes_it() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "home");
    for n in 0..20 {
        home.ok(&["post", &format!("post {n}")]);
    }
    let key = |name: &str| root.path().join(name);
    home.ok(&["export", "mosaic", "--without-keys", "--output", path(&key("alone"))]);
    let node = home.node();
    home.ok(&["export", "mosaic", "--without-keys", "--output", path(&key("node"))]);
    let inside = |name: &str| -> BTreeMap<String, Vec<u8>> {
        let entries = entries(&key(name)).into_iter();
        entries.filter(|(name, _)| name != "mosaic.json" && name != "end.json").collect()
    };
    assert_eq!(inside("alone"), inside("node"));
    // keys are never written unsealed, whoever asks
    let records = Api::of(&home.path).try_call("/v1/identity/export", &json!({}));
    assert_eq!(records[0]["name"], "usage", "{records:?}");
    let bare = home.run(&["export", "mosaic", "--output", path(&key("bare"))]);
    assert_eq!(bare.code, 2, "{}", bare.err);
    assert!(!key("bare").exists());
    let wrong =
        home.run(&["export", "mosaic", "--recipient", "bob", "--output", path(&key("bare"))]);
    assert_eq!(wrong.code, 2, "{}", wrong.err);
    assert!(
        !key("bare").exists()
            && beside(&key("bare"))
                .iter()
                .all(|path| { !path.file_name().unwrap().to_string_lossy().ends_with(".part") })
    );
    let secret = secret(root.path());
    let sealed = home.command(&["export", "mosaic", "--archive-passphrase-file", &secret]).output();
    let sealed = sealed.unwrap();
    assert!(sealed.status.success());
    node.stop();
    let copy = Home::new(root.path(), "copy");
    let mut import = copy.command(&["import", "mosaic", "--archive-passphrase-file", &secret, "-"]);
    let mut child = import.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&sealed.stdout).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(heads(&copy), heads(&home));
    let one = copy.run(&["import", "mosaic", "--archive-passphrase-file", "-", "-"]);
    assert_eq!(one.code, 2, "{}", one.err);
}

/// Runs in a mount namespace: a small disk, then a larger one.
const SMALL_DISK: &str = r#"
mount -t tmpfs -o size=48m none "$DISK" || exit 99
export MOSAIC_HOME="$DISK/home" MOSAIC_STATE="$DISK/state" TMPDIR="$DISK"
"$MOSAIC" import mosaic --archive-passphrase-file "$FILES/secret" "$FILES/large.mosaic"; echo full $?
ls -A "$DISK"
"$MOSAIC" import mosaic --archive-passphrase-file "$FILES/secret" "$FILES/small.mosaic" >/dev/null 2>&1
echo small $?
dd if=/dev/zero of="$DISK/filler" bs=1M count=36 2>/dev/null
"$MOSAIC" export mosaic --archive-passphrase-file "$FILES/secret" --output "$DISK/out"; echo out $?
rm -f "$DISK/filler"
mount -o remount,size=400m "$DISK"
MOSAIC_HOME="$DISK/other" "$MOSAIC" import mosaic \
  --archive-passphrase-file "$FILES/secret" "$FILES/large.mosaic" >/dev/null 2>&1; echo again $?
MOSAIC_HOME="$DISK/other" "$MOSAIC" store verify >/dev/null; echo verified $?
ls -A "$DISK"
"#;

#[test]
fn a_full_disk_leaves_nothing_and_tells_so() {
    let root = tempfile::tempdir().unwrap();
    let (disk, files) = (root.path().join("disk"), root.path().join("files"));
    std::fs::create_dir(&disk).unwrap();
    std::fs::create_dir(&files).unwrap();
    let secret = secret(&files);
    for (name, size) in [("small", 14_000_000u32), ("large", 60_000_000)] {
        let home = Home::init(root.path(), name);
        let noise = root.path().join("noise");
        std::fs::write(&noise, bytes_that_do_not_pack(size)).unwrap();
        home.ok(&["post", name, "--attach", path(&noise)]);
        let file = files.join(format!("{name}.mosaic"));
        export(&home, &secret, &file);
    }
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK]);
    command.env("DISK", &disk).env("FILES", &files).env("MOSAIC", binary()).env("HOME", &disk);
    let done = command.stdin(Stdio::null()).output();
    let Some(done) = done.ok().filter(|done| !matches!(done.status.code(), Some(1 | 99))) else {
        println!("skipped: this system makes no mount namespaces");
        return;
    };
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        ["full 1", "small 0", "out 1", "again 0", "verified 0", "home", "other", "state"],
        "{out}{err}"
    );
    assert!(err.contains("the disk has no room: 6000"), "{err}");
    assert!(err.contains("no archive was made"), "{err}");
}
