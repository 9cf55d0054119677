//! The table of what happens when people act without knowing of each other, row by row, and
//! the rest of what a hub promises.

use super::world::{Believing, World, account, tip};
use super::*;
use crate::chain::ChainKey;
use crate::hash::{DocumentId, Incarnation};
use crate::model::entry::{
    ChannelChange, ChannelFields, EntryRef, HubSetting, Permissions, RoleRef, Tip, Who,
};

const OWNER: usize = 0;
const ADMIN: usize = 1;
const MODERATOR: usize = 2;
const MEMBER: usize = 3;
const OTHER: usize = 4;

/// A hub with an owner, an admin, a moderator and two members, and a channel.
struct Scene {
    world: World,
    admin: usize,
    moderator: usize,
    channel: usize,
}

fn scene() -> Scene {
    let mut world = World::new(&[0], 8, 1);
    let admin = world.define(OWNER, 50, Permissions::ALL);
    let moderator = world.define(OWNER, 20, Permissions::ALL);
    world.grant(OWNER, 1, admin);
    world.grant(OWNER, 2, moderator);
    for who in [3, 4] {
        let action = HubAction::Grant { account: account(who), role: RoleRef::Everyone };
        let item = world.say(OWNER, action);
        world.show_everybody(item);
    }
    let channel = world.say(OWNER, channel("general"));
    world.show_everybody(channel);
    Scene { world, admin, moderator, channel }
}

fn channel(name: &str) -> HubAction {
    HubAction::CreateChannel(ChannelFields {
        name: name.into(),
        topic: String::new(),
        category: String::new(),
        read_only: false,
        readers: None,
    })
}

/// The page of a member.
fn page(who: usize) -> ChainKey {
    let n = u8::try_from(who).unwrap();
    ChainKey {
        doc: DocumentId::from_bytes([n + 100; 32]),
        device: DeviceId::from_bytes([n; 32]),
        incarnation: Incarnation::from_bytes([1; 16]),
    }
}

impl Scene {
    fn hub(&self) -> Hub {
        self.world.hub()
    }

    fn ban(&mut self, by: usize, who: usize, cut: Vec<Tip>) -> usize {
        let account = account(u8::try_from(who).unwrap());
        self.world.say(by, HubAction::Ban { account, cut, purge: false })
    }

    /// What is concluded about the `n`th entry of a member, who had seen everything up to an
    /// operation.
    fn message(&self, who: usize, n: u64, seen: usize) -> ContentStanding {
        self.needing(who, n, seen, Permissions::SEND)
    }

    fn needing(&self, who: usize, n: u64, seen: usize, need: Permissions) -> ContentStanding {
        self.hub().standing(&Content {
            account: account(u8::try_from(who).unwrap()),
            channel: self.world.id(self.channel),
            seen: &[self.world.link(seen)],
            need,
            chain: page(who),
            n,
            agreed: &|tip| tip.n,
        })
    }

    fn verdict(&self, item: usize) -> Verdict {
        self.hub().verdict(&self.world.id(item)).unwrap()
    }

    fn rank(&self, who: u8) -> Option<Rank> {
        self.hub().rank(&account(who))
    }
}

const FINE: ContentStanding = ContentStanding::Counts { late: false };

fn removed(by: ChangeId) -> ContentStanding {
    ContentStanding::Void(Why::Removed { by })
}

/// Row: message cites the ban.
#[test]
fn a_message_that_knows_of_the_ban_is_void() {
    let mut scene = scene();
    let ban = scene.ban(MODERATOR, MEMBER, vec![tip(page(MEMBER), 100)]);
    assert_eq!(scene.message(MEMBER, 1, ban), removed(scene.world.id(ban)));
}

/// Row: concurrent, covered by the cut.
#[test]
fn a_message_inside_the_cut_stays() {
    let mut scene = scene();
    let before = scene.channel;
    let ban = scene.ban(MODERATOR, MEMBER, vec![tip(page(MEMBER), 5)]);
    assert_eq!(scene.message(MEMBER, 5, before), FINE);
    assert_eq!(scene.message(MEMBER, 6, before), removed(scene.world.id(ban)));

    // Unless it is purged.
    let purge =
        HubAction::Ban { account: account(3), cut: vec![tip(page(MEMBER), 5)], purge: true };
    let purge = scene.world.say(ADMIN, purge);
    assert_eq!(scene.message(MEMBER, 5, before), removed(scene.world.id(purge)));
}

