//! The example for those who embed the engine does what it says.
#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../examples/embed.rs"]
#[expect(clippy::print_stdout, clippy::expect_used, reason = "an example")]
mod embed;

#[test]
fn the_example_runs() {
    embed::main().unwrap();
}
