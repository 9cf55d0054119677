//! One arena for a process that stays.
//!
//! The allocator of glibc gives each thread an arena, and an arena gives nothing back as long as
//! something at its end lives. A node has a thread for each core and more for what blocks: most of
//! what it seemed to need were holes. The setting is read when a process starts, so the program
//! runs itself once more, as the same process.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn settle() {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    const ARENAS: &str = "MALLOC_ARENA_MAX";
    let mut args = std::env::args_os();
    let (Some(name), Ok(program)) = (args.next(), std::env::current_exe()) else { return };
    if std::env::var_os(ARENAS).is_none() {
        // Returns only if it failed; a node with holes serves as well.
        let _ = Command::new(program).arg0(name).args(args).env(ARENAS, "1").exec();
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn settle() {}
