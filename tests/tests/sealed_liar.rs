//! The liar's whole collection once more, where what is said is sealed: told by a device of somebody who
//! takes part, by a device that carries it for others, and by one that nobody knows.

use std::collections::BTreeMap;
use std::path::Path;

use mosaic_engine::entropy::SeededEntropy;
use mosaic_engine::hash::{ChangeId, ConversationId, HubId};
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::wire::Reason;
use mosaic_node::ticket::NodeTicket;
use mosaic_tests::home::{Home, Node, field, link, until};
use mosaic_tests::liar::author::Author;
use mosaic_tests::liar::ground::Ground;
use mosaic_tests::liar::homes::{Counted, enrolled, resident_bytes};
use mosaic_tests::liar::line::{Heard, Speaker, Way};
use mosaic_tests::liar::net::NetLine;
use mosaic_tests::liar::pump::now_ms;
use mosaic_tests::liar::table::{Answer, Offer, lies};

/// Eve, whose phone lies, and Bob, to whom it lies.
struct Scene {
    root: tempfile::TempDir,
    eve: Home,
    bob: Home,
    phone: Home,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (eve, bob) = (Home::init(root.path(), "eve"), Home::init(root.path(), "bob"));
        let phone = link(&eve, root.path(), "phone");
        eve.ok(&["follow", &bob.account(), "--as", "bob"]);
        bob.ok(&["follow", &eve.account(), "--as", "eve"]);
        let scene = Self { root, eve, bob, phone };
        let node = scene.bob.node();
        scene.meet(&node);
        node.stop();
        scene
    }

    /// Eve's laptop, which is honest, meets Bob's node.
    fn meet(&self, node: &Node) {
        for _ in 0..2 {
            let result = self.eve.sync(&node.ticket());
            assert_eq!(result["type"], "sync_result", "{result}");
        }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }
}

/// Who tells lies: what of them is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Teller {
    /// Whoever may give what stands there.
    Known,
    /// Of what is withheld from him nothing is looked at.
    Stranger,
}

/// Heads and descriptions of which nobody has to know anything to refuse them.
const UNFIT: [&str; 3] = [
    "description: of another document",
    "head: of an unheard of kind",
    "head: of another document",
];

/// Whether a lie says that it stands on the ground of its author.
fn is_there(lie: &Offer, author: &Author) -> bool {
    let space = lie.received.description.as_ref().map(|page| page.space.id());
    space == Some(author.page(0).space.id())
}

/// What is said to a lie that stands on some ground, by who tells it.
fn expected(lie: &Offer, author: &Author, teller: Teller) -> Answer {
    let withheld = matches!(author.ground(), Ground::Conversation(_)) && is_there(lie, author);
    match teller {
        // What does not even fit itself is that wherever it stands.
        Teller::Stranger if withheld && UNFIT.contains(&lie.what.as_str()) => lie.answer,
        Teller::Stranger if withheld => Answer::Refused(Reason::NotKept),
        _ => lie.answer,
    }
}

/// Of what is withheld from him a stranger hears what he hears of what nobody ever had.
fn tell_of_what_nobody_has(
    unheard: &Author,
    secret: &DeviceSecret,
    node: &Node,
    offered: &mut Counted,
) {
    let ticket = NodeTicket::parse(&node.ticket()).unwrap();
    let mut speaker = Speaker::new(NetLine::new(secret, &ticket));
    for lie in lies(unheard, now_ms()).iter().filter(|lie| is_there(lie, unheard)) {
        let answer = expected(lie, unheard, Teller::Stranger);
        let heard = speaker.offer(&lie.received, Way::Inline);
        assert_eq!(heard, Heard::Answer(answer), "{}", lie.what);
        offered.add(&answer);
    }
}

/// Tells all lies over a line, and what was said to those that were answered in another way.
fn tell(
    author: &Author,
    (secret, teller): (&DeviceSecret, Teller),
    (node, ways): (&Node, &[Way]),
    offered: &mut Counted,
) -> BTreeMap<(&'static str, String), (Heard, Answer)> {
    let ticket = NodeTicket::parse(&node.ticket()).unwrap();
    let mut speaker = Speaker::new(NetLine::new(secret, &ticket));
    let mut wrong = BTreeMap::new();
    for way in ways {
        for lie in lies(author, now_ms()) {
            let answer = expected(&lie, author, teller);
            let heard = speaker.offer(&lie.received, *way);
            offered.add(&answer);
            if heard != Heard::Answer(answer) {
                wrong.insert((way.name(), lie.what), (heard, answer));
            }
        }
    }
    wrong
}

