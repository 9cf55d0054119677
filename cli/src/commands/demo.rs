//! `demo`: two devices of one person, a hub and a friend, each with its own store on disk
//! and its own UDP socket on loopback, in this process.

mod party;
mod words;

use std::path::{Path, PathBuf};

use clap::Args;
use mosaic_node::api::types::{
    DeviceRevoke, DocHeads, ErrorKind, FollowAdd, PostCreate, ProfileSet, ProfileShow, Record,
    SubAdd, SyncResult, WallComment, WallList, WallReact,
};

use crate::context::Context;
use crate::error::Failure;
use crate::output::Output;
use crate::quantity::show_bytes;
use crate::render::count;
use party::{Party, link};
use words::Words;

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the four homes in this folder, which must be new or empty
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// How many posts each of the two devices writes offline
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    posts: u32,
    /// What the posts say follows from this number
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

impl Demo {
    /// Plays all scenes; fails at the first that does not end as it must.
    ///
    /// # Errors
    /// What went otherwise.
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let temporary = tempfile::Builder::new().prefix("mosaic-demo-").tempdir();
        let temporary = temporary.map_err(|error| unwritable(&std::env::temp_dir(), &error))?;
        let root = match &self.keep {
            None => temporary.path().to_owned(),
            Some(folder) => empty(folder)?,
        };
        let mut telling = Telling { output: &mut *context.output, scene: 0, cost: Cost::default() };
        telling.say(
            "Ada's laptop and phone, a hub, her friend Bob: a store on disk and a UDP socket each.",
        )?;
        let stage = Stage::set(&root, self.keep.is_some()).await?;
        let played = stage.play(&self, &mut telling).await;
        stage.close().await;
        played?;
        if self.keep.is_some() {
            for party in stage.parties() {
                let home = root.join(party.name());
                context.output.talk(&format!("Kept: mosaic --home {} status", home.display()));
            }
        }
        context.output.talk("Try it for real: mosaic init --name YOU");
        Ok(())
    }
}

/// Who tells what happens, and what it cost so far.
struct Telling<'a> {
    output: &'a mut Output,
    scene: u32,
    cost: Cost,
}

/// What the sessions came to in all.
#[derive(Debug, Default)]
struct Cost {
    bytes: u64,
    changes: u64,
    round_trips: u64,
    signatures: u64,
}

impl Telling<'_> {
    fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.scene += 1;
        let scene = self.scene.to_string();
        if self.output.is_json() {
            return self.output.object("demo", &[("scene", &scene), ("text", text)]);
        }
        self.output.value(&format!("{scene}  {text}"))
    }

    /// Has `party` meet the hub, which must end in sync.
    async fn meet(&mut self, party: &Party, hub: &str) -> Result<SyncResult, Failure> {
        let result = party.meet(hub).await?;
        self.cost.bytes += moved(&result);
        self.cost.changes += result.changes;
        self.cost.round_trips += result.round_trips;
        self.cost.signatures += result.signatures_checked;
        if result.state == "in-sync" {
            return Ok(result);
        }
        let reasons = result.reasons.join("; ");
        Err(broken(format!("{} and hub: {}: {reasons}", party.name(), result.state)))
    }
}

fn moved(result: &SyncResult) -> u64 {
    result.control_bytes + result.inline_bytes + result.blob_bytes + result.body_bytes
}

/// The four parties.
struct Stage {
    laptop: Party,
    phone: Party,
    hub: Party,
    bob: Party,
    hub_ticket: String,
    ada: String,
}

impl Stage {
    async fn set(root: &Path, keep: bool) -> Result<Self, Failure> {
        let laptop = Party::open(root, "laptop", keep).await?;
        let phone = Party::open(root, "phone", keep).await?;
        let hub = Party::open(root, "hub", keep).await?;
        let bob = Party::open(root, "bob", keep).await?;
        let ada = laptop.create("Ada", "laptop").await?;
        hub.create("Hub", "hub").await?;
        bob.create("Bob", "pc").await?;
        link(&laptop, &phone).await?;
        let hub_ticket = hub.serve().await?;
        hub.ask(&SubAdd { target: ada.clone(), ..SubAdd::default() }).await?;
        Ok(Self { laptop, phone, hub, bob, hub_ticket, ada })
    }

    const fn parties(&self) -> [&Party; 4] {
        [&self.laptop, &self.phone, &self.hub, &self.bob]
    }

    async fn close(&self) {
        for party in self.parties() {
            party.close().await;
        }
    }

    async fn play(&self, demo: &Demo, telling: &mut Telling<'_>) -> Result<(), Failure> {
        self.write_offline(demo, telling).await?;
        self.meet(telling).await?;
        self.compare(telling).await?;
        self.befriend(telling).await?;
        self.revoke(telling).await?;
        let cost = &telling.cost;
        let text = format!(
            "All meetings: {}, {}, {}, {} checked.",
            show_bytes(cost.bytes),
            count(cost.changes, "change"),
            count(cost.round_trips, "round trip"),
            count(cost.signatures, "signature"),
        );
        telling.say(&text)
    }

    async fn write_offline(&self, demo: &Demo, telling: &mut Telling<'_>) -> Result<(), Failure> {
        let mut words = Words::new(demo.seed);
        for party in [&self.laptop, &self.phone] {
            for number in 1..=demo.posts {
                let text = format!("{} {number}: {}", party.name(), words.sentence());
                party.ask(&PostCreate { text, ..PostCreate::default() }).await?;
            }
            let bio = Some(format!("Written on the {}.", party.name()));
            party.ask(&ProfileSet { bio, ..ProfileSet::default() }).await?;
        }
        telling.say(&format!(
            "Offline, laptop and phone wrote {} each and both changed the profile's bio.",
            count(u64::from(demo.posts), "post"),
        ))
    }

