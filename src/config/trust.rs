//! Trust in the files of settings: another user who can write one could put a token or an allow list of their own
//! into it.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::CliError;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// In a folder with this bit only a file's owner replaces it.
const STICKY: u32 = 0o1000;

/// Refuses a file of settings that another user than root could have written; also where it is a link, or lies behind one.
///
/// # Errors
/// Exit 78, with the command that repairs it.
pub(crate) fn check(path: &Path) -> Result<(), CliError> {
    let found = match path.metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(super::unreadable(path, error)),
    };
    let us = Us::now();
    let target = path.canonicalize().map_err(|error| super::unreadable(path, error))?;
    let is_linked = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    let shown = if is_linked {
        format!("{}, a link to {}", path.display(), target.display())
    } else {
        path.display().to_string()
    };
    if let Some(why) = us.doubt(&found) {
        return Err(refused(&shown, &why, &target, if found.is_dir() { "700" } else { "600" }));
    }
    // A user who can write the folder behind a link can replace the file in it. The home itself is judged elsewhere.
    let folder = target.parent().filter(|_| is_linked);
    if let Some(folder) = folder
        && let Ok(found) = folder.metadata()
        && let Some(why) = us.doubt(&found).filter(|_| found.mode() & STICKY == 0)
    {
        return Err(refused(&format!("{shown}: its folder"), &why, folder, "go-w"));
    }
    Ok(())
}

fn refused(shown: &str, why: &str, path: &Path, mode: &str) -> CliError {
    let path = path.display();
    CliError::config(format!("the settings cannot be trusted: {shown} {why}")).code("home_unsafe").hint(
        format!("Check its contents, then run `sudo chown \"$(id -un)\" {path} && chmod {mode} {path}`."),
    )
}

/// The identity of this process.
struct Us {
    user: u32,
    groups: Vec<u32>,
}

impl Us {
    fn now() -> Self {
        let mut groups = vec![rustix::process::getegid().as_raw()];
        groups
            .extend(rustix::process::getgroups().unwrap_or_default().into_iter().map(|group| group.as_raw()));
        Self { user: rustix::process::geteuid().as_raw(), groups }
    }

    /// Why another user could have written it, if one could.
    fn doubt(&self, found: &Metadata) -> Option<String> {
        if found.uid() != self.user && found.uid() != 0 {
            return Some(format!("belongs to another user (uid {})", found.uid()));
        }
        let mode = found.mode();
        if mode & OTHERS_WRITE != 0 {
            return Some(format!("can be written by every user of this machine (mode {:o})", mode & 0o7777));
        }
        // Our own group is a folder shared on purpose, or has no other member.
        let is_foreign = !self.groups.contains(&found.gid()) && found.gid() != 0;
        (mode & GROUP_WRITES != 0 && is_foreign).then(|| {
            format!("can be written by another group (gid {}, mode {:o})", found.gid(), mode & 0o7777)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::durable::write_atomic;
    use crate::error::ExitCode;

    #[test]
    fn settings_that_others_can_write_are_refused_also_behind_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        check(&path).unwrap();
        write_atomic(&path, b"X=y").unwrap();
        let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        for (mode, is_refused) in
            [(0o600, false), (0o644, false), (0o664, false), (0o666, true), (0o602, true)]
        {
            set(&path, mode);
            assert_eq!(check(&path).is_err(), is_refused, "{mode:o}");
        }
        let elsewhere = dir.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        let (link, real) = (dir.path().join("link"), elsewhere.join("real"));
        symlink(&real, &link).unwrap();
        check(&link).unwrap();
        write_atomic(&real, b"X=y").unwrap();
        check(&link).unwrap();
        set(&real, 0o606);
        let refused = check(&link).unwrap_err();
        assert_eq!((refused.exit(), refused.code), (ExitCode::Config, "home_unsafe"));
        assert!(refused.message.contains("a link to") && refused.message.contains("606"), "{refused}");
        assert!(refused.hints.concat().contains("chmod"), "{:?}", refused.hints);
        set(&real, 0o600);
        set(&elsewhere, 0o777);
        assert!(check(&link).is_err(), "its folder is open");
        set(&elsewhere, 0o1777);
        check(&link).unwrap();
    }

    #[test]
    fn another_users_file_is_refused_and_roots_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_atomic(&path, b"").unwrap();
        let found = path.metadata().unwrap();
        let us = |user| Us { user, groups: vec![4711] };
        let stranger = found.uid() + 1;
        assert_eq!(us(stranger).doubt(&found).is_some(), found.uid() != 0);
        assert_eq!(us(found.uid()).doubt(&found), None);
        assert_eq!(us(1).doubt(&Path::new("/").metadata().unwrap()), None, "root's");
    }
}
