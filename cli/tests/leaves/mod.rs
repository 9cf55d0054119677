//! The words of every command.

use crate::common::run;

/// Returns the words of every leaf command, as the help names them.
pub fn leaves(home: &std::path::Path, path: &[String]) -> Vec<Vec<String>> {
    let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
    args.push("--help");
    let output = run(home, &args);
    assert!(output.status.success(), "{args:?}");
    let help = String::from_utf8(output.stdout).expect("help is text");
    let names = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        // What a description runs on to is indented more.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    let mut found = Vec::new();
    for name in names {
        let path: Vec<String> = path.iter().cloned().chain([name.to_owned()]).collect();
        found.extend(leaves(home, &path));
    }
    if found.is_empty() { vec![path.to_vec()] } else { found }
}
