#![no_main]

#[allow(dead_code, reason = "each target is one of these")]
#[path = "../../worker/tests/readers/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::maze_csv(bytes);
});
