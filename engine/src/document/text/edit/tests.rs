use proptest::prelude::*;

use super::*;

fn elements(text: &str) -> Vec<Element> {
    let actor = Actor::from_bytes([1; 16]);
    let id = |counter| OperationId { counter, actor };
    (2..)
        .zip(text.chars())
        .map(|(n, character)| Element { object: id(1), id: id(n), character })
        .collect()
}

fn apply(text: &str, hunks: &[Hunk]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for hunk in hunks.iter().rev() {
        chars.splice(hunk.deleted.clone(), hunk.inserted.iter().copied());
    }
    chars.into_iter().collect()
}

fn cost(hunks: &[Hunk]) -> usize {
    hunks.iter().map(|hunk| hunk.deleted.len() + hunk.inserted.len()).sum()
}

fn difference(old: &str, new: &str) -> Vec<Hunk> {
    diff(&elements(old), &new.chars().collect::<Vec<_>>())
}

/// Fewest insertions and deletions, by the table of the textbook.
fn fewest(old: &str, new: &str) -> usize {
    let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let mut common = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in 0..old.len() {
        for j in 0..new.len() {
            common[i + 1][j + 1] = if old[i] == new[j] {
                common[i][j] + 1
            } else {
                common[i][j + 1].max(common[i + 1][j])
            };
        }
    }
    old.len() + new.len() - 2 * common[old.len()][new.len()]
}

#[test]
fn a_word_in_a_long_text_costs_a_word() {
    let lines: Vec<String> = (0..2000).map(|n| format!("line {n} of a long text")).collect();
    let old = lines.join("\n");
    let new = old.replace("line 777 of", "line 777 in the middle of").replace("line 9 of a ", "");
    let hunks = difference(&old, &new);
    assert_eq!(apply(&old, &hunks), new);
    assert!(cost(&hunks) <= 40, "{}", cost(&hunks));
    // Long lines that differ are replaced as a whole, and cost no more than that.
    let (a, b) = ("a".repeat(10_000), "b".repeat(10_000));
    assert_eq!(cost(&difference(&a, &b)), 20_000);
}

#[test]
fn splices_beyond_the_text_are_refused() {
    let splice = |at, deleted| Splice { at, deleted, inserted: "x".into() };
    assert!(compose(3, &[splice(3, 0)]).is_some());
    assert!(compose(3, &[splice(4, 0)]).is_none());
    assert!(compose(3, &[splice(2, 2)]).is_none());
    assert!(compose(3, &[splice(3, 0), splice(4, 0)]).is_some());
    assert_eq!(compose(0, &[]), Some(vec![]));
}

proptest! {
    #[test]
    fn a_difference_leads_there_by_the_fewest_steps(old in "[abc\n]{0,40}", new in "[abcé\n]{0,40}") {
        let hunks = difference(&old, &new);
        prop_assert_eq!(apply(&old, &hunks), new.clone());
        prop_assert_eq!(cost(&hunks), fewest(&old, &new));
    }

    #[test]
    fn long_texts_are_compared_by_lines(
        old in prop::collection::vec("[ab]{0,60}\n", 0..200),
        new in prop::collection::vec("[ab]{0,60}\n", 0..200),
    ) {
        let (old, new) = (old.concat(), new.concat());
        prop_assert_eq!(apply(&old, &difference(&old, &new)), new);
    }

    #[test]
    fn splices_come_to_what_they_do_one_by_one(
        text in "[a-z]{0,20}",
        steps in prop::collection::vec((0usize..30, 0usize..10, "[A-Z]{0,5}"), 0..12),
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        let mut splices = Vec::new();
        for (at, deleted, inserted) in steps {
            let at = at.min(chars.len());
            let deleted = deleted.min(chars.len() - at);
            chars.splice(at..at + deleted, inserted.chars());
            splices.push(Splice { at, deleted, inserted });
        }
        let hunks = compose(text.chars().count(), &splices).unwrap();
        prop_assert_eq!(apply(&text, &hunks), chars.into_iter().collect::<String>());
        prop_assert!(hunks.iter().all(|hunk| !hunk.deleted.is_empty() || !hunk.inserted.is_empty()));
        prop_assert!(hunks.windows(2).all(|pair| pair[0].deleted.end < pair[1].deleted.start));
    }
}
