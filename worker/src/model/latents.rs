//! What a model carries from one supervision step to the next.

use candle_core::{Result, Tensor};
use tinysweep_proto::config::{States, TrialConfig};

/// The states that a model improves, each `[batch, positions, width]`.
#[derive(Clone, Debug)]
pub enum Latents {
    /// An answer, and latents that take turns.
    Pair {
        /// The answer, y in the paper.
        z_h: Tensor,
        /// The latents, z in the paper; one of them as published.
        z_l: Vec<Tensor>,
    },
    /// One state that is both.
    Single {
        /// The answer is read from it.
        z: Tensor,
    },
    /// An answer without latents.
    Direct {
        /// The answer.
        z_h: Tensor,
    },
}

impl Latents {
    /// The states of a model of `config`, each as `state` gives it by the reference's name for it: `H`, `L`, or `L1`, `L2` and so on
    /// where there are several latents. The initial vectors are called `H_init` and so on, the carried states `z_H`.
    ///
    /// # Errors
    /// When `state` fails.
    pub fn from_names(config: &TrialConfig, mut state: impl FnMut(&str) -> Result<Tensor>) -> Result<Self> {
        Ok(match config.states {
            States::Pair => {
                let z_h = state("H")?;
                Self::Pair { z_h, z_l: latent_names(config.latents).iter().map(|name| state(name)).collect::<Result<_>>()? }
            }
            States::Single => Self::Single { z: state("L")? },
            States::Direct => Self::Direct { z_h: state("H")? },
        })
    }

    /// The state that the answer is read from.
    pub fn answer(&self) -> &Tensor {
        match self {
            Self::Pair { z_h, .. } | Self::Direct { z_h } => z_h,
            Self::Single { z } => z,
        }
    }

    /// Every state with its name, as in [`from_names`](Self::from_names).
    pub fn named(&self) -> Vec<(String, &Tensor)> {
        match self {
            Self::Pair { z_h, z_l } => std::iter::once(("H".to_owned(), z_h)).chain(latent_names(z_l.len()).into_iter().zip(z_l)).collect(),
            Self::Single { z } => vec![("L".to_owned(), z)],
            Self::Direct { z_h } => vec![("H".to_owned(), z_h)],
        }
    }

    /// The same states, each as `change` makes it.
    ///
    /// # Errors
    /// When `change` fails.
    pub fn map(&self, mut change: impl FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(match self {
            Self::Pair { z_h, z_l } => Self::Pair { z_h: change(z_h)?, z_l: z_l.iter().map(change).collect::<Result<_>>()? },
            Self::Single { z } => Self::Single { z: change(z)? },
            Self::Direct { z_h } => Self::Direct { z_h: change(z_h)? },
        })
    }

    /// The same states without what led to them.
    pub fn detach(&self) -> Self {
        match self {
            Self::Pair { z_h, z_l } => Self::Pair { z_h: z_h.detach(), z_l: z_l.iter().map(Tensor::detach).collect() },
            Self::Single { z } => Self::Single { z: z.detach() },
            Self::Direct { z_h } => Self::Direct { z_h: z_h.detach() },
        }
    }
}

fn latent_names(count: usize) -> Vec<String> {
    if count == 1 { vec!["L".to_owned()] } else { (1..=count).map(|number| format!("L{number}")).collect() }
}

/// The names of the states of a model of `config`, in order.
pub fn state_names(config: &TrialConfig) -> Vec<String> {
    match config.states {
        States::Pair => std::iter::once("H".to_owned()).chain(latent_names(config.latents)).collect(),
        States::Single => vec!["L".to_owned()],
        States::Direct => vec!["H".to_owned()],
    }
}
