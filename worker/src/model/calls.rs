//! Which network improves which state, and when: the recursion of a supervision step.

use tinysweep_proto::config::{GradientSpan, States, TrialConfig};

use super::parameters::levels;
use crate::kernels::Call;

/// The network that improves the latents.
const LATENT: usize = 0;

/// The calls of a supervision step of a model of `config`, on its states in the order of their names.
pub fn calls(config: &TrialConfig) -> Vec<Call> {
    let answer = if levels(config).1.is_some() { LATENT + 1 } else { LATENT };
    let conclude = |input, reads| Call { network: answer, input, reads, writes: 0 };
    let cycle: Vec<_> = match config.states {
        // The answer, and latents of which each call improves the one whose turn it is.
        States::Pair => {
            let states: Vec<_> = (0..=config.latents).collect();
            let think = |call| Call { network: LATENT, input: true, reads: states.clone(), writes: 1 + call % config.latents };
            (0..config.latent_calls()).map(think).chain([conclude(false, states.clone())]).collect()
        }
        States::Single => {
            let think = Call { network: LATENT, input: true, reads: vec![0], writes: 0 };
            std::iter::repeat_n(think, config.latent_calls()).chain([conclude(false, vec![0])]).collect()
        }
        States::Direct => vec![conclude(true, vec![0])],
    };
    vec![cycle; config.h_cycles].concat()
}

/// How many of them, the last ones, carry gradient: a cycle, or its last latent call and the one that concludes it.
pub fn recorded(config: &TrialConfig) -> usize {
    let thoughts = match config.gradient {
        GradientSpan::LastCalls => config.latent_calls().min(1),
        GradientSpan::LastCycle => config.latent_calls(),
    };
    thoughts + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinysweep_proto::config::Networks;

    /// The published recursion: z ← f(x + y + z) n times, then y ← f(y + z), and all that T times.
    #[test]
    fn the_published_recursion() {
        let config = TrialConfig { h_cycles: 2, l_cycles: 3, ..TrialConfig::default() };
        let think = Call { network: 0, input: true, reads: vec![0, 1], writes: 1 };
        let conclude = Call { network: 0, input: false, reads: vec![0, 1], writes: 0 };
        assert_eq!(calls(&config), vec![[vec![think; 3], vec![conclude]].concat(); 2].concat());
        assert_eq!(recorded(&config), 4);
        assert_eq!(recorded(&TrialConfig { gradient: GradientSpan::LastCalls, ..config }), 2);
    }

    #[test]
    fn several_latents_take_turns_and_separate_networks_each_have_their_calls() {
        let config = TrialConfig { h_cycles: 1, l_cycles: 3, latents: 2, networks: Networks::Separate, ..TrialConfig::default() };
        let calls = calls(&config);
        assert_eq!(calls.iter().map(|call| (call.network, call.writes)).collect::<Vec<_>>(), [(0, 1), (0, 2), (0, 1), (1, 0)]);
        assert!(calls.iter().all(|call| call.reads == [0, 1, 2]));
    }

    #[test]
    fn models_of_one_state() {
        let config = TrialConfig { h_cycles: 1, l_cycles: 1, states: States::Single, ..TrialConfig::default() };
        let call = |input| Call { network: 0, input, reads: vec![0], writes: 0 };
        assert_eq!((calls(&config), recorded(&config)), (vec![call(true), call(false)], 2));
        let config = TrialConfig { states: States::Direct, ..config };
        assert_eq!((calls(&config), recorded(&config)), (vec![call(true)], 1));
    }
}