    async fn meet(&self, telling: &mut Telling<'_>) -> Result<(), Failure> {
        for party in [&self.laptop, &self.phone, &self.laptop] {
            let result = telling.meet(party, &self.hub_ticket).await?;
            let text = format!(
                "The {} met the hub: {} out, {} in, {}, {}, {} checked.",
                party.name(),
                count(result.out_changes, "change"),
                result.in_changes,
                show_bytes(moved(&result)),
                count(result.round_trips, "round trip"),
                count(result.signatures_checked, "signature"),
            );
            telling.say(&text)?;
        }
        Ok(())
    }

    /// Three stores must tell the same, byte for byte.
    async fn compare(&self, telling: &mut Telling<'_>) -> Result<(), Failure> {
        let laptop = self.told_by(&self.laptop).await?;
        for party in [&self.phone, &self.hub] {
            if lines(&self.told_by(party).await?) != lines(&laptop) {
                return Err(broken(format!("laptop and {} tell different things", party.name())));
            }
        }
        let heads = laptop.iter().filter(|record| matches!(record, Record::Head(_))).count();
        let posts = laptop.iter().filter(|record| matches!(record, Record::Post(_))).count();
        telling.say(&format!(
            "Laptop, phone and hub agree: {heads} heads, {posts} posts, one profile, byte for byte."
        ))
    }

    /// What a store tells about Ada that does not depend on who asks.
    async fn told_by(&self, party: &Party) -> Result<Vec<Record>, Failure> {
        let who = Some(self.ada.clone());
        let wall = WallList { who: who.clone(), conflicts: true, ..WallList::default() };
        let mut records = party.ask(&wall).await?;
        records.extend(party.ask(&ProfileShow { who: who.clone(), conflicts: true }).await?);
        let heads = party.ask(&DocHeads { who, ..DocHeads::default() }).await?;
        // the hub holds no private documents
        let public = |record: &Record| !matches!(record, Record::Head(h) if h.kind == "private");
        records.extend(heads.into_iter().filter(public));
        Ok(records)
    }

    async fn befriend(&self, telling: &mut Telling<'_>) -> Result<(), Failure> {
        let follow = FollowAdd { who: self.ada.clone(), name: Some("ada".into()) };
        self.bob.ask(&follow).await?;
        telling.meet(&self.bob, &self.hub_ticket).await?;
        let newest =
            WallList { who: Some(self.ada.clone()), limit: Some(1), ..WallList::default() };
        let id = match self.bob.ask(&newest).await?.into_iter().next() {
            Some(Record::Post(post)) => post.id,
            other => return Err(broken(format!("Bob sees no post of Ada's: {other:?}"))),
        };
        let text = "Good to hear from you, Ada.".to_owned();
        self.bob.ask(&WallComment { id: id.clone(), text, ..WallComment::default() }).await?;
        self.bob.ask(&WallReact { id: id.clone(), emoji: "👍".into() }).await?;
        for party in [&self.bob, &self.laptop, &self.phone] {
            telling.meet(party, &self.hub_ticket).await?;
        }
        for party in [&self.laptop, &self.phone] {
            let found = party.answers(&id).await?;
            if found != (1, 1) {
                let message = format!("{} shows {found:?} comments and reactions", party.name());
                return Err(broken(message));
            }
        }
        telling.say(
            "Bob found Ada's wall at the hub, commented and reacted; both her devices show it.",
        )
    }

    async fn revoke(&self, telling: &mut Telling<'_>) -> Result<(), Failure> {
        let revoke = DeviceRevoke {
            device: "phone".into(),
            confirm: "phone".into(),
            reason: Some("lost".into()),
        };
        self.laptop.ask(&revoke).await?;
        telling.meet(&self.laptop, &self.hub_ticket).await?;
        // The phone has not heard of it: it writes, then meets the hub.
        let theft = PostCreate { text: "Not by Ada.".into(), ..PostCreate::default() };
        self.phone.ask(&theft).await?;
        let met = self.phone.meet(&self.hub_ticket).await?;
        for party in [&self.laptop, &self.hub] {
            let wall = WallList { who: Some(self.ada.clone()), ..WallList::default() };
            let stolen = |record: &Record| matches!(record, Record::Post(p) if p.text.as_ref() == Some(&theft.text));
            if party.ask(&wall).await?.iter().any(stolen) {
                return Err(broken(format!("{} shows what the lost phone wrote", party.name())));
            }
        }
        // Now it has heard, and its own program refuses.
        match self.phone.ask(&theft).await {
            Err(Failure::Error(error)) if error.kind() == ErrorKind::Denied => {}
            other => return Err(broken(format!("the lost phone may still write: {other:?}"))),
        }
        let said = if met.reasons.is_empty() { "" } else { ", and the hub said why" };
        telling.say(&format!(
            "Ada revoked the phone: its next post counts nowhere{said}; then it refused to write."
        ))
    }
}

fn lines(records: &[Record]) -> Vec<u8> {
    records.iter().flat_map(Record::to_line).collect()
}

fn broken(message: String) -> Failure {
    Failure::new(ErrorKind::Error, message)
}

fn unwritable(folder: &Path, error: &std::io::Error) -> Failure {
    Failure::new(ErrorKind::Error, format!("cannot use {}: {error}", folder.display()))
}

fn empty(folder: &Path) -> Result<PathBuf, Failure> {
    let folder = crate::paths::absolute(folder)?;
    let failed = |error| unwritable(&folder, &error);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    if std::fs::read_dir(&folder).map_err(failed)?.next().is_some() {
        let message = format!("{} is not empty", folder.display());
        return Err(Failure::usage(message, "mosaic demo --keep NEW-FOLDER"));
    }
    Ok(folder)
}
