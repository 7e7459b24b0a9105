//! The owner of a folder, and the steps for a person whose program may not use it. No hint advises to take a folder away from
//! its owner.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::CliError;
use crate::file;
use crate::preflight::quoted;
use crate::world::World;

/// This process, as the file system sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Us {
    /// The effective user.
    pub uid: u32,
    /// The effective group, and the supplementary ones.
    pub groups: Vec<u32>,
}

/// Owner and mode of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The mode.
    pub mode: u32,
}

/// The standing of this process to a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// This user's.
    Ours,
    /// A group's that this process is in, which may do everything in it: a volume of Kubernetes with `fsGroup`.
    OfGroup,
    /// Another user's.
    Foreign,
}

const GROUP_ALL: u32 = 0o070;
const GROUP_AND_OTHERS: u32 = 0o077;
const OTHERS: u32 = 0o007;

impl Us {
    /// Returns this process.
    pub fn now() -> Self {
        let mut groups: Vec<u32> = rustix::process::getgroups()
            .unwrap_or_default()
            .into_iter()
            .map(rustix::process::Gid::as_raw)
            .collect();
        groups.push(rustix::process::getegid().as_raw());
        Self { uid: rustix::process::geteuid().as_raw(), groups }
    }

    /// Returns the standing of this process to a folder. To root every folder is open; a home that root wrote in would no
    /// longer work for its owner, so that root counts as a stranger, too.
    pub fn standing(&self, folder: Owned) -> Standing {
        if folder.uid == self.uid {
            Standing::Ours
        } else if self.uid != 0 && self.groups.contains(&folder.gid) && folder.mode & GROUP_ALL == GROUP_ALL {
            Standing::OfGroup
        } else {
            Standing::Foreign
        }
    }

    /// Returns the bits of a private file's mode that open it to others: in a folder of our group its members may read.
    pub fn open_bits(&self, home: Owned, file: Owned) -> u32 {
        let is_shared = self.standing(home) == Standing::OfGroup && file.gid == home.gid;
        file.mode & if is_shared { OTHERS } else { GROUP_AND_OTHERS }
    }
}

impl From<&Metadata> for Owned {
    fn from(metadata: &Metadata) -> Self {
        Self { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() }
    }
}

/// The place where this process runs: the remedies differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Machine,
    Container,
    Pod,
}

impl Place {
    fn of(world: &World) -> Self {
        if world.var("KUBERNETES_SERVICE_HOST").is_some() {
            Self::Pod
        } else if world.var("container").is_some()
            || ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists())
        {
            Self::Container
        } else {
            Self::Machine
        }
    }
}

