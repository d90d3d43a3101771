//! How a worker is told to leave: Ctrl-C once, twice, thrice; SIGTERM; the end of standard input.

use std::{io, thread};

use tinysweep_worker::leave::Leave;
use tokio::sync::{mpsc, watch};

/// What each Ctrl-C means, the first first.
const INTERRUPTS: [(Leave, &str); 3] = [
    (Leave::WhenDone, "finishing what runs, then leaving; Ctrl-C again checkpoints it and hands it back"),
    (Leave::HandBack, "checkpointing what runs and handing it back; Ctrl-C again leaves at once"),
    (Leave::Now, "leaving at once"),
];

/// How urgently this process is to leave, as it changes. `with_stdin` makes the end of standard input mean at once.
pub fn wishes(with_stdin: bool) -> watch::Receiver<Leave> {
    let (wish, wishes) = watch::channel(Leave::Stay);
    tokio::spawn(async move {
        let mut interrupts = INTERRUPTS.into_iter();
        let mut stdin = stdin_end(with_stdin);
        let mut terminations = terminations();
        loop {
            let level = tokio::select! {
                Ok(()) = tokio::signal::ctrl_c() => {
                    let Some((level, meaning)) = interrupts.next() else { continue };
                    eprintln!("{meaning}");
                    level
                }
                Some(()) = terminations.recv() => if *wish.borrow() < Leave::HandBack { Leave::HandBack } else { Leave::Now },
                Some(()) = stdin.recv() => Leave::Now,
            };
            wish.send_if_modified(|wish| {
                let rises = level > *wish;
                *wish = level.max(*wish);
                rises
            });
        }
    });
    wishes
}

/// One item for each SIGTERM; none where there are no signals.
fn terminations() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    #[cfg(unix)]
    tokio::spawn(async move {
        // Without a handler the signal ends the process.
        let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else { return };
        while signal.recv().await.is_some() && sender.send(()).await.is_ok() {}
    });
    #[cfg(not(unix))]
    drop(sender);
    receiver
}

/// One item when standard input ends, if that is of interest. A thread of its own reads it: the runtime's would hold up the end of the program.
fn stdin_end(is_of_interest: bool) -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    if is_of_interest {
        thread::spawn(move || {
            _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            _ = sender.blocking_send(());
        });
    }
    receiver
}
