//! The exact message for each mistake.

use proptest::prelude::*;

use super::*;

#[test]
fn mistakes_in_the_file_as_such() {
    let bomb = format!(
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n{}",
        ["b a", "c b", "d c", "e d", "f e"]
            .map(|pair| {
                let (new, old) = pair.split_once(' ').unwrap();
                format!("{new}: &{new} [{}]\n", vec![format!("*{old}"); 10].join(","))
            })
            .concat()
    );
    let deep = format!("benchmark: {}{}", "[".repeat(40), "]".repeat(40));
    let cases = [
        ("", "s.yaml:1:1: the file is empty; the least a sweep needs is `benchmark: NAME`"),
        ("# nothing\n", "s.yaml:1:1: the file is empty; the least a sweep needs is `benchmark: NAME`"),
        ("---\n", "s.yaml:1:1: the file is empty; the least a sweep needs is `benchmark: NAME`"),
        ("- a\n- b\n", "s.yaml:1:1: a sweep file must be a mapping of `key: value`, not a list"),
        ("hello", "s.yaml:1:1: a sweep file must be a mapping of `key: value`, not `hello`"),
        (
            "benchmark: sudoku-4x4\n---\nbenchmark: sudoku-4x4\n",
            "s.yaml:2:1: a second document starts here; a sweep file is one document, so remove this one",
        ),
        ("config:\n\tlr: 1\n", "s.yaml:2:2: not valid YAML: the line is indented with a tab; use spaces"),
        ("benchmark: !!str sudoku-4x4", "s.yaml:1:18: tag `!!str`; sweep files take values without tags"),
        ("benchmark: sudoku-4x4\nbenchmark: sudoku-4x4", "s.yaml:2:1: key `benchmark` is already on line 1; remove one of the two"),
        ("? [a]\n: b\n", "s.yaml:1:3: a key must be a plain word, as in `name: value`"),
        ("benchmark: &b [*b]", "s.yaml:1:16: this alias lies inside the value that it stands for; write the value out"),
        ("<<: {a: b}\nbenchmark: sudoku-4x4", "s.yaml:1:1: merge key `<<` is not supported; write the keys out"),
        (&bomb, "s.yaml:5:29: the file expands to more than 100000 values; shorten it or use fewer aliases"),
        (&deep, "s.yaml:1:43: values lie deeper than 32 levels in one another; a sweep file needs five"),
    ];
    for (yaml, message) in cases {
        assert_eq!(errors(yaml).lines().next().unwrap(), message, "{yaml}");
    }
    assert!(errors("benchmark: [a").starts_with("s.yaml:"), "{}", errors("benchmark: [a"));
    assert_eq!(errors(&" ".repeat(1 << 21)), "s.yaml:1:1: the file has 2097152 bytes; a sweep file may have 1048576");
}

