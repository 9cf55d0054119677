//! E3: a hub with many subscribers at once, some of whom never read.

use std::sync::Arc;

use mosaic_engine::store::memory::MemoryStore;

use super::e2::sizes;
use super::{Context, Size};
use crate::child::fan::{Fan, post, subscribe};
use crate::measure::cpu;
use crate::meeting::{Meeting, Met};
use crate::report::{Measure, Row};
use crate::workload::hub;

/// Posts before the first subscriber comes.
const BEFORE: u64 = 20;
/// A tenth of all subscribers never reads.
const SLOW: u16 = 10;

pub(super) fn run(context: &Context) -> Row {
    let (subscribers, posts) = context.pick((20, 2), (200, 10), (200, 100), (200, 500));
    let case = format!("{subscribers} subscribers, {posts} posts");
    let mut measures = fan_out(context, &case, subscribers, posts);
    if context.size > Size::Counts {
        for slow in [0, subscribers / SLOW] {
            context.say(&format!("a hub in a process of its own, {slow} do not read"));
            let case = format!("{case}, {slow} of them do not read");
            measures.extend(apart(context, &case, subscribers, slow, posts));
        }
    }
    Row {
        name: "E3".into(),
        title: "A hub and all who keep its wall, live".into(),
        method: "A hub on disk with a session to each of its subscribers, who are in memory; it \
                 posts, and tells all sessions. Bytes and legs are those of one subscriber and one \
                 post, at most. Memory is that of a process in which only the hub is; who does not \
                 read has been sent what was there before, and then takes nothing from the line \
                 until the hub gives him up."
            .into(),
        measures,
        plots: Vec::new(),
    }
}

fn fan_out(context: &Context, case: &str, subscribers: u16, posts: u64) -> Vec<Measure> {
    let folder = context.folder();
    let store = crate::disk_store(folder.path());
    let source = hub::node(Arc::clone(&store), context.seed);
    let account = source.account().expect("an account");
    (0..BEFORE).for_each(|n| _ = post(&source, n));
    let readers: Vec<_> = (0..u64::from(subscribers))
        .map(|at| {
            let reader = hub::node(Arc::new(MemoryStore::new()), context.seed + 100 + at);
            hub::keep(&reader, &[account]);
            reader
        })
        .collect();
    let mut meetings: Vec<Meeting<'_>> =
        (0..).zip(&readers).map(|(at, reader)| Meeting::new([reader, &source], at)).collect();
    for meeting in &mut meetings {
        assert!(meeting.rest().equal);
    }
    let (mut last, mut fsyncs, mut spent) = (Vec::new(), 0, 0);
    let mut own = 0;
    for n in 0..posts {
        let before = store.stats().fsyncs;
        let (ns, news) = cpu(|| {
            let news = post(&source, BEFORE + n);
            for meeting in &mut meetings {
                meeting.news(1, vec![news]);
                meeting.settle();
            }
            news
        });
        spent += ns;
        fsyncs = fsyncs.max(store.stats().fsyncs - before);
        last = meetings.iter_mut().map(Meeting::rest).collect();
        let (change, body) = sizes(&source, &news.section, &news.chain, news.from_n);
        own = change + body;
    }
    drop(meetings);
    source.close().expect("a closed replica");
    assert!(last.iter().all(|met: &Met| met.equal), "{last:?}");
    let most = |of: fn(&Met) -> u64| last.iter().map(of).max().unwrap_or(0);
    let all: u64 = last.iter().map(Met::total).sum();
    let each = spent as f64 / 1e3 / posts as f64 / f64::from(subscribers);
    vec![
        Measure::exact(case, "bytes to one subscriber and back", "B", most(Met::total))
            .at_most((own + 200) as f64)
            .limit(own as f64),
        Measure::exact(case, "bytes to all and back", "B", all)
            .limit((own * u64::from(subscribers)) as f64),
        Measure::exact(case, "legs until one subscriber has it and the hub knows", "legs", {
            most(|met| met.legs)
        })
        .at_most(2.0)
        .limit(1.0),
        Measure::exact(case, "fsyncs of the hub for a post", "", fsyncs).at_most(1.0).limit(1.0),
        Measure::exact(case, "changes sent again", "", most(Met::resent)).at_most(0.0),
        Measure::shown(case, "processor time a subscriber and post, both ends", "µs", each),
    ]
}

fn apart(context: &Context, case: &str, subscribers: u16, slow: u16, posts: u64) -> Vec<Measure> {
    let folder = context.folder();
    let home = folder.path().join("hub");
    let fan = Fan { home, seed: context.seed, subscribers, slow, posts };
    let told = subscribe(&fan, folder.path());
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let each = told.cpu_ns as f64 / 1e3 / posts as f64 / f64::from(subscribers);
    let mut measures = vec![
        Measure::shown(case, "highest memory of the hub", "MiB", mib(told.peak_rss))
            .at_most(150.0 * 1e6 / f64::from(1 << 20)),
        Measure::shown(case, "memory before the first post", "MiB", mib(told.rss_before)),
        Measure::shown(case, "processor time of the hub, a subscriber and post", "µs", each),
        Measure::shown(case, "fsyncs of the hub, a post", "", {
            told.fsyncs as f64 / posts as f64
        }),
    ];
    if slow > 0 {
        measures.extend([
            Measure::exact(case, "bytes that wait for one who does not read", "B", told.queued_max)
                .at_most(65_536.0),
            Measure::exact(case, "given up after 31 s of silence", "", told.given_up)
                .at_least(f64::from(slow)),
        ]);
    }
    measures
}
