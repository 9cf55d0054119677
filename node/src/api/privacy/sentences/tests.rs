//! Whether each sentence has a test, and everything a sentence.

use super::*;

const KINDS: [Kind; 17] = [
    Kind::Post,
    Kind::Hub,
    Kind::Message,
    Kind::PrivateChannel,
    Kind::PrivateMessage,
    Kind::PrivateHub,
    Kind::PrivateHubMessage,
    Kind::Report,
    Kind::PrivateReport,
    Kind::LimitedPost,
    Kind::Audience,
    Kind::DirectMessage,
    Kind::Conversation,
    Kind::Draft,
    Kind::Follow,
    Kind::List,
    Kind::Account,
];

/// The names of all tests of sentences.
fn tests_of_sentences() -> String {
    let files = [
        "engine/src/sync/tests/claims/channels.rs",
        "engine/src/sync/tests/claims/open.rs",
        "engine/src/sync/tests/claims/own.rs",
        "engine/src/sync/tests/claims/reports.rs",
        "engine/src/sync/tests/claims/sealed.rs",
        "tests/tests/canary.rs",
    ];
    let read = |file| std::fs::read_to_string(format!("{}/../{file}", env!("CARGO_MANIFEST_DIR")));
    files.map(|file| read(file).unwrap()).concat()
}

#[test]
fn every_sentence_has_a_test_and_every_test_a_sentence() {
    let tests = tests_of_sentences();
    let named: Vec<&str> = SENTENCES.iter().map(|sentence| sentence.name).collect();
    let named = [&named[..], &[HAS_THE_KEY, NEXT_KEY, SHOWED_IT]].concat();
    for name in &named {
        assert!(tests.contains(&format!("fn claim_{name}()")), "no test of {name}");
    }
    for part in tests.split("fn claim_").skip(1) {
        let name = part.split('(').next().unwrap();
        assert!(named.contains(&name), "no sentence says {name}");
    }
}

#[test]
fn something_is_said_of_everything() {
    for kind in KINDS {
        for about in ABOUT.into_iter().filter(|about| *about != "now") {
            let said = SENTENCES.iter().any(|s| s.about == about && s.kinds.contains(&kind));
            assert!(said, "{kind:?} {about}");
        }
    }
    assert!(SENTENCES.iter().all(|sentence| ABOUT.contains(&sentence.about)));
}