/// All of it by everybody; what honest people say before, between and after is read by both, and nothing
/// else is shown.
fn everybody_lies(
    scene: &Scene,
    (author, unheard): (&Author, Option<&Author>),
    tellers: &[(&str, DeviceSecret, Teller)],
    say: &dyn Fn(&Home, &str),
    read: &dyn Fn(&Home) -> Vec<String>,
) {
    say(&scene.eve, "before");
    let mut node = scene.bob.node();
    scene.meet(&node);
    assert_eq!(read(&scene.bob), ["before"]);
    let mut offered = Counted::of(&scene.bob);
    for (name, secret, teller) in tellers {
        let ways: &[Way] = match *name {
            "who takes part" => &[Way::Inline, Way::Pack],
            _ => &[Way::Inline],
        };
        let wrong = tell(author, (secret, *teller), (&node, ways), &mut offered);
        assert!(wrong.is_empty(), "{name}: heard, and expected: {wrong:#?}");
        if let Some(unheard) = unheard.filter(|_| *teller == Teller::Stranger) {
            tell_of_what_nobody_has(unheard, secret, &node, &mut offered);
        }
        say(&scene.eve, name);
        scene.meet(&node);
    }
    // Each reason was counted exactly as often as it was deserved. Whom else he meets is asked for the
    // texts that lies name, and has none.
    let mut counted = Counted::of(&scene.bob);
    counted.deferred.remove(Reason::NotHeld.name());
    assert_eq!(counted, offered);
    // Once more, under watch: what lies leave behind they do not leave without a bound.
    let (_, secret, teller) = &tellers[0];
    let before = resident_bytes(&node);
    let again = tell(author, (secret, *teller), (&node, &[Way::Inline]), &mut offered);
    assert!(again.is_empty(), "{again:#?}");
    let grown = resident_bytes(&node).saturating_sub(before);
    assert!(grown < 24_000_000, "{grown} bytes");
    assert!(node.runs());
    say(&scene.bob, "answer");
    say(&scene.eve, "after");
    scene.meet(&node);
    let mut all = vec!["before"];
    all.extend(tellers.iter().map(|(name, ..)| *name));
    for home in [&scene.bob, &scene.eve] {
        let mut shown = read(home);
        assert_eq!(shown.first().map(String::as_str), Some("before"));
        shown.retain(|text| text != "answer" && text != "after");
        assert_eq!(shown, all, "{}", home.path.display());
    }
    node.stop();
    for home in [&scene.bob, &scene.eve] {
        assert_eq!(home.run(&["store", "verify"]).code, 0);
    }
}

fn stranger() -> DeviceSecret {
    DeviceSecret::generate(&SeededEntropy::new(u64::from(std::process::id()) + 7))
}

fn secret_of(home: &Home) -> DeviceSecret {
    let bytes = std::fs::read(home.path.join("device.key")).unwrap();
    DeviceSecret::from_bytes(&bytes.as_slice().try_into().unwrap()).unwrap()
}

#[test]
fn every_lie_about_a_conversation_is_refused_by_a_running_node() {
    let scene = Scene::new();
    let carrier = Home::init(scene.path(), "carrier");
    // Bob lets it keep what is private: what it gives of his conversations is looked at.
    let (carrying, node) = (carrier.node(), scene.bob.node());
    scene.bob.ok(&["node", "connect", &carrying.ticket()]);
    node.stop();
    carrying.stop();
    let who = scene.bob.account();
    scene.eve.ok(&["dm", "send", &who, "first"]);
    let id = scene.eve.ok(&["dm", "list", "--jq", ".id"]);
    let ground = Ground::Conversation(ConversationId::parse_hex(&id).unwrap());
    let author = enrolled(&scene.phone).on(ground);
    let other = Ground::Conversation(ConversationId::from_bytes([0x5e; 32]));
    let unheard = enrolled(&scene.phone).on(other);
    let of_phone = secret_of(&scene.phone);
    let tellers = [
        ("who takes part", of_phone, Teller::Known),
        ("who carries it", secret_of(&carrier), Teller::Known),
        ("who is a stranger", stranger(), Teller::Stranger),
    ];
    let say = |home: &Home, text: &str| {
        home.ok(&["dm", "send", &id, text]);
    };
    let read = |home: &Home| -> Vec<String> {
        let mut told = home.json(&["dm", "read", &id, "-n", "100000"]);
        told.sort_by_key(|message| field(message, "created_at"));
        // What a member's device signed and nobody opens is shown as that, and as nothing else.
        let (open, closed): (Vec<_>, Vec<_>) =
            told.iter().partition(|message| message["state"] == "shown");
        for message in closed {
            let told = (message["state"].as_str(), message["text"].as_str());
            assert!(matches!(told, (Some("waiting" | "deleted"), None | Some(""))), "{message:#?}");
        }
        let texts: Vec<_> = open.iter().map(|message| field(message, "text")).collect();
        texts.into_iter().filter(|text| text != "first").collect()
    };
    everybody_lies(&scene, (&author, Some(&unheard)), &tellers, &say, &read);
}

