//! Joins by the word of who wrote the invitation.

use std::cell::Cell;

use super::compare::permutations;
use super::world::{Believing, FALSE_PROOF, World, account, settled};
use super::*;
use crate::model::entry::{Permissions, RoleRef};

const OWNER: usize = 0;
const ISSUER: usize = 1;
const OTHER: usize = 2;
const KEY: DeviceId = DeviceId::from_bytes([9; 32]);

/// As [`Believing`], and counts what it is asked.
#[derive(Default)]
struct Counting(Cell<usize>);

impl Witness for Counting {
    fn invited(&self, key: &DeviceId, message: &[u8], proof: &Signature) -> bool {
        self.0.set(self.0.get() + 1);
        Believing.invited(key, message, proof)
    }
}

/// An owner, two admins, the first of whom wrote an invitation to a role that removes members.
struct Scene {
    world: World,
    invite: usize,
}

fn scene(uses: u32) -> Scene {
    let mut world = World::new(&[0], 5, 1);
    let admin = world.define(OWNER, 50, Permissions::ALL);
    let guard = world.define(OWNER, 5, Permissions::KICK);
    world.grant(OWNER, 1, admin);
    world.grant(OWNER, 2, admin);
    let member = HubAction::Grant { account: account(3), role: RoleRef::Everyone };
    let member = world.say(OWNER, member);
    world.show_everybody(member);
    let role = world.role(guard);
    let invite = HubAction::Invite { role, key: Some(KEY), uses, expires_ms: 0, account: None };
    let invite = world.say(ISSUER, invite);
    world.show_everybody(invite);
    Scene { world, invite }
}

impl Scene {
    /// A guest joins; returns who writes for him, and the join.
    fn join(&mut self, guest: u8, proof: Option<Signature>) -> (usize, usize) {
        let writer = self.world.add_device(guest);
        self.world.show(writer, self.invite);
        let invite = self.world.id(self.invite);
        (writer, self.world.say(writer, HubAction::Join { invite, proof }))
    }

    /// Vouches without having seen anything but the own log.
    fn vouch(&mut self, writer: usize, joins: &[usize]) -> usize {
        let mut joins: Vec<ChangeId> = joins.iter().map(|join| self.world.id(*join)).collect();
        joins.sort_unstable();
        let last = self.world.writers[writer].last;
        let item = self.world.append(writer, last, &[], HubAction::Vouch { joins });
        self.world.writers[writer].last = Some(item);
        item
    }

    fn verdict(&self, hub: &Hub, item: usize) -> Verdict {
        hub.verdict(&self.world.id(item)).unwrap()
    }
}

const FALSE: Option<Signature> = Some(FALSE_PROOF);
const TRUE: Option<Signature> = Some(Signature::from_bytes([1; 64]));
const VOUCHED: Verdict = Verdict::Counts(Rank::EVERYONE);

fn by_admin() -> Verdict {
    Verdict::Counts(Rank::of_role(50).unwrap())
}

#[test]
fn a_join_holds_by_the_word_of_who_invited_without_a_valid_signature() {
    let mut scene = scene(0);
    let (guest, join) = scene.join(100, FALSE);
    let kick = HubAction::Kick { account: account(3), cut: vec![] };
    let kick = scene.world.say(guest, kick);
    let mut hub = scene.world.hub();
    assert_eq!(scene.verdict(&hub, join), Verdict::Void(Why::Proof));
    assert_eq!(scene.verdict(&hub, kick), Verdict::Void(Why::NotAllowed));
    assert!(hub.rank(&account(3)).is_some() && hub.unvouched(&account(1)).is_empty());

    let vouch = scene.vouch(ISSUER, &[join]);
    hub.insert([scene.world.items[vouch].clone()], &Believing);
    assert_eq!(scene.verdict(&hub, join), by_admin());
    assert_eq!(scene.verdict(&hub, vouch), VOUCHED);
    // What depends on the join is settled along.
    assert_eq!(scene.verdict(&hub, kick), Verdict::Counts(Rank::of_role(5).unwrap()));
    assert_eq!(hub.rank(&account(3)), None);
    assert_eq!(hub.audit(), scene.world.hub().audit());
}

