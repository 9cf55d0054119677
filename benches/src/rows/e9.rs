//! E9: processes that are killed while they copy, take what is pushed, or post.

use std::collections::BTreeMap;

use mosaic_engine::hash::ChangeId;
use mosaic_engine::replica::Replica;
use tempfile::TempDir;

use super::Context;
use crate::child::fan::post;
use crate::child::mortal::{Life, Mortal, Promised, held, kill, opened};
use crate::measure::ratio::Spread;
use crate::report::{Measure, Row};
use crate::workload::{Seeded, hub, messages};

/// Kills after which a home that is never whole gives way to a new one.
const KILLS_A_HOME: u64 = 25;
/// The longest wait from a message to the kill, in nanoseconds.
const DELAY_NS: u64 = 3_000_000;

pub(super) fn run(context: &Context) -> Row {
    let kills = context.kills.unwrap_or_else(|| context.pick(6, 30, 500, 500));
    let (some, rest) = (kills / 3, kills - 2 * (kills / 3));
    let measures = [copying(context, some), pushing(context, some), posting(context, rest)];
    Row {
        name: "E9".into(),
        title: "Killed at any moment, and opened again".into(),
        method: "A process with a store on disk is killed (SIGKILL) after a number of messages and up \
                 to 3 ms that a seed chooses, at most 25 times in a row. Acknowledged: what it said \
                 to hold of each chain, and the ids it printed, before it was gone. Then the store is \
                 opened, all of that is looked for, and every hash, link, signature and row is \
                 checked. In flight: changes sent and not stored, which are sent again."
            .into(),
        measures: measures.into_iter().flatten().collect(),
        plots: Vec::new(),
    }
}

/// Kills of one sort, and what they came to.
struct Kills<'a> {
    context: &'a Context,
    seeded: Seeded,
    home: Option<TempDir>,
    promised: Promised,
    held: BTreeMap<mosaic_engine::chain::ChainKey, u64>,
    kills: u64,
    at_home: u64,
    homes: u64,
    acknowledged: u64,
    lost: u64,
    problems: u64,
    in_flight: Vec<f64>,
}

impl<'a> Kills<'a> {
    fn new(context: &'a Context, salt: u64) -> Self {
        Self {
            context,
            seeded: Seeded::new(context.seed ^ salt),
            home: None,
            promised: Promised::default(),
            held: BTreeMap::new(),
            kills: 0,
            at_home: 0,
            homes: 0,
            acknowledged: 0,
            lost: 0,
            problems: 0,
            in_flight: vec![0.0],
        }
    }

    fn home(&mut self) -> Mortal {
        if self.home.is_none() || self.at_home == KILLS_A_HOME {
            self.home = Some(self.context.folder());
            (self.promised, self.held) = (Promised::default(), BTreeMap::new());
            self.homes += 1;
            self.at_home = 0;
        }
        let home = self.home.as_ref().expect("a home").path().to_owned();
        Mortal { home, accounts: None, seed: self.context.seed + 7_000 + self.homes }
    }

    fn moment(&mut self, messages: u64) -> (u64, u64) {
        (1 + self.seeded.below(messages), self.seeded.below(DELAY_NS))
    }

    /// Opens the store of who was killed and looks for all that was said to be durable.
    fn look(&mut self, mortal: &Mortal, life: &Life) -> Replica {
        self.kills += 1;
        self.at_home += 1;
        let replica = opened(&mortal.home, mortal.seed);
        let now = held(&replica);
        let has = |chain| now.get(chain).copied().unwrap_or(0);
        let said = &self.promised;
        self.lost += said.held.iter().map(|(c, n)| n.saturating_sub(has(c))).sum::<u64>();
        let gone = |id: &&ChangeId| replica.place_of(id).is_err();
        self.lost += said.posts.iter().filter(gone).count() as u64;
        let grown =
            |(chain, n): (_, &u64)| n.saturating_sub(self.held.get(chain).copied().unwrap_or(0));
        let stored: u64 = now.iter().map(grown).sum();
        self.in_flight.push(life.counters.changes_sent.saturating_sub(stored) as f64);
        let found = replica.verify().expect("a store that can be read");
        self.problems += found.problems.len() as u64;
        self.held = now;
        replica
    }

