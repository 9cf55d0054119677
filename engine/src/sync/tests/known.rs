//! Chains that are given without what the receiver showed of them.

use bytes::Bytes;

use super::hostile::talk;
use super::meetings::{author, mirrors};
use super::model::Model;
use super::{assert_same, pair};
use crate::description::DocumentKind;
use crate::hash::Link;
use crate::sync::CloseReason;
use crate::sync::outcome::Outcome;
use crate::wire::{ChainGive, FRAME_PREFIX_BYTES, GivenHead, KnownHead, Message, Reason};

/// Two that keep the same accounts, of which eight went on, four at each.
fn parted() -> [Model; 2] {
    let homes = mirrors(60, 1);
    for n in 0..8 {
        homes[usize::from(n % 2)].take_all(&author(100 + n, 2));
    }
    homes
}

/// What somebody on the line does to a head and what is given with it.
type Change = fn(&mut KnownHead, &mut ChainGive);

/// Lets both talk, and somebody on the line change the first known head that either is given.
fn changed(
    homes: &[Model; 2],
    change: impl Fn(&mut KnownHead, &mut ChainGive),
) -> [Vec<Outcome>; 2] {
    let mut done = [false; 2];
    talk(&[&homes[0], &homes[1]], &mut |side, frame| {
        let Ok(Message::Give { scope, paths, packs, mut chains, bodies }) = Message::decode(&frame)
        else {
            return Some(frame);
        };
        for chain in chains.iter_mut().filter(|_| !done[side]) {
            if let GivenHead::Known(mut head) = chain.head.clone() {
                done[side] = true;
                change(&mut head, chain);
                chain.head = GivenHead::Known(head);
                break;
            }
        }
        let give = Message::Give { scope, paths, packs, chains, bodies };
        Some(Bytes::from(give.encode()).slice(FRAME_PREFIX_BYTES..))
    })
    .outcomes
}

#[test]
fn of_a_chain_that_went_on_no_more_is_given_than_what_is_new() {
    let homes = parted();
    let (mut given, mut bytes) = (0, 0);
    let talk = talk(&[&homes[0], &homes[1]], &mut |_, frame| {
        if let Ok(Message::Give { paths, chains, .. }) = Message::decode(&frame) {
            assert!(paths.is_empty());
            for chain in chains {
                assert!(matches!(chain.head, GivenHead::Known(KnownHead { link: None, .. })));
                let parts = chain.parts.iter().map(crate::wire::Part::encoded_len).sum::<usize>();
                (given, bytes) = (given + 1, bytes + chain.encoded_len() - parts);
            }
        }
        Some(frame)
    });
    assert_same(&homes);
    assert!(talk.outcomes.iter().all(|rounds| rounds.last().unwrap().is_equal()));
    assert_eq!((given, bytes), (8, 8 * 71));
}

#[test]
fn a_chain_of_a_list_is_known_by_its_name_beside_a_sketch() {
    let homes = mirrors(1, 357);
    let longer = author(100, 358);
    longer.write(DocumentKind::AccountLog, "goes on", 2);
    homes[0].take_all(&longer);
    let (mut known, mut told) = (0, (false, false));
    let talk = talk(&[&homes[0], &homes[1]], &mut |_, frame| {
        match Message::decode(&frame).unwrap() {
            Message::Tips { .. } => told.0 = true,
            Message::Sums { .. } | Message::Cells { .. } => told.1 = true,
            Message::Give { chains, .. } => {
                known += chains.iter().filter(|c| matches!(c.head, GivenHead::Known(_))).count();
            }
            _ => {}
        }
        Some(frame)
    });
    assert_eq!((known, told), (2, (true, true)));
    assert_eq!(talk.outcomes[0].len(), 1, "{:?}", talk.outcomes[0]);
    assert!(talk.outcomes[0][0].is_equal());
    assert_same(&homes);
}

#[test]
fn who_gives_nothing_but_unknown_names_is_sent_away() {
    let homes = parted();
    let mut given = 0;
    let talk = talk(&[&homes[0], &homes[1]], &mut |_, frame| {
        let Ok(Message::Give { scope, paths, packs, chains, bodies }) = Message::decode(&frame)
        else {
            return Some(frame);
        };
        let unknown = |chain: &ChainGive| match &chain.head {
            GivenHead::Known(head) => {
                let head = KnownHead { name: !head.name, ..*head };
                Some(ChainGive { head: GivenHead::Known(head), ..chain.clone() })
            }
            GivenHead::Whole { .. } => None,
        };
        let chains: Vec<_> = chains.iter().filter_map(unknown).collect();
        let chains: Vec<_> = chains.iter().cycle().take(300).cloned().collect();
        given += chains.len();
        let give = Message::Give { scope, paths, packs, chains, bodies };
        Some(Bytes::from(give.encode()).slice(FRAME_PREFIX_BYTES..))
    });
    assert!(given >= 300 && talk.closed.contains(&Some(CloseReason::Protocol)), "{given}");
}

#[test]
fn what_is_changed_on_the_way_is_not_taken_and_comes_later() {
    let changes: [(Change, Reason); 4] = [
        (|head, _| head.name ^= 1, Reason::Gap),
        (|head, _| head.signature[3] ^= 1, Reason::Signature),
        (|head, _| head.link = Some(Link::from_bytes([9; 32])), Reason::Signature),
        (|_, chain| chain.parts[0].first_n += 7, Reason::Gap),
    ];
    for (number, (change, reason)) in changes.into_iter().enumerate() {
        let homes = parted();
        let outcomes = changed(&homes, |head, chain| {
            change(head, chain);
            if chain.parts.last().is_some_and(|part| part.last_n() != head.n) {
                head.n = chain.parts[0].last_n();
            }
        });
        let first = &outcomes[0][0];
        assert!(first.causes.iter().any(|cause| cause.reason == reason), "{number}: {first:?}");
        // A name or a gap is looked at again at once, what is false in the next session.
        assert_eq!(outcomes[0].last().unwrap().is_equal(), reason == Reason::Gap, "{number}");
        let talk = talk(&[&homes[0], &homes[1]], &mut |_, frame| Some(frame));
        assert!(talk.outcomes[0].last().unwrap().is_equal(), "{number}");
        assert_same(&homes);
    }
}

#[test]
fn names_mean_chains_that_were_shown_alone() {
    let [laptop, phone] = pair();
    laptop.write(DocumentKind::Wall, "one", 1);
    // Nothing was shown of it, and no name leads to it.
    let homes = [laptop, phone];
    let mut whole = 0;
    let talk = talk(&[&homes[0], &homes[1]], &mut |_, frame| {
        let Ok(Message::Give { scope, paths, packs, mut chains, bodies }) = Message::decode(&frame)
        else {
            return Some(frame);
        };
        for chain in &mut chains {
            if let GivenHead::Whole { head, .. } = &chain.head {
                whole += 1;
                chain.head = GivenHead::Known(KnownHead::of(7, head, false).unwrap());
            }
        }
        let give = Message::Give { scope, paths, packs, chains, bodies };
        Some(Bytes::from(give.encode()).slice(FRAME_PREFIX_BYTES..))
    });
    assert!(whole > 0);
    let round = &talk.outcomes[0][0];
    assert!(round.causes.iter().any(|cause| cause.reason == Reason::Gap), "{round:?}");
    assert!(!round.is_equal());
}
