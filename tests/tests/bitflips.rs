//! Single bits of the store's files are flipped: found, or without effect; never silence.

use std::fs;
use std::path::{Path, PathBuf};

use mosaic_engine::sync::sim::Chance;
use mosaic_tests::home::{Done, Home};

/// Flips; `MOSAIC_FLIPS` sets another number.
fn flips() -> u64 {
    std::env::var("MOSAIC_FLIPS").ok().and_then(|count| count.parse().ok()).unwrap_or(60)
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if fs::metadata(&path).unwrap().len() > 0 {
            into.push(path);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

fn show(home: &Home) -> Done {
    home.run(&["wall", "list", "--json"])
}

#[test]
fn a_flipped_bit_is_found_or_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    for n in 0..20 {
        home.ok(&["post", &format!("post {n} {}", "x".repeat(200))]);
    }
    let right = show(&home);
    assert_eq!(right.code, 0, "{}", right.err);
    let kept = root.path().join("kept");
    copy(&home.path, &kept);
    // A copy put back is sound in itself: else every flip would count as found.
    fs::remove_dir_all(&home.path).unwrap();
    copy(&kept, &home.path);
    let sound = home.run(&["store", "verify"]);
    assert_eq!((sound.code, show(&home).out), (0, right.out.clone()), "{}", sound.err);
    let mut paths = Vec::new();
    files(&kept.join("store"), &mut paths);
    let total: u64 = paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let seed = 7;
    let mut chance = Chance::new(seed);
    let (mut found, mut harmless) = (0, 0);
    for flip in 0..flips() {
        let mut at = chance.below(total);
        let bit = chance.below(8);
        let mut place = None;
        for path in &paths {
            let len = fs::metadata(path).unwrap().len();
            if at < len {
                place = Some((path.strip_prefix(&kept).unwrap(), at));
                break;
            }
            at -= len;
        }
        let (file, at) = place.expect("a file");
        fs::remove_dir_all(&home.path).unwrap();
        copy(&kept, &home.path);
        let path = home.path.join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[usize::try_from(at).unwrap()] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        let verify = home.run(&["store", "verify"]);
        let shown = show(&home);
        let what = format!(
            "seed {seed} flip {flip}: bit {bit} of byte {at} in {}: verify {} list {}\n{}{}{}",
            file.display(),
            verify.code,
            shown.code,
            verify.err,
            verify.out,
            shown.err,
        );
        assert!(matches!(verify.code, 0 | 16), "{what}");
        assert!(matches!(shown.code, 0 | 16), "{what}");
        // Whoever says that all is well has said it all.
        if shown.code == 0 {
            assert_eq!(shown.out, right.out, "{what}");
        }
        match (verify.code, shown.code) {
            (0, 0) => harmless += 1,
            _ => found += 1,
        }
    }
    assert!(found > 0, "{harmless} flips and none was found");
}