#[test]
fn mistakes_in_the_keys_of_the_file() {
    let with = |rest: &str| format!("benchmark: sudoku-4x4\n{rest}");
    let arc = |data: &str| format!("name: x\nbenchmark: arc-agi-1\ndata: {data}");
    let cases = [
        (
            "name: x".to_owned(),
            "1:1: `benchmark` is missing; it is one of sudoku-4x4, sudoku-6x6, sudoku-extreme, maze-10, maze-15, maze-hard, arc-agi-1, arc-agi-2",
        ),
        ("benchmark: sudoku-extrem".into(), "1:12: unknown benchmark `sudoku-extrem`; did you mean `sudoku-extreme`?"),
        ("benchmark: 9".into(), "1:12: `benchmark` must be text, not `9`; put it in quotes"),
        (with("paramters: {}"), "2:1: unknown key `paramters`; did you mean `parameters`?"),
        (with("early_terminate: {type: asha}"), "2:1: `early_terminate` is not supported yet: every trial runs to its end; remove it"),
        (with("job: x"), "2:1: `job` is not needed: workers train the built-in models, or run a `program`; remove it"),
        (with("project: p"), "2:1: `project` is not needed: the coordinator keeps all sweeps; remove it"),
        (with("budget: {gpu_hours: 2}"), "2:1: `budget` is not supported yet; remove it"),
        (with("priority: high"), "2:11: `priority` must be a whole number from -1000000 to 1000000, not `high`"),
        (with("share: 0"), "2:8: `share` must be a whole number from 1 to 1000000, not `0`"),
        (with("max_parallel: 0"), "2:15: `max_parallel` must be a whole number from 1 to 1000000, not `0`"),
        (with("timeout_secs: 0"), "2:15: `timeout_secs` must be a whole number from 1 to 31536000, not `0`"),
        (with("resources: {gpus: 1}"), "2:13: unknown key `gpus`; known are slots, device, memory_gib, labels"),
        (with("resources: {device: gpu}"), "2:21: unknown `device` `gpu`; did you mean `cpu`?"),
        (with("resources: {memory_gib: -1}"), "2:25: `memory_gib` must be above 0 and at most 65536, not `-1`"),
        (with("resources: {labels: {gpu: 4}}"), "2:27: the value of a label must be text, not `4`; put it in quotes"),
        (with("retry: {attempts: 2}"), "2:9: unknown key `attempts`; did you mean `max_attempts`?"),
        (with("retry: {on: {panics: give_up}}"), "2:14: unknown kind of failure `panics`; did you mean `panic`?"),
        (with("retry: {on: {panic: stop}}"), "2:21: unknown `panic` `stop`; known are elsewhere, anywhere, give_up"),
        (with("checkpoints: 60"), "2:14: `checkpoints` must be a mapping of `key: value`, not `60`"),
        (with("checkpoints: {keep_lst: 2}"), "2:15: unknown key `keep_lst`; did you mean `keep_last`?"),
        (with("checkpoints: {every_secs: 9999}"), "2:27: `every_secs` must be a whole number from 0 to 3600, not `9999`"),
        (with("checkpoints: {keep_last: 0}"), "2:26: `keep_last` must be a whole number from 1 to 1000, not `0`"),
        (with("checkpoints: {keep_final: -1}"), "2:27: `keep_final` must be a whole number from 0 to 1000000, not `-1`"),
        (with("checkpoints: {keep_final: some}"), "2:27: `keep_final` must be a number of trials or `all`, not `some`"),
        (with("checkpoints: {save_top_k: 3}"), "2:15: `save_top_k` is called `keep_best` here"),
        (with("checkpoints: {keep_rungs: true}"), "2:15: `keep_rungs` is not supported yet: trials have no rungs; remove it"),
        (
            with("checkpoints: {keep_best: 1}"),
            "2:15: `keep_best` needs evaluations during training; set `evaluation: {every: STEPS}` in `config`, or remove it",
        ),
        (
            with("checkpoints: {every_secs: 5}\ncheckpoint_secs: 5"),
            "3:1: `checkpoint_secs` is `every_secs` of `checkpoints`, which line 2 sets; keep one of the two",
        ),
        (with("method: bayes"), "2:9: method `bayes` is not supported yet; use grid or random"),
        (with("method: gird"), "2:9: unknown `method` `gird`; did you mean `grid`?"),
        (with("method: random"), "2:1: a random sweep without `run_cap` would never end; add `run_cap: 100`, say"),
        (with("replicates: many"), "2:13: `replicates` must be a whole number from 1 to 1000, not `many`"),
        (with("replicates: 0"), "2:13: `replicates` must be a whole number from 1 to 1000, not `0`"),
        (with("replicates: 1.5"), "2:13: `replicates` must be a whole number from 1 to 1000, not `1.5`"),
        (
            with("seed: 99999999999999999999"),
            "2:7: `seed` must be a whole number from 0 to 9223372036854775807, not `100000000000000000000`",
        ),
        (with("seed: -1"), "2:7: `seed` must be a whole number from 0 to 9223372036854775807, not `-1`"),
        (with("run_cap: 0"), "2:10: `run_cap` must be a whole number from 1 to 1000000, not `0`"),
        (with("run_cap: 1\nmax_trials: 2"), "3:1: `max_trials` is `run_cap`, which line 2 sets already; keep one of the two"),
        (with("name: 7"), "2:7: `name` must be text, not `7`; put it in quotes"),
        (with("name: ''"), "2:7: `name` must have 1 to 200 characters"),
        (with("metric: test/exact_accuracy"), "2:9: `metric` must be a mapping of `key: value`, not `test/exact_accuracy`"),
        (with("metric: {name: test/exact_acuracy}"), "2:16: unknown metric `test/exact_acuracy`; did you mean `test/exact_accuracy`?"),
        (with("metric: {name: test/lm_loss, goal: lowest}"), "2:36: unknown `goal` `lowest`; known are maximize, minimize"),
        (with("metric: {name: test/lm_loss, target: 1}"), "2:30: `target` is not supported yet; remove it"),
        (with("metric: {nmae: test/lm_loss}"), "2:10: unknown key `nmae`; did you mean `name`?"),
        (with("data: {train: 0}"), "2:15: `train` must be a whole number from 1 to 10000000, not `0`"),
        (with("data: {train: [a]}"), "2:15: `train` must be the path of a file or a number of puzzles, not a list"),
        (with("data: {givens: 17}"), "2:16: `givens` must be a whole number from 1 to 16, not `17`"),
        (with("data: {tarin: a.csv}"), "2:8: unknown key `tarin`; did you mean `train`?"),
        (
            with("data: {train: a.csv, test: b.csv, seed: 1}"),
            "2:35: `seed` is about generated puzzles, and both parts are files; remove it",
        ),
        (with("data: {arc: {evaluation: a.json}}"), "2:8: `arc` is for benchmarks of ARC; the puzzles of `sudoku-4x4` are none"),
        (
            "name: x\nbenchmark: arc-agi-1".into(),
            "1:1: the tasks of `arc-agi-1` come from files; name them, as in \
             `data: {arc: {training: [training.json.gz], evaluation: evaluation.json.gz}}`",
        ),
        (
            arc("{train: a.csv}"),
            "3:8: `train` does not apply to ARC; its files are named under `arc`, as in \
             `data: {arc: {training: [training.json.gz], evaluation: evaluation.json.gz}}`",
        ),
        (
            arc("{arc: {training: a.json}}"),
            "3:13: `evaluation` must name a file of tasks, as in \
             `data: {arc: {training: [training.json.gz], evaluation: evaluation.json.gz}}`",
        ),
        (arc("{arc: {training: [a, [b]], evaluation: c}}"), "3:28: each of `training` must be text, not a list"),
        (
            arc("{arc: {evaluation: a, augmentations: 10001}}"),
            "3:44: `augmentations` of `arc` must be a whole number from 0 to 10000, not `10001`",
        ),
        (arc("{arc: {evaluation: a, allow_overlap: 3}}"), "3:44: `allow_overlap` must be true or false, not `3`"),
        (arc("{arc: {evaluations: a}}"), "3:14: unknown key `evaluations`; did you mean `evaluation`?"),
        (with("constraints: h_cycles < 3"), "2:14: `constraints` must be a list such as [a, b], not `h_cycles < 3`"),
        (with("constraints: []"), "2:14: `constraints` is empty; it needs at least one item"),
        (with("constraints: [3]"), "2:15: a constraint must be text, not `3`; put it in quotes"),
        (
            with("constraints:\n- h_cycles < 9\n- \"hiden_size < 3\""),
            "4:4: constraint `hiden_size < 3`: unknown hyper-parameter `hiden_size`; did you mean `hidden_size`?",
        ),
        (with("constraints: ['h_cycles < (']"), "2:28: constraint `h_cycles < (`: unexpected end; expected a number or a hyper-parameter"),
        (
            with("method: random\nrun_cap: 2\nparameters: {lr: {min: 0.0, max: 1.0}}\nconstraints: [lr > 1]"),
            "5:1: the constraints refused 1000 draws in a row; loosen one or narrow the parameters",
        ),
        (with("constraints: [h_cycles > 3]"), "2:1: the constraints leave no trial; loosen one or add values"),
    ];
    for (yaml, message) in cases {
        assert_eq!(errors(&yaml), format!("s.yaml:{message}"), "{yaml}");
    }
}

