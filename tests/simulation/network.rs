//! gRPC over the simulated network.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use tinysweep_proto::{
    address::Address,
    connect::{Connection, Unreachable, endpoint, with_token},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::transport::{Uri, server::Connected};
use turmoil::net::{TcpListener, TcpStream};

/// Where the coordinator is.
pub const COORDINATOR: &str = "coordinator";
const PORT: u16 = 7433;

/// The address of the coordinator.
pub fn address() -> Address {
    Address { host: COORDINATOR.into(), port: PORT, token: Some("secret".into()) }
}

/// Connects to a coordinator, as [`tinysweep_proto::connect::connect`] does.
pub async fn connect(address: Address) -> Result<Connection, Unreachable> {
    let dial = |uri: Uri| async move {
        let stream = TcpStream::connect((uri.host().unwrap_or_default().to_owned(), uri.port_u16().unwrap_or_default())).await?;
        Ok::<_, io::Error>(TokioIo::new(stream))
    };
    let channel = endpoint(&address)?.connect_with_connector(tower::service_fn(dial)).await;
    Ok(with_token(channel.map_err(|error| Unreachable::new(&address, &error))?, &address))
}

/// A connection that has come in.
pub struct Incoming(TcpStream);

/// Those that come in at this host from now on.
pub async fn listen() -> io::Result<impl Stream<Item = io::Result<Incoming>>> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move { while sender.send(listener.accept().await.map(|(stream, _)| Incoming(stream))).await.is_ok() {} });
    Ok(ReceiverStream::new(receiver))
}

impl Connected for Incoming {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Incoming {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
