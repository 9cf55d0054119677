//! The short code that two people compare by eye.

/// Words that are told apart over a bad line. A power of two, so that no word is likelier.
const WORDS: [&str; 128] = [
    "acorn", "amber", "anchor", "apple", "arrow", "autumn", "badger", "bamboo", "basil", "beacon",
    "beaver", "birch", "bison", "blossom", "bramble", "breeze", "bridge", "bronze", "butter",
    "cactus", "camel", "candle", "canyon", "carrot", "castle", "cedar", "cherry", "chestnut",
    "cider", "cinder", "clover", "cobalt", "comet", "copper", "coral", "cotton", "coyote",
    "cricket", "crystal", "dahlia", "desert", "dolphin", "donkey", "dragon", "eagle", "ember",
    "falcon", "feather", "fennel", "ferry", "fiddle", "flint", "forest", "fossil", "garden",
    "garlic", "ginger", "glacier", "granite", "hammer", "harbor", "harvest", "hazel", "heron",
    "honey", "island", "ivory", "jacket", "jasmine", "juniper", "kettle", "kitten", "lagoon",
    "lantern", "lemon", "lilac", "lizard", "lobster", "magnet", "mango", "maple", "marble",
    "meadow", "melon", "mirror", "monkey", "mountain", "mustard", "nectar", "needle", "nickel",
    "nutmeg", "ocean", "olive", "onion", "orchid", "otter", "oyster", "paddle", "panda", "paper",
    "parrot", "pebble", "pepper", "pigeon", "planet", "pocket", "pumpkin", "quartz", "rabbit",
    "raven", "ribbon", "river", "rocket", "saddle", "salmon", "silver", "spider", "sunset",
    "tiger", "timber", "tulip", "turtle", "velvet", "violet", "walnut", "willow", "zebra",
];

/// Makes `word-word-NN` from the start of a hash.
pub(super) fn short_code(hash: &[u8; 32]) -> String {
    let [first, second, high, low, ..] = *hash;
    let number = u16::from_be_bytes([high, low]) % 100;
    format!("{}-{}-{number:02}", word(first), word(second))
}

fn word(byte: u8) -> &'static str {
    WORDS.get(usize::from(byte) % WORDS.len()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct_and_codes_stable() {
        let mut sorted = WORDS.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), WORDS.len());
        assert_eq!(short_code(&[0; 32]), "acorn-acorn-00");
        assert_eq!(short_code(&[255; 32]), "zebra-zebra-35");
    }
}
