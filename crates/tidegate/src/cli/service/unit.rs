//! The unit of systemd: its place, its words, and how much of the machine it shuts out.
//! Must never let systemd end what the server has started: applications outlive every server.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::config_home;
use crate::api::principal::user_name;
use crate::durable;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::state_dir::StateDir;

/// The name of the unit.
pub(super) const NAME: &str = "tidegate.service";
/// Where units of the machine are kept.
const SYSTEM: &str = "/etc/systemd/system";

/// Ends that would be the same the next time, see `docs/reference/exit-codes.md`.
const FINAL: &str = "2 3 4 6";

/// What any systemd can shut out by itself.
const HARDENED: &str = "\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
UMask=0077
";

/// What only the machine's own can. Applications inherit all of it, so it leaves them their files
/// and their sockets.
const HARDENED_SYSTEM: &str = "\
ProtectSystem=full
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
AmbientCapabilities=CAP_NET_BIND_SERVICE
";

/// Whose systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// That of the user.
    User,
    /// That of the machine.
    System,
}

/// A unit as it would be written.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) file: PathBuf,
    pub(super) text: String,
}

/// Where the unit is.
///
/// # Errors
/// TG9206 when there is no home to keep it in.
pub(super) fn file(scope: Scope) -> Result<PathBuf, Failure> {
    let directory = match scope {
        Scope::System => Some(PathBuf::from(SYSTEM)),
        Scope::User => config_home().map(|home| home.join("systemd/user")),
    };
    let directory = directory.ok_or_else(|| {
        Failure::new(Exit::Unexpected, "TG9206", "no place for the unit: HOME is not set")
            .safe("nothing was changed")
            .help("set HOME, or use `--system`")
    })?;
    Ok(directory.join(NAME))
}

impl Unit {
    /// The unit of a state directory.
    ///
    /// # Errors
    /// [`Failure`] when this program or the place of the unit cannot be named.
    pub(super) fn of(dir: &StateDir, scope: Scope) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(Failure::local)?;
        let owner = fs::metadata(dir.path())
            .map_or_else(|_missing| rustix::process::geteuid().as_raw(), |found| found.uid());
        let user = (scope == Scope::System).then(|| user_name(owner));
        let text = words(&program, dir.path(), user.as_deref())?;
        Ok(Self { file: file(scope)?, text })
    }

    /// Puts it in its place at once, or not at all.
    pub(super) fn write(&self) -> io::Result<()> {
        self.file.parent().map_or(Ok(()), fs::create_dir_all)?;
        durable::replace(&self.file, self.text.as_bytes())
    }
}

fn words(program: &Path, state_dir: &Path, user: Option<&str>) -> Result<String, Failure> {
    let (program, state) = (quoted(program)?, quoted(state_dir)?);
    let (user_line, hardened, wanted_by) = match user {
        Some(user) => (format!("User={user}\n"), HARDENED_SYSTEM, "multi-user.target"),
        None => (String::new(), "", "default.target"),
    };
    Ok(format!(
        "[Unit]\n\
         Description=Tidegate: releases from their tag to watched production\n\
         Documentation=man:tidegate(1)\n\
         After=network-online.target\n\
         Wants=network-online.target\n\n\
         [Service]\n\
         Type=notify\n\
         {user_line}\
         ExecStart={program} server run --state-dir {state}\n\
         # Applications, their shims and the proxy outlive the server.\n\
         KillMode=process\n\
         Restart=on-failure\n\
         RestartSec=1s\n\
         RestartPreventExitStatus={FINAL}\n\
         TimeoutStopSec=30s\n\
         LimitNOFILE=65536\n\
         {HARDENED}{hardened}\n\
         [Install]\n\
         WantedBy={wanted_by}\n"
    ))
}

/// A path as systemd reads it: in quotes, its own marks doubled.
fn quoted(path: &Path) -> Result<String, Failure> {
    let plain = path.to_str().filter(|path| !path.chars().any(char::is_control));
    let plain = plain.ok_or_else(|| {
        let what = format!("{} cannot stand in a unit", path.display());
        Failure::new(Exit::Usage, "TG9206", what)
            .safe("nothing was changed")
            .help("choose a path of ordinary characters")
    })?;
    let escaped = plain.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    Ok(format!("\"{}\"", escaped.replace('$', "$$")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_leaves_applications_alone_and_quotes_what_it_is_given() {
        let (program, state) = (Path::new("/opt/a b/tidegate"), Path::new("/var/lib/100%$x"));
        let text = words(program, state, Some("deploy")).unwrap();
        let line = |wanted: &str| text.lines().any(|line| line == wanted);
        assert!(line("KillMode=process"), "{text}");
        assert!(line("User=deploy") && line("WantedBy=multi-user.target"), "{text}");
        let start = "ExecStart=\"/opt/a b/tidegate\" server run --state-dir \"/var/lib/100%%$$x\"";
        assert!(line(start), "{text}");
        assert!(line("NoNewPrivileges=yes") && line("ProtectSystem=full"), "{text}");
        let own = words(program, state, None).unwrap();
        assert!(!own.contains("User=") && !own.contains("ProtectSystem"), "{own}");
        assert!(own.ends_with("WantedBy=default.target\n"), "{own}");
        assert!(words(Path::new("/a\nExecStart=/bin/sh"), state, None).is_err());
    }
}
