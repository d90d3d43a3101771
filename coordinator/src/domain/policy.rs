//! How the trials of a sweep are to be run: what they need of a worker, how long they may take, and what follows when one fails.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{failure::RetryPolicy, retention::Retention};

/// How the trials of a sweep are to be run; the same for all of them, and fixed when it is submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// What a worker must have.
    pub needs: Needs,
    /// When and how often a failed attempt is followed by another.
    pub retry: RetryPolicy,
    /// How long one attempt may run; 0 for no limit.
    pub timeout_secs: u64,
    /// How often workers keep a checkpoint to go on from; 0 for never.
    pub checkpoint_secs: u32,
    /// Which checkpoints stay.
    pub retention: Retention,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            needs: Needs::default(),
            retry: RetryPolicy::default(),
            timeout_secs: 0,
            checkpoint_secs: 60,
            retention: Retention::default(),
        }
    }
}

/// What a worker must have to be given a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Needs {
    /// Slots that a trial takes, at least 1.
    pub slots: u32,
    /// `cpu` or `cuda`; none takes any.
    pub device: Option<String>,
    /// Memory of the device; 0 takes any.
    pub memory_mib: u64,
    /// Labels that its owner must have given it, with these values.
    pub labels: BTreeMap<String, String>,
    /// Its owner must let sweeps run programs on it.
    pub commands: bool,
}

impl Default for Needs {
    fn default() -> Self {
        Self { slots: 1, device: None, memory_mib: 0, labels: BTreeMap::new(), commands: false }
    }
}

/// What a worker says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traits {
    /// Where it computes: `cpu` or `cuda`.
    pub device: String,
    /// Memory of that; 0 where it is not known.
    pub memory_mib: u64,
    /// What its owner says of it.
    pub labels: BTreeMap<String, String>,
    /// Whether its owner lets sweeps run programs on it.
    pub commands: bool,
}

impl Needs {
    /// Whether a worker of `slots` slots with these traits can ever run such a trial.
    ///
    /// # Errors
    /// What it lacks, for people.
    pub fn met_by(&self, traits: &Traits, slots: u32) -> Result<(), String> {
        if self.commands && !traits.commands {
            return Err("does not allow commands (start it with --allow-commands)".into());
        }
        if self.slots > slots {
            return Err(format!("has {slots} slots, and a trial takes {}", self.slots));
        }
        if let Some(device) = self.device.as_ref().filter(|device| **device != traits.device) {
            return Err(format!("computes on {}, not on {device}", traits.device));
        }
        if self.memory_mib > traits.memory_mib {
            let has = if traits.memory_mib == 0 {
                "does not say how much memory it has".into()
            } else {
                format!("has {} MiB", traits.memory_mib)
            };
            return Err(format!("{has}, and {} MiB are needed", self.memory_mib));
        }
        match self.labels.iter().find(|(name, value)| traits.labels.get(*name) != Some(value)) {
            Some((name, value)) => Err(format!("lacks the label {name}={value}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_lacks_is_named() {
        let label = |value: &str| [("gpu".to_owned(), value.to_owned())].into();
        let traits = Traits { device: "cuda".into(), memory_mib: 8000, labels: label("a100"), commands: false };
        let lacks = |needs: Needs| needs.met_by(&traits, 2).unwrap_err();
        assert_eq!(Needs::default().met_by(&Traits::default(), 1), Ok(()));
        let all = Needs { slots: 2, device: Some("cuda".into()), memory_mib: 8000, labels: label("a100"), commands: false };
        assert_eq!(all.met_by(&traits, 2), Ok(()));
        assert_eq!(lacks(Needs { slots: 3, ..all.clone() }), "has 2 slots, and a trial takes 3");
        assert_eq!(lacks(Needs { device: Some("cpu".into()), ..all.clone() }), "computes on cuda, not on cpu");
        assert_eq!(lacks(Needs { memory_mib: 9000, ..all.clone() }), "has 8000 MiB, and 9000 MiB are needed");
        assert_eq!(lacks(Needs { labels: label("h200"), ..all.clone() }), "lacks the label gpu=h200");
        assert_eq!(lacks(Needs { commands: true, ..all.clone() }), "does not allow commands (start it with --allow-commands)");
        assert_eq!(Needs { commands: true, ..all }.met_by(&Traits { commands: true, ..traits }, 2), Ok(()));
    }

    #[test]
    fn what_old_stores_have_is_the_usual_policy() {
        assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::default());
        let policy = Policy { timeout_secs: 5, ..Policy::default() };
        assert_eq!(serde_json::from_str::<Policy>(&serde_json::to_string(&policy).unwrap()).unwrap(), policy);
    }
}
