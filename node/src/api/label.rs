//! Names of files: labels that others read, and names on this machine made of labels of others.

use super::types::is_hidden;

/// Bytes of a name, in an entry and in most file systems.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of what is kept behind the last dot of a name that is cut.
const ENDING_BYTES_MAX: usize = 16;
/// Names that some systems take for devices.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Whether a character may stand in a name.
fn is_plain(c: char) -> bool {
    !matches!(c, '/' | '\\') && !is_hidden(c)
}

/// What is wrong with a name that somebody chose; `None` if it is fine.
pub(super) fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() || matches!(name, "." | "..") {
        Some("it is no name")
    } else if name.len() > NAME_BYTES_MAX {
        Some("it is longer than 255 bytes")
    } else if name.contains(['/', '\\']) {
        Some("it is a path")
    } else if !name.chars().all(is_plain) {
        Some("it has characters that do not show")
    } else {
        None
    }
}

/// The label of a file that is called so.
pub(super) fn label(file_name: &str) -> String {
    let plain: String = file_name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if plain.is_empty() { "file".to_owned() } else { cut(&plain) }
}

/// A name for a file that somebody else calls so: in the folder it is written to, shown there, and
/// no option of a command.
pub(super) fn file_name(label: &str) -> String {
    let plain: String = label
        .chars()
        .map(|c| if is_plain(c) && !r#"<>:"|?*"#.contains(c) { c } else { '_' })
        .collect();
    let plain = plain.trim_end_matches(['.', ' ']).trim_start();
    let stem = plain.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let is_device = DEVICES.contains(&stem.as_str())
        || numbered.is_some_and(|n| matches!(n.as_bytes(), [b'0'..=b'9']));
    if plain.is_empty() {
        "file".to_owned()
    } else if is_device || plain.starts_with(['.', '-', '~']) {
        cut(&format!("_{plain}"))
    } else {
        cut(plain)
    }
}

/// Cuts a name that is too long before its ending.
fn cut(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let ending = name.rfind('.').and_then(|at| name.get(at..)).unwrap_or_default();
    let ending = if ending.len() > ENDING_BYTES_MAX { "" } else { ending };
    let mut end = NAME_BYTES_MAX - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default().to_owned() + ending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_leaves_the_folder() {
        let table = [
            ("cat.png", "cat.png"),
            ("../../.ssh/authorized_keys", "_.._.._.ssh_authorized_keys"),
            ("/etc/passwd", "_etc_passwd"),
            ("..", "file"),
            (".", "file"),
            ("", "file"),
            (" \u{202e} ", "_"),
            (r"C:\Windows\x", "C__Windows_x"),
            ("a\0b\u{1b}[2Jc\r\n", "a_b_[2Jc__"),
            ("\u{202e}gnp.exe", "_gnp.exe"),
            ("-rf", "_-rf"),
            ("~", "_~"),
            (".bashrc", "_.bashrc"),
            ("CON", "_CON"),
            ("com1.txt", "_com1.txt"),
            ("come.txt", "come.txt"),
            ("trailing. . ", "trailing"),
            ("Zoë 👍.jpg", "Zoë 👍.jpg"),
        ];
        for (label, name) in table {
            assert_eq!(file_name(label), name, "{label:?}");
        }
        let long = format!("{}.jpeg", "ä".repeat(300));
        let (cut, kept) = (file_name(&long), label(&long));
        assert!(cut.len() <= 255 && cut.ends_with("ä.jpeg") && kept == cut);
        assert_eq!(file_name(&format!("a.{}", "b".repeat(300))).len(), 255);
    }

    #[test]
    fn labels_show_what_they_are() {
        assert_eq!(label("a\u{1b}]0;x\u{7}b"), "a_]0;x_b");
        assert_eq!(label(".hidden: yes?"), ".hidden: yes?");
        for (name, wrong) in [("a/b", true), ("a\\b", true), ("a\nb", true), ("..", true)] {
            assert_eq!(fault(name).is_some(), wrong, "{name:?}");
        }
        assert!(fault(&"x".repeat(256)).is_some() && fault(&"x".repeat(255)).is_none());
        assert_eq!(fault("a cat.png"), None);
    }
}
