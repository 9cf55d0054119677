//! Every sentence that `privacy explain` can say of what somebody asks about. A test of the engine,
//! or of whole nodes, is called `claim_` and its name, and fails when it is true no more.

/// What something is, as far as it matters to who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// On a wall, or an answer to what is.
    Post,
    /// A hub or one of its channels, open to everybody.
    Hub,
    /// A message in one.
    Message,
    /// A private channel of an open hub, or an operation about one.
    PrivateChannel,
    /// What stands in one.
    PrivateMessage,
    /// A private hub, one of its channels, or an operation of it.
    PrivateHub,
    /// What stands in one of its channels.
    PrivateHubMessage,
    /// A report to the moderators of an open hub.
    Report,
    /// The same in a private one.
    PrivateReport,
    /// A post to an audience.
    LimitedPost,
    /// All that is posted to one.
    Audience,
    /// A direct message.
    DirectMessage,
    /// All that is said with somebody, or in a group.
    Conversation,
    /// A post that is not made yet.
    Draft,
    /// Somebody in the list of those one follows.
    Follow,
    /// Somebody in a list of those one blocks or mutes.
    List,
    /// Wall and profile of somebody.
    Account,
}

impl Kind {
    /// Stable name for JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Hub => "hub",
            Self::Message => "message",
            Self::PrivateChannel => "private_channel",
            Self::PrivateMessage => "private_message",
            Self::PrivateHub => "private_hub",
            Self::PrivateHubMessage => "private_hub_message",
            Self::Report => "report",
            Self::PrivateReport => "private_report",
            Self::LimitedPost => "limited_post",
            Self::Audience => "audience",
            Self::DirectMessage => "direct_message",
            Self::Conversation => "conversation",
            Self::Draft => "draft",
            Self::Follow | Self::List => "list",
            Self::Account => "account",
        }
    }
}

/// One sentence.
#[derive(Debug)]
pub(super) struct Sentence {
    /// Of what it is said.
    pub(super) kinds: &'static [Kind],
    /// What it is about.
    pub(super) about: &'static str,
    /// Its stable name.
    pub(super) name: &'static str,
    /// The words.
    pub(super) text: &'static str,
}

/// What sentences are about, in the order in which they are said.
pub(super) const ABOUT: [&str; 8] =
    ["now", "reader", "holder", "holders_see", "readers_see", "strangers_see", "deleting", "thief"];

/// Name of the sentence about an account that was given the key of an entry.
pub(super) const HAS_THE_KEY: &str = "it_has_the_key";
/// Name of the sentence about an account that will be given the next key.
pub(super) const NEXT_KEY: &str = "it_gets_the_next_key";
/// Name of the sentence about a device that showed that it has something.
pub(super) const SHOWED_IT: &str = "it_showed_it";

const POST: &[Kind] = &[Kind::Post];
const HUB: &[Kind] = &[Kind::Hub, Kind::Message];
const PRIVATE_CHANNEL: &[Kind] = &[Kind::PrivateChannel, Kind::PrivateMessage];
const PRIVATE_HUB: &[Kind] = &[Kind::PrivateHub, Kind::PrivateHubMessage];
const PRIVATE: &[Kind] =
    &[Kind::PrivateChannel, Kind::PrivateMessage, Kind::PrivateHub, Kind::PrivateHubMessage];
const REPORT: &[Kind] = &[Kind::Report, Kind::PrivateReport];
const LIMITED: &[Kind] = &[Kind::LimitedPost, Kind::Audience];
const TALK: &[Kind] = &[Kind::DirectMessage, Kind::Conversation];
const SEALED: &[Kind] =
    &[Kind::LimitedPost, Kind::Audience, Kind::DirectMessage, Kind::Conversation];
const LISTS: &[Kind] = &[Kind::Follow, Kind::List];
const OWN: &[Kind] = &[Kind::Draft, Kind::Follow, Kind::List];
const CLOSED: &[Kind] = &[
    Kind::LimitedPost,
    Kind::Audience,
    Kind::DirectMessage,
    Kind::Conversation,
    Kind::Draft,
    Kind::Follow,
    Kind::List,
    Kind::Report,
    Kind::PrivateReport,
];
const ACCOUNT: &[Kind] = &[Kind::Account];

const fn say(
    kinds: &'static [Kind],
    about: &'static str,
    name: &'static str,
    text: &'static str,
) -> Sentence {
    Sentence { kinds, about, name, text }
}

const ALL_OPEN: &str =
    "all of it but private channels: names, text, files, times, account and device";
const DROPPED: &str = "its text was withdrawn or purged, or its time is over, and it was dropped here; what \
                       follows is true of those who have not heard of that, and of what is left";
const ALL: &str = "all of it: text, files, times, account and device";

