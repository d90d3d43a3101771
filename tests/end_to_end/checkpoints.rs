//! `tinysweep train` and `tinysweep eval`.

use serde_json::Value;

use crate::harness::{TINY_SWEEP, finish, scratch, stdout_of, sweep_of_files, tinysweep, write};

const PUZZLES: &str = "source,question,answer,rating\nx,1.3.341...4.4..1,1234341221434321,0\ny,.234.41.2.43.3.1,1234341221434321,0\n";

#[test]
fn a_trained_checkpoint_evaluates_as_it_did_in_training() {
    let folder = scratch();
    write(folder.path(), "test.csv", PUZZLES);
    let sweep = sweep_of_files(folder.path()).replace("values: [1, 2]", "value: 2");
    let file = write(folder.path(), "one.yaml", sweep);
    let mut train = tinysweep(folder.path());
    train.arg("train").arg(file).args(["--output", "json", "--seed", "3"]);
    let trained: Value = serde_json::from_str(&stdout_of(train)).unwrap();
    assert!(folder.path().join("checkpoint/model.safetensors").is_file());

    let mut eval = tinysweep(folder.path());
    eval.args(["eval", "--checkpoint", "checkpoint", "--data", "test.csv", "--output", "json"]);
    let evaluated: Value = serde_json::from_str(&stdout_of(eval)).unwrap();
    assert_eq!(evaluated["examples"], 2);
    assert_eq!(evaluated["metrics"], trained["metrics"]);
    assert_eq!(evaluated["token_accuracy_by_step"], trained["token_accuracy_by_step"]);
}

#[test]
fn more_supervision_steps_at_test_time() {
    let folder = scratch();
    write(folder.path(), "test.csv", PUZZLES);
    let file = write(folder.path(), "one.yaml", TINY_SWEEP.replace("values: [1, 2]", "value: 1"));
    let mut train = tinysweep(folder.path());
    train.arg("train").arg(file);
    stdout_of(train);
    let mut eval = tinysweep(folder.path());
    eval.args(["eval", "--checkpoint", "checkpoint", "--data", "test.csv", "--steps", "5", "--output", "json"]);
    let evaluated: Value = serde_json::from_str(&stdout_of(eval)).unwrap();
    assert_eq!(evaluated["exact_accuracy_by_step"].as_array().unwrap().len(), 5);
}

#[test]
fn a_folder_without_a_checkpoint_is_bad_input() {
    let folder = scratch();
    write(folder.path(), "test.csv", PUZZLES);
    let mut eval = tinysweep(folder.path());
    eval.args(["eval", "--checkpoint", "nowhere", "--data", "test.csv"]);
    let output = finish(eval);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
}

/// The folder of the PyTorch checkpoints that a script has written.
const PYTORCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/worker/tests/fixtures/pytorch");

#[test]
fn a_pytorch_checkpoint_is_converted_measured_and_asked() {
    let folder = scratch();
    write(folder.path(), "test.csv", PUZZLES);
    let mut convert = tinysweep(folder.path());
    convert.args(["convert", &format!("{PYTORCH}/model/step_10"), "ours", "--puzzle-table", "mean", "--task", "sudoku-4x4"]);
    assert!(stdout_of(convert).contains("prefix _orig_mod.model.inner. taken from all names"));

    let mut eval = tinysweep(folder.path());
    eval.args(["eval", "--checkpoint", "ours", "--data", "test.csv", "--output", "json"]);
    let evaluated: Value = serde_json::from_str(&stdout_of(eval)).unwrap();

    let mut predict = tinysweep(folder.path());
    predict.args(["predict", "ours", "test.csv", "--output", "json"]);
    let predicted: Value = serde_json::from_str(&stdout_of(predict)).unwrap();
    assert_eq!(predicted["supervision_steps"], 4);
    let puzzles = predicted["puzzles"].as_array().unwrap();
    let right: usize = puzzles
        .iter()
        .map(|puzzle| {
            let cells = |value: &Value| value.as_str().unwrap().chars().collect::<Vec<_>>();
            let pairs = cells(&puzzle["steps"][3]["answer"]).into_iter().zip(cells(&puzzle["known_answer"]));
            pairs.filter(|(found, wanted)| found == wanted).count()
        })
        .sum();
    let accuracy = evaluated["metrics"]["test/token_accuracy"].as_f64().unwrap();
    assert_eq!((puzzles.len(), right), (2, (accuracy * 32.0).round() as usize));
}

#[test]
fn predict_shows_each_step_of_a_puzzle_given_as_text() {
    let folder = scratch();
    let mut convert = tinysweep(folder.path());
    convert.args(["convert", &format!("{PYTORCH}/model/step_10"), "ours", "--puzzle-table", "mean", "--task", "sudoku-4x4"]);
    stdout_of(convert);
    let mut predict = tinysweep(folder.path());
    predict.args(["predict", "ours", "..34..1.214..32.", "--steps", "5"]);
    let text = stdout_of(predict);
    assert!(text.starts_with("puzzle 1\n  . . | 3 4\n  . . | 1 .\n  ----+-----\n"), "{text}");
    assert_eq!(text.matches("halt probability").count(), 5);
    assert!(text.contains("(beyond training)"));

    for (arguments, message) in [
        (["..34", "--puzzle-id", "0"], "`..34` is no file, and as a puzzle of sudoku-4x4: has 4 cells"),
        ([".", "--puzzle-id", "0"], "Is a directory"),
        (["..34..1.214..32.", "--puzzle-id", "1"], "the puzzle table has no row 1; it has 1, from 0"),
    ] {
        let mut predict = tinysweep(folder.path());
        predict.args(["predict", "ours"]).args(arguments);
        let output = finish(predict);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && error.contains(message), "{error}");
    }
}

#[test]
fn a_pytorch_file_that_would_run_a_program_is_refused_by_name() {
    let folder = scratch();
    // An archive of one stored entry, whose pickle calls os.system.
    let pickle = b"\x80\x02cos\nsystem\nX\x0e\x00\x00\x00touch executed\x85R.";
    let name = b"archive/data.pkl";
    let mut archive = Vec::new();
    let sizes = [crc32(pickle).to_le_bytes(), (pickle.len() as u32).to_le_bytes(), (pickle.len() as u32).to_le_bytes()].concat();
    let common = [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0], sizes.as_slice(), &[name.len() as u8, 0, 0, 0]].concat();
    archive.extend([b"PK\x03\x04", common.as_slice(), name, pickle].concat());
    let directory = archive.len() as u32;
    archive.extend([b"PK\x01\x02\x14\x00", common.as_slice(), &[0; 14], name].concat());
    let length = archive.len() as u32 - directory;
    archive.extend([b"PK\x05\x06\0\0\0\0\x01\0\x01\0", length.to_le_bytes().as_slice(), &directory.to_le_bytes(), &[0; 2]].concat());
    std::fs::write(folder.path().join("evil.pt"), archive).unwrap();
    let mut convert = tinysweep(folder.path());
    convert.args(["convert", "evil.pt", "ours"]);
    let output = finish(convert);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        error.contains("data.pkl names `os.system` at byte 2, which a dictionary of tensors does not need; it was not executed"),
        "{error}"
    );
    assert!(!folder.path().join("executed").exists() && !folder.path().join("ours").exists());
}

/// The checksum of zip archives.
fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32| (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc)))
}
