//! `program` and `command`: sweeps of a program of the user's, whose parameters may have any names.

use serde_json::{Map, Value};
use tinysweep_proto::{
    dataset::Benchmark,
    program::{Argument, MacroError, Program, USUAL_COMMAND},
};

use super::error::{Position, Report};
use super::expression::{Kind, Scope};
use super::fields::{self, Fields};
use super::parameters::Parameters;
use super::settings::{Path, Settings};
use super::yaml::{Content, Entry, Node, shortened};
use super::{NAME_LIMIT, TEXT_LIMIT};
use crate::domain::space::{Domain, Parameter};

/// The most arguments of a command.
const ARGUMENTS_LIMIT: usize = 1000;
/// The most characters of an argument, and of a value: the least that systems take is four times as much, in bytes.
const ARGUMENT_LIMIT: usize = 32_768;

/// The part of a sweep file that is about a program.
#[derive(Clone, Debug)]
pub struct ProgramSweep {
    /// The benchmark that it says it is measured on, if any: its results stand on that board.
    pub benchmark: Option<&'static Benchmark>,
    /// What is run.
    pub program: Program,
    /// Every parameter, with its value where that is the same for all trials.
    pub(super) base: Value,
}

/// Keys of a sweep file that are about built-in models, and what to do instead.
const MODEL_KEYS: [(&str, &str); 6] = [
    ("config", "give what all trials share as `NAME: {value: …}` in `parameters`"),
    ("data", "it brings its own data"),
    ("trials", "it takes `parameters`"),
    ("baselines", "they are built-in models; give them a sweep of their own"),
    ("checkpoint_secs", "it keeps its own checkpoints"),
    ("checkpoints", "it keeps its own"),
];

/// Whether the file is about a program.
pub(super) fn is_meant(keys: &Fields) -> bool {
    keys.entry("program").or_else(|| keys.entry("command")).is_some()
}

/// Reads `program` and `command`; `metric` is the one that it must report.
pub(super) fn read(report: &mut Report, keys: &Fields, metric: String) -> Option<Program> {
    for (key, instead) in MODEL_KEYS {
        if let Some(entry) = keys.entry(key) {
            report.error::<()>(entry.at, format!("`{key}` means nothing to a program: {instead}"));
        }
    }
    let program = match keys.get("program") {
        Some(node) => plain_text(report, node, "`program`", TEXT_LIMIT).map(Some),
        None => Some(None),
    };
    let command = match keys.get("command") {
        Some(node) => read_command(report, node, keys.get("program").is_some()),
        None => usual_command(report, keys.get("program")),
    };
    Some(Program { program: program?.unwrap_or_default(), command: command?, metric })
}

fn read_command(report: &mut Report, node: &Node, has_program: bool) -> Option<Vec<String>> {
    let items = fields::list(report, node, "`command`")?;
    if items.len() > ARGUMENTS_LIMIT {
        return report.error(node.at, format!("`command` has {} arguments, of {ARGUMENTS_LIMIT} at the most", items.len()));
    }
    let arguments: Vec<_> = items.iter().map(|item| read_argument(report, item, has_program)).collect();
    arguments.into_iter().collect()
}

fn read_argument(report: &mut Report, item: &Node, has_program: bool) -> Option<String> {
    let text = match &item.content {
        Content::Int(_) | Content::Bool(_) | Content::Float(_) => item.description().trim_matches('`').to_owned(),
        Content::Text { text, .. } if text.is_empty() => String::new(),
        _ => plain_text(report, item, "an argument of `command`", ARGUMENT_LIMIT)?,
    };
    match Argument::parse(&text) {
        Ok(argument) if argument.names_program() && !has_program => {
            report.error(item.at, "`${program}` stands for `program`, which is missing")
        }
        Ok(_) => Some(text),
        Err(MacroError { offset, message }) => {
            let at = match item.content {
                Content::Text { text_at: Some(at), .. } => Position { column: at.column + offset, ..at },
                _ => item.at,
            };
            report.error(at, message)
        }
    }
}

/// The command of W&B, which is right for Python alone.
fn usual_command(report: &mut Report, program: Option<&Node>) -> Option<Vec<String>> {
    let node = program?;
    match &node.content {
        Content::Text { text, .. } if !text.ends_with(".py") => report.error(
            node.at,
            format!(
                "`program` alone is run by Python, and `{}` does not end in .py; say how it is run, as in `command: [\"${{program}}\", \"${{args}}\"]`",
                shortened(text)
            ),
        ),
        _ => Some(USUAL_COMMAND.map(str::to_owned).into()),
    }
}