/// Row: concurrent, not in the cut.
#[test]
fn a_message_outside_the_cut_is_void_until_the_cut_is_extended() {
    let mut scene = scene();
    let before = scene.channel;
    let ban = scene.ban(MODERATOR, MEMBER, vec![tip(page(MEMBER), 5)]);
    let removal = scene.world.id(ban);
    assert_eq!(scene.message(MEMBER, 7, before), removed(removal));
    // What is of another page or device is not in it.
    assert_eq!(scene.message(OTHER, 1, before), FINE);

    scene.world.show(MEMBER, ban);
    scene.world.show(ADMIN, ban);
    let cut = vec![tip(page(MEMBER), 7)];
    let extension = HubAction::ExtendCut { removal, operations: vec![], cut };
    scene.world.say(MEMBER, extension.clone());
    assert_eq!(scene.message(MEMBER, 7, before), removed(removal), "nobody extends his own cut");
    scene.world.say(ADMIN, extension);
    assert_eq!(scene.message(MEMBER, 7, before), FINE);
}

/// Row: two bans with different cuts.
#[test]
fn two_bans_leave_what_both_leave() {
    let mut scene = scene();
    let before = scene.channel;
    scene.ban(MODERATOR, MEMBER, vec![tip(page(MEMBER), 5)]);
    let shorter = scene.ban(ADMIN, MEMBER, vec![tip(page(MEMBER), 3)]);
    assert_eq!(scene.message(MEMBER, 3, before), FINE);
    assert_eq!(scene.message(MEMBER, 4, before), removed(scene.world.id(shorter)));
}

/// A cut names a branch, not a number.
#[test]
fn a_cut_does_not_cover_another_branch_of_the_page() {
    let mut scene = scene();
    let before = scene.channel;
    scene.ban(MODERATOR, MEMBER, vec![tip(page(MEMBER), 5)]);
    let hub = scene.hub();
    let content = Content {
        account: account(3),
        channel: scene.world.id(scene.channel),
        seen: &[scene.world.link(before)],
        need: Permissions::SEND,
        chain: page(MEMBER),
        n: 4,
        // Here the chain followed agrees with the cut up to its second change only.
        agreed: &|_| 2,
    };
    assert_ne!(hub.standing(&content), FINE);
    assert_eq!(hub.standing(&Content { n: 2, ..content }), FINE);
}

/// Row: ban with an empty cut, in bad faith.
#[test]
fn a_ban_in_bad_faith_is_undone_by_a_higher_rank() {
    let mut scene = scene();
    let before = scene.channel;
    let ban = scene.ban(MODERATOR, MEMBER, vec![]);
    assert_eq!(scene.message(MEMBER, 1, before), removed(scene.world.id(ban)));
    scene.world.show(ADMIN, ban);
    let undo = scene.world.say(ADMIN, HubAction::Undo { account: account(2), keep: vec![] });
    assert_eq!(scene.message(MEMBER, 1, before), FINE);
    assert_eq!(scene.rank(3), Some(Rank::EVERYONE));
    let by = scene.world.id(undo);
    assert_eq!(scene.verdict(ban), Verdict::Void(Why::Undone { by }));

    // The moderator keeps his role, and what he does knowing of it counts.
    scene.world.show(MODERATOR, undo);
    let kick = scene.world.say(MODERATOR, HubAction::Kick { account: account(4), cut: vec![] });
    assert_eq!(scene.verdict(kick), Verdict::Counts(Rank::of_role(20).unwrap()));
}

/// Row: honest moderator demoted while offline.
#[test]
fn what_a_demoted_moderator_did_is_listed_and_can_be_adopted() {
    let mut scene = scene();
    let kick = scene.world.say(MODERATOR, HubAction::Kick { account: account(3), cut: vec![] });
    let demotion = HubAction::Revoke {
        account: account(2),
        role: scene.world.role(scene.moderator),
        cut: vec![],
    };
    let demotion = scene.world.say(ADMIN, demotion);
    let by = scene.world.id(demotion);
    assert_eq!(scene.verdict(kick), Verdict::Void(Why::Removed { by }));
    assert!(scene.hub().audit().iter().any(|record| record.id == scene.world.id(kick)));
    assert_eq!(scene.rank(3), Some(Rank::EVERYONE));

    // A member cannot make it his own, the owner can.
    for who in [OTHER, OWNER] {
        scene.world.show(who, kick);
    }
    let adopt = HubAction::Adopt { operation: scene.world.id(kick) };
    scene.world.say(OTHER, adopt.clone());
    assert_eq!(scene.rank(3), Some(Rank::EVERYONE));
    scene.world.say(OWNER, adopt);
    assert_eq!(scene.rank(3), None);
}

