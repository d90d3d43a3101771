//! What computes products in bf16.

use std::{str::FromStr, sync::OnceLock};

#[cfg(target_arch = "x86_64")]
use super::{
    super::avx512::{Pair, Word},
    amx,
};

/// What computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `tdpbf16ps` on tiles of 16 rows of 64 bytes.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// `vdpbf16ps` on vectors of 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// The f32 product of the rounded factors.
    Rounded,
}

/// A name of what does not compute products here.
#[derive(Debug, thiserror::Error)]
#[error("on this machine products in bf16 are not computed by `{name}`; they can be by {}", names().collect::<Vec<_>>().join(", "))]
pub struct UnitError {
    name: String,
}

/// What computes this process's products.
static IN_USE: OnceLock<Unit> = OnceLock::new();

impl Unit {
    /// All that this machine has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        let candidates = [
            #[cfg(target_arch = "x86_64")]
            (Self::Amx, amx::is_available()),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, Pair::is_available()),
            (Self::Rounded, true),
        ];
        candidates.into_iter().filter_map(|(unit, is_available)| is_available.then_some(unit))
    }

    /// What computes this process's products: what was chosen, or the fastest that this machine has.
    pub fn in_use() -> Self {
        *IN_USE.get_or_init(|| Self::available().next().unwrap_or(Self::Rounded))
    }

    /// Lets it compute this process's products.
    ///
    /// # Panics
    /// When products have been computed, or it was chosen already: what is packed for one unit is not for another.
    pub fn choose(self) {
        assert!(IN_USE.set(self).is_ok(), "products in bf16 are computed by {:?} already", Self::in_use());
    }

    /// What it is, for people.
    pub const fn title(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => "AMX-BF16",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX512-BF16",
            Self::Rounded => "rounded f32",
        }
    }

    /// What it is called where it is chosen, and in figures.
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => "amx",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            Self::Rounded => "rounded",
        }
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    Unit::available().map(Unit::name)
}

impl FromStr for Unit {
    type Err = UnitError;

    fn from_str(name: &str) -> Result<Self, UnitError> {
        Self::available().find(|unit| unit.name() == name).ok_or_else(|| UnitError { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_has_is_read_back() {
        for unit in Unit::available() {
            assert_eq!(unit.name().parse::<Unit>().unwrap(), unit);
        }
        let error = "avx".parse::<Unit>().unwrap_err().to_string();
        assert!(error.starts_with("on this machine products in bf16 are not computed by `avx`; they can be by "), "{error}");
        assert!(error.ends_with("rounded"), "{error}");
    }
}
