//! What the system does when memory runs out, as far as a worker can tell: it kills a process.

use std::fs;

/// What a slot's process adds to its score, of 1000: the system rather takes a trial than the session.
const SCORE: i32 = 500;

/// Has the system take this process rather than others where memory runs out. Where it has no such notion nothing happens.
pub fn volunteer() {
    const FILE: &str = "/proc/self/oom_score_adj";
    let inherited = fs::read_to_string(FILE).ok().and_then(|score| score.trim().parse::<i32>().ok());
    if let Some(inherited) = inherited {
        // It may be refused in a container; then all are alike.
        let _ = fs::write(FILE, (inherited + SCORE).min(1000).to_string());
    }
}

/// How many processes the system has killed for want of memory: in this process's control group where there is one, else on the machine.
pub fn kills() -> u64 {
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let events = group.as_deref().and_then(group_folder).map(|folder| format!("/sys/fs/cgroup{folder}/memory.events"));
    let events = events.and_then(|file| fs::read_to_string(file).ok()).or_else(|| fs::read_to_string("/proc/vmstat").ok());
    events.as_deref().and_then(count).unwrap_or(0)
}

/// The folder of the one group of version 2, in what the system says of all groups.
fn group_folder(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

/// The counter of kills among others, one on a line.
fn count(counters: &str) -> Option<u64> {
    counters.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_files_are_read() {
        let groups = "5:devices:/\n0::/user.slice/session-1.scope\n";
        assert_eq!(group_folder(groups), Some("/user.slice/session-1.scope"));
        assert_eq!(group_folder("4:memory:/x\n"), None);
        assert_eq!(count("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 1\n"), Some(2));
        assert_eq!(count("pgfault 12\noom_kill 41\ndrop_pagecache 0\n"), Some(41));
        assert_eq!(count("nothing of the kind"), None);
    }
}