/// The same row: the cut of the demotion can be extended instead.
#[test]
fn what_a_demoted_moderator_did_can_be_left_to_him() {
    let mut scene = scene();
    let kick = scene.world.say(MODERATOR, HubAction::Kick { account: account(3), cut: vec![] });
    let role = scene.world.role(scene.moderator);
    let demotion =
        scene.world.say(ADMIN, HubAction::Revoke { account: account(2), role, cut: vec![] });
    for item in [kick, demotion] {
        scene.world.show(OWNER, item);
    }
    let extension = HubAction::ExtendCut {
        removal: scene.world.id(demotion),
        operations: vec![scene.world.link(kick)],
        cut: vec![],
    };
    scene.world.say(OWNER, extension);
    assert_eq!(scene.verdict(kick), Verdict::Counts(Rank::of_role(20).unwrap()));
    assert_eq!(scene.rank(3), None);
}

/// An adopted channel keeps its id, and so its messages.
#[test]
fn an_adopted_channel_keeps_its_id() {
    let mut scene = scene();
    let made = scene.world.say(MODERATOR, channel("made offline"));
    scene.ban(ADMIN, MODERATOR, vec![]);
    assert_eq!(scene.hub().channels().len(), 1);
    scene.world.show(OWNER, made);
    scene.world.say(OWNER, HubAction::Adopt { operation: scene.world.id(made) });
    assert!(scene.hub().channels().iter().any(|channel| channel.id == scene.world.id(made)));
}

/// Row: policy change concurrent with posts.
#[test]
fn a_message_that_did_not_know_of_a_new_rule_is_late() {
    let mut scene = scene();
    let before = scene.channel;
    let channel = scene.world.id(scene.channel);
    let change = ChannelChange::ReadOnly(true);
    let change = scene.world.say(ADMIN, HubAction::ChangeChannel { channel, change });
    assert_eq!(scene.message(MEMBER, 1, before), ContentStanding::Counts { late: true });
    assert_eq!(scene.message(MEMBER, 1, change), ContentStanding::Void(Why::NotAllowed));
    assert_eq!(scene.message(ADMIN, 1, change), FINE);
    // Reading-only channels can be reacted in; closed ones cannot.
    assert_eq!(scene.needing(MEMBER, 1, change, Permissions::REACT), FINE);
    scene.world.show(OWNER, change);
    let change = ChannelChange::Archived(true);
    let closed = scene.world.say(OWNER, HubAction::ChangeChannel { channel, change });
    for who in [OWNER, ADMIN, MEMBER] {
        let standing = scene.needing(who, 1, closed, Permissions::REACT);
        assert_eq!(standing, ContentStanding::Void(Why::NotAllowed));
    }
}

/// The same row: a role that loses a permission.
#[test]
fn a_role_that_loses_a_permission_loses_it_for_operations_at_once() {
    let mut scene = scene();
    let kick = scene.world.say(MODERATOR, HubAction::Kick { account: account(3), cut: vec![] });
    let role = scene.world.role(scene.moderator);
    let (name, permissions) = (String::from("m"), Permissions::ALL.without(Permissions::KICK));
    let change = scene.world.say(ADMIN, HubAction::ChangeRole { role, name, permissions });
    assert_eq!(scene.verdict(kick), Verdict::Void(Why::NotAllowed));
    assert_eq!(scene.rank(3), Some(Rank::EVERYONE));
    let everyone = HubAction::ChangeRole {
        role: RoleRef::Everyone,
        name: "all".into(),
        permissions: Permissions::REACT,
    };
    let before = change;
    scene.world.say(ADMIN, everyone);
    assert_eq!(scene.message(MEMBER, 1, before), ContentStanding::Counts { late: true });
}

/// Row: voluntary leave, then posts from a forgotten device.
#[test]
fn who_left_keeps_what_his_own_cut_leaves() {
    let mut scene = scene();
    let before = scene.channel;
    let leave = scene.world.say(MEMBER, HubAction::Leave { cut: vec![tip(page(MEMBER), 4)] });
    assert_eq!(scene.rank(3), None);
    assert_eq!(scene.message(MEMBER, 4, before), FINE);
    assert_eq!(scene.message(MEMBER, 5, before), removed(scene.world.id(leave)));
}

