//! The shared token.

use std::fmt;

use sha2::{Digest, Sha256};
use tinysweep_proto::TOKEN_HEADER;
use tonic::{Request, Status, service::Interceptor};

/// Lets calls through that show the token, where there is one.
#[derive(Clone)]
pub struct TokenCheck(Option<[u8; 32]>);

impl fmt::Debug for TokenCheck {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.asks() { "TokenCheck(***)" } else { "TokenCheck(none)" })
    }
}

impl TokenCheck {
    /// Asks for `token`; without one every call passes.
    pub fn new(token: Option<&str>) -> Self {
        Self(token.map(|token| Sha256::digest(format!("Bearer {token}")).into()))
    }

    /// Whether there is a token.
    pub const fn asks(&self) -> bool {
        self.0.is_some()
    }
}

impl Interceptor for TokenCheck {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(expected) = &self.0 else { return Ok(request) };
        let Some(shown) = request.metadata().get(TOKEN_HEADER) else {
            return Err(Status::unauthenticated("this coordinator asks for a token: give it as http://TOKEN@HOST:PORT"));
        };
        if same(expected, &Sha256::digest(shown.as_bytes()).into()) {
            Ok(request)
        } else {
            Err(Status::unauthenticated("this token is not the coordinator's"))
        }
    }
}

/// Compares in a time that does not depend on where the two differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(token: Option<&str>, header: Option<&str>) -> Result<(), String> {
        let mut request = Request::new(());
        if let Some(header) = header {
            request.metadata_mut().insert(TOKEN_HEADER, header.parse().unwrap());
        }
        TokenCheck::new(token).call(request).map(drop).map_err(|status| status.message().to_owned())
    }

    #[test]
    fn only_the_token_passes() {
        assert_eq!(call(None, None), Ok(()));
        assert_eq!(call(None, Some("Bearer x")), Ok(()));
        assert_eq!(call(Some("secret"), Some("Bearer secret")), Ok(()));
        for wrong in ["Bearer secre", "Bearer secrett", "secret", "Bearer ", ""] {
            assert_eq!(call(Some("secret"), Some(wrong)), Err("this token is not the coordinator's".into()), "{wrong}");
        }
        assert!(call(Some("secret"), None).unwrap_err().contains("asks for a token"));
    }
}