#[test]
fn every_lie_about_a_private_channel_is_refused_by_a_running_node() {
    let scene = Scene::new();
    let hub = field(&scene.eve.json(&["hub", "create", "Club", "--channel", "general"])[0], "id");
    let board = format!("{hub}/board");
    let made = scene.eve.json(&["hub", "channel", "create", &board, "--private"]);
    let channel = field(&made[0], "id");
    // What it is called Bob knows once a device of Eve's has passed the key on.
    let board = format!("{hub}/{channel}");
    let node = scene.eve.node();
    scene.bob.ok(&["hub", "join", &scene.eve.ok(&["hub", "invite", &hub])]);
    scene.bob.sync(&node.ticket());
    node.stop();
    let ground =
        Ground::Channel(HubId::parse_hex(&hub).unwrap(), ChangeId::parse_hex(&channel).unwrap());
    let author = enrolled(&scene.phone).on(ground);
    // Of a hub that everybody may have whoever brings it is heard: who carries it is a stranger.
    let tellers = [
        ("who takes part", secret_of(&scene.phone), Teller::Known),
        ("who is a stranger", stranger(), Teller::Stranger),
    ];
    let say = |home: &Home, text: &str| {
        home.ok(&["hub", "send", &board, text]);
    };
    let read = |home: &Home| -> Vec<String> {
        let mut told = home.json(&["hub", "read", &board]);
        told.sort_by_key(|message| field(message, "created_at"));
        let open = told.iter().filter(|message| message["text"].is_string());
        open.map(|message| field(message, "text")).collect()
    };
    everybody_lies(&scene, (&author, None), &tellers, &say, &read);
}

/// What is signed by a member's device and opens for nobody is shown as waiting or as refused, never half.
#[test]
fn what_a_member_signs_and_nobody_opens_is_shown_as_that() {
    let scene = Scene::new();
    scene.eve.ok(&["dm", "send", &scene.bob.account(), "before"]);
    let id = scene.eve.ok(&["dm", "list", "--jq", ".id"]);
    let ground = Ground::Conversation(ConversationId::parse_hex(&id).unwrap());
    let author = enrolled(&scene.phone).on(ground);
    let node = scene.bob.node();
    scene.meet(&node);
    let ticket = NodeTicket::parse(&node.ticket()).unwrap();
    let mut speaker = Speaker::new(NetLine::new(author.secret(), &ticket));
    let mut chain = author.chain(&author.page(0));
    for _ in 0..3 {
        chain.entry(now_ms(), author.honest().encode());
    }
    let heard = speaker.offer(&chain.offer(&author), Way::Inline);
    assert_eq!(heard, Heard::Answer(Answer::Accepted));
    drop(speaker);
    scene.eve.ok(&["dm", "send", &id, "after"]);
    scene.meet(&node);
    until("all of it is there", || scene.bob.json(&["dm", "read", &id]).len() == 5);
    let told = scene.bob.json(&["dm", "read", &id]);
    let states: Vec<_> = told.iter().map(|message| field(message, "state")).collect();
    assert_eq!(states.iter().filter(|state| *state == "waiting").count(), 3, "{told:#?}");
    for message in told.iter().filter(|message| message["state"] == "waiting") {
        assert_eq!(message.get("text").and_then(|text| text.as_str()).unwrap_or(""), "");
    }
    let open: Vec<_> = told.iter().filter(|message| message["state"] == "shown").collect();
    assert_eq!(
        open.iter().map(|message| field(message, "text")).collect::<Vec<_>>(),
        ["before", "after"]
    );
    node.stop();
}