/// Row: invite used concurrently more often than allowed.
#[test]
fn of_too_many_joins_at_once_none_counts_without_a_human() {
    let mut scene = scene();
    let invite = invite(&mut scene, 1, None, 0);
    let mut joins = Vec::new();
    for guest in 100..200 {
        let writer = scene.world.add_device(guest);
        scene.world.show(writer, invite);
        let join = HubAction::Join { invite: scene.world.id(invite), proof: None };
        joins.push(scene.world.say(writer, join));
    }
    let hub = scene.hub();
    assert!(
        joins.iter().all(|join| {
            hub.verdict(&scene.world.id(*join)) == Some(Verdict::Void(Why::Surplus))
        })
    );
    assert_eq!(hub.invites()[0].waiting.len(), 100);
    assert!((100..200).all(|guest| hub.rank(&account(guest)).is_none()));
    scene.world.show(MODERATOR, joins[7]);
    let grant = HubAction::Grant { account: account(107), role: RoleRef::Everyone };
    scene.world.say(MODERATOR, grant);
    let hub = scene.hub();
    assert_eq!((100..200).filter(|guest| hub.rank(&account(*guest)).is_some()).count(), 1);
}

fn invite(scene: &mut Scene, uses: u32, account: Option<AccountId>, expires_ms: u64) -> usize {
    let role = RoleRef::Everyone;
    let action = HubAction::Invite { role, key: None, uses, expires_ms, account };
    scene.world.say(MODERATOR, action)
}

fn join(scene: &mut Scene, guest: u8, invite: usize, seen: &[usize]) -> usize {
    let writer = scene.world.add_device(guest);
    for item in seen.iter().chain([&invite]) {
        scene.world.show(writer, *item);
    }
    let invite = scene.world.id(invite);
    scene.world.say(writer, HubAction::Join { invite, proof: None })
}

#[test]
fn an_invitation_ends_closes_and_is_for_whom_it_names() {
    let mut scene = scene();
    let open = invite(&mut scene, 0, None, 0);
    let ended = invite(&mut scene, 0, None, 1);
    let bound = invite(&mut scene, 0, Some(account(100)), 0);
    let fine = join(&mut scene, 100, bound, &[]);
    let other = join(&mut scene, 101, bound, &[]);
    let late = join(&mut scene, 102, ended, &[]);
    let seen = join(&mut scene, 103, open, &[]);
    let missed = join(&mut scene, 104, open, &[]);
    scene.world.show(MODERATOR, seen);
    let close = HubAction::CloseInvite { invite: scene.world.id(open) };
    let close = scene.world.say(MODERATOR, close);
    let by = scene.world.id(close);
    let rank = Rank::of_role(20).unwrap();
    assert_eq!(scene.verdict(fine), Verdict::Counts(rank));
    assert_eq!(scene.verdict(other), Verdict::Void(Why::Bound));
    assert_eq!(scene.verdict(late), Verdict::Void(Why::Expired));
    assert_eq!(scene.verdict(seen), Verdict::Counts(rank));
    assert_eq!(scene.verdict(missed), Verdict::Void(Why::Closed { by }));
    let hub = scene.hub();
    let joined = hub.invited_by(&account(2));
    assert!([100, 103, 104].iter().all(|guest| joined.contains(&account(*guest))));
    assert!(!joined.contains(&account(101)));
}

#[test]
fn the_key_of_a_ticket_signs_for_one_account_and_hub() {
    use crate::entropy::SeededEntropy;
    use crate::identity::DeviceSecret;

    let mut scene = scene();
    let ticket = DeviceSecret::generate(&SeededEntropy::new(5));
    let invite = scene.world.say(
        MODERATOR,
        HubAction::Invite {
            role: RoleRef::Everyone,
            key: Some(ticket.id()),
            uses: 0,
            expires_ms: 0,
            account: None,
        },
    );
    let (hub, id) = (scene.world.genesis.id(), scene.world.id(invite));
    let sign = |who| {
        let message = HubAction::join_message(&hub, &id, &account(who));
        Some(ticket.sign(Domain::Invite, &message))
    };
    let mut joins = Vec::new();
    for (guest, proof) in [(100, sign(100)), (101, sign(100)), (102, None)] {
        let writer = scene.world.add_device(guest);
        scene.world.show(writer, invite);
        joins.push(scene.world.say(writer, HubAction::Join { invite: id, proof }));
    }
    let mut hub = Hub::new(scene.world.genesis.clone());
    hub.insert(scene.world.items.iter().cloned(), &Verifier::new());
    assert!(hub.rank(&account(100)).is_some());
    for join in &joins[1..] {
        let verdict = hub.verdict(&scene.world.id(*join));
        assert_eq!(verdict, Some(Verdict::Void(Why::Proof)));
    }
}

