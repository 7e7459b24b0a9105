//! The number of times that the kernel ended a program of our group for want of memory: an end by SIGKILL looks the same
//! whatever sent it.

use std::path::PathBuf;

/// Returns the count of this moment; `None` where the system keeps none.
pub fn ended() -> Option<u64> {
    let groups = read("/proc/self/cgroup".into())?;
    counters(&groups).find_map(|path| count(&read(path)?))
}

fn read(path: PathBuf) -> Option<String> {
    const LEN_MAX: u64 = 1 << 16;
    String::from_utf8(crate::file::read_system(path, LEN_MAX).ok()?).ok()
}

/// Returns the files in which our group's count may be, by the list of groups that we are in.
fn counters(groups: &str) -> impl Iterator<Item = PathBuf> {
    groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (controllers, path) = (fields.nth(1)?, fields.next()?.trim_start_matches('/'));
        if controllers.is_empty() {
            return Some(PathBuf::from("/sys/fs/cgroup").join(path).join("memory.events"));
        }
        let is_memory = controllers.split(',').any(|name| name == "memory");
        is_memory.then(|| PathBuf::from("/sys/fs/cgroup/memory").join(path).join("memory.oom_control"))
    })
}

fn count(events: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_both_generations_of_groups() {
        let paths = |groups| counters(groups).map(|path| path.display().to_string()).collect::<Vec<_>>();
        let unit = "0::/user.slice/app.slice/hermes-gateway.service\n";
        assert_eq!(paths(unit), ["/sys/fs/cgroup/user.slice/app.slice/hermes-gateway.service/memory.events"]);
        assert_eq!(
            paths("9:name=systemd:/x\n4:cpu,memory:/box\n0::/\n"),
            ["/sys/fs/cgroup/memory/box/memory.oom_control", "/sys/fs/cgroup/memory.events"]
        );
        assert_eq!(paths("garbage\n\n1:\n"), Vec::<String>::new());
        assert_eq!(count("low 0\nhigh 3\nmax 9\noom 2\noom_kill 7\noom_group_kill 1\n"), Some(7));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), Some(2));
        assert_eq!(count("oom_kill many\n"), None);
        assert_eq!(count(""), None);
    }
}