    /// Counts what was acknowledged in this home, which is not used any more.
    fn close(&mut self) {
        self.acknowledged += self.promised.held.values().sum::<u64>();
        self.acknowledged += self.promised.posts.len() as u64;
        self.home = None;
    }

    fn figures(mut self, case: &str) -> Vec<Measure> {
        self.close();
        let flight = Spread::of(self.in_flight.clone());
        let most = self.in_flight.iter().copied().fold(0.0, f64::max);
        let mut median = Measure::shown(case, "changes in flight at a kill", "", flight.median);
        median.quartiles = Some([flight.low, flight.high]);
        vec![
            Measure::exact(case, "kills", "", self.kills),
            Measure::shown(case, "acknowledged changes looked for", "", self.acknowledged as f64),
            Measure::exact(case, "acknowledged changes lost", "", self.lost).at_most(0.0),
            Measure::exact(case, "damages found by a check of everything", "", self.problems)
                .at_most(0.0),
            median,
            Measure::shown(case, "changes in flight at a kill, at most", "", most),
        ]
    }
}

/// A first copy that is killed until it is whole, again and again.
fn copying(context: &Context, kills: u64) -> Vec<Measure> {
    let (authors, changes) = context.pick((3, 60), (10, 1_000), (10, 1_000), (10, 1_000));
    let hub = hub::node(std::sync::Arc::new(mosaic_engine::store::memory::MemoryStore::new()), 3);
    let accounts = messages::write(&hub, context.seed, changes, authors, &mut |_, _| ());
    let folder = context.folder();
    let list = folder.path().join("accounts");
    let bytes: Vec<u8> = accounts.iter().flat_map(|id| *id.as_bytes()).collect();
    std::fs::write(&list, bytes).expect("a file");
    let mut all = Kills::new(context, 0xc0);
    while all.kills < kills {
        context.progress("killed while it copies")(all.kills, kills);
        let mut mortal = all.home();
        mortal.accounts = Some(list.clone());
        let moment = all.moment(40);
        let life = kill(&mortal, folder.path(), Some(&hub), None, moment, &mut all.promised);
        let copy = all.look(&mortal, &life);
        let whole = accounts.iter().all(|account| {
            let count = |of: &Replica| of.wall(account, None, 10_000).map_or(0, |wall| wall.len());
            count(&copy) == count(&hub)
        });
        copy.close().expect("a closed replica");
        if whole || all.at_home == KILLS_A_HOME {
            all.close();
        }
    }
    all.figures("killed while it copies (E1)")
}

/// A reader who is killed while posts are pushed to it.
fn pushing(context: &Context, kills: u64) -> Vec<Measure> {
    let writer =
        hub::node(std::sync::Arc::new(mosaic_engine::store::memory::MemoryStore::new()), 4);
    let folder = context.folder();
    let list = folder.path().join("accounts");
    std::fs::write(&list, writer.account().expect("an account").as_bytes()).expect("a file");
    let mut all = Kills::new(context, 0xe2);
    let mut written = 0;
    while all.kills < kills {
        context.progress("killed while posts are pushed to it")(all.kills, kills);
        let mut mortal = all.home();
        mortal.accounts = Some(list.clone());
        let moment = all.moment(60);
        let mut news = || {
            written += 1;
            post(&writer, written)
        };
        let promised = &mut all.promised;
        let life = kill(&mortal, folder.path(), Some(&writer), Some(&mut news), moment, promised);
        all.look(&mortal, &life).close().expect("a closed replica");
        if all.at_home == KILLS_A_HOME {
            all.close();
        }
    }
    all.figures("killed while posts are pushed to it (E2)")
}

/// A writer who is killed while he posts.
fn posting(context: &Context, kills: u64) -> Vec<Measure> {
    let folder = context.folder();
    let mut all = Kills::new(context, 0x90);
    while all.kills < kills {
        context.progress("killed while it posts")(all.kills, kills);
        let mortal = all.home();
        let moment = all.moment(60);
        let life = kill(&mortal, folder.path(), None, None, moment, &mut all.promised);
        all.look(&mortal, &life).close().expect("a closed replica");
        if all.at_home == KILLS_A_HOME {
            all.close();
        }
    }
    all.figures("killed while it posts (E2)")
}
