//! Processes that die or run out of room. The test program runs itself as the child.
//!
//! `MOSAIC_KILLS` sets how often the child is killed.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

use super::*;

const CHILD_DIR: &str = "MOSAIC_STORE_CHILD";
const CHILD_TEST: &str = "store::disk::tests::process::the_child_writes_until_it_ends";
const FILLER_BYTES: usize = 40_000;

fn row(n: u64) -> Batch {
    let mut batch = put(n);
    // enough that tables are flushed and compacted on the way
    batch.put(Table::Rows, format!("filler {n}"), value(n).repeat(FILLER_BYTES / 96));
    batch
}

fn count(store: &DiskStore) -> u64 {
    store.scan(Table::Truth, b"", None, false, usize::MAX).unwrap().len() as u64
}

/// Not a test by itself: what the other tests of this module start.
#[test]
fn the_child_writes_until_it_ends() {
    let Some(dir) = env::var_os(CHILD_DIR) else { return };
    let dir = PathBuf::from(dir);
    let mut out = std::io::stdout();
    let opened = match DiskStore::open(&DiskOptions::new(dir.join("home"), dir.join("state"))) {
        Ok(opened) => opened,
        Err(error) => {
            writeln!(out, "\nended {error}").and_then(|()| out.flush()).unwrap();
            return;
        }
    };
    assert_eq!(opened.rolled_back, None);
    let store = opened.store;
    for n in count(&store).. {
        match store.commit(row(n)) {
            Ok(_) => writeln!(out, "\nack {n}").and_then(|()| out.flush()).unwrap(),
            Err(first) => {
                let second = store.commit(row(n)).unwrap_err();
                assert!(matches!(second, StoreError::ReadOnly { .. }), "{second}");
                assert!(store.get(Table::Truth, &0u64.to_be_bytes()).unwrap().is_some());
                writeln!(out, "\nended {first}").and_then(|()| out.flush()).unwrap();
                return;
            }
        }
    }
}

fn child(place: &Place, wrapper: Option<&str>) -> Child {
    let program = env::current_exe().unwrap();
    let mut command = match wrapper {
        None => Command::new(program),
        Some(script) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("{script}; exec \"$0\" \"$@\"")).arg(program);
            shell
        }
    };
    command
        .args(["--exact", CHILD_TEST, "--nocapture"])
        .env(CHILD_DIR, place.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads acknowledgements until `stop` says so, kills, and reads what was still in the pipe.
fn acknowledged(mut child: Child, kill_after: usize) -> (Vec<u64>, Option<String>) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut acks, mut ended) = (Vec::new(), None);
    for line in lines {
        let Ok(line) = line else { break };
        if let Some(n) = line.strip_prefix("ack ") {
            acks.push(n.parse().unwrap());
            if acks.len() == kill_after {
                child.kill().unwrap();
            }
        } else if let Some(reason) = line.strip_prefix("ended ") {
            ended = Some(reason.to_owned());
        }
    }
    child.wait().unwrap();
    (acks, ended)
}

fn check(store: &DiskStore, last: u64) {
    for n in 0..=last {
        let kept = store.get(Table::Truth, &n.to_be_bytes()).unwrap();
        assert_eq!(kept.as_deref(), Some(&value(n)[..]), "row {n} of {last}");
        assert!(store.get(Table::Rows, format!("filler {n}").as_bytes()).unwrap().is_some());
    }
    // all or nothing: a row that was not acknowledged came with the rest of its batch, or not
    let rows = count(store);
    assert!(rows == last + 1 || rows == last + 2, "{rows} rows after {last}");
    let fillers = store.scan(Table::Rows, b"filler ", None, false, usize::MAX).unwrap();
    assert_eq!(fillers.len() as u64, rows);
    store.verify_files().unwrap();
}

#[test]
fn a_second_process_is_told_who_has_the_store() {
    let place = Place::new();
    let opened = place.open();
    let (acks, ended) = acknowledged(child(&place, None), usize::MAX);
    assert!(acks.is_empty());
    let expected = format!("store is in use by process {}", std::process::id());
    assert_eq!(ended.as_deref(), Some(expected.as_str()));
    opened.store.commit(row(0)).unwrap();
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let place = Place::new();
    place.open().store.close().unwrap();
    let kills = env::var("MOSAIC_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    for n in 0..kills {
        let (acks, ended) = acknowledged(child(&place, None), 1 + (n * 7) % 23);
        assert_eq!(ended, None);
        let opened = place.open();
        assert_eq!(opened.rolled_back, None, "after kill {n}");
        check(&opened.store, *acks.last().unwrap());
        if n % 5 == 4 {
            opened.store.close().unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn a_write_that_finds_no_room_ends_writing_and_loses_nothing() {
    let place = Place::new();
    let store = place.open().store;
    store.commit(row(0)).unwrap();
    store.close().unwrap();
    drop(store);
    // opened once more the journal is no longer preallocated, so that the limit bites on writing
    place.open().store.close().unwrap();
    for blocks in [600, 1500] {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}");
        let (acks, ended) = acknowledged(child(&place, Some(&script)), usize::MAX);
        assert!(ended.is_some(), "{blocks} blocks were enough for {acks:?}");
        let opened = place.open();
        assert_eq!(opened.rolled_back, None);
        let last = acks.last().copied().unwrap_or_else(|| count(&opened.store) - 1);
        check(&opened.store, last);
        opened.store.close().unwrap();
    }
}