#[test]
fn the_word_of_anybody_else_is_void() {
    let mut scene = scene(0);
    let (guest, join) = scene.join(100, FALSE);
    let mut vouches: Vec<usize> =
        [OWNER, OTHER, 3, 4, guest].map(|writer| scene.vouch(writer, &[join])).to_vec();
    // Who adopts the invitation has its power, and not its key.
    let adopt = HubAction::Adopt { operation: scene.world.id(scene.invite) };
    scene.world.say(OTHER, adopt);
    vouches.push(scene.vouch(OTHER, &[join]));
    let hub = scene.world.hub();
    for vouch in vouches {
        assert_eq!(scene.verdict(&hub, vouch), Verdict::Void(Why::NotIssuer));
    }
    assert_eq!(scene.verdict(&hub, join), Verdict::Void(Why::Proof));
    assert_eq!(hub.rank(&account(100)), None);
    assert!(hub.invited_by(&account(1)).is_empty());
}

/// No adopting, undoing or lifting of it, and no ban of who wrote it, changes what it says.
#[test]
fn it_counts_whatever_became_of_who_invited() {
    let mut scene = scene(0);
    let (_, join) = scene.join(100, FALSE);
    scene.world.show_all(OWNER);
    for action in [
        HubAction::Ban { account: account(1), cut: vec![], purge: false },
        HubAction::Undo { account: account(1), keep: vec![scene.world.link(scene.invite)] },
    ] {
        let item = scene.world.say(OWNER, action);
        scene.world.show_everybody(item);
    }
    let vouch = scene.vouch(ISSUER, &[join]);
    let operation = scene.world.id(vouch);
    scene.world.show(OWNER, vouch);
    let lift = scene.world.say(OWNER, HubAction::Lift { operation });
    let adopt = scene.world.say(OWNER, HubAction::Adopt { operation });
    let hub = scene.world.hub();
    assert_eq!(scene.verdict(&hub, vouch), VOUCHED);
    assert_eq!(scene.verdict(&hub, join), by_admin());
    for item in [lift, adopt] {
        assert_eq!(scene.verdict(&hub, item), Verdict::Void(Why::Unseen));
    }
}

#[test]
fn a_word_for_what_is_no_join_of_an_own_invitation_is_void() {
    let mut scene = scene(0);
    let open = HubAction::Invite {
        role: RoleRef::Everyone,
        key: None,
        uses: 0,
        expires_ms: 0,
        account: None,
    };
    let open = scene.world.say(ISSUER, open);
    let writer = scene.world.add_device(101);
    scene.world.show(writer, open);
    let invite = scene.world.id(open);
    let keyless = scene.world.say(writer, HubAction::Join { invite, proof: None });
    let bare = scene.join(102, None).1;
    let (of_invite, of_keyless) = (scene.invite, keyless);
    let mut voids = vec![
        scene.vouch(ISSUER, &[of_invite]),
        scene.vouch(ISSUER, &[of_keyless]),
        scene.vouch(ISSUER, &[bare]),
    ];
    let joins = vec![ChangeId::from_bytes([7; 32])];
    voids.push(scene.world.say(ISSUER, HubAction::Vouch { joins }));
    let (_, join) = scene.join(103, FALSE);
    let mixed = scene.vouch(ISSUER, &[of_invite, bare, join]);
    let hub = scene.world.hub();
    for void in voids {
        assert_eq!(scene.verdict(&hub, void), Verdict::Void(Why::NotIssuer));
    }
    assert_eq!(scene.verdict(&hub, mixed), VOUCHED);
    assert_eq!(scene.verdict(&hub, join), by_admin());
    // A join without any proof showed no ticket; one by an invitation without key needs none.
    assert_eq!(scene.verdict(&hub, bare), Verdict::Void(Why::Proof));
    assert_eq!(scene.verdict(&hub, keyless), by_admin());
}

