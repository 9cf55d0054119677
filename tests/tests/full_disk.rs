//! A disk of few megabytes that fills in the middle of things: what was said to be there is there,
//! what was not is not, and with more room it goes on.

use std::path::Path;
use std::process::{Command, Stdio};

use mosaic_tests::binary::binary;

const POSTS: usize = 1000;

/// Runs in a mount namespace: a small disk, then a larger one.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=48m none "$DISK" || exit 99
export MOSAIC_HOME="$DISK/home" MOSAIC_STATE="$DISK/state" TMPDIR="$DISK"
say() { echo "$@" $?; }
"$MOSAIC" init --name Ada >/dev/null 2>&1; say init
"$MOSAIC" post large --attach "$FILES/large"; say attach
"$MOSAIC" import mastodon "$FILES/media.zip"; say archive
"$MOSAIC" wall list --json | wc -l; say half
ls -A "$DISK/state/"*/import 2>/dev/null
"$MOSAIC" import feed "$FILES/feed.json"; say import
"$MOSAIC" store verify >/dev/null; say verify
before=$("$MOSAIC" wall list --json | wc -l)
mount -o remount,size=400m "$DISK"
[ "$before" = "$("$MOSAIC" wall list --json | wc -l)" ]; say kept
[ "$before" -gt 0 ] && [ "$before" -lt "$POSTS" ]; say part
"$MOSAIC" import feed "$FILES/feed.json" >/dev/null 2>&1; say again
"$MOSAIC" wall list --json | grep -c '"type":"post"'
"$MOSAIC" post large --attach "$FILES/large" >/dev/null 2>&1; say attached
"$MOSAIC" import mastodon "$FILES/media.zip" >/dev/null 2>&1; say archived
"$MOSAIC" store verify >/dev/null; say verified
"#;

/// A node on a disk that somebody else fills.
const NODE_SCRIPT: &str = r#"
mount -t tmpfs -o size=60m none "$DISK" || exit 99
export MOSAIC_HOME="$DISK/home" MOSAIC_STATE="$DISK/state" TMPDIR="$DISK"
say() { echo "$@" $?; }
texts() { "$MOSAIC" wall list --json --jq 'select(.type == "post").text' | tr '\n' ' '; echo; }
"$MOSAIC" init --name Ada >/dev/null 2>&1; say init
"$MOSAIC" node start >/dev/null 2>&1; say start
"$MOSAIC" post before >/dev/null 2>&1; say before
dd if=/dev/zero of="$DISK/fill" bs=4k 2>/dev/null
"$MOSAIC" post refused; say full
"$MOSAIC" store gc >/dev/null 2>&1; say gc
rm "$DISK/fill"
"$MOSAIC" post after >/dev/null 2>&1; say after
texts
"$MOSAIC" node restart >/dev/null 2>&1; say restart
texts
"$MOSAIC" store verify >/dev/null; say verified
"$MOSAIC" node stop >/dev/null 2>&1; say stop
"#;

/// A JSON Feed that is larger than the disk.
fn feed(path: &Path) {
    let filler = "boats ".repeat(9000);
    let items = (0..POSTS).map(|n| {
        serde_json::json!({ "id": format!("https://a.example/{n}"), "content_text": format!("{n} {filler}") })
    });
    let feed = serde_json::json!({
        "version": "https://jsonfeed.org/version/1.1", "title": "Boats",
        "items": items.collect::<Vec<_>>(),
    });
    std::fs::write(path, feed.to_string()).unwrap();
}

/// An archive whose one file does not fit on the disk.
fn archive(path: &Path, file: &[u8]) {
    let name = "media_attachments/files/1/original/large.bin";
    let outbox = serde_json::json!({ "orderedItems": [{
        "type": "Create", "actor": "https://a.example/users/ada", "to": ["as:Public"],
        "object": { "type": "Note", "id": "https://a.example/1", "content": "a file",
            "attachment": [{ "type": "Document", "url": format!("/{name}") }] },
    }] });
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let stored = zip::write::SimpleFileOptions::default();
    for (name, bytes) in [("outbox.json", outbox.to_string().as_bytes()), (name, file)] {
        zip.start_file(name, stored).unwrap();
        std::io::Write::write_all(&mut zip, bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// Runs a script with a disk of its own; returns what it prints, or nothing where there is no such
/// thing.
fn with_a_disk(script: &str, disk: &Path, files: &Path) -> Option<(String, String)> {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command.env("DISK", disk).env("FILES", files).env("MOSAIC", binary());
    command.env("POSTS", POSTS.to_string()).env("HOME", disk).stdin(Stdio::null());
    let done = command.output();
    let Some(done) = done.ok().filter(|done| !matches!(done.status.code(), Some(1 | 99))) else {
        println!("skipped: this system makes no mount namespaces");
        return None;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&done.stdout), text(&done.stderr)))
}

#[test]
fn a_node_on_a_full_disk_saves_what_it_says_and_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let disk = root.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let Some((out, err)) = with_a_disk(NODE_SCRIPT, &disk, root.path()) else { return };
    let lines: Vec<_> = out.lines().map(str::trim_end).collect();
    let both = "after before";
    let wanted = [
        "init 0",
        "start 0",
        "before 0",
        "full 1",
        "gc 0",
        "after 0",
        both,
        "restart 0",
        both,
        "verified 0",
        "stop 0",
    ];
    assert_eq!(lines, wanted, "{err}");
    assert!(err.contains("disk is full") && err.contains("nothing was saved"), "{err}");
}

#[test]
fn a_full_disk_loses_nothing_and_writes_nothing_half() {
    let root = tempfile::tempdir().unwrap();
    let (disk, files) = (root.path().join("disk"), root.path().join("files"));
    std::fs::create_dir(&disk).unwrap();
    std::fs::create_dir(&files).unwrap();
    // Bytes that do not pack.
    let mut noise = 1_u64;
    let large: Vec<u8> = (0..60_000_000)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 56) as u8
        })
        .collect();
    std::fs::write(files.join("large"), &large).unwrap();
    archive(&files.join("media.zip"), &large);
    feed(&files.join("feed.json"));
    let Some((out, err)) = with_a_disk(SCRIPT, &disk, &files) else { return };
    let lines: Vec<_> = out.lines().collect();
    let wanted = [
        "init 0",
        "attach 1",
        "archive 1",
        "0",
        "half 0",
        "import 1",
        "verify 0",
        "kept 0",
        "part 0",
        "again 0",
        "1000",
        "attached 0",
        "archived 0",
        "verified 0",
    ];
    let said: Vec<_> = lines.iter().filter(|line| !line.contains("\"type\"")).copied().collect();
    let said: Vec<_> = said.into_iter().filter(|line| line.len() < 20).collect();
    assert_eq!(said, wanted, "{err}");
    let errors: Vec<_> = err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 3, "{err}");
    for (error, part) in
        errors.iter().zip(["bytes to attach", "cannot read the archive", "disk is full"])
    {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(err.lines().filter(|line| line.starts_with("hint: ")).count(), 3, "{err}");
}
