//! What is unread where a removal has a cut through what somebody wrote at one go.

use super::*;

#[test]
fn a_cut_through_a_page_is_counted_as_it_is_read() {
    let (mut network, accounts, hub, channel, lines) = hub_of(3, 43);
    for n in 0..3 {
        say(&network.parties[1], &hub, &channel, &format!("in time {n}"), NOW + 100 + n).unwrap();
    }
    network.spread_news();
    network.run_for(10_000).unwrap();
    // He writes on without having heard of the ban: as much of the hub was seen as before.
    network.disconnect(lines[0]);
    network.parties[0].replica.ban(&hub, &accounts[1], false, "", NOW + 200).unwrap();
    for n in 0..4 {
        say(&network.parties[1], &hub, &channel, &format!("too late {n}"), NOW + 201 + n).unwrap();
    }
    network.connect(0, 1);
    network.run_for(20_000).unwrap();
    network.spread_news();
    network.run_for(20_000).unwrap();
    for reader in [0, 2] {
        let home = &network.parties[reader];
        assert_eq!(texts(home, &hub, &channel).len(), 3);
        assert_eq!(home.replica.unread_channels(&hub).unwrap()[0].messages, 3, "{reader}");
    }
}
