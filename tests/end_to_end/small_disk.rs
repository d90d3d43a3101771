//! Disks that are full or cannot be written, each in a mount namespace of its command's own.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// `command` with an empty disk of so many KiB at `folder`, for as long as it runs; none where this user cannot mount.
pub fn on_small_disk(command: &Command, folder: &Path, kib: u32) -> Option<Command> {
    mounted(command, folder, &format!("mount -t tmpfs -o size={kib}k none \"$0\""))
}

/// `command` with `folder` read-only, for as long as it runs; none where this user cannot mount.
pub fn on_read_only_disk(command: &Command, folder: &Path) -> Option<Command> {
    mounted(command, folder, "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"")
}

fn mounted(command: &Command, folder: &Path, mount: &str) -> Option<Command> {
    if !shell("mount -t tmpfs none \"$0\"").arg(folder).stderr(Stdio::null()).status().is_ok_and(|ended| ended.success()) {
        eprintln!("skipped: this user cannot mount");
        return None;
    }
    // A folder that was entered before the mount would still be the old one.
    let mut wrapped = shell(&format!("{mount} && cd \"$1\" && shift && exec \"$@\""));
    wrapped.arg(folder).arg(command.get_current_dir().unwrap()).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    Some(wrapped)
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).stdin(Stdio::null());
    shell
}
