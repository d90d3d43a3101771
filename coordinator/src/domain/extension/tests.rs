//! Which trials are extended, by example and for anything.

use proptest::prelude::*;

use super::*;
use ReplicateStatus::{Cancelled, Completed, Failed, Queued, Running};

fn trial(number: u32, extends: Option<u32>, steps: u64, status: ReplicateStatus, score: f64) -> Candidate {
    Candidate { number, extends, steps, role: Role::Proposed, status, score: Some(score) }
}

/// Four trials of 100 steps, the best of which are 2 and 0; and a baseline, which is better.
fn four() -> Vec<Candidate> {
    let mut trials: Vec<_> =
        [0.8, 0.2, 0.9, 0.5].into_iter().zip(0..).map(|(score, number)| trial(number, None, 100, Completed, score)).collect();
    trials.push(Candidate { role: Role::Baseline, ..trial(4, None, 100, Completed, 0.99) });
    trials
}

fn top(trials: &[Candidate], count: u32, steps: u64) -> Result<Extensions, ExtensionError> {
    choose(trials, Goal::Maximize, &Choice::Top(count), steps)
}

fn named(trials: &[Candidate], numbers: &[u32], steps: u64) -> Result<Extensions, ExtensionError> {
    choose(trials, Goal::Maximize, &Choice::Trials(numbers.to_vec()), steps)
}

fn wanted(extensions: Result<Extensions, ExtensionError>) -> Vec<u32> {
    let extensions = extensions.unwrap();
    assert_eq!(extensions.present, []);
    extensions.wanted.iter().map(|wanted| wanted.extends).collect()
}

#[test]
fn the_best_by_the_sweeps_goal_and_those_that_are_named() {
    let trials = four();
    assert_eq!(wanted(top(&trials, 2, 200)), [2, 0]);
    assert_eq!(wanted(choose(&trials, Goal::Minimize, &Choice::Top(1), 200)), [1]);
    assert_eq!(wanted(named(&trials, &[4, 3, 3], 200)), [3, 4], "a baseline where it is named");
}

#[test]
fn asking_twice_is_asking_once_and_a_longer_run_is_gone_on_from() {
    let mut trials = four();
    trials.extend([trial(5, Some(2), 200, Running, f64::NAN), trial(6, Some(0), 200, Completed, 0.95)]);
    let present = [Present { trial: 5, extends: 2 }, Present { trial: 6, extends: 0 }];
    assert_eq!(top(&trials, 2, 200).unwrap(), Extensions { wanted: vec![], present: present.to_vec() });
    assert_eq!(named(&trials, &[2], 200).unwrap().present, present[..1]);
    // Trial 5 is not done, so its line has no say in who is best of those to be extended further.
    assert_eq!(top(&trials, 1, 400).unwrap().wanted, [Wanted { extends: 6, head: 0 }]);
    assert_eq!(named(&trials, &[0], 400).unwrap().wanted, [Wanted { extends: 6, head: 0 }]);
    assert_eq!(named(&trials, &[0], 150).unwrap().wanted, [Wanted { extends: 0, head: 0 }], "fewer steps than the extension has");
    assert_eq!(named(&trials, &[2], 400).unwrap_err(), ExtensionError::NotCompleted { trial: 5, status: Running });
    trials[5].status = Cancelled;
    assert_eq!(named(&trials, &[2], 200).unwrap().wanted, [Wanted { extends: 2, head: 2 }], "what was cancelled does not count");
    trials[5].status = Failed;
    assert_eq!(named(&trials, &[2], 200).unwrap().present, present[..1], "what failed is to be tried again");
    assert_eq!(named(&trials, &[2], 400).unwrap().wanted, [Wanted { extends: 2, head: 2 }]);
}

#[test]
fn what_cannot_be_is_said() {
    let mut trials = four();
    (trials[1].status, trials[3].status) = (Queued, Failed);
    let says = |result: Result<Extensions, ExtensionError>| result.unwrap_err().to_string();
    assert_eq!(
        says(top(&trials, 3, 200)),
        "the best 3 are asked for, and 2 trials have the results of all their replicates; 1 still under way; 1 without some result"
    );
    assert_eq!(says(top(&trials, 1, 100)), "trial 2 has 100 steps, so 100 are not more; the number is of all steps together");
    assert_eq!(says(named(&trials, &[0], 50)), "trial 0 has 100 steps, so 50 are not more; the number is of all steps together");
    assert_eq!(says(named(&trials, &[9], 200)), "the sweep has no trial 9");
    assert_eq!(says(named(&trials, &[1], 200)), "trial 1 is still under way; it can be extended when it has its results");
    assert_eq!(says(named(&trials, &[3], 200)), "trial 3 has a replicate that failed; `tinysweep retry` tries it again");
}

#[test]
fn a_rate_that_falls_depends_on_the_number_of_steps() {
    let usual = TrainConfig::default();
    assert!(!rate_falls(&usual), "published: after warm-up it stays");
    let falling = TrainConfig { lr_min_ratio: 0.1, ..usual.clone() };
    assert!(rate_falls(&falling));
    assert!(!rate_falls(&TrainConfig { steps: 2000, ..falling.clone() }), "warm-up alone is the same for all");
    assert!(!rate_falls(&TrainConfig { schedule: LrSchedule::Constant, ..falling }));
}

/// A sweep of which some trials were extended: each choice is of an earlier trial and more steps.
fn any_sweep() -> impl Strategy<Value = Vec<Candidate>> {
    let status = prop_oneof![Just(Queued), Just(Running), Just(Failed), Just(Cancelled), Just(Completed), Just(Completed)];
    let one = (any::<prop::sample::Index>(), any::<bool>(), 1..3_u64, status, prop::option::of(0..5_u8));
    prop::collection::vec(one, 1..12).prop_map(|drawn| {
        let mut trials = Vec::<Candidate>::new();
        for (index, is_extension, more, status, score) in drawn {
            let extends = (is_extension && !trials.is_empty()).then(|| trials[index.index(trials.len())].clone());
            trials.push(Candidate {
                number: trials.len() as u32,
                steps: extends.as_ref().map_or(0, |extended| extended.steps) + more,
                extends: extends.map(|extended| extended.number),
                role: Role::Proposed,
                status,
                score: score.map(f64::from).filter(|_| status == Completed),
            });
        }
        trials
    })
}

proptest! {
    #[test]
    fn extensions_are_sound(trials in any_sweep(), count in 1..4_u32, steps in 1..6_u64) {
        let Ok(extensions) = top(&trials, count, steps) else { return Ok(()) };
        prop_assert_eq!(extensions.wanted.len() + extensions.present.len(), count as usize);
        let mut after = trials.clone();
        for Wanted { extends, .. } in &extensions.wanted {
            let base = &trials[*extends as usize];
            prop_assert!(base.status == Completed && base.steps < steps);
            after.push(trial(after.len() as u32, Some(*extends), steps, Queued, f64::NAN));
        }
        // Nothing more happens when it is asked for again, whatever has become of it, unless a user has cancelled it.
        for status in [Queued, Running, Failed, Completed] {
            after.iter_mut().skip(trials.len()).for_each(|trial| trial.status = status);
            let again = top(&after, count, steps).unwrap();
            prop_assert_eq!(&again.wanted, &[]);
            prop_assert_eq!(again.present.len(), count as usize);
        }
    }
}