#[test]
fn a_device_that_its_account_cut_vouches_for_nobody() {
    let mut scene = scene(0);
    let joins = [100, 101, 102].map(|guest| scene.join(guest, FALSE).1);
    let honest = scene.join(103, TRUE).1;
    let stolen = scene.world.add_device(1);
    let before = scene.vouch(stolen, &joins[..1]);
    let beyond = scene.vouch(stolen, &[joins[0], joins[1], joins[2], honest]);
    let mut hub = scene.world.hub();
    let all = |hub: &Hub| joins.map(|join| scene.verdict(hub, join));
    assert_eq!(all(&hub), [by_admin(); 3]);
    let chain = scene.world.writers[stolen].chain;
    let witness = Counting::default();
    let cut = Some(vec![scene.world.link(before)]);
    hub.cut_device(chain, cut.clone(), &witness);
    let void = Verdict::Void(Why::Proof);
    assert_eq!(all(&hub), [by_admin(), void, void]);
    assert_eq!(scene.verdict(&hub, beyond), Verdict::Void(Why::Device));
    // What showed a ticket stays in: its signature is checked now.
    assert_eq!((scene.verdict(&hub, honest), witness.0.get()), (by_admin(), 3));

    // In whatever order they come; and the account's other device has a word.
    let mut other = Hub::new(scene.world.genesis.clone());
    other.cut_device(chain, cut, &Believing);
    for item in scene.world.items.iter().rev() {
        other.insert([item.clone()], &Believing);
    }
    assert_eq!(other.audit(), hub.audit());
    let again = scene.vouch(ISSUER, &joins[2..]);
    hub.insert([scene.world.items[again].clone()], &Believing);
    assert_eq!(scene.verdict(&hub, joins[2]), by_admin());
    // Nothing is checked twice.
    hub.cut_device(chain, Some(vec![]), &witness);
    hub.cut_device(chain, None, &witness);
    assert_eq!(hub.audit(), scene.world.hub().audit());
    assert_eq!(witness.0.get(), 4);
}

#[test]
fn before_and_after_the_join_come_to_the_same_in_every_order() {
    let mut scene = scene(1);
    let first = scene.world.items.len();
    let stolen = scene.world.add_device(1);
    let (guest, join) = scene.join(100, FALSE);
    scene.world.say(guest, HubAction::Kick { account: account(3), cut: vec![] });
    let (_, rival) = scene.join(101, FALSE);
    scene.vouch(ISSUER, &[join]);
    scene.vouch(stolen, &[join, rival]);
    scene.vouch(OTHER, &[rival]);
    let (before, after) = scene.world.items.split_at(first);
    let chain = scene.world.writers[stolen].chain;
    let ends = [None, Some(vec![])].map(|kept| {
        let mut hub = scene.world.hub();
        hub.cut_device(chain, kept, &Believing);
        hub
    });
    assert_ne!(ends[0].audit(), ends[1].audit());
    // The cut is one more that comes at any time.
    let mut order: Vec<usize> = (0..=after.len()).collect();
    permutations(&mut order, after.len() + 1, &mut |order| {
        let mut hub = settled(&scene.world.genesis, before);
        for at in order {
            match after.get(*at) {
                Some(item) => hub.insert([item.clone()], &Believing),
                None => hub.cut_device(chain, Some(vec![]), &Believing),
            };
        }
        assert_eq!(hub.audit(), ends[1].audit(), "order {order:?}");
        assert_eq!(hub.members(), ends[1].members(), "order {order:?}");
        hub.cut_device(chain, None, &Believing);
        assert_eq!(hub.audit(), ends[0].audit(), "order {order:?}");
    });
}