#[test]
fn mistakes_in_config() {
    let config = |config: &str| format!("benchmark: sudoku-4x4\nconfig:\n  {config}");
    let cases = [
        (config("hiden_size: 64"), "3:3: unknown hyper-parameter `hiden_size`; did you mean `hidden_size`?"),
        (config("hidden_size: wide"), "3:16: `hidden_size` must be a whole number, 0 or more, not `wide`"),
        (config("hidden_size: '64'"), "3:16: `hidden_size` must be a whole number, 0 or more, not the text `64`"),
        (config("hidden_size: 64.5"), "3:16: `hidden_size` must be a whole number, 0 or more, not `64.5`"),
        (config("hidden_size: -3"), "3:16: `hidden_size` must be a whole number, 0 or more, not `-3`"),
        (config("hidden_size: 0"), "3:16: `hidden_size` is 0; it must be from 1 to 1048576"),
        (config("hidden_size: 1e300"), "3:16: `hidden_size` must be a whole number, 0 or more, not `1"),
        (config("hidden_size:"), "3:14: `hidden_size` must be a whole number, 0 or more, not nothing"),
        (config("hidden_size: [64]"), "3:16: `hidden_size` must be a whole number, 0 or more, not a list"),
        (config("lr: .nan"), "3:7: `train.lr` must be a number, not `NaN`"),
        (config("lr: -1e-3"), "3:7: `train.lr` is -0.001; it must be a number from 0 to 10"),
        (config("lr: 1e999"), "3:7: `train.lr` must be a number, not `inf`"),
        (config("variant: conv"), "3:12: `variant` must be `mlp` or `att`, not `conv`"),
        (config("augment: some"), "3:12: `augment` must be one of `none`, `digits`, `full`, not `some`"),
        (config("precision: fp16"), "3:14: `precision` must be one of `auto`, `f32`, `mixed`, `bf16`, not `fp16`"),
        (config("train: 3"), "3:10: `train` must be a mapping of `key: value`, not `3`"),
        (config("train: {learning_rat: 3}"), "3:11: unknown hyper-parameter in `train`: `learning_rat`; "),
        (config("train: {width: 3}"), "3:11: unknown hyper-parameter in `train`: `width`; "),
        (
            config("lr: 1e-3\n  train: {lr: 1e-3}"),
            "4:11: `lr`, which means `train.lr`, is already set in `config` on line 3; keep one of the two",
        ),
        (
            config("recursion_depth: 3\n  n: 3"),
            "4:3: `n`, which means `l_cycles`, is already set in `config` on line 3; keep one of the two",
        ),
        (config("variant: att\n  hidden_size: 100"), "4:16: `hidden_size` is 100, which num_heads 8 does not divide; 112 would do"),
        (config("variant: att\n  num_heads: 7"), "4:14: `hidden_size` is 512, which num_heads 7 does not divide; 518 would do"),
        (
            config("pos_encodings: rope"),
            "3:18: `pos_encodings` rope turns queries and keys, which variant mlp has none of; use none or learned",
        ),
    ];
    for (yaml, message) in cases {
        let found = errors(&yaml);
        assert!(found.starts_with(&format!("s.yaml:{message}")) && found.lines().count() == 1, "{yaml}\n{found}");
    }
}

