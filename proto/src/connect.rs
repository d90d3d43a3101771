//! How workers and the command line reach a coordinator.

use std::time::Duration;

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::{TOKEN_HEADER, address::Address};

/// A connection that shows its token with every call.
pub type Connection = InterceptedService<Channel, Bearer>;

/// A coordinator that does not answer.
#[derive(Debug, thiserror::Error)]
#[error("no coordinator answers at {url} ({problem}); is `tinysweep serve` running there?")]
pub struct Unreachable {
    url: String,
    problem: String,
}

impl Unreachable {
    /// `address` cannot be reached because of `error`.
    pub fn new(address: &Address, error: &dyn std::error::Error) -> Self {
        Self { url: address.url(), problem: innermost(error) }
    }
}

/// Adds the shared token to every call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert(TOKEN_HEADER, token.clone());
        }
        Ok(request)
    }
}

/// Connects to the coordinator at `address`, within five seconds or not at all.
///
/// # Errors
/// The coordinator does not answer.
pub async fn connect(address: &Address) -> Result<Connection, Unreachable> {
    let channel = endpoint(address)?.connect().await.map_err(|error| Unreachable::new(address, &error))?;
    Ok(with_token(channel, address))
}

/// How connections to `address` are made and kept alive.
///
/// # Errors
/// There can be no such address.
pub fn endpoint(address: &Address) -> Result<Endpoint, Unreachable> {
    Ok(Endpoint::from_shared(address.url())
        .map_err(|error| Unreachable::new(address, &error))?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .tcp_nodelay(true))
}

/// Shows the token of `address` with every call over `channel`.
pub fn with_token(channel: Channel, address: &Address) -> Connection {
    let token = address.token.as_ref().map(|token| {
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {token}").parse().expect("an address lets only graphic ASCII characters into its token");
        value.set_sensitive(true);
        value
    });
    InterceptedService::new(channel, Bearer(token))
}

/// The cause at the end of the chain says most ("Connection refused"); what wraps it only says "transport error".
fn innermost(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}