#[test]
fn a_signature_is_checked_once_and_only_without_a_word() {
    let mut scene = scene(0);
    let joins: Vec<usize> = (100..110).map(|guest| scene.join(guest, TRUE).1).collect();
    let witness = Counting::default();
    let mut hub = Hub::new(scene.world.genesis.clone());
    hub.insert(scene.world.items.iter().cloned(), &witness);
    assert_eq!((witness.0.get(), hub.unvouched(&account(1)).len()), (10, 10));
    assert!(hub.unvouched(&account(0)).is_empty());
    // A word that comes later changes nothing.
    let vouch = scene.vouch(ISSUER, &joins);
    let settled = hub.insert([scene.world.items[vouch].clone()], &witness);
    assert_eq!((settled.judged, settled.weighed, settled.changed), (1, 0, 0));
    assert_eq!(witness.0.get(), 10);
    assert!(hub.unvouched(&account(1)).is_empty());
    // In one delivery, or before the joins, there is nothing to check.
    let witness = Counting::default();
    let mut hub = Hub::new(scene.world.genesis.clone());
    let late: Vec<ChangeId> = joins[5..].iter().map(|join| scene.world.id(*join)).collect();
    let (last, first): (Vec<_>, Vec<_>) =
        scene.world.items.iter().cloned().partition(|item| late.contains(&item.id));
    for items in [first, last] {
        hub.insert(items, &witness);
    }
    assert_eq!(witness.0.get(), 0);
    assert_eq!(hub.audit(), scene.world.hub().audit());
    assert_eq!((100..110).filter(|guest| hub.rank(&account(*guest)).is_some()).count(), 10);
}

/// Who did not show the ticket takes no place, unless somebody vouches for him.
#[test]
fn who_has_no_proof_takes_no_place_of_an_invitation() {
    let mut scene = scene(1);
    let (_, fine) = scene.join(100, TRUE);
    let joins = [101, 102, 103].map(|guest| scene.join(guest, FALSE).1);
    let mut hub = scene.world.hub();
    assert_eq!(scene.verdict(&hub, fine), by_admin());
    let stolen = scene.world.add_device(1);
    let vouch = scene.vouch(stolen, &joins[..1]);
    hub.insert([scene.world.items[vouch].clone()], &Believing);
    let surplus = Verdict::Void(Why::Surplus);
    assert_eq!([fine, joins[0]].map(|join| scene.verdict(&hub, join)), [surplus; 2]);
    assert_eq!(scene.verdict(&hub, joins[1]), Verdict::Void(Why::Proof));
    hub.cut_device(scene.world.writers[stolen].chain, Some(vec![]), &Believing);
    assert_eq!(scene.verdict(&hub, fine), by_admin());
}

/// Words for the same joins, without end, by who may not vouch and from a device that is cut.
#[test]
fn a_flood_of_words_costs_what_it_is() {
    let mut scene = scene(0);
    let joins: Vec<usize> = (100..200).map(|guest| scene.join(guest, FALSE).1).collect();
    let witness = Counting::default();
    let mut hub = Hub::new(scene.world.genesis.clone());
    hub.insert(scene.world.items.iter().cloned(), &witness);
    let stolen = scene.world.add_device(1);
    hub.cut_device(scene.world.writers[stolen].chain, Some(vec![]), &witness);
    for writer in [stolen, 3, 4] {
        for _ in 0..300 {
            let vouch = scene.vouch(writer, &joins);
            let settled = hub.insert([scene.world.items[vouch].clone()], &witness);
            assert_eq!((settled.judged, settled.weighed, settled.changed), (1, 0, 0));
        }
    }
    assert_eq!(witness.0.get(), joins.len());
    // Nor do they make a join dearer that comes after them.
    let late = scene.join(200, FALSE).1;
    for writer in [stolen, 3] {
        let vouch = scene.vouch(writer, &[late]);
        hub.insert([scene.world.items[vouch].clone()], &witness);
    }
    let settled = hub.insert([scene.world.items[late].clone()], &witness);
    assert!(settled.judged <= 3, "{settled:?}");
    assert_eq!(hub.rank(&account(200)), None);
}
