//! What is written at the edge of a limit stays readable everywhere.

use mosaic_engine::limits::{HEAD_AHEAD_MAX, MAP_BYTES_MAX};

use super::*;

fn bio(replica: &Replica, account: &AccountId) -> Option<Value> {
    let fields = replica.profile(account).unwrap();
    fields.into_iter().find(|field| field.key == "bio").map(|field| field.value)
}

#[test]
fn a_profile_edited_past_its_size_goes_on_everywhere() {
    let (laptop, account) = person(81, "laptop");
    let phone = link(&laptop, 82, "phone");
    for devices in [(&laptop, &phone), (&phone, &laptop)] {
        give(devices.0, devices.1);
    }
    let long = "x".repeat(20 * 1024);
    let edits = MAP_BYTES_MAX / (20 * 1024) + 10;
    for n in 0..edits {
        let value = Value::Text(format!("{n} {long}"));
        laptop.edit_profile(vec![("bio".into(), Some(value))], NOW + n).unwrap();
        let value = Value::Text(format!("note {n} {long}"));
        laptop.edit_private(BLOCKS, vec![("note".into(), Some(value))], NOW + n).unwrap();
    }
    let receipt = give(&laptop, &phone);
    let taken =
        receipt.chains.iter().all(|chain| matches!(chain.verdict, Verdict::Accepted { .. }));
    assert!(taken, "{:?}", receipt.chains);
    assert_eq!(bio(&phone, &account), bio(&laptop, &account));
    let private = |replica: &Replica| replica.private_map(BLOCKS).unwrap();
    assert_eq!(private(&phone), private(&laptop));
    agree(&laptop, &phone);
    phone.edit_profile(vec![("bio".into(), Some(Value::Text("short".into())))], NOW).unwrap();
    give(&phone, &laptop);
    assert_eq!(bio(&laptop, &account), Some(Value::Text("short".into())));
}

#[test]
fn a_peer_that_shows_too_much_spoils_nothing() {
    let (laptop, account) = person(83, "laptop");
    laptop.post(draft("one"), None, NOW).unwrap();
    let stranger = DeviceSecret::generate(&SeededEntropy::new(9)).id();
    let section = laptop.kept_sections().unwrap().remove(0);
    let tip = laptop.tips(&section).unwrap().remove(0);
    laptop.record_shown(&stranger, &section, &[(tip.chain, 1 << 40)]).unwrap();
    assert_eq!(laptop.shown(&stranger, &section).unwrap(), [(tip.chain, HEAD_AHEAD_MAX)]);
    assert_eq!(texts(&laptop, &account), ["one"]);
}

#[test]
fn an_edit_of_what_one_sees_wins_over_a_clock_that_is_ahead() {
    let (laptop, account) = person(84, "laptop");
    let phone = link(&laptop, 85, "phone");
    let post = laptop.post(draft("first"), None, NOW).unwrap();
    give(&laptop, &phone);
    let ahead = NOW + 75 * 365 * 86_400_000;
    phone.edit(post, "from the future", ahead).unwrap();
    give(&phone, &laptop);
    assert_eq!(texts(&laptop, &account), ["from the future"]);
    laptop.edit(post, "second thoughts", NOW + 1).unwrap();
    give(&laptop, &phone);
    for replica in [&laptop, &phone] {
        assert_eq!(texts(replica, &account), ["second thoughts"]);
    }
}
