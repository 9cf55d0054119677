//! What is asked for again under the same key is not written again.

use mosaic_engine::replica::{EngineError, ONCE_KEY_BYTES_MAX, ONCE_KEYS_MAX, Once};

use super::{NOW, draft, person};

fn key(key: &str) -> Once {
    Once::new(key, b"same").unwrap()
}

#[test]
fn one_key_is_one_post_comment_or_repost() {
    let (ada, account) = person(1, "ada");
    let first = ada.post_once(Some(&key("a")), draft("x"), None, NOW).unwrap();
    assert_eq!(ada.written_once(&key("a")).unwrap(), Some(first));
    assert_eq!(ada.written_once(&key("b")).unwrap(), None);
    assert_eq!(ada.post_once(Some(&key("a")), draft("x"), None, NOW + 1).unwrap(), first);
    let other = ada.post_once(Some(&key("b")), draft("x"), None, NOW + 2).unwrap();
    assert_ne!(other, first);
    for _ in 0..3 {
        ada.reply_once(Some(&key("c")), first, draft("y"), NOW + 3).unwrap();
        ada.repost(Some(&key("d")), first, NOW + 4).unwrap();
    }
    assert_eq!(ada.replies(&first, false, false).unwrap().len(), 1);
    assert_eq!(ada.wall(&account, None, 100).unwrap().len(), 3);
}

#[test]
fn a_key_does_not_stand_for_something_else() {
    let (ada, _) = person(1, "ada");
    let first = ada.post_once(Some(&key("a")), draft("x"), None, NOW).unwrap();
    let other = Once::new("a", b"other").unwrap();
    let refused = ada.post_once(Some(&other), draft("y"), None, NOW).unwrap_err();
    assert!(matches!(refused, EngineError::KeyUsed { entry, .. } if entry == first), "{refused}");
    assert!(ada.written_once(&other).is_err());
    assert!(Once::new("", b"").is_err());
    assert!(Once::new(&"k".repeat(ONCE_KEY_BYTES_MAX), b"").is_ok());
    assert!(Once::new(&"k".repeat(ONCE_KEY_BYTES_MAX + 1), b"").is_err());
}

#[test]
fn those_who_ask_at_once_get_one_post() {
    let (ada, account) = person(1, "ada");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let ada = &ada;
            scope.spawn(move || {
                for key in ["a", "b", "c"] {
                    let once = Once::new(key, key.as_bytes()).unwrap();
                    ada.post_once(Some(&once), draft(key), None, NOW + n).unwrap();
                    ada.post(draft("other"), None, NOW + n).unwrap();
                }
            });
        }
    });
    assert_eq!(ada.wall(&account, None, 100).unwrap().len(), 3 + 8 * 3);
}

#[test]
fn the_oldest_keys_make_room() {
    let (ada, _) = person(1, "ada");
    let first = ada.post_once(Some(&key("first")), draft("x"), None, NOW).unwrap();
    for n in 1..ONCE_KEYS_MAX {
        let once = key(&n.to_string());
        ada.repost(Some(&once), first, NOW + n).unwrap();
    }
    assert_eq!(ada.written_once(&key("first")).unwrap(), Some(first));
    ada.repost(Some(&key("one more")), first, NOW).unwrap();
    assert_eq!(ada.written_once(&key("first")).unwrap(), None);
    assert!(ada.written_once(&key("1")).unwrap().is_some());
}
