//! How a coordinator is addressed: `http://[TOKEN@]HOST[:PORT]`, one string that a user can paste.

use std::{fmt, net::IpAddr, str::FromStr};

use crate::DEFAULT_PORT;

/// Where a coordinator is, and the token that it asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or IP address; an IPv6 one in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The shared token.
    pub token: Option<String>,
}

/// A text that is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no coordinator address ({problem}); write http://HOST:PORT or http://TOKEN@HOST:PORT")]
pub struct AddressError {
    text: String,
    problem: &'static str,
}

impl Address {
    /// `ip` as an address has it: an IPv6 one in brackets.
    pub fn host_of(ip: IpAddr) -> String {
        match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        }
    }

    /// The address without the token, as connections and log messages use it.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |problem| AddressError { text: without_token(text), problem };
        let rest = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        if rest.contains("://") {
            return Err(error("only http is known"));
        }
        let (token, place) = match rest.rsplit_once('@') {
            Some((token, place)) => (Some(token.to_owned()), place),
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| error("the port is no number below 65536"))?),
            _ => (place, DEFAULT_PORT),
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || (!bracketed && host.contains(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c)))) {
            return Err(error("the host name is missing or has a character that none may have"));
        }
        if token.as_deref().is_some_and(|token| token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(error("the token is empty or has a character that none may have"));
        }
        Ok(Self { host: host.to_owned(), port, token })
    }
}

/// Error messages end up in logs, where no token belongs.
fn without_token(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, place)) => format!("***@{place}"),
        None => text.to_owned(),
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Address({}, token: {})", self.url(), if self.token.is_some() { "***" } else { "none" })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.token {
            Some(token) => write!(out, "http://{token}@{}:{}", self.host, self.port),
            None => write!(out, "{}", self.url()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let parse = |text: &str| text.parse::<Address>();
        assert_eq!(parse("localhost").unwrap().url(), format!("http://localhost:{DEFAULT_PORT}"));
        assert_eq!(parse("http://s3cret@10.0.0.1:99/").unwrap().to_string(), "http://s3cret@10.0.0.1:99");
        assert_eq!(parse("[::1]:80").unwrap().port, 80);
        assert_eq!(parse("[::1]").unwrap().port, DEFAULT_PORT);
        for wrong in ["", "https://a", "a:99999", "a b", "@host", "http://:80"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tokens_stay_out_of_messages() {
        assert!(!"http://s3cret@host:x".parse::<Address>().unwrap_err().to_string().contains("s3cret"));
        assert!(!format!("{:?}", "s3cret@host".parse::<Address>().unwrap()).contains("s3cret"));
    }
}