/// Checks that this process may enter the home folder. A folder that is not there is not closed.
///
/// # Errors
/// When it is closed; all that is in it is then unknown.
pub fn check_entry(world: &World, root: &Path) -> Result<(), CliError> {
    match root.join(".").metadata() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let error =
                CliError::config(format!("the home folder {} cannot be used", root.display())).because(error);
            Err(error.code("home_unusable").hints(hints(world, root)))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Returns the steps about a path of this home that this process may not use: sentences. The nearest folder that is there
/// decides.
pub fn hints(world: &World, path: &Path) -> Vec<String> {
    let there = path.ancestors().find_map(|path| Some((path, Owned::from(&path.metadata().ok()?))));
    let us = Us::now();
    match there {
        Some((found, owned)) if us.standing(owned) == Standing::Foreign => {
            advice(Place::of(world), &us, owned, found == path, path, name_of(owned.uid).as_deref())
        }
        Some(_) | None => vec!["Set HERMES_HOME to a folder that this user can write to.".to_owned()],
    }
}

/// Returns the steps for a home that every user may write.
pub fn hints_on_open(us: &Us, owned: Owned, path: &Path) -> String {
    match us.standing(owned) {
        Standing::Ours => format!("Run `chmod 700 {}`.", shown(path)),
        // Only its owner may change the mode, and a volume gets its mode back.
        Standing::OfGroup | Standing::Foreign => format!(
            "Set HERMES_HOME to a folder below it, such as {}: it is made for this user alone.",
            path.join("hermes").display()
        ),
    }
}

/// Returns the advice. `is_whole`: the folder itself is there, and has this owner.
fn advice(
    place: Place,
    us: &Us,
    owned: Owned,
    is_whole: bool,
    path: &Path,
    name: Option<&str>,
) -> Vec<String> {
    let Owned { uid, gid, .. } = owned;
    let own_folder = "Or set HERMES_HOME to a folder of yours.".to_owned();
    // A folder of root is a fresh volume or a system's folder: running as root is not the answer.
    let is_persons = is_whole && uid != 0;
    match place {
        Place::Machine if is_persons => {
            let user = name.map_or(format!("'#{uid}'"), str::to_owned);
            let run = format!("Run it as its owner: `sudo -u {user} HERMES_HOME={} hermes …`.", shown(path));
            if us.uid == 0 { vec![run] } else { vec![run, own_folder] }
        }
        Place::Machine => vec!["Set HERMES_HOME to a folder that this user can write to.".to_owned()],
        Place::Container if is_persons => vec![
            format!(
                "Run the container as the folder's owner: `--user {uid}:{gid}`; in one that runs: \
                 `docker exec --user {uid} CONTAINER hermes …`."
            ),
            "Or set HERMES_HOME to a folder that this user can write to.".to_owned(),
        ],
        Place::Container => vec![
            format!(
                "Mount a volume that user {} can write to, or run the container as the user who can (`--user`).",
                us.uid
            ),
            "Or set HERMES_HOME to a folder that this user can write to.".to_owned(),
        ],
        Place::Pod => {
            let as_owner = format!("Set `securityContext.runAsUser: {uid}` for the pod, the folder's owner.");
            let by_group = format!(
                "{} `securityContext.fsGroup` (for example 2000) for the pod: a volume of its group is accepted.",
                if is_persons { "Or set" } else { "Set" }
            );
            is_persons.then_some(as_owner).into_iter().chain([by_group]).collect()
        }
    }
}

fn shown(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// Largest list of users that is read, in bytes.
const USERS_BYTES_MAX: u64 = 4 << 20;

/// Returns the user's name, by the machine's own list: elsewhere (LDAP) the number must do.
pub fn name_of(uid: u32) -> Option<String> {
    let users = file::read_text("/etc/passwd", USERS_BYTES_MAX).ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Returns a user for people: the name, or the number.
pub fn user(uid: u32) -> String {
    name_of(uid).map_or_else(|| format!("user {uid}"), |name| format!("{name} (user {uid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(uid: u32, groups: &[u32]) -> Us {
        Us { uid, groups: groups.to_vec() }
    }

    fn owned(uid: u32, gid: u32, mode: u32) -> Owned {
        Owned { uid, gid, mode }
    }

    #[test]
    fn a_folder_is_its_owners_or_that_of_a_group_which_may_do_everything() {
        let volume = owned(0, 2000, 0o42770);
        for (us, folder, standing) in [
            (us(1000, &[1000]), owned(1000, 1000, 0o40700), Standing::Ours),
            (us(1000, &[1000, 2000]), volume, Standing::OfGroup),
            (us(1000, &[1000, 2000]), owned(0, 2000, 0o40770), Standing::OfGroup),
            (us(1000, &[1000, 2000]), owned(0, 2000, 0o40750), Standing::Foreign),
            (us(1000, &[1000]), volume, Standing::Foreign),
            (us(0, &[0, 2000]), owned(1000, 2000, 0o42770), Standing::Foreign),
            (us(0, &[0]), owned(1000, 1000, 0o40700), Standing::Foreign),
        ] {
            assert_eq!(us.standing(folder), standing, "{us:?} {folder:?}");
        }
    }

    #[test]
    fn a_private_file_is_its_users_and_in_a_folder_of_the_group_also_the_groups_but_never_everybodys() {
        let member = us(1000, &[1000, 2000]);
        let (own, volume) = (owned(1000, 1000, 0o40700), owned(0, 2000, 0o42770));
        for (home, file, open) in [
            (own, owned(1000, 1000, 0o100_600), 0),
            (own, owned(1000, 1000, 0o100_660), 0o060),
            (own, owned(1000, 2000, 0o100_644), 0o044),
            (volume, owned(1000, 2000, 0o100_660), 0),
            (volume, owned(0, 2000, 0o100_664), 0o004),
            (volume, owned(1000, 1000, 0o100_660), 0o060),
        ] {
            assert_eq!(member.open_bits(home, file), open, "{home:?} {file:?}");
        }
    }

    #[test]
    fn each_place_has_its_own_way_and_none_takes_the_folder_from_its_owner() {
        let path = Path::new("/data/a b");
        let theirs = owned(1000, 1000, 0o40700);
        let of =
            |place, us: &Us, owned, name: Option<&str>| advice(place, us, owned, true, path, name).join(" ");
        let root = us(0, &[0]);
        let said = of(Place::Machine, &root, theirs, Some("alice"));
        assert_eq!(said, "Run it as its owner: `sudo -u alice HERMES_HOME='/data/a b' hermes …`.");
        assert!(of(Place::Machine, &root, theirs, None).contains("sudo -u '#1000' "));
        assert!(of(Place::Container, &root, theirs, None).contains("docker exec --user 1000 "));
        assert!(of(Place::Pod, &root, theirs, None).contains("runAsUser: 1000"));
        let pod = of(Place::Pod, &us(1000, &[1000]), owned(0, 0, 0o40755), None);
        assert!(pod.starts_with("Set `securityContext.fsGroup`"), "{pod}");
        for place in [Place::Machine, Place::Container, Place::Pod] {
            for (us, owned) in
                [(&root, theirs), (&us(1001, &[]), theirs), (&us(1000, &[]), owned(0, 0, 0o40755))]
            {
                let said = of(place, us, owned, Some("alice"));
                assert!(!said.contains("chown") && !said.is_empty(), "{place:?}: {said}");
                assert!(place == Place::Machine || !said.contains("sudo"), "{place:?}: {said}");
            }
        }
    }

    #[test]
    fn an_open_home_is_closed_by_its_owner_and_left_for_a_folder_below_by_others() {
        let path = Path::new("/data");
        let member = us(1000, &[2000]);
        assert_eq!(hints_on_open(&member, owned(1000, 1000, 0o40777), path), "Run `chmod 700 /data`.");
        assert!(hints_on_open(&member, owned(0, 2000, 0o42777), path).contains("/data/hermes"));
    }
}
