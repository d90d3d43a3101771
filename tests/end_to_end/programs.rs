//! Programs as trials: shell scripts that report metrics, fail, leave processes behind, or must not run at all.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{Coordinator, PATIENCE, Process, finish, scratch, stdout_of, tinysweep, write};

/// Reports a loss on standard output and an accuracy by the file, and says something.
const TRAIN: &str = r#"#!/bin/sh
echo "training with $*"
echo "careful" >&2
for step in 1 2 3; do
    echo "{\"step\": $step, \"loss\": $step.5, \"note\": \"no number\"}"
done
echo "{\"accuracy\": 0.75}" >> "$TINYSWEEP_METRICS"
echo "secret is ${SECRET:-hidden}, passed is $PASSED, seed is $TINYSWEEP_SEED, parameters are $TINYSWEEP_PARAMETERS"
echo "kept" > "$TINYSWEEP_CHECKPOINT_DIR/weights"
test -d "$TINYSWEEP_SCRATCH_DIR"
"#;

const SWEEP: &str = "\
name: any
program: ./train.sh
command: [\"${program}\", \"${args}\"]
metric: {name: loss}
parameters:
  lr: {values: [0.1, 0.01]}
  name: {value: \"a b; $(touch broken)\"}
";

/// A script that can be run, in the folder in which workers are started.
fn script(folder: &Path, name: &str, text: &str) {
    fs::set_permissions(write(folder, name, text), fs::Permissions::from_mode(0o755)).unwrap();
}

/// A coordinator, and a sweep of a script there.
fn with_script(text: &str, yaml: &str) -> (Coordinator, String) {
    let coordinator = Coordinator::start();
    script(coordinator.folder.path(), "train.sh", text);
    let sweep = coordinator.submit(yaml);
    (coordinator, sweep)
}

/// A sweep of one trial.
fn one(lines: &str) -> String {
    format!("program: ./train.sh\ncommand: ['${{program}}']\nmetric: {{name: loss}}\n{lines}\n")
}

fn runner(coordinator: &Coordinator, name: &str) -> Process {
    coordinator.worker_with(name, &["--allow-commands"])
}

fn logs(coordinator: &Coordinator, trial: &str) -> String {
    stdout_of(coordinator.command(&["logs", trial]))
}

/// Whether a process of that id exists.
fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The ids that a script has written, once there are so many.
fn pids(file: &Path, count: usize) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found: Vec<_> = fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect();
        if found.len() >= count {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn assert_gone(pids: &[String]) {
    let deadline = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| is_alive(pid)) {
        assert!(Instant::now() < deadline, "{pids:?} are left");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_program_reports_and_is_ranked() {
    let (coordinator, sweep) = with_script(TRAIN, SWEEP);
    let mut command = tinysweep(coordinator.folder.path());
    command.args([
        "worker",
        "--slots",
        "1",
        "--work-dir",
        "work",
        "--allow-commands",
        "--pass-env",
        "PASSED",
        "--join",
        &coordinator.address,
    ]);
    command.env("SECRET", "out").env("PASSED", "in");
    let _worker = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let ended = coordinator.wait_for_end(&sweep);
    assert_eq!((&ended["completed"], &ended["goal"], &ended["benchmark"]), (&2.into(), &"minimize".into(), &"".into()), "{ended:#}");
    assert_eq!(ended["program"]["command"], serde_json::json!(["${program}", "${args}"]));

    let trial = coordinator.json(&["show", &format!("{sweep}/1")]);
    let replicate = &trial["replicates"][0];
    assert_eq!(replicate["metrics"], serde_json::json!({"accuracy": 0.75, "loss": 3.5}));
    assert_eq!(trial["config"], serde_json::json!({"lr": 0.01, "name": "a b; $(touch broken)"}));
    let log = logs(&coordinator, &format!("{sweep}/1"));
    let seed = &replicate["seed"];
    for said in [
        "training with --lr=0.01 --name=a b; $(touch broken)".to_owned(),
        "careful".to_owned(),
        format!("secret is hidden, passed is in, seed is {seed}, parameters are {{\"lr\":0.01,"),
    ] {
        assert!(log.contains(&said), "{said} in {log}");
    }
    assert!(!coordinator.folder.path().join("broken").exists(), "no shell reads arguments");
    let kept = coordinator.folder.path().join(format!("work/checkpoints/{sweep}-1-0/weights"));
    assert_eq!(fs::read_to_string(kept).unwrap(), "kept\n");
    assert_eq!(fs::read_dir(coordinator.folder.path().join("work/programs")).unwrap().count(), 0, "scratch folders are gone");

    let board = coordinator.json(&["leaderboard", &sweep, "--columns", "accuracy"]);
    let rows = board["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["metric"]["mean"], &board["benchmark"]), (2, &3.5.into(), &Value::Null), "{board:#}");
    assert!(stdout_of(coordinator.command(&["leaderboard", &sweep])).contains("metric: loss (minimize)\n"));
    assert_eq!(coordinator.json(&["workers"])["workers"][0]["commands"], true);
}

#[test]
fn nothing_is_run_where_it_is_not_allowed() {
    let coordinator = Coordinator::start();
    script(coordinator.folder.path(), "train.sh", TRAIN);
    let _worker = coordinator.worker("plain");
    coordinator.wait_for(&["workers"], |workers| workers["workers"][0]["state"] == "connected");
    write(coordinator.folder.path(), "sweep.yaml", SWEEP);
    let submitted = finish(coordinator.command(&["submit", "sweep.yaml"]));
    let note = String::from_utf8_lossy(&submitted.stderr).into_owned();
    assert!(submitted.status.success() && note.contains("no worker here allows commands (start one with --allow-commands)"), "{note}");
    thread::sleep(Duration::from_millis(500));
    let explained = stdout_of(coordinator.command(&["explain", "/0"]));
    assert!(explained.contains("it waits: no worker here allows commands (start one with --allow-commands)"), "{explained}");
    assert_eq!(coordinator.json(&["show"])["queued"], 2);
    assert_eq!(coordinator.json(&["workers"])["workers"][0]["commands"], false);

    // The one that allows it gets all of it.
    let _allowed = runner(&coordinator, "allowed");
    let ended = coordinator.wait_for_end("");
    assert_eq!(ended["completed"], 2);
    assert_eq!(coordinator.json(&["show", "/0"])["replicates"][0]["attempts"][0]["worker"], "allowed");
}

#[test]
fn failures_say_what_the_program_said_last() {
    let cases = [
        ("echo 'no such thing' >&2; exit 3", "program", "exit code 3; its last words: no such thing"),
        ("echo '{\"loss\": NaN}'", "non_finite", "loss is NaN at the end, after step 1"),
        ("echo '{\"los\": 1}'", "bad_result", "the sweep's metric loss is not among the final metrics; those are los"),
        ("echo hello", "bad_result", "the sweep's metric loss is not among the final metrics, of which there are none"),
        ("kill -SEGV $$", "program", "it was ended by signal 11 (SIGSEGV, segmentation fault)"),
        ("kill -KILL $$", "out_of_memory", "it was killed (SIGKILL), and not by this worker"),
        ("sleep 600", "timeout", "it ran for 1 s"),
        ("trap '' TERM; sleep 0.1; echo '{\"loss\": 1}'; exec ./nothing", "program", "nothing"),
    ];
    let coordinator = Coordinator::start();
    let _worker = runner(&coordinator, "a");
    for (index, (text, kind, reason)) in cases.into_iter().enumerate() {
        let name = format!("fail{index}.sh");
        script(coordinator.folder.path(), &name, &format!("#!/bin/sh\n{text}\n"));
        let timeout = if kind == "timeout" { "timeout_secs: 1\n" } else { "" };
        let yaml = format!("command: [./{name}]\nmetric: {{name: loss}}\nretry: {{on: {{out_of_memory: give_up}}}}\n{timeout}");
        let sweep = coordinator.submit(&yaml);
        let ended = coordinator.wait_for_end(&sweep);
        let trial = coordinator.json(&["show", &format!("{sweep}/0")]);
        assert_eq!((&ended["failed"], &trial["replicates"][0]["attempts"][0]["failure"]), (&1.into(), &kind.into()), "{text}: {trial:#}");
        assert!(trial["reason"].as_str().unwrap().contains(reason), "{text}: {trial:#}");
    }
}

#[test]
fn a_program_says_what_it_has_cost() {
    // A child computes, and is waited for; the shell itself hardly does.
    let busy = "#!/bin/sh\nsh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done'\necho '{\"loss\": 1}'\n";
    let (coordinator, sweep) = with_script(busy, &one(""));
    let _worker = runner(&coordinator, "w");
    coordinator.wait_for_end(&sweep);
    let trial = coordinator.json(&["show", &format!("{sweep}/0")]);
    let cost = &trial["replicates"][0]["attempts"][0]["cost"];
    let number = |name: &str| cost[name].as_f64().unwrap_or_else(|| panic!("{name} in {cost:#}"));
    assert!(number("device_seconds") >= 0.02 && number("device_seconds") <= number("wall_seconds") + 0.05, "{cost:#}");
    assert_eq!((number("joules"), number("steps")), (number("joules_estimated"), 0.0));
    assert!((number("joules") - 10.0 * number("device_seconds")).abs() < 1e-6, "{cost:#}");
}

#[test]
fn a_program_that_is_not_there_speaks_against_the_worker_and_is_tried_elsewhere() {
    let coordinator = Coordinator::start();
    let sweep = coordinator.submit(&one("retry: {max_attempts: 2, backoff_secs: 0}"));
    let _worker = runner(&coordinator, "a");
    let ended = coordinator.wait_for_end(&sweep);
    assert_eq!(ended["failed"], 1);
    let trial = coordinator.json(&["show", &format!("{sweep}/0")]);
    let reason = trial["reason"].as_str().unwrap();
    assert!(reason.contains("there is no `./train.sh` in") && reason.contains("the folder in which this worker was started"), "{reason}");
    assert_eq!(trial["replicates"][0]["attempts"][1]["failure"], "cannot_start");
}

/// Starts a tree of processes of which some ignore SIGTERM, and waits.
const TREE: &str = "#!/bin/sh
sh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 1; done' &
sh -c 'echo $$ >> pids; sleep 600' &
echo $$ >> pids
echo '{\"loss\": 1}'
wait
sleep 600
";

#[test]
fn a_cancelled_program_leaves_no_process_behind() {
    let (coordinator, sweep) = with_script(TREE, &one(""));
    let _worker = runner(&coordinator, "a");
    let pids = pids(&coordinator.folder.path().join("pids"), 3);
    stdout_of(coordinator.command(&["cancel", &sweep]));
    assert_gone(&pids);
}

#[test]
fn a_worker_that_is_told_to_leave_hands_its_program_back_and_leaves_no_process_behind() {
    let (coordinator, sweep) = with_script(TREE, &one(""));
    let worker = runner(&coordinator, "a");
    let pids = pids(&coordinator.folder.path().join("pids"), 3);
    let terminate = || assert!(Command::new("kill").arg(worker.0.id().to_string()).status().unwrap().success());
    terminate();
    let queued = coordinator.wait_for(&["show", &sweep], |sweep| sweep["queued"] == 1);
    assert_eq!(queued["failed"], 0);
    assert_gone(&pids);
    let attempt = &coordinator.json(&["show", &format!("{sweep}/0")])["replicates"][0]["attempts"][0];
    assert!(attempt["reason"].as_str().unwrap().contains("told to leave"), "{attempt:#}");
}

#[test]
fn a_worker_that_leaves_at_once_or_is_killed_leaves_no_process_behind() {
    for signals in [["-TERM", "-TERM"].as_slice(), &["-KILL"]] {
        let (coordinator, sweep) = with_script(TREE, &one(""));
        let worker = runner(&coordinator, "a");
        let pids = pids(&coordinator.folder.path().join("pids"), 3);
        for signal in signals {
            assert!(Command::new("kill").arg(signal).arg(worker.0.id().to_string()).status().unwrap().success());
            thread::sleep(Duration::from_millis(200));
        }
        assert_gone(&pids);
        coordinator.wait_for(&["show", &sweep], |sweep| sweep["queued"] == 1);
    }
}

#[test]
fn floods_and_rubbish_are_bounded() {
    let text = "#!/bin/sh
head -c 300000 /dev/zero | tr '\\0' x; echo
head -c 100000 /dev/urandom
echo
yes 'a line of no interest' | head -n 200000
yes '{\"loss\": 2, \"other\": NaN}' | head -n 100000
echo '{\"loss\": 1}'
";
    let (coordinator, sweep) = with_script(text, &one(""));
    let _worker = runner(&coordinator, "a");
    let ended = coordinator.wait_for_end(&sweep);
    assert_eq!(ended["completed"], 1, "{:#}", coordinator.json(&["show", &format!("{sweep}/0")]));
    let trial = coordinator.json(&["show", &format!("{sweep}/0")]);
    assert_eq!(trial["replicates"][0]["metrics"], serde_json::json!({"loss": 1.0}));
    let log = logs(&coordinator, &format!("{sweep}/0"));
    assert!(log.lines().count() <= 5000 && log.contains("lines left out"), "{} lines", log.lines().count());
    assert!(log.contains("metric points are no part of the curves"));
}

#[test]
fn the_example_runs() {
    let folder = scratch();
    let mut command = tinysweep(Path::new(env!("CARGO_MANIFEST_DIR")));
    command.args(["run", "sweeps/program.yaml", "--allow-commands", "--output", "json", "--data-dir"]).arg(folder.path());
    let board: Value = serde_json::from_str(&stdout_of(command)).unwrap();
    let rows = board["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    assert!(rows.iter().all(|row| row["metric"]["n"] == 3 && row["metric"]["mean"].as_f64().unwrap() < 0.1), "{board:#}");
}

#[test]
fn run_does_it_on_one_machine_and_refuses_it_unasked() {
    let folder = scratch();
    script(folder.path(), "train.sh", TRAIN);
    write(folder.path(), "sweep.yaml", SWEEP);
    let run = |arguments: &[&str]| {
        let mut command = tinysweep(folder.path());
        command.args(["run", "sweep.yaml", "--output", "json"]).args(arguments);
        finish(command)
    };
    let refused = run(&[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("sweep.yaml: runs a program, which is only done with --allow-commands"), "{said}");

    let done = run(&["--allow-commands"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let board: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(board["rows"].as_array().unwrap().len(), 2);

    fs::remove_file(folder.path().join("train.sh")).unwrap();
    let missing = run(&["--allow-commands"]);
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.code() == Some(2) && said.contains("there is no `./train.sh` in"), "{said}");
}
