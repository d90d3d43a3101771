//! Who is let in: so many connections at once, and only such as begin to speak.
//!
//! Before its first call nobody has shown a token. What a stranger can hold is bounded here: connections beyond the limit are closed at
//! once, and one that does not greet in time is cut, so that its place is free again.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, Sleep, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tracing::warn;

/// How long a connection may take to greet.
const PATIENCE: Duration = Duration::from_secs(10);
/// What every HTTP/2 connection begins with, RFC 9113 section 3.4, in bytes. After it the server's keep-alive tells whether it lives.
const GREETING_BYTES: usize = 24;
/// After an error that is not of one connection, as that no file can be opened any more.
const PAUSE: Duration = Duration::from_millis(100);
/// The log says no oftener that connections are turned away.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The connections of `listener` that are let in, `most` at once.
pub fn incoming(listener: TcpListener, most: usize) -> ReceiverStream<io::Result<Guest>> {
    let (guests, incoming) = mpsc::channel(1);
    tokio::spawn(async move { admit(&listener, most, &guests).await });
    ReceiverStream::new(incoming)
}

/// Lets connections in until nobody takes them any more. No error ends it: a server that cannot accept now can later.
async fn admit(listener: &TcpListener, most: usize, guests: &mpsc::Sender<io::Result<Guest>>) {
    let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    let mut quiet_until = Instant::now();
    let mut complain = |why: &str| {
        if Instant::now() >= quiet_until {
            quiet_until = Instant::now() + LOG_EVERY;
            warn!(connections = most - places.available_permits(), why, "a connection was turned away");
        }
    };
    loop {
        let accepted = tokio::select! {
            () = guests.closed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                // Where the receiver is gone, the next round ends.
                Ok(place) => _ = guests.send(Ok(Guest::new(stream, place))).await,
                Err(_) => complain("there are as many as `--max-connections` allows"),
            },
            Err(error) if is_of_one(&error) => {}
            Err(error) => {
                complain(&error.to_string());
                sleep(PAUSE).await;
            }
        }
    }
}

/// Whether the peer has gone before it was let in.
fn is_of_one(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted)
}

/// A connection that was let in. Its place is free again when it is dropped.
#[derive(Debug)]
pub struct Guest {
    stream: TcpStream,
    /// What is missing of the greeting; none once it was heard.
    greeting: Option<Greeting>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Greeting {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Guest {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        // Answers are small, and someone waits for each. Where the system refuses, they come later.
        _ = stream.set_nodelay(true);
        let greeting = Greeting { missing: GREETING_BYTES, deadline: Box::pin(sleep(PATIENCE)) };
        Self { stream, greeting: Some(greeting), _place: place }
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(greeting) = &mut self.greeting else { return read };
        greeting.missing = greeting.missing.saturating_sub(buffer.filled().len() - before);
        if greeting.missing == 0 {
            self.greeting = None;
        } else if read.is_pending() {
            ready!(greeting.deadline.as_mut().poll(context));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no greeting came in time")));
        }
        read
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for Guest {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_stream::StreamExt;

    async fn connect(most: usize) -> (std::net::SocketAddr, ReceiverStream<io::Result<Guest>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (listener.local_addr().unwrap(), incoming(listener, most))
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_guest_has_gone() {
        let (address, mut incoming) = connect(1).await;
        let _first = TcpStream::connect(address).await.unwrap();
        let guest = incoming.next().await.unwrap().unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(second.read(&mut [0; 8]).await.unwrap_or(0), 0, "it is closed at once");
        drop(guest);
        let _third = TcpStream::connect(address).await.unwrap();
        incoming.next().await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_greet_in_time_is_cut() {
        let (address, mut incoming) = connect(4).await;
        let start = Instant::now();
        for said in [0, GREETING_BYTES - 1] {
            let mut peer = TcpStream::connect(address).await.unwrap();
            let mut guest = incoming.next().await.unwrap().unwrap();
            peer.write_all(&vec![b'x'; said]).await.unwrap();
            let error = guest.read_exact(&mut [0; GREETING_BYTES]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        assert!(start.elapsed() >= 2 * PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_greeted_may_be_silent() {
        let (address, mut incoming) = connect(4).await;
        let mut peer = TcpStream::connect(address).await.unwrap();
        let mut guest = incoming.next().await.unwrap().unwrap();
        peer.write_all(&[b'x'; GREETING_BYTES]).await.unwrap();
        guest.read_exact(&mut [0; GREETING_BYTES]).await.unwrap();
        tokio::time::timeout(2 * PATIENCE, guest.read(&mut [0; 1])).await.unwrap_err();
    }
}
