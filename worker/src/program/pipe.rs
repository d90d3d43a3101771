//! One stream of a program's output.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::sleep_until,
};

use super::{BYTES_AT_ONCE, READ_BYTES, budget::Budget, output::Lines};

/// Bytes a second that are read of each stream: a program that says more is held up by its full pipe.
const BYTES_PER_SECOND: f64 = 1e6;

/// One stream of a program's output.
pub struct Pipe {
    from: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// The line that is not whole yet.
    pub lines: Lines,
    budget: Budget,
    /// Nothing is read before.
    resume: Instant,
    buffer: Vec<u8>,
}

impl Pipe {
    /// One that is read from `now` on.
    pub fn new(from: impl AsyncRead + Send + Unpin + 'static, now: Instant) -> Self {
        Self {
            from: Some(Box::new(from)),
            lines: Lines::default(),
            budget: Budget::new(BYTES_PER_SECOND, BYTES_AT_ONCE, now),
            resume: now,
            buffer: vec![0; READ_BYTES],
        }
    }

    /// Whether more may come.
    pub fn is_open(&self) -> bool {
        self.from.is_some()
    }

    /// The next bytes; never comes where there are no more. May be dropped and called again.
    pub async fn read(&mut self) -> Vec<u8> {
        sleep_until(self.resume.into()).await;
        let Some(from) = &mut self.from else { return std::future::pending().await };
        match from.read(&mut self.buffer).await {
            Ok(count) if count > 0 => {
                let now = Instant::now();
                self.resume = now + Duration::from_secs_f64(self.budget.owe(count as f64, now));
                self.buffer[..count].to_vec()
            }
            _ => {
                self.from = None;
                Vec::new()
            }
        }
    }
}