/// Text that a process can be given.
fn plain_text(report: &mut Report, node: &Node, what: &str, limit: usize) -> Option<String> {
    let text = fields::text(report, node, what, limit)?;
    if text.contains('\0') {
        return report.error(node.at, format!("{what} must not contain a NUL character"));
    }
    Some(text.to_owned())
}

/// The name of a parameter of a program, in `group` where it stands in one.
pub(super) fn name(report: &mut Report, group: Option<&str>, entry: &Entry) -> Option<Path> {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    let key = &entry.key;
    if !key.split('.').all(is_part) {
        let message =
            format!("`{}` cannot be a parameter's name: letters, digits, `_` and `-`, a letter first, `.` between groups", shortened(key));
        return report.error(entry.at, message);
    }
    let path = group.map_or_else(|| key.clone(), |group| format!("{group}.{key}"));
    if path.len() > NAME_LIMIT {
        return report.error(entry.at, format!("a parameter's name has {NAME_LIMIT} characters at the most"));
    }
    Some(path.into())
}

/// The value of a parameter of a program: anything but nothing and mappings.
pub(super) fn value(report: &mut Report, path: &str, node: &Node) -> Option<Value> {
    let value = match &node.content {
        Content::Bool(value) => Value::from(*value),
        Content::Int(value) => Value::from(*value),
        Content::Float(value) if value.is_finite() => Value::from(*value),
        Content::Text { text, .. } if text.contains('\0') => {
            return report.error(node.at, format!("`{path}` must not contain a NUL character"));
        }
        Content::Text { text, .. } if text.chars().count() > ARGUMENT_LIMIT => {
            return report.error(node.at, format!("`{path}` has more than {ARGUMENT_LIMIT} characters"));
        }
        Content::Text { text, .. } => Value::from(text.as_str()),
        Content::List(items) => {
            let items: Vec<_> = items.iter().map(|item| value(report, path, item)).collect();
            Value::Array(items.into_iter().collect::<Option<_>>()?)
        }
        Content::Map(_) => {
            return report
                .error(node.at, format!("a value of `{path}` cannot be a mapping; write a group, as in `{path}: {{parameters: {{…}}}}`"));
        }
        Content::Null | Content::Float(_) => {
            return report.error(node.at, format!("`{path}` must be a number, text, true, false or a list, not {}", node.description()));
        }
    };
    Some(value)
}

/// Whether a program gets whole numbers, as `3` and not `3.0`, out of `domain`.
pub(super) fn gives_whole_numbers(domain: &Domain) -> bool {
    let is_whole = |number: f64| number.fract() == 0.0;
    match domain {
        Domain::Choices { .. } => false,
        Domain::Integers { .. } => true,
        Domain::Numbers { shape, step } => {
            step.is_some_and(is_whole) && shape.bounds().is_none_or(|(min, max)| is_whole(min) && is_whole(max))
        }
    }
}

/// Every parameter in the order of the file; what varies is null.
pub(super) fn base(settings: &Settings, parameters: &Parameters) -> Value {
    let mut base = Value::Object(Map::new());
    for path in settings.paths() {
        let constant = parameters.constants.iter().find(|(known, _)| *known == path);
        put(&mut base, path, constant.map_or(Value::Null, |(_, value)| value.clone()));
    }
    base
}

/// Sets what is at a dotted path, making the groups on the way. No group has the name of a parameter: that was refused.
fn put(tree: &mut Value, path: &str, value: Value) {
    *path.split('.').fold(tree, |node, key| {
        if node.is_null() {
            *node = Value::Object(Map::new());
        }
        &mut node[key]
    }) = value;
}

