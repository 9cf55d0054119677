//! The `mosaic` binary under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

/// Returns the freshly built `mosaic` of the profile that the tests run in; the file
/// named by `MOSAIC_BIN`, if it is set.
///
/// Cargo builds a binary before the tests of its own package only. Asking with the flags
/// of `cargo test --workspace` keeps the features, and with them every dependency, as they are.
///
/// # Panics
/// If it does not build.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("MOSAIC_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    // <target>/<profile>/deps/<test>
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.ancestors().nth(2).expect("the folder of the profile").to_path_buf();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace());
    // What Cargo tells a test about its package is part of what ring's build script watches:
    // with it, ring and everything above it would be built again, here and in the next command.
    for (name, _) in std::env::vars_os() {
        let known = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
        if known.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    cargo.args(["build", "--quiet", "--workspace", "--tests", "--bin", "mosaic"]);
    cargo.arg("--target-dir").arg(folder.parent().expect("the target folder"));
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo starts").success(), "mosaic does not build");
    folder.join(format!("mosaic{}", std::env::consts::EXE_SUFFIX))
}
