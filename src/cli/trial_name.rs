//! How a trial is named on the command line.

use std::str::FromStr;

/// `SWEEP/TRIAL`; the sweep may be the beginning of an id, or empty for the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialName {
    /// As given.
    pub sweep: String,
    /// Dense from 0.
    pub trial: u32,
}

impl FromStr for TrialName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` names no trial; write SWEEP/TRIAL, as in k3f9/7, or /7 for the newest sweep");
        let (sweep, number) = text.split_once('/').ok_or_else(wrong)?;
        Ok(Self { sweep: sweep.to_owned(), trial: number.parse().map_err(|_| wrong())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!("k3/7".parse(), Ok(TrialName { sweep: "k3".into(), trial: 7 }));
        assert_eq!("/0".parse(), Ok(TrialName { sweep: String::new(), trial: 0 }));
        for wrong in ["", "7", "k3/", "k3/x", "k3/-1", "k3/1/2"] {
            assert!(wrong.parse::<TrialName>().unwrap_err().contains("SWEEP/TRIAL"), "{wrong}");
        }
    }
}
