//! The environment of a program: what a stated list lets through, and what it is told of its trial.

use std::{collections::BTreeMap, path::Path};

use tinysweep_proto::v1::AttemptRef;

/// What every program gets of its worker's environment, where it is set, and everything that begins with `LC_`.
pub const LET_THROUGH: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_HOME",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// What programs get of `all`: the list above, and what the worker's owner names in `further`. What is no UTF-8 is left out.
pub fn let_through(all: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>, further: &[String]) -> Variables {
    let is_let = |name: &str| LET_THROUGH.contains(&name) || name.starts_with("LC_") || further.iter().any(|known| known == name);
    let mut variables: Variables = all
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| is_let(name))
        .collect();
    // A pipe would otherwise keep what Python prints until it ends, and lose it where it is killed.
    variables.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".into());
    variables
}

/// What a program is told of its trial.
pub struct Told<'a> {
    /// Its attempt.
    pub attempt: &'a AttemptRef,
    /// Of its replicate.
    pub seed: u64,
    /// Its parameters as JSON.
    pub parameters: &'a str,
    /// A file to which it may append metrics.
    pub metrics: &'a Path,
    /// A folder that is empty now, and gone after its end.
    pub scratch: &'a Path,
    /// A folder of its replicate, which stays.
    pub checkpoints: &'a Path,
}

impl Told<'_> {
    /// `base` with what the program is told.
    pub fn add_to(&self, base: &Variables) -> Variables {
        let AttemptRef { sweep, trial, replicate, attempt, token: _ } = self.attempt;
        let path = |path: &Path| path.display().to_string();
        let told = [
            ("SWEEP", sweep.clone()),
            ("TRIAL", trial.to_string()),
            ("REPLICATE", replicate.to_string()),
            ("ATTEMPT", attempt.to_string()),
            ("SEED", self.seed.to_string()),
            ("PARAMETERS", self.parameters.to_owned()),
            ("METRICS", path(self.metrics)),
            ("SCRATCH_DIR", path(self.scratch)),
            ("CHECKPOINT_DIR", path(self.checkpoints)),
        ];
        base.clone().into_iter().chain(told.map(|(name, value)| (format!("TINYSWEEP_{name}"), value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_workers_gets_through_but_what_is_listed() {
        let all = [("PATH", "/bin"), ("LC_ALL", "C"), ("TINYSWEEP_JOIN", "http://secret@a"), ("AWS_SECRET", "x"), ("HF_HOME", "/hf")];
        let all = || all.into_iter().map(|(name, value)| (name.into(), value.into()));
        let names = |further: &[String]| let_through(all(), further).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&[]), ["LC_ALL", "PATH", "PYTHONUNBUFFERED"]);
        assert_eq!(names(&["HF_HOME".into()]), ["HF_HOME", "LC_ALL", "PATH", "PYTHONUNBUFFERED"]);
    }

    #[test]
    fn a_program_is_told_of_its_trial() {
        let attempt = AttemptRef { sweep: "abc".into(), trial: 1, replicate: 2, attempt: 3, token: 4 };
        let (metrics, scratch, checkpoints) = (Path::new("/s/m"), Path::new("/s"), Path::new("/c"));
        let told = Told { attempt: &attempt, seed: 7, parameters: "{}", metrics, scratch, checkpoints };
        let variables = told.add_to(&[("PATH".to_owned(), "/bin".to_owned())].into());
        let found: Vec<_> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let wanted = [
            "PATH=/bin",
            "TINYSWEEP_ATTEMPT=3",
            "TINYSWEEP_CHECKPOINT_DIR=/c",
            "TINYSWEEP_METRICS=/s/m",
            "TINYSWEEP_PARAMETERS={}",
            "TINYSWEEP_REPLICATE=2",
            "TINYSWEEP_SCRATCH_DIR=/s",
            "TINYSWEEP_SEED=7",
            "TINYSWEEP_SWEEP=abc",
            "TINYSWEEP_TRIAL=1",
        ];
        assert_eq!(found, wanted);
    }
}
