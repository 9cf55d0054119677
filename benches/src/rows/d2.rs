//! D2: what sealing costs in time: somebody's new device opens a long talk.

use super::Context;
use crate::measure::ratio::Spread;
use crate::report::{Measure, Row};
use crate::workload::talk::{Place, SCREEN, Talk};

/// Microseconds of processor time that sealing may add to a message.
const ADDED_US: f64 = 25.0;

pub(super) fn run(context: &Context) -> Row {
    let messages = context.pick(100, 1_000, 10_000, 10_000);
    let measures = talks(context, messages);
    Row {
        name: "D2".into(),
        title: "A long talk on a new device, sealed and in the clear".into(),
        method: "Five people write the same messages in turn: in a group conversation, in a private \
                 channel of a hub that all of them read, and in a channel that everybody reads, which \
                 is the clear one: the same pages, texts and times, and rights that are looked at for \
                 each message. A device is linked to the account that began, with an empty store on disk, \
                 meets the other one, and all is read to the end. Processor time is that of both ends \
                 while it comes, and of reading; places in turn."
            .into(),
        measures,
        plots: Vec::new(),
    }
}

/// Nanoseconds of one run.
#[derive(Default, Clone, Copy)]
struct Took {
    bring: u64,
    read: u64,
    glance: u64,
}

fn talks(context: &Context, messages: u64) -> Vec<Measure> {
    let places = [Place::Open, Place::Conversation, Place::Private];
    let mut talks = places.map(|place| {
        context.say(&format!("{messages} messages: {place:?}"));
        Talk::write(place, context.seed, messages, &mut context.progress("messages"))
    });
    let mut took: [Vec<Took>; 3] = Default::default();
    for pair in 0..context.pick(1, 5, 9, 9) {
        context.say(&format!("run {pair}"));
        for at in 0..places.len() {
            // In turn, to and fro.
            let at = if pair % 2 == 0 { at } else { places.len() - 1 - at };
            let folder = context.folder();
            let store = crate::disk_store(folder.path());
            let (bring, reader) = talks[at].bring(store, context.seed + 1);
            let read = talks[at].read(&reader);
            let glance = talks[at].glance(&reader);
            took[at].push(Took { bring, read, glance });
            reader.close().expect("a closed replica");
        }
    }
    let mut measures = Vec::new();
    let us = |ns: f64| ns / 1e3 / messages as f64;
    let written = talks.each_ref().map(|talk| us(talk.written_ns as f64));
    for at in 1..places.len() {
        let name =
            if places[at] == Place::Conversation { "a conversation" } else { "a private channel" };
        let case = format!("{messages} messages in {name}");
        let added = |of: fn(&Took) -> u64| {
            let pairs = took[at].iter().zip(&took[0]);
            Spread::of(pairs.map(|(own, clear)| us(of(own) as f64 - of(clear) as f64)).collect())
        };
        let each = |of: fn(&Took) -> u64, at: usize| {
            Spread::of(took[at].iter().map(|one| us(of(one) as f64)).collect()).median
        };
        let more = |what: &str, of: fn(&Took) -> u64| {
            let spread = added(of);
            let mut measure = Measure::shown(&case, what, "µs", spread.median);
            measure.quartiles = Some([spread.low, spread.high]);
            measure
        };
        let whole: fn(&Took) -> u64 = |took| took.bring + took.read;
        measures.extend([
            more("processor time a message over the clear one, until it is read", whole)
                .at_most(ADDED_US),
            more("of that until it is there", |took| took.bring),
            more("of that reading", |took| took.read),
            Measure::shown(
                &case,
                "processor time a message, until it is read",
                "µs",
                each(whole, at),
            )
            .beside("in the clear", each(whole, 0)),
            Measure::shown(&case, "reading, a message", "µs", each(|took| took.read, at))
                .beside("in the clear", each(|took| took.read, 0)),
            Measure::shown(&case, "writing, a message", "µs", written[at])
                .beside("in the clear", written[0]),
            Measure::shown(
                &case,
                &format!("reading the newest {SCREEN}, once more"),
                "ms",
                each(|took| took.glance, at) * messages as f64 / 1e3,
            )
            .beside("in the clear", each(|took| took.glance, 0) * messages as f64 / 1e3),
        ]);
    }
    measures
}
