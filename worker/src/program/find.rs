//! Whether a command can be started here, told before it is tried: the system's own words would not say what is missing.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use tinysweep_proto::program::{Argument, Program};

/// Where programs are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The folder in which the worker was started: relative paths begin here.
    pub folder: &'a Path,
    /// The `PATH` of programs.
    pub path: &'a str,
}

impl Places<'_> {
    /// The Python of `${interpreter}`: `python` as with Weights & Biases, or `python3` where there is only that.
    pub fn interpreter(&self) -> Option<&'static str> {
        ["python", "python3"].into_iter().find(|name| self.on_path(name).is_some())
    }

    /// Whether `command`, which `program` has become, can be started.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn check(&self, program: &Program, command: &[String]) -> Result<(), String> {
        let [first, rest @ ..] = command else { return Err("the command is empty".into()) };
        self.check_started(first)?;
        // `env` would only say that something was not found.
        if let Some(started) = rest.first().filter(|next| first == "/usr/bin/env" && !next.starts_with('-') && !next.contains('=')) {
            self.check_started(started)?;
        }
        let is_used = program.command.iter().any(|text| Argument::parse(text).is_ok_and(|argument| argument.names_program()));
        if is_used && is_file_name(&program.program) && !self.folder.join(&program.program).exists() {
            return Err(self.not_here(&program.program));
        }
        Ok(())
    }

    fn check_started(&self, name: &str) -> Result<(), String> {
        if !name.contains('/') {
            return match self.on_path(name) {
                Some(_) => Ok(()),
                None if self.folder.join(name).is_file() => {
                    Err(format!("`{name}` is not on the PATH; the file in {} is `./{name}`", self.folder.display()))
                }
                None => Err(format!("`{name}` is not on the PATH of this worker's programs ({})", self.path)),
            };
        }
        let path = self.folder.join(name);
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() && is_executable(&meta) => Ok(()),
            Ok(meta) if meta.is_file() => {
                Err(format!("`{name}` is not executable; `chmod +x {}`, or begin the command with what runs it", path.display()))
            }
            Ok(_) => Err(format!("`{name}` is no file")),
            Err(_) => Err(self.not_here(name)),
        }
    }

    fn not_here(&self, name: &str) -> String {
        if Path::new(name).is_absolute() {
            return format!("there is no `{name}` on this worker's machine");
        }
        format!("there is no `{name}` in {}, the folder in which this worker was started", self.folder.display())
    }

    fn on_path(&self, name: &str) -> Option<PathBuf> {
        let found = |path: &PathBuf| fs::metadata(path).is_ok_and(|meta| meta.is_file() && is_executable(&meta));
        env::split_paths(self.path).map(|folder| self.folder.join(folder).join(name)).find(found)
    }
}

/// A `program` may also be a module's name, as in `python -m NAME`.
fn is_file_name(program: &str) -> bool {
    program.contains('/') || [".py", ".sh"].iter().any(|end| program.ends_with(end))
}

#[cfg(unix)]
fn is_executable(meta: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode) in [("run.sh", 0o755), ("data.sh", 0o644), ("tool", 0o755)] {
            fs::write(folder.path().join(name), "#!/bin/sh\n").unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let places = Places { folder: folder.path(), path: "/bin:/usr/bin" };
        let check = |program: &str, command: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
            let with_macro: Vec<_> = command.iter().map(|&text| if text == program { "${program}" } else { text }).collect();
            let program = Program { program: program.into(), command: owned(&with_macro), metric: "x".into() };
            places.check(&program, &owned(command)).map_err(|problem| problem.replace(&folder.path().display().to_string(), "HERE"))
        };
        assert_eq!(check("run.sh", &["./run.sh"]), Ok(()));
        assert_eq!(check("a.module", &["sh", "-m", "a.module"]), Ok(()));
        assert_eq!(check("", &["/usr/bin/env", "A=b", "nothing"]), Ok(()), "env's own affair");
        let cases: [(&str, &[&str], &str); 8] = [
            ("train.py", &["sh", "train.py"], "there is no `train.py` in HERE, the folder in which this worker was started"),
            ("", &["./train.sh"], "there is no `./train.sh` in HERE, the folder in which this worker was started"),
            ("", &["/nowhere/x"], "there is no `/nowhere/x` on this worker's machine"),
            ("", &["./data.sh"], "`./data.sh` is not executable; `chmod +x HERE/./data.sh`, or begin the command with what runs it"),
            ("", &["/usr/bin/env", "pyhton"], "`pyhton` is not on the PATH of this worker's programs (/bin:/usr/bin)"),
            ("", &["tool"], "`tool` is not on the PATH; the file in HERE is `./tool`"),
            ("", &["/tmp"], "`/tmp` is no file"),
            ("", &[], "the command is empty"),
        ];
        for (program, command, problem) in cases {
            assert_eq!(check(program, command), Err(problem.to_owned()), "{command:?}");
        }
    }
}
