//! `node install` and `node uninstall`: the unit with which systemd runs the node.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use etcetera::BaseStrategy;
use mosaic_node::api::types::{ErrorKind, ErrorRecord};

use crate::context::Context;
use crate::error::Failure;
use crate::paths;

/// First line of a unit that is ours to replace and remove.
const MARK: &str = "# Written by mosaic node install.";
const NAME: &str = "mosaic.service";
/// Trying again does not make a passphrase right.
const WRONG_PASSPHRASE: u8 = ErrorKind::WrongPassphrase.code();

#[derive(Debug, Args)]
pub(crate) struct Install {
    /// For the whole machine instead of your own session
    #[arg(long)]
    system: bool,
    /// User that a unit for the whole machine runs as
    #[arg(long, value_name = "NAME", default_value = "mosaic", requires = "system")]
    user: String,
    /// Print the unit and write nothing
    #[arg(long)]
    print: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    /// The one for the whole machine instead of your own session
    #[arg(long)]
    system: bool,
}

impl Install {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.user.is_empty() || !self.user.chars().all(plain) {
            let message = format!("'{}' is no name of a user", self.user);
            return Err(Failure::usage(message, "mosaic node install --system --user mosaic"));
        }
        let unit = self.unit(context)?;
        if self.print && !context.output.is_json() {
            return context.output.bytes(unit.as_bytes());
        }
        if self.print {
            return context.output.object("unit", &[("text", unit.trim_end())]);
        }
        let path = unit_path(self.system)?;
        refuse_foreign(&path)?;
        let failed = |error: io::Error| cannot("write", &path, &error);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
        fs::write(&path, unit).map_err(failed)?;
        let user = if self.system { "" } else { " --user" };
        context.output.talk(&format!(
            "Start it now and always: systemctl{user} daemon-reload && \
             systemctl{user} enable --now {NAME}"
        ));
        context.output.object("unit_path", &[("path", &path.display().to_string())])
    }

    fn unit(&self, context: &Context<'_>) -> Result<String, Failure> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::new(ErrorKind::Error, format!("cannot find this program: {error}"))
        })?;
        let program = quoted(&program);
        let (passphrase, credential) = credential(context)?;
        let (unit, home, wanted) = if self.system {
            let unit = "Wants=network-online.target\nAfter=network-online.target\n";
            let home = format!(
                "User={}\nStateDirectory=mosaic\nStateDirectoryMode=0700\n\
                 Environment=MOSAIC_HOME=%S/mosaic/home MOSAIC_STATE=%S/mosaic/state\n\
                 ProtectHome=yes\nPrivateDevices=yes\nProtectClock=yes\nProtectControlGroups=yes\n\
                 ProtectKernelLogs=yes\nProtectKernelModules=yes\nProtectKernelTunables=yes\n\
                 ProtectProc=invisible\nCapabilityBoundingSet=\n",
                self.user
            );
            (unit, home, "multi-user.target")
        } else {
            let (home, state) = (quoted(&context.paths.home), quoted(&context.paths.state));
            let base = context.paths.state.parent().unwrap_or(Path::new("/"));
            let home = format!(
                "Environment={} {}\nReadWritePaths=-{home} -{state}\n",
                assigned("MOSAIC_HOME", &context.paths.home),
                assigned("MOSAIC_STATE", base)
            );
            ("", home, "default.target")
        };
        Ok(format!(
            "{MARK}\n[Unit]\nDescription=Mosaic node\nDocumentation=man:mosaic-node-run(1)\n{unit}\n\
             [Service]\nType=notify\nExecStart={program} --no-input{passphrase} node run\n\
             ExecReload={program} node reload\nRestart=on-failure\nRestartSec=2s\n\
             RestartPreventExitStatus={WRONG_PASSPHRASE}\n{credential}\
             WatchdogSec=60s\nTimeoutStopSec=15s\nUMask=0077\n{home}\
             NoNewPrivileges=yes\nProtectSystem=strict\nPrivateTmp=yes\n\
             MemoryDenyWriteExecute=yes\nLockPersonality=yes\nRestrictRealtime=yes\n\
             RestrictSUIDSGID=yes\nRestrictNamespaces=yes\nSystemCallArchitectures=native\n\
             RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n\n\
             [Install]\nWantedBy={wanted}\n"
        ))
    }
}

impl Uninstall {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let path = unit_path(self.system)?;
        refuse_foreign(&path)?;
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                context.output.talk("There is no unit.");
                return Ok(());
            }
            Err(error) => return Err(cannot("remove", &path, &error)),
        }
        let user = if self.system { "" } else { " --user" };
        context.output.talk(&format!(
            "Removed. What still runs of it ends with: systemctl{user} disable --now {NAME}"
        ));
        context.output.object("unit_path", &[("path", &path.display().to_string())])
    }
}

/// How a unit comes to the passphrase: systemd reads the file and hands it over. Returns the flag
/// of the node and the line of the unit.
fn credential(context: &Context<'_>) -> Result<(&'static str, String), Failure> {
    let Some(path) = &context.globals.passphrase_file else { return Ok(("", String::new())) };
    let path = paths::absolute(path)?.display().to_string();
    if path.ends_with("/-") || path.contains('\n') {
        let message = "a unit reads the passphrase from a file, with a path in one line";
        return Err(Failure::usage(message, "mosaic --passphrase-file FILE node install"));
    }
    let line = format!("LoadCredential=passphrase:{}\n", path.replace('%', "%%"));
    Ok((" --passphrase-file ${CREDENTIALS_DIRECTORY}/passphrase", line))
}

fn unit_path(system: bool) -> Result<PathBuf, Failure> {
    if system {
        return Ok(Path::new("/etc/systemd/system").join(NAME));
    }
    let strategy = etcetera::choose_base_strategy().map_err(|error| {
        let message = format!("cannot find your configuration folder: {error}");
        Failure::usage(message, "mosaic node install --print")
    })?;
    Ok(strategy.config_dir().join("systemd/user").join(NAME))
}

fn refuse_foreign(path: &Path) -> Result<(), Failure> {
    match fs::read_to_string(path) {
        Ok(text) if !text.starts_with(MARK) => {
            let message = format!("{} was not written by mosaic", path.display());
            Err(ErrorRecord::new(ErrorKind::Conflict, message)
                .with_hint("mosaic node install --print")
                .into())
        }
        _ => Ok(()),
    }
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Error,
    };
    let message = format!("cannot {verb} {}: {error}", path.display());
    ErrorRecord::new(kind, message).with_hint("mosaic node install --print").into()
}

/// Writes a path so that systemd reads one word, without its specifiers and variables.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", escaped(path).replace('$', "$$"))
}

/// Writes an assignment of `Environment=`, where a dollar means nothing.
fn assigned(name: &str, path: &Path) -> String {
    format!("\"{name}={}\"", escaped(path))
}

fn escaped(path: &Path) -> String {
    let text = path.display().to_string();
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('\n', "\\n")
}
