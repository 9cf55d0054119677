//! The example for those who embed the engine does what it says.

#[path = "../examples/embed.rs"]
mod embed;

#[test]
fn the_example_runs() {
    embed::main().unwrap();
}
