//! Tells the program which commit it is built of, where git knows. A package without a repository
//! says it with `MOSAIC_COMMIT` in the environment of the build, or not at all.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=MOSAIC_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    // One of these changes with each commit and each checkout.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name]);
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let told = std::env::var_os("MOSAIC_COMMIT").is_some();
    // A folder that only lies in somebody else's repository is not of its commit.
    let ours = git(&["ls-files", "--error-unmatch", "build.rs"]).is_some();
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]).filter(|_| ours && !told) {
        println!("cargo::rustc-env=MOSAIC_COMMIT={commit}");
    }
}

/// Asks git; `None` if there is none, or it does not know.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
