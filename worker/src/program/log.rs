//! What a program says to people: its lines that are no metrics, as many as are worth keeping.

use std::{collections::VecDeque, time::Instant};

use super::budget::Budget;

/// Lines a second that are kept, and lines at once.
const LINES_PER_SECOND: f64 = 100.0;
const LINES_AT_ONCE: f64 = 1000.0;
/// Characters of a line that are kept.
const LINE_LIMIT: usize = 2000;
/// Lines, and bytes, that travel in one message.
const LINES_PER_MESSAGE: usize = 500;
const BYTES_PER_MESSAGE: usize = 256 << 10;
/// Last lines that explain a failure, and characters of that explanation.
const LAST_LINES: usize = 4;
const EXPLANATION_LIMIT: usize = 600;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Lines that wait to be sent, and the last ones.
#[derive(Debug)]
pub struct Log {
    waiting: Vec<String>,
    budget: Budget,
    left_out: u64,
    last: [VecDeque<String>; 2],
}

impl Log {
    /// None yet.
    pub fn new(now: Instant) -> Self {
        let budget = Budget::new(LINES_PER_SECOND, LINES_AT_ONCE, now);
        Self { waiting: Vec::new(), budget, left_out: 0, last: [VecDeque::new(), VecDeque::new()] }
    }

    /// Takes a line of the program. Blank ones say nothing.
    pub fn take(&mut self, stream: Stream, line: &str, now: Instant) {
        if line.trim().is_empty() {
            return;
        }
        let line: String = line.chars().take(LINE_LIMIT).collect();
        let last = &mut self.last[stream as usize];
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line.clone());
        if self.budget.take(1.0, now) {
            self.waiting.push(line);
        } else {
            self.left_out += 1;
        }
    }

    /// Takes a line of the worker's own.
    pub fn note(&mut self, line: &str) {
        self.waiting.push(line.chars().take(LINE_LIMIT).collect());
    }

    /// What waits, in parts that a message can carry.
    pub fn flush(&mut self) -> Vec<Vec<String>> {
        if self.left_out > 0 {
            let left_out = std::mem::take(&mut self.left_out);
            self.note(&format!("({left_out} lines left out: more than {LINES_PER_SECOND} a second)"));
        }
        let mut parts: Vec<Vec<String>> = Vec::new();
        let mut bytes = BYTES_PER_MESSAGE;
        for line in std::mem::take(&mut self.waiting) {
            bytes += line.len();
            match parts.last_mut().filter(|part| bytes <= BYTES_PER_MESSAGE && part.len() < LINES_PER_MESSAGE) {
                Some(part) => part.push(line),
                None => {
                    bytes = line.len();
                    parts.push(vec![line]);
                }
            }
        }
        parts
    }

    /// The last words of the program, on one line: of standard error, where it said something there.
    pub fn last_words(&self) -> Option<String> {
        let [output, error] = &self.last;
        let last = if error.is_empty() { output } else { error };
        let words = last.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" / ");
        let skipped = words.chars().count().saturating_sub(EXPLANATION_LIMIT);
        let cut: String = words.chars().skip(skipped).collect();
        (!cut.is_empty()).then(|| if skipped > 0 { format!("…{cut}") } else { cut })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_those_of_standard_error() {
        let now = Instant::now();
        let mut log = Log::new(now);
        assert_eq!(log.last_words(), None);
        log.take(Stream::Output, "epoch 1", now);
        assert_eq!(log.last_words().unwrap(), "epoch 1");
        for line in ["Traceback", " ", "1", "2", "3", "  ValueError: no"] {
            log.take(Stream::Error, line, now);
        }
        assert_eq!(log.last_words().unwrap(), "1 / 2 / 3 / ValueError: no");
        log.take(Stream::Error, &"é".repeat(9999), now);
        assert_eq!(log.last_words().unwrap().chars().count(), EXPLANATION_LIMIT + 1);
        assert_eq!(log.flush().concat()[0], "epoch 1");
    }

    #[test]
    fn a_flood_is_cut_to_what_messages_can_carry_and_says_so() {
        let now = Instant::now();
        let mut log = Log::new(now);
        for _ in 0..50_000 {
            log.take(Stream::Output, &"x".repeat(4000), now);
        }
        let parts = log.flush();
        let bytes = |part: &Vec<String>| part.iter().map(String::len).sum::<usize>();
        assert!(parts.iter().all(|part| part.len() <= LINES_PER_MESSAGE && bytes(part) <= BYTES_PER_MESSAGE));
        assert_eq!(parts.concat().len(), LINES_AT_ONCE as usize + 1);
        assert_eq!(parts.concat().pop().unwrap(), "(49000 lines left out: more than 100 a second)");
        assert!(log.flush().is_empty());
    }
}