/// All sentences but those about an account or a device that is named.
pub(super) const SENTENCES: &[Sentence] = &[
    // What is said of a text alone that was dropped.
    say(POST, "now", "deleted_posts_leave_a_place", DROPPED),
    say(&[Kind::Message], "now", "deleted_messages_leave_a_place", DROPPED),
    say(
        &[Kind::PrivateMessage, Kind::PrivateHubMessage],
        "now",
        "deleted_private_messages_leave_a_place",
        DROPPED,
    ),
    say(
        &[Kind::LimitedPost, Kind::DirectMessage],
        "now",
        "deleted_sealed_texts_are_dropped",
        DROPPED,
    ),
    // Who reads it.
    say(
        POST,
        "reader",
        "posts_are_for_all",
        "everybody who reaches a node that keeps it; nothing of it is sealed",
    ),
    say(
        &[Kind::Message],
        "reader",
        "hubs_are_for_all",
        "everybody who reaches a node that keeps the hub; nothing of it is sealed",
    ),
    say(
        &[Kind::Hub],
        "reader",
        "hubs_are_for_all",
        "everybody who reaches a node that keeps the hub; nothing of it is sealed but private channels",
    ),
    say(
        ACCOUNT,
        "reader",
        "accounts_show_devices_and_walls",
        "everybody who reaches a node that keeps it; what is private in it has sentences of its own",
    ),
    say(
        SEALED,
        "reader",
        "devices_linked_later_read_it",
        "devices that these accounts link later, too",
    ),
    say(
        PRIVATE,
        "reader",
        "devices_linked_later_read_channels",
        "devices that these accounts link later, too",
    ),
    say(
        PRIVATE,
        "reader",
        "newcomers_read_what_history_gives",
        "who becomes a reader later gets all names, topics and reasons that there ever were, and messages from \
         before if the channel gives all of its history",
    ),
    say(
        REPORT,
        "reader",
        "reports_are_for_moderators",
        "devices that were known of those who could hide messages there when it was written, but for \
         whom it is about, and the device that wrote it; nobody who comes later",
    ),
    say(
        OWN,
        "reader",
        "own_devices_and_words_open_it",
        "your devices that you have not revoked, and whoever has your recovery words and reaches a \
         node that keeps it",
    ),
    // Who has it.
    say(
        POST,
        "holder",
        "followers_keep_posts",
        "devices that follow the account whose wall it is on, and nodes that keep that account",
    ),
    say(HUB, "holder", "members_keep_hubs", "devices that joined the hub, and nodes that serve it"),
    say(
        &[Kind::Report],
        "holder",
        "members_keep_hubs",
        "devices that joined the hub, and nodes that serve it",
    ),
    say(
        &[Kind::PrivateReport],
        "holder",
        "members_keep_private_hubs",
        "devices of its members, and of who shows an open invitation, who gets its log; nobody else",
    ),
    say(
        PRIVATE_CHANNEL,
        "holder",
        "members_keep_hubs",
        "devices that joined the hub, and nodes that serve it",
    ),
    say(
        PRIVATE_HUB,
        "holder",
        "members_keep_private_hubs",
        "devices of its members, and of who shows an open invitation, who gets its log; nobody else",
    ),
    say(
        ACCOUNT,
        "holder",
        "followers_keep_posts",
        "devices that follow it, and nodes that keep it; those who keep somebody it talks with may \
         have the list of its devices",
    ),
    say(
        LIMITED,
        "holder",
        "carriers_keep_what_is_sealed",
        "their devices, and nodes that follow its author, or keep one of them whole (`sub add`), and that \
         one of them lets keep what is private: by naming them (`node connect`, `sync --peer`, `hub join`, \
         `device link`, `identity recover`), until `node forget`",
    ),
    say(
        TALK,
        "holder",
        "carriers_keep_what_is_sealed",
        "their devices, and nodes that keep one of them whole (`sub add`) and that one of them lets keep what \
         is private: by naming them (`node connect`, `sync --peer`, `hub join`, `device link`, `identity \
         recover`), until `node forget`; of a group what its founder wrote, also where one of them who is \
         followed tells of it",
    ),
    say(
        OWN,
        "holder",
        "keepers_keep_private_maps",
        "your devices, and nodes that keep your account whole (`sub add`) and that you let keep what is private: by \
         naming them (`node connect`, `sync --peer`, `hub join`, `device link`, `identity recover`), until \
         `node forget`",
    ),
    // What those see who have it and cannot read it.
    say(POST, "holders_see", "posts_are_for_all", ALL),
    say(&[Kind::Message], "holders_see", "hubs_are_for_all", ALL),
    say(&[Kind::Hub], "holders_see", "hubs_are_for_all", ALL_OPEN),
    say(
        PRIVATE_CHANNEL,
        "holders_see",
        "keepers_see_who_and_when_in_channels",
        "who reads it, who writes there, when and by which device, what answers what, who reacts to what, \
         in which of few sizes each text falls, with whom it mentions, and why moderators hid or purged a \
         message; not the text, not the emoji, not who is mentioned, not what the channel is called",
    ),
    say(
        REPORT,
        "holders_see",
        "reports_show_who_and_when",
        "who reports something, when, and for which devices; not whom or what, not why, not the text",
    ),
    say(
        PRIVATE_HUB,
        "holders_see",
        "keepers_see_who_and_when_in_channels",
        "of a channel that a member does not read he sees who reads it, who writes there, when and by \
         which device, what answers what, who reacts to what, and in which of few sizes each text falls, with \
         whom it mentions; not the text, not the emoji, not who is mentioned, not what it is called",
    ),
    say(
        ACCOUNT,
        "holders_see",
        "accounts_show_devices_and_walls",
        "its devices and their names, its profile, its wall",
    ),
    say(
        LIMITED,
        "holders_see",
        "carriers_see_who_when_and_sizes",
        "who can read it, which devices were given its keys, when and by which device something is \
         written, in which of few sizes each text falls, when it expires, and that one is withdrawn; \
         not the text, not what the audience is called",
    ),
    say(
        TALK,
        "holders_see",
        "carriers_see_who_when_and_sizes",
        "who takes part, which devices were given the keys, when and by which device something is \
         written, in which of few sizes each text falls, when it expires, and that one is withdrawn; \
         not the text, not the title",
    ),
    say(
        OWN,
        "holders_see",
        "keepers_see_sizes_of_private_maps",
        "how many sealed maps you have, how large their changes are and which device made them; \
         nothing of what is in them",
    ),
    // What those see who read it.
    say(POST, "readers_see", "posts_are_for_all", ALL),
    say(&[Kind::Message], "readers_see", "hubs_are_for_all", ALL),
    say(&[Kind::Hub], "readers_see", "hubs_are_for_all", ALL_OPEN),
    say(
        PRIVATE,
        "readers_see",
        "readers_of_channels_see_each_other",
        "besides the text who else reads it, and when and by which device each message was written",
    ),
    say(
        PRIVATE_HUB,
        "readers_see",
        "members_see_each_other",
        "who is in the hub, who may do what there, and what was done",
    ),
    say(
        REPORT,
        "readers_see",
        "reports_are_for_moderators",
        "who reports whom or what, and why, and a short text that was reported",
    ),
    say(
        ACCOUNT,
        "readers_see",
        "accounts_show_devices_and_walls",
        "its devices and their names, its profile, its wall",
    ),
    say(
        LIMITED,
        "readers_see",
        "readers_see_each_other",
        "besides the text who else reads it, and when and by which device each post was written",
    ),
    say(
        LIMITED,
        "readers_see",
        "readers_do_not_learn_its_name",
        "not what you call the audience: that your own devices alone know",
    ),
    say(
        TALK,
        "readers_see",
        "readers_see_each_other",
        "besides the text who else takes part, and when and by which device each message was written",
    ),
    say(
        OWN,
        "readers_see",
        "private_maps_keep_what_was",
        "all of it, and for who looks into the changes what was there before",
    ),
    // What everybody else sees.
    say(POST, "strangers_see", "posts_are_for_all", "all of it, if they ask a node that keeps it"),
    say(
        &[Kind::Message],
        "strangers_see",
        "hubs_are_for_all",
        "all of it, if they ask a node that keeps the hub",
    ),
    say(
        &[Kind::Hub],
        "strangers_see",
        "hubs_are_for_all",
        "all of it but private channels, if they ask a node that keeps the hub",
    ),
    say(
        PRIVATE_CHANNEL,
        "strangers_see",
        "keepers_see_who_and_when_in_channels",
        "what those see who keep the hub and cannot read it, if they ask one of them",
    ),
    say(
        PRIVATE_HUB,
        "strangers_see",
        "strangers_see_no_private_hub",
        "nothing that is given to them, not even that there is something",
    ),
    say(
        &[Kind::Report],
        "strangers_see",
        "reports_show_who_and_when",
        "what those see who keep the hub and cannot read it, if they ask one of them",
    ),
    say(
        &[Kind::PrivateReport],
        "strangers_see",
        "strangers_see_no_private_hub",
        "nothing that is given to them, not even that there is something",
    ),
    say(
        ACCOUNT,
        "strangers_see",
        "accounts_show_devices_and_walls",
        "the same, if they ask a node that keeps it",
    ),
    say(
        SEALED,
        "strangers_see",
        "strangers_see_nothing_sealed",
        "nothing that is given to them, not even that there is something",
    ),
    say(
        &[Kind::Draft],
        "strangers_see",
        "strangers_see_nothing_private",
        "nothing that is given to them",
    ),
    say(
        LISTS,
        "strangers_see",
        "strangers_see_nothing_private",
        "nothing that is given to them; who is in the list stands in nothing that they have",
    ),
    say(
        &[Kind::Follow],
        "strangers_see",
        "peers_learn_what_both_keep",
        "that you follow somebody shows to a node that keeps his wall, too, once you sync with it",
    ),
    // What deleting does.
    say(
        POST,
        "deleting",
        "deleted_posts_leave_a_place",
        "its text is dropped here at once, and by each honest node that hears of it; that there was \
         a post, when and by which device, stays",
    ),
    say(
        &[Kind::Message],
        "deleting",
        "deleted_messages_leave_a_place",
        "its text is dropped here at once, and by each honest node that hears of it; that there was \
         a message, when and by which device, stays",
    ),
    say(
        &[Kind::PrivateMessage, Kind::PrivateHubMessage],
        "deleting",
        "deleted_private_messages_leave_a_place",
        "its text is dropped here at once, and by each honest node that hears of it; that there was \
         a message, when, by which device and how large, stays",
    ),
    say(
        &[Kind::PrivateChannel, Kind::PrivateHub],
        "deleting",
        "deleted_private_messages_leave_a_place",
        "it is not deleted as a whole; its messages are, one by one",
    ),
    say(
        &[Kind::Hub],
        "deleting",
        "deleted_messages_leave_a_place",
        "a hub is not deleted; its messages are, one by one",
    ),
    say(
        REPORT,
        "deleting",
        "reports_stay",
        "it is not deleted; a short text that was reported stays with it, sealed, when its author \
         withdraws that",
    ),
    say(
        ACCOUNT,
        "deleting",
        "profiles_keep_what_was",
        "what a profile said before stays in the changes that everybody has who keeps it; posts are \
         deleted one by one",
    ),
    say(
        &[Kind::LimitedPost, Kind::DirectMessage],
        "deleting",
        "deleted_sealed_texts_are_dropped",
        "its text is dropped here at once, and by honest readers and carriers once they hear of it; \
         that something was written, when, by which device and how large, stays",
    ),
    say(
        SEALED,
        "deleting",
        "who_was_taken_out_keeps_what_is_deleted",
        "who was taken out of it, or left, before it is deleted does not hear of that and keeps what \
         he has",
    ),
    say(
        TALK,
        "deleting",
        "expired_texts_are_dropped",
        "a text with a time ('dm expire') is dropped by every honest node that has it once that is over \
         by its clock, and its key with the last text of the same day; that it was there stays, and what is \
         sealed beside it",
    ),
    say(
        &[Kind::Audience, Kind::Conversation],
        "deleting",
        "deleted_sealed_texts_are_dropped",
        "it is not deleted as a whole; what you wrote in it is, one by one",
    ),
    say(
        OWN,
        "deleting",
        "private_maps_keep_what_was",
        "your devices show it no more; the sealed changes in which it stood stay where they are, and \
         open for who has their key",
    ),
    // What somebody gets who has an unlocked device of yours.
    say(
        &[Kind::Post, Kind::Hub, Kind::Message, Kind::Account],
        "thief",
        "a_thief_writes_until_revoked",
        "what everybody reads anyway; he writes as you until you revoke the device, and what had not \
         reached you by then counts for nothing",
    ),
    say(
        CLOSED,
        "thief",
        "a_thief_reads_what_the_device_does",
        "all that the device could read; once it is revoked nothing that is written by who has heard \
         of that",
    ),
    say(
        PRIVATE,
        "thief",
        "a_thief_reads_channels_of_the_device",
        "all that the device could read; once it is revoked nothing that is written by who has heard \
         of that",
    ),
    say(
        PRIVATE,
        "thief",
        "a_passphrase_closes_what_is_sealed",
        "while the device is off and its keys are under a passphrase no text and no name; what those see who \
         keep it and cannot read it he sees",
    ),
    say(
        SEALED,
        "thief",
        "a_passphrase_closes_what_is_sealed",
        "while the device is off and its keys are under a passphrase no text, no title and no name of a \
         list; what those see who carry it he sees",
    ),
    say(
        &[Kind::Follow],
        "thief",
        "a_passphrase_closes_what_is_sealed",
        "while the device is off and its keys are under a passphrase not what you call people; that \
         somebody's wall is kept there he sees",
    ),
    say(
        &[Kind::List],
        "thief",
        "a_passphrase_closes_what_is_sealed",
        "while the device is off and its keys are under a passphrase not whom you block or mute, nor why; that \
         something of somebody is kept there he sees",
    ),
    say(
        &[Kind::Draft],
        "thief",
        "a_passphrase_closes_what_is_sealed",
        "nothing of it while the device is off and its keys are under a passphrase",
    ),
];

#[cfg(test)]
mod tests;