#[test]
fn mistakes_in_parameters() {
    let cases = [
        ("lr: 0.1", "3:7: parameter `lr` must be `{values: […]}`, `{value: …}` or `{min: …, max: …}`, not `0.1`"),
        ("learning_rte: {value: 1}", "3:3: unknown hyper-parameter `learning_rte`; did you mean `learning_rate`?"),
        ("lr: {valeus: [1]}", "3:8: unknown key `valeus`; did you mean `values`?"),
        ("lr: {}", "3:3: parameter `lr` says not what it varies over; give it `values`, `value`, or `min` and `max`"),
        ("lr: {min: 0.1}", "3:3: parameter `lr` says not what it varies over; give it `values`, `value`, or `min` and `max`"),
        ("lr: {values: []}", "3:16: `values` of `lr` is empty; it needs at least one item"),
        ("lr: {values: 3}", "3:16: `values` of `lr` must be a list such as [a, b], not `3`"),
        ("width: {values: [64, 128, 64.0]}", "3:29: `64` is already among the values of `width` (line 3, column 20); remove one"),
        ("lr: {values: [1e-3, .nan]}", "3:23: `train.lr` must be a number, not `NaN`"),
        ("lr: {values: [1e-3, -1e-3]}", "3:23: `train.lr` is -0.001; it must be a number from 0 to 10"),
        ("lr: {value: fast}", "3:15: `train.lr` must be a number, not `fast`"),
        ("lr: {value: 1, min: 0}", "3:18: `min` means nothing to distribution `constant`, which takes value"),
        ("lr: {min: 0.1, max: 1, q: 0.1}", "3:26: `q` means nothing to distribution `uniform`, which takes min, max"),
        ("lr: {distribution: unifrom, min: 0, max: 1}", "3:22: unknown `distribution` `unifrom`; did you mean `uniform`?"),
        ("lr: {distribution: beta, a: 1}", "3:28: unknown key `a`; "),
        ("lr: {distribution: beta}", "3:7: distribution `beta` is not supported yet; use uniform or normal"),
        ("lr: {distribution: uniform, min: 0}", "3:3: parameter `lr` lacks `max`"),
        ("lr: {distribution: normal, sigma: 0}", "3:37: `sigma` must be greater than 0, not `0`"),
        ("lr: {min: 1.0, max: 0.1}", "3:13: `min` 1 must be less than `max` 0.1"),
        ("width: {min: 9, max: 8}", "3:16: `min` 9 is greater than `max` 8; swap them"),
        ("width: {min: -1, max: 8}", "3:16: `hidden_size` must be a whole number, 0 or more, not `-1`"),
        ("lr: {min: 0.0, max: 99.0}", "3:23: `train.lr` is 99; it must be a number from 0 to 10"),
        ("lr: {distribution: log_uniform_values, min: 0, max: 1}", "3:47: `min` of `log_uniform_values` must be greater than 0, not `0`"),
        (
            "lr: {distribution: log_uniform, min: 1e-5, max: 0.1}",
            "3:40: `log_uniform` takes natural logarithms, so this draws 1.0000 to 1.1052; for values write `log_uniform_values`",
        ),
        (
            "width: {distribution: uniform, min: 8, max: 64}",
            "3:3: `width` takes whole numbers; use int_uniform, or a `q_` distribution with a whole q, not `uniform`",
        ),
        ("variant: {min: 0, max: 1}", "3:3: `variant` takes words, not numbers; list them in `values`"),
        ("lr: {distribution: q_uniform, min: 0, max: 1, q: 0}", "3:52: `q` must be greater than 0, not `0`"),
        ("lr: {values: [1, 2], probabilities: [1]}", "3:39: 1 probabilities for 2 values; give one for each"),
        ("lr: {values: [1, 2], probabilities: [0.5, 0.6]}", "3:39: the probabilities sum to 1.1; they must sum to 1"),
        ("lr: {values: [1, 2], probabilities: [-1, 2]}", "3:40: a probability must be from 0 to 1, not `-1`"),
        ("lr: {min: 0.1, max: 1}", "3:3: a grid cannot list the values of `train.lr`; use `values`, int_uniform, or `method: random`"),
        ("train: {lr: {value: 1}}", "3:3: `train` is a group; write its settings below it, as in `train: {parameters: {…}}`"),
        (
            "T: {values: [1, 2]}\n  h_cycles: {values: [1, 2]}",
            "4:3: `h_cycles` is already set in `parameters` on line 3; keep one of the two",
        ),
        (
            "width: {values: [64, 100]}\n  variant: {values: [mlp, att]}",
            "3:24: `hidden_size` is 100, which num_heads 8 does not divide; 112 would do",
        ),
        (
            "width: {min: 1, max: 100000}\n  heads: {min: 1, max: 100000}",
            "2:1: the grid has 10000000000 trials, and 1000000 is the most; take fewer values, or `method: random` with `run_cap`",
        ),
        ("seed: {values: [1, 2]}", "3:3: unknown hyper-parameter `seed`; "),
    ];
    for (text, message) in cases {
        let found = errors(&parameters(text));
        assert!(found.starts_with(&format!("s.yaml:{message}")) && found.lines().count() == 1, "{text}\n{found}");
    }
    let twice = "benchmark: sudoku-4x4\nconfig: {n: 2}\nparameters: {l_cycles: {values: [1, 2]}}";
    assert_eq!(errors(twice), "s.yaml:3:14: `l_cycles` is already set in `config` on line 2; keep one of the two");
}