/// What the names in constraints mean.
pub(super) fn scope(parameters: &Parameters) -> Scope {
    let varying = parameters.space.parameters.iter().map(|Parameter { path, domain, .. }| {
        let kind = match domain {
            Domain::Choices { values, .. } => Kind::common(values.iter().map(|choice| &choice.value)),
            Domain::Integers { .. } | Domain::Numbers { .. } => Some(Kind::Number),
        };
        (path.clone(), kind)
    });
    let constant = parameters.constants.iter().map(|(path, value)| (path.clone(), Kind::common([value].into_iter())));
    Scope::Program(varying.chain(constant).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use tinysweep_proto::metric::Goal;

    use super::*;
    use crate::domain::{
        configuration::Configuration,
        spec::{
            MetricSpec,
            tests::{errors, spec},
        },
    };

    const SWEEP: &str = "\
program: train.py
method: grid
metric: {name: val_loss}
parameters:
  optim: {parameters: {lr: {values: [0.1, 0.01]}, name: {value: adam}}}
  layers: {min: 1, max: 2}
  tie-weights: {values: [true, false]}
  sizes: {value: [64, 64]}
constraints: [\"optim.lr < 0.1 or layers == 1\", \"optim.name == 'adam'\"]
replicates: 2
";

    #[test]
    fn a_sweep_of_weights_and_biases() {
        let spec = spec(SWEEP);
        let sweep = spec.program().unwrap();
        assert_eq!((sweep.program.program.as_str(), sweep.benchmark), ("train.py", None));
        assert_eq!(sweep.program.command, USUAL_COMMAND);
        assert_eq!(spec.metric, MetricSpec { name: "val_loss".into(), goal: Goal::Minimize });
        assert!(spec.running.policy.needs.commands);
        let trials = spec.proposals().unwrap();
        let names: Vec<_> = trials.iter().map(|trial| trial.name.as_str()).collect();
        let wanted = [
            "lr=0.1 layers=1 tie-weights=true",
            "lr=0.1 layers=1 tie-weights=false",
            "lr=0.01 layers=1 tie-weights=true",
            "lr=0.01 layers=1 tie-weights=false",
            "lr=0.01 layers=2 tie-weights=true",
            "lr=0.01 layers=2 tie-weights=false",
        ];
        assert_eq!(names, wanted);
        let parameters = json!({"optim": {"lr": 0.1, "name": "adam"}, "layers": 1, "tie-weights": true, "sizes": [64, 64]});
        assert_eq!(trials[0].config, Configuration::Program(parameters.clone()));
        assert_eq!(trials[0].config.canonical_json(), parameters.to_string(), "in the order of the file");
    }

    #[test]
    fn a_benchmark_gives_its_metric_and_numbers_keep_their_kind() {
        let spec = spec(
            "benchmark: sudoku-extreme\ncommand: [./run.sh, 3, '${args_no_hyphens}', \"\"]\nmethod: random\nrun_cap: 20\nparameters:\n\
             \x20 n: {distribution: q_uniform, min: 2, max: 8, q: 2}\n  x: {distribution: q_uniform, min: 0.5, max: 3, q: 1}\n",
        );
        assert_eq!(spec.metric, MetricSpec { name: "test/exact_accuracy".into(), goal: Goal::Maximize });
        assert_eq!(spec.program().unwrap().program.command, ["./run.sh", "3", "${args_no_hyphens}", ""]);
        for trial in spec.proposals().unwrap() {
            let Configuration::Program(parameters) = &trial.config else { panic!() };
            assert!(parameters["n"].is_i64() && parameters["x"].is_f64(), "{parameters}");
        }
    }

    #[test]
    fn mistakes() {
        let sweep = |lines: &str| format!("metric: {{name: loss}}\n{lines}\n");
        let with = |lines: &str| sweep(&format!("program: a.py\n{lines}"));
        let cases = [
            (
                "program: a.py".to_owned(),
                "1:1: `metric` is missing: what the program reports and trials are ranked by, as in `metric: {name: loss}`",
            ),
            ("program: a.py\nmetric: {goal: minimize}".into(), "2:9: `metric` lacks `name`, as in `metric: {name: test/exact_accuracy}`"),
            (
                sweep("program: train.sh"),
                "2:10: `program` alone is run by Python, and `train.sh` does not end in .py; say how it is run, as in `command: [\"${program}\", \"${args}\"]`",
            ),
            (sweep("program: [a]"), "2:10: `program` must be text, not a list"),
            (sweep("command: run.sh"), "2:10: `command` must be a list such as [a, b], not `run.sh`"),
            (sweep("command: []"), "2:10: `command` is empty; it needs at least one item"),
            (sweep("command: [run, null]"), "2:16: an argument of `command` must be text, not nothing"),
            (sweep("command: [\"${program}\"]"), "2:11: `${program}` stands for `program`, which is missing"),
            (with("command: [python, '--x ${agrs}']"), "3:24: unknown macro `${agrs}`; did you mean `${args}`?"),
            (with("command: [\"x=${args}\"]"), "3:14: `${args}` stands for an argument for each parameter; make it an item of its own"),
            (with("command: [\"a\\0\"]"), "3:11: an argument of `command` must not contain a NUL character"),
            (
                with("config: {lr: 1}"),
                "3:1: `config` means nothing to a program: give what all trials share as `NAME: {value: …}` in `parameters`",
            ),
            (with("data: {train: 3}"), "3:1: `data` means nothing to a program: it brings its own data"),
            (with("trials: [{name: a}]"), "3:1: `trials` means nothing to a program: it takes `parameters`"),
            (
                with("baselines: [hrm-27m]"),
                "3:1: `baselines` means nothing to a program: they are built-in models; give them a sweep of their own",
            ),
            (with("checkpoint_secs: 5"), "3:1: `checkpoint_secs` means nothing to a program: it keeps its own checkpoints"),
            (with("benchmark: sudoku"), "3:12: unknown benchmark `sudoku`; did you mean `sudoku-4x4`?"),
            (
                with("parameters: {2x: {value: 1}}"),
                "3:14: `2x` cannot be a parameter's name: letters, digits, `_` and `-`, a letter first, `.` between groups",
            ),
            (
                with("parameters: {a..b: {value: 1}}"),
                "3:14: `a..b` cannot be a parameter's name: letters, digits, `_` and `-`, a letter first, `.` between groups",
            ),
            (with("parameters: {x: {value: null}}"), "3:25: `x` must be a number, text, true, false or a list, not nothing"),
            (with("parameters: {x: {value: .nan}}"), "3:25: `x` must be a number, text, true, false or a list, not `NaN`"),
            (
                with("parameters: {x: {value: {a: 1}}}"),
                "3:25: a value of `x` cannot be a mapping; write a group, as in `x: {parameters: {…}}`",
            ),
            (
                with("parameters: {a: {value: 1}, a.b: {value: 2}}"),
                "3:29: `a.b` and `a` on line 3 cannot be both: one is a group that holds the other",
            ),
            (
                with("parameters: {a: {parameters: {b: {value: 1}}}, a.b: {value: 2}}"),
                "3:48: `a.b` is already set in `parameters` on line 3; keep one of the two",
            ),
            (
                with("constraints: ['lr < 1']\nparameters: {lrr: {value: 1}}"),
                "3:16: constraint `lr < 1`: unknown parameter `lr`; did you mean `lrr`?",
            ),
            (
                with("constraints: ['x < 1']\nparameters: {x: {values: [1, a]}}"),
                "3:16: constraint `x < 1`: the values of `x` are lists or of several kinds, which cannot be compared",
            ),
            (
                with("constraints: ['x < 1']\nparameters: {x: {values: [a, b]}}"),
                "3:18: constraint `x < 1`: `<` cannot join a word and a number",
            ),
            (
                with("parameters: {x: {min: 0.0, max: 1.0}}"),
                "3:14: a grid cannot list the values of `x`; use `values`, int_uniform, or `method: random`",
            ),
            (
                with("early_terminate: {type: hyperband}"),
                "3:1: `early_terminate` is not supported yet: every trial runs to its end; remove it",
            ),
        ];
        for (yaml, message) in cases {
            assert_eq!(errors(&yaml), format!("s.yaml:{message}"), "{yaml}");
        }
        let long = format!("metric: {{name: {}}}\nprogram: a.py", "m".repeat(200));
        assert!(errors(&long).starts_with("s.yaml:1:16: a metric's name is 1 to 128 bytes"), "{}", errors(&long));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(program: a.py\n|metric: \\{name: x\\}\n|command: |parameters:\n|  a.b: |\\{|\\}|\\[|\\]|values|value|parameters|: |, |- |\\$\\{args\\}|\\$\\{|1e9|[-\"'\n 0-9a-z.]){0,30}") {
            errors(&text);
        }

        #[test]
        fn a_grid_has_the_product_of_its_values_in_the_order_of_the_file(a in 1_usize..5, b in 1_usize..5) {
            let list = |count: usize| (0..count).map(|index| index.to_string()).collect::<Vec<_>>().join(", ");
            let yaml = format!("program: a.py\nmetric: {{name: x}}\nparameters:\n  z: {{values: [{}]}}\n  g.a: {{values: [{}]}}\n", list(a), list(b));
            let trials = spec(&yaml).proposals().unwrap();
            prop_assert_eq!(trials.len(), a * b);
            prop_assert_eq!(trials[0].config.canonical_json(), r#"{"z":0,"g":{"a":0}}"#);
            let distinct: std::collections::HashSet<_> = trials.iter().map(|trial| trial.config.hash()).collect();
            prop_assert_eq!(distinct.len(), trials.len());
        }
    }
}
