//! What a trial runs, with every value that it depends on.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tinysweep_proto::config::{self, TrialConfig};

/// What a trial runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Configuration {
    /// A built-in model.
    Model(Box<TrialConfig>),
    /// A program with these parameters, an object by name; those of groups are objects within it.
    Program(Value),
}

impl From<TrialConfig> for Configuration {
    fn from(config: TrialConfig) -> Self {
        Self::Model(Box::new(config))
    }
}

impl Configuration {
    /// The configuration of a built-in model.
    pub fn model(&self) -> Option<&TrialConfig> {
        match self {
            Self::Model(config) => Some(config),
            Self::Program(_) => None,
        }
    }

    /// The same configuration always gives the same text: a model's fields in the order of their definition, a program's parameters in
    /// that of the sweep file.
    pub fn canonical_json(&self) -> String {
        match self {
            Self::Model(config) => config.canonical_json(),
            Self::Program(parameters) => parameters.to_string(),
        }
    }

    /// SHA-256 of [`canonical_json`](Self::canonical_json), in hex.
    pub fn hash(&self) -> String {
        tinysweep_proto::hex(&Sha256::digest(self.canonical_json()))
    }

    /// Reads what [`canonical_json`](Self::canonical_json) gave of a model, or of a program.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(json: &str, is_program: bool) -> Result<Self, String> {
        if !is_program {
            return config::parse(json).map(Self::from);
        }
        match serde_json::from_str(json) {
            Ok(parameters @ Value::Object(_)) => Ok(Self::Program(parameters)),
            Ok(_) => Err("the parameters are no object".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_as_they_were_written() {
        let model = Configuration::from(TrialConfig::default());
        assert_eq!(Configuration::from_json(&model.canonical_json(), false), Ok(model.clone()));
        assert_eq!(model.hash(), TrialConfig::default().hash());
        let program = Configuration::Program(serde_json::json!({"z": 1, "a": {"x": 0.1}}));
        assert_eq!(program.canonical_json(), r#"{"z":1,"a":{"x":0.1}}"#);
        assert_eq!(Configuration::from_json(&program.canonical_json(), true), Ok(program));
        assert!(Configuration::from_json("[1]", true).is_err() && Configuration::from_json("{", true).is_err());
    }
}