#[test]
fn mistakes_in_lists_of_configurations() {
    let with = |rest: &str| format!("benchmark: sudoku-4x4\n{rest}");
    let cases = [
        (with("trials: []"), "2:9: `trials` is empty; it needs at least one item"),
        (with("trials: [a]"), "2:10: a trial must be a mapping of `key: value`, not `a`"),
        (with("trials: [{width: 8}]"), "2:10: this trial lacks `name`, which tables call it by"),
        (with("trials: [{name: ''}]"), "2:17: `name` must have 1 to 200 characters"),
        (with("trials: [{name: a, widht: 8}]"), "2:20: unknown hyper-parameter `widht`; did you mean `width`?"),
        (with("trials: [{name: a, width: 0}]"), "2:27: `hidden_size` is 0; it must be from 1 to 1048576"),
        (with("trials: [{name: a, preset: trm-at}]"), "2:28: unknown preset `trm-at`; did you mean `trm-att`?"),
        (with("trials:\n- {name: a}\n- {name: a, width: 8}"), "4:3: `a` is already the name of an item on line 3; give each its own"),
        (
            with("trials:\n- {name: a}\n- {name: b, width: 512}"),
            "4:3: `b` is the same configuration as `a` on line 3; change or remove one",
        ),
        (
            with("trials:\n- {name: a, n: 2}\nparameters: {l_cycles: {values: [2]}}"),
            "3:16: `l_cycles` varies in `parameters` on line 4; set it in one of the two",
        ),
        (
            with("trials: [{name: a, variant: att}]\nparameters: {width: {values: [64, 100]}}"),
            "3:35: `hidden_size` is 100, which num_heads 8 does not divide; 112 would do",
        ),
        (
            with("trials: [{name: a, variant: att, heads: 3}]"),
            "2:41: `hidden_size` is 512, which num_heads 3 does not divide; 516 would do",
        ),
        (with("method: random\nrun_cap: 1\ntrials: [{name: a}]"), "4:1: `trials` lists what a random sweep would draw; use `method: grid`"),
        (with("baselines: published"), "2:12: `baselines` must be a list such as [a, b], not `published`"),
        (with("baselines: [trm-mpl]"), "2:13: unknown preset `trm-mpl`; did you mean `trm-mlp`?"),
        (with("baselines: [{width: 8}]"), "2:13: this baseline lacks `preset`, which is one of "),
        (with("baselines: [7]"), "2:13: a baseline must be the name of a preset, one of "),
        (with("baselines: [{preset: trm-att, heads: 3}]"), "2:38: `hidden_size` is 512, which num_heads 3 does not divide; 516 would do"),
        (with("baselines: [trm-att, {preset: trm-att}]"), "2:22: `trm-att` is already the name of an item on line 2; give each its own"),
    ];
    for (yaml, message) in cases {
        let found = errors(&yaml);
        assert!(found.starts_with(&format!("s.yaml:{message}")) && found.lines().count() == 1, "{yaml}\n{found}");
    }
}

#[test]
fn all_mistakes_are_shown_at_once_in_the_order_of_lines_and_not_without_end() {
    let three = "nmae: x\nbenchmark: sudoku-4\nreplicates: no\n";
    let lines: Vec<_> = errors(three).lines().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["s.yaml:1:1", "s.yaml:2:12", "s.yaml:3:13"]);
    let many: String = (0..5000).map(|index| format!("k{index}: 1\n")).collect();
    assert_eq!(errors(&many).lines().count(), 20);
}

#[test]
fn a_trial_count_beyond_64_bits_is_refused() {
    let yaml = parameters(
        "width: {min: 1, max: 100000}\n  heads: {min: 1, max: 100000}\n  steps: {min: 1, max: 100000}\n  batch_size: {min: 1, max: 100000}\n  h_cycles: {min: 1, max: 1000}",
    );
    assert!(errors(&yaml).contains("the grid has too many to count trials"), "{}", errors(&yaml));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "(benchmark: sudoku-4x4\n|parameters:\n|  lr: |\\{|\\}|\\[|\\]|values|min|max|: |, |- |&a |\\*a |1e|[-\"'#|>!%@\t\n 0-9a-z.]){0,40}") {
        let _ = errors(&text);
    }
}
