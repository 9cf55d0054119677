//! The README is true: every command in it is run, in order, by one shell in an empty home,
//! and prints what stands there.
//!
//! In a `console` block a line `$ command` is run (`> ` goes on with it), the lines after it
//! are what it prints on both streams, and `? 13` is the exit code where it is not 0. `[..]`
//! stands for anything within a line, a line `...` for any lines.

use std::path::Path;
use std::process::{Command, Stdio};

use mosaic_tests::binary::{binary, workspace};

/// A command of the README and what it says about it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    line: usize,
    command: String,
    output: Vec<String>,
    code: i32,
}

const MARK: &str = "-- step done, exit code";

#[test]
fn the_readme_tells_the_truth() {
    let text = std::fs::read_to_string(workspace().join("README.md")).expect("README.md");
    let steps = steps(&text);
    assert!(!steps.is_empty(), "README.md has no console block");
    let home = tempfile::tempdir().expect("a folder");
    let transcript = run(&steps, home.path());
    let mut answers = transcript.lines();
    for step in &steps {
        let mut printed: Vec<&str> = Vec::new();
        let code = loop {
            let line = answers.next().unwrap_or_else(|| {
                panic!("README.md:{}: `{}` never ended:\n{transcript}", step.line, step.command)
            });
            if let Some(code) = line.strip_prefix(MARK) {
                break code.trim().parse::<i32>().expect("an exit code");
            }
            printed.push(line);
        };
        let wanted: Vec<&str> = step.output.iter().map(String::as_str).collect();
        assert!(
            code == step.code && lines_fit(&wanted, &printed),
            "README.md:{}: $ {}\nexit code {code}, README {}\n--- printed\n{}\n--- README\n{}\n",
            step.line,
            step.command,
            step.code,
            printed.join("\n"),
            wanted.join("\n"),
        );
    }
}

#[test]
fn every_command_stands_in_a_console_block() {
    let text = std::fs::read_to_string(workspace().join("README.md")).expect("README.md");
    for (number, line) in text.lines().enumerate() {
        let untested = ["```sh", "```bash", "```shell", "```console "];
        assert!(
            !untested.iter().any(|fence| line.trim_start().starts_with(fence)),
            "README.md:{}: a block that no test runs",
            number + 1
        );
    }
}

/// Reads the steps of all console blocks, in order.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            let line = number + 1;
            steps.push(Step { line, command: command.to_owned(), ..Step::default() });
        } else if let (true, Some(step)) = (inside, steps.last_mut()) {
            if let Some(more) = line.strip_prefix("> ") {
                step.command.push('\n');
                step.command.push_str(more);
            } else if let Some(code) = line.strip_prefix("? ") {
                step.code = code.trim().parse().expect("an exit code after `? `");
            } else {
                step.output.push(line.to_owned());
            }
        }
    }
    for step in &mut steps {
        while step.output.last().is_some_and(|line| line.trim().is_empty()) {
            step.output.pop();
        }
    }
    steps
}

/// Runs all steps in one shell on a terminal of 100 columns, so that variables and the folder
/// carry over and everything looks as a person sees it. Returns what they printed, with a
/// mark after each.
fn run(steps: &[Step], home: &Path) -> String {
    let script = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(script.path(), shell_script(steps)).expect("a written script");
    let path = std::env::var("PATH").expect("PATH");
    let bin = binary().parent().expect("the folder of the binary").display();
    let out = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("bash {}", script.path().display()))
        .arg("/dev/null")
        .current_dir(home)
        .env_clear()
        .envs([("HOME", home.display().to_string()), ("PATH", format!("{bin}:{path}"))])
        .envs([("LANG", "C.UTF-8"), ("TZ", "UTC"), ("NO_COLOR", "1"), ("TERM", "xterm")])
        // A pager draws on the terminal, each in its own way.
        .envs([("MOSAIC_NO_INPUT", "1"), ("PAGER", "cat")])
        .stdin(Stdio::null())
        .output()
        .expect("script, of util-linux, starts");
    String::from_utf8_lossy(&out.stdout).replace("\r\n", "\n")
}

fn shell_script(steps: &[Step]) -> String {
    // `cargo run --release -- x` is `mosaic x` of the profile under test. Every node that
    // was started is stopped on the way out, whatever happened before.
    let mut script = String::from(
        "stty cols 100\n\
         cargo() { while [ \"$1\" != -- ]; do shift; done; shift; mosaic \"$@\"; }\n\
         trap 'for home in \"$HOME\"/*/; do \
               MOSAIC_HOME=\"$home\" mosaic node stop >/dev/null 2>&1; done' EXIT\n",
    );
    for step in steps {
        script.push_str(&format!("{}\nprintf '\\n{MARK} %d\\n' $?\n", step.command));
    }
    script
}

/// Whether printed lines fit the README's. Blank lines at the end do not count.
fn lines_fit(wanted: &[&str], printed: &[&str]) -> bool {
    match wanted.split_first() {
        None => printed.iter().all(|line| line.trim().is_empty()),
        Some((&"...", rest)) => {
            (0..=printed.len()).any(|skipped| lines_fit(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, tail)| line_fits(first, line) && lines_fit(rest, tail)),
    }
}

/// Whether one line fits one that may hold `[..]`.
fn line_fits(wanted: &str, line: &str) -> bool {
    let line = line.trim_end();
    let mut parts = wanted.trim_end().split("[..]");
    let first = parts.next().unwrap_or_default();
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return line == first };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn blocks_are_read_as_written() {
    let text = "```console\n$ a \\\n> b\none\n\n$ c\n? 13\n```\n```json\n$ no\n```\n";
    let first = Step { line: 2, command: "a \\\nb".into(), output: vec!["one".into()], code: 0 };
    let second = Step { line: 6, command: "c".into(), output: vec![], code: 13 };
    assert_eq!(steps(text), [first, second]);
}

#[test]
fn wildcards_stand_for_what_changes() {
    assert!(line_fits("id [..] in [..] ms", "id 3f in 20 ms"));
    assert!(!line_fits("id [..] ms", "id 3f in 20 s") && !line_fits("id", "id 3"));
    assert!(lines_fit(&["a", "...", "d"], &["a", "b", "c", "d", ""]));
    assert!(!lines_fit(&["a", "d"], &["a", "b", "d"]) && !lines_fit(&["a"], &[]));
}