#[test]
fn a_ban_is_not_overcome_by_an_open_invitation() {
    let mut scene = scene();
    let ban = scene.ban(MODERATOR, MEMBER, vec![]);
    scene.world.show(OWNER, ban);
    let role = RoleRef::Everyone;
    let open = HubAction::Invite { role, key: None, uses: 0, expires_ms: 0, account: None };
    let open = scene.world.say(OWNER, open);
    scene.world.show(MEMBER, open);
    let action = HubAction::Join { invite: scene.world.id(open), proof: None };
    scene.world.say(MEMBER, action);
    assert_eq!(scene.rank(3), None);
    assert!(scene.hub().is_banned(&account(3)));
    let account_3 = Some(account(3));
    let meant = HubAction::Invite { role, key: None, uses: 0, expires_ms: 0, account: account_3 };
    let meant = scene.world.say(OWNER, meant);
    scene.world.show(MEMBER, meant);
    let action = HubAction::Join { invite: scene.world.id(meant), proof: None };
    scene.world.say(MEMBER, action);
    assert_eq!(scene.rank(3), Some(Rank::EVERYONE));
}

/// Row: message from a device revoked in the account log.
#[test]
fn what_an_account_cuts_of_its_device_counts_for_nothing() {
    let mut scene = scene();
    let kept = scene.world.say(MODERATOR, HubAction::Kick { account: account(3), cut: vec![] });
    let stolen = scene.world.say(MODERATOR, HubAction::Kick { account: account(4), cut: vec![] });
    let mut hub = scene.hub();
    let chain = scene.world.writers[MODERATOR].chain;
    let settled = hub.cut_device(chain, Some(vec![scene.world.link(kept)]), &Believing);
    assert!(settled.changed > 0);
    let verdict = |hub: &Hub, item| hub.verdict(&scene.world.id(item)).unwrap();
    assert_eq!(verdict(&hub, kept), Verdict::Counts(Rank::of_role(20).unwrap()));
    assert_eq!(verdict(&hub, stolen), Verdict::Void(Why::Device));
    assert_eq!(hub.rank(&account(3)), None);
    assert_eq!(hub.rank(&account(4)), Some(Rank::EVERYONE));

    // In whatever order cut and operations come.
    let mut other = Hub::new(scene.world.genesis.clone());
    other.cut_device(chain, Some(vec![scene.world.link(kept)]), &Believing);
    for item in scene.world.items.iter().rev() {
        other.insert([item.clone()], &Believing);
    }
    assert_eq!(other.audit(), hub.audit());
    hub.cut_device(chain, None, &Believing);
    assert_eq!(hub.audit(), scene.hub().audit());
}

#[test]
fn a_fork_is_marked_and_gives_nobody_a_power() {
    let mut scene = scene();
    let first = scene.world.say(MODERATOR, HubAction::Kick { account: account(3), cut: vec![] });
    let seen: Vec<usize> = vec![scene.channel];
    let action = HubAction::Kick { account: account(4), cut: vec![] };
    let second = scene.world.append(MODERATOR, None, &seen, action);
    let action = HubAction::Grant { account: account(2), role: scene.world.role(scene.admin) };
    let power = scene.world.append(MODERATOR, None, &seen, action);
    let hub = scene.hub();
    for item in [first, second, power] {
        let record = hub.audit().into_iter().find(|record| record.id == scene.world.id(item));
        assert!(record.unwrap().disputed);
    }
    assert_eq!(hub.rank(&account(3)), None);
    assert_eq!(hub.rank(&account(4)), None);
    assert_eq!(hub.rank(&account(2)), Rank::of_role(20));
    assert_eq!(scene.verdict(power), Verdict::Void(Why::OutOfRank));
}

