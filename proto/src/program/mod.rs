//! A program as a trial: what a sweep file names, and the command that it becomes.
//!
//! The macros are those of Weights & Biases. No shell is involved: every argument stays one, whatever is in it.
//! * `argument`: one argument of a command, with its macros.
//! * `flags`: parameters as a command line has them.

mod argument;
mod flags;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use argument::{Argument, MacroError};

/// The command of a sweep that names a program and no command.
pub const USUAL_COMMAND: [&str; 4] = ["${env}", "${interpreter}", "${program}", "${args}"];

/// A program that a sweep runs, once for each replicate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// What `${program}` stands for; empty where the sweep names none.
    pub program: String,
    /// The command, an argument each, macros not expanded; at least one.
    pub command: Vec<String>,
    /// The metric that it must report.
    pub metric: String,
}

/// What the macros of one attempt stand for.
pub struct Meaning<'a> {
    /// The trial's parameters, a JSON object; parameters in groups are objects within it.
    pub parameters: &'a Value,
    /// Of the replicate.
    pub seed: u64,
    /// The Python of this machine, if it has one.
    pub interpreter: Option<&'a str>,
    /// A file with the parameters as JSON.
    pub parameters_file: &'a str,
    /// The value of an environment variable, if the program gets it.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Why a command cannot be built on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// An argument is wrong; a coordinator would have refused it.
    #[error("argument `{argument}` of the command: {error}")]
    Macro {
        /// As written.
        argument: String,
        /// What is wrong with it.
        error: MacroError,
    },
    /// `${interpreter}` without one.
    #[error("there is neither `python` nor `python3` on the PATH, for ${{interpreter}}")]
    NoInterpreter,
    /// `${envvar:NAME}` of a variable that the program does not get.
    #[error("the environment variable {0} of ${{envvar:{0}}} is not set, or not among those that programs get (`--pass-env {0}`)")]
    NoVariable(String),
    /// Nothing is left to start.
    #[error("the command is empty")]
    Empty,
}

impl Program {
    /// The command with its macros expanded, an argument each, the first of which is what is started.
    ///
    /// # Errors
    /// A macro is unknown, or stands for nothing on this machine.
    pub fn expand(&self, meaning: &Meaning) -> Result<Vec<String>, ExpandError> {
        let mut expanded = Vec::new();
        for text in &self.command {
            let argument = Argument::parse(text).map_err(|error| ExpandError::Macro { argument: text.clone(), error })?;
            argument.expand(&self.program, meaning, &mut expanded)?;
        }
        if expanded.first().is_none_or(String::is_empty) { Err(ExpandError::Empty) } else { Ok(expanded) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn expand(command: &[&str], parameters: &Value) -> Result<Vec<String>, ExpandError> {
        let command = command.iter().map(|&argument| argument.to_owned()).collect();
        let program = Program { program: "train.py".into(), command, metric: "loss".into() };
        program.expand(&Meaning {
            parameters,
            seed: 7,
            interpreter: Some("python"),
            parameters_file: "/scratch/parameters.json",
            variable: &|name| (name == "HOME").then(|| "/home/me".to_owned()),
        })
    }

    #[test]
    fn the_usual_command_is_that_of_weights_and_biases() {
        let parameters = json!({"lr": 0.001, "layers": 2, "bias": true, "name": "a b"});
        let expected = ["/usr/bin/env", "python", "train.py", "--lr=0.001", "--layers=2", "--bias=True", "--name=a b"];
        assert_eq!(expand(&USUAL_COMMAND, &parameters).unwrap(), expected);
    }

    #[test]
    fn every_macro() {
        let parameters = json!({"lr": 0.25, "bias": true, "tie": false, "optim": {"name": "adam", "betas": [0.9, 0.99]}});
        let json = r#"{"lr":0.25,"bias":true,"tie":false,"optim":{"name":"adam","betas":[0.9,0.99]}}"#;
        let cases: [(&str, &[&str]); 14] = [
            ("${env}", &["/usr/bin/env"]),
            ("${interpreter}", &["python"]),
            ("${program}", &["train.py"]),
            ("${args}", &["--lr=0.25", "--bias=True", "--tie=False", "--optim.name=adam", "--optim.betas=[0.9,0.99]"]),
            ("${args_no_hyphens}", &["lr=0.25", "bias=True", "tie=False", "optim.name=adam", "optim.betas=[0.9,0.99]"]),
            ("${args_no_boolean_flags}", &["--lr=0.25", "--bias", "--optim.name=adam", "--optim.betas=[0.9,0.99]"]),
            (
                "${args_no_equals}",
                &["--lr", "0.25", "--bias", "True", "--tie", "False", "--optim.name", "adam", "--optim.betas", "[0.9,0.99]"],
            ),
            ("${args_append_hydra}", &["+lr=0.25", "+bias=True", "+tie=False", "+optim.name=adam", "+optim.betas=[0.9,0.99]"]),
            ("${args_override_hydra}", &["++lr=0.25", "++bias=True", "++tie=False", "++optim.name=adam", "++optim.betas=[0.9,0.99]"]),
            ("${args_json}", &[json]),
            ("${args_json_file}", &["/scratch/parameters.json"]),
            ("${envvar:HOME}", &["/home/me"]),
            ("${seed}", &["7"]),
            ("--out=${envvar:HOME}/${seed}$1 $${args} $", &["--out=/home/me/7$1 ${args} $"]),
        ];
        for (argument, expected) in cases {
            let expanded = expand(&["run", argument], &parameters).unwrap();
            assert_eq!(expanded[1..], *expected, "{argument}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let none = json!({});
        let says = |argument: &str| expand(&["run", argument], &none).unwrap_err().to_string();
        assert_eq!(
            says("${envvar:KEY}"),
            "the environment variable KEY of ${envvar:KEY} is not set, or not among those that programs get (`--pass-env KEY`)"
        );
        assert!(says("${agrs}").starts_with("argument `${agrs}` of the command: unknown macro"), "{}", says("${agrs}"));
        assert_eq!(expand(&["${args}"], &none), Err(ExpandError::Empty));
        assert_eq!(expand(&["run", "${args}"], &none).unwrap(), ["run"]);
    }

    #[test]
    fn nothing_in_a_parameter_becomes_a_macro_or_a_second_argument() {
        let parameters = json!({"x": "${seed}; rm -rf / $(reboot) `id`\n--y=1"});
        assert_eq!(expand(&["run", "${args}"], &parameters).unwrap(), ["run", "--x=${seed}; rm -rf / $(reboot) `id`\n--y=1"]);
    }
}
