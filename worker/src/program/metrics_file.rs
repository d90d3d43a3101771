//! The file to which a program may append its metrics.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
};

use super::{BYTES_AT_ONCE, READ_BYTES, output::Lines, said::Said};

/// The file to which a program may append its metrics. It is this worker's: whatever takes its place is not read.
pub struct MetricsFile {
    file: File,
    lines: Lines,
}

impl MetricsFile {
    /// Reads an open file from where it stands.
    pub fn new(file: File) -> Self {
        Self { file, lines: Lines::default() }
    }

    /// Reads some of what was appended since; whether there was any.
    pub fn read_on(&mut self, said: &mut Said) -> bool {
        // A file that has become shorter was begun anew.
        let place = self.file.stream_position().unwrap_or(0);
        if self.file.metadata().is_ok_and(|meta| meta.len() < place) {
            let _ = self.file.seek(SeekFrom::Start(0));
            self.lines = Lines::default();
        }
        let mut buffer = vec![0; READ_BYTES];
        let count = self.file.read(&mut buffer).unwrap_or(0);
        self.lines.push(&buffer[..count], |line| said.take_metrics(&line));
        count > 0
    }

    /// Reads what is left of it, within bounds.
    pub fn read_to_end(&mut self, said: &mut Said) {
        let most = BYTES_AT_ONCE as usize / READ_BYTES;
        for _ in 0..most {
            if !self.read_on(said) {
                break;
            }
        }
        self.lines.finish(|line| said.take_metrics(&line));
    }
}