#[test]
fn rules_of_a_channel_apply_in_the_order_people_know() {
    let mut scene = scene();
    let channel = scene.world.id(scene.channel);
    let rules = |scene: &mut Scene, by, who, allow, deny| {
        let item = scene.world.say(by, HubAction::ChannelRules { channel, who, allow, deny });
        scene.world.show_everybody(item);
    };
    let (none, send) = (Permissions::NONE, Permissions::SEND);
    let may =
        |scene: &Scene, who| scene.hub().permissions(&account(who), Some(&channel)).contains(send);
    assert!(may(&scene, 3));
    rules(&mut scene, ADMIN, Who::Role(RoleRef::Everyone), none, send);
    assert!(!may(&scene, 3) && !may(&scene, 2) && may(&scene, 0));
    let moderators = Who::Role(scene.world.role(scene.moderator));
    rules(&mut scene, ADMIN, moderators, send, none);
    assert!(may(&scene, 2) && !may(&scene, 3));
    rules(&mut scene, ADMIN, Who::Account(account(3)), send, none);
    assert!(may(&scene, 3) && !may(&scene, 4));
    rules(&mut scene, ADMIN, Who::Account(account(2)), none, send);
    assert!(!may(&scene, 2), "over what his role is allowed");
    // Equals have no say about each other, nor anybody about himself.
    let admins = Who::Role(scene.world.role(scene.admin));
    rules(&mut scene, ADMIN, Who::Account(account(1)), send, none);
    assert!(!may(&scene, 1));
    rules(&mut scene, ADMIN, admins, send, none);
    assert!(!may(&scene, 1));
    rules(&mut scene, OWNER, admins, send, none);
    assert!(may(&scene, 1));
}

#[test]
fn of_rules_that_did_not_know_of_each_other_the_stricter_hold() {
    let mut scene = scene();
    let channel = scene.world.id(scene.channel);
    let who = Who::Role(RoleRef::Everyone);
    let (none, send) = (Permissions::NONE, Permissions::SEND);
    let allow = HubAction::ChannelRules { channel, who, allow: send, deny: none };
    let deny = HubAction::ChannelRules { channel, who, allow: none, deny: send };
    scene.world.say(ADMIN, allow);
    scene.world.say(MODERATOR, deny);
    assert!(!scene.hub().permissions(&account(3), Some(&channel)).contains(send));
}

#[test]
fn channels_of_one_name_are_both_kept_and_hiding_needs_a_higher_rank() {
    let mut scene = scene();
    scene.world.say(ADMIN, channel("plans"));
    scene.world.say(MODERATOR, channel("plans"));
    let hub = scene.hub();
    let plans = hub.channels().into_iter().filter(|channel| channel.name == "plans");
    assert!(plans.clone().count() == 2 && plans.into_iter().all(|channel| channel.ambiguous));

    let entry = |who, n| EntryRef { account: account(who), entry: ChangeId::from_bytes([n; 32]) };
    let by_member = entry(3, 1);
    let by_admin = entry(1, 2);
    let hide = scene.world.say(MODERATOR, HubAction::Hide { entry: by_member });
    scene.world.say(MODERATOR, HubAction::Hide { entry: by_admin });
    scene.world.say(MODERATOR, HubAction::Purge { entry: entry(4, 3) });
    let hub = scene.hub();
    let by = scene.world.id(hide);
    assert_eq!(hub.moderation(&by_member), Some(Moderation::Hidden { by }));
    assert_eq!(hub.moderation(&by_admin), None);
    assert!(matches!(hub.moderation(&entry(4, 3)), Some(Moderation::Purged { .. })));
    scene.world.say(MODERATOR, HubAction::Lift { operation: by });
    assert_eq!(scene.hub().moderation(&by_member), None);
}

#[test]
fn raid_mode_toggled_at_once_by_many_comes_to_one_state() {
    let mut scene = scene();
    for n in 0..50 {
        for who in [OWNER, ADMIN, MODERATOR] {
            scene.world.say(who, HubAction::Set(HubSetting::JoinsClosed(n % 2 == 0)));
        }
    }
    let expected = scene.hub().settings();
    let mut hub = Hub::new(scene.world.genesis.clone());
    for item in scene.world.items.iter().rev() {
        hub.insert([item.clone()], &Believing);
    }
    assert_eq!(hub.settings(), expected);
    assert!(!expected.joins_closed, "each of them opened it at last");
}

#[test]
fn no_log_of_an_account_holds_operations_of_a_hub() {
    use crate::description::DocumentKind;

    let scene = scene();
    let kinds = [
        DocumentKind::AccountLog,
        DocumentKind::Profile,
        DocumentKind::Wall,
        DocumentKind::Guest,
        DocumentKind::Private,
        DocumentKind::Text,
    ];
    for kind in kinds {
        assert!(!crate::view::fits(kind, &scene.world.items[0].entry), "{kind:?}");
    }
}
