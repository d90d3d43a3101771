//! What stays, by example and for anything.

use proptest::prelude::*;

use super::*;

const fn state(step: u64, score: Option<f64>, is_final: bool) -> State {
    State { step, score, is_final }
}

/// The steps that are kept, and why.
fn kept(retention: Retention, status: ReplicateStatus, states: &[State]) -> Vec<(u64, &'static str)> {
    let reasons = retention.reasons(status, Goal::Maximize, states);
    states.iter().zip(reasons).filter_map(|(state, reason)| Some((state.step, reason?.name()))).collect()
}

#[test]
fn what_stays_of_a_replicate() {
    use ReplicateStatus::{Cancelled, Completed, Failed, Queued, Running};
    let states = [
        state(10, Some(0.5), false),
        state(20, Some(0.9), false),
        state(30, Some(f64::NAN), false),
        state(40, Some(0.9), false),
        state(50, None, false),
        state(60, None, true),
    ];
    let usual = Retention::default();
    for status in [Queued, Running, Failed, Cancelled] {
        assert_eq!(kept(usual, status, &states), [(50, "last"), (60, "last")], "{}", status.name());
    }
    assert_eq!(kept(usual, Completed, &states), [(60, "final")]);
    assert_eq!(kept(Retention { keep_final: None, ..usual }, Completed, &states), [(60, "final")]);
    assert_eq!(kept(Retention { keep_final: Some(0), ..usual }, Completed, &states), []);
    // Of equals the later one; without a number it is the worst.
    let best = |keep_best| Retention { keep_best, keep_last: 0, ..usual };
    assert_eq!(kept(best(1), Running, &states), [(40, "best"), (60, "last")]);
    assert_eq!(kept(best(3), Completed, &states), [(10, "best"), (20, "best"), (40, "best"), (60, "final")]);
    assert_eq!(best(1).reasons(Running, Goal::Minimize, &states)[0], Some(Reason::Best));
    assert_eq!(kept(usual, Running, &[]), []);
}

fn stored(id: i64, bytes: u64, claim: Claim) -> Stored {
    Stored { id, bytes, created_ms: id, claim }
}

fn ended(trial: i64, score: f64, keep_final: Option<u32>) -> Claim {
    let standing = Standing { sweep: 1, trial, score: Some(score), goal: Goal::Maximize, is_settled: true, keep_final };
    Claim::Final(standing)
}

#[test]
fn the_best_trials_keep_their_final_states() {
    let states: Vec<_> = [0.3, 0.9, 0.1, 0.5].into_iter().zip(1..).map(|(score, id)| stored(id, 1, ended(id, score, Some(2)))).collect();
    assert_eq!(surplus(&states, u64::MAX), [1, 3]);
    let mut unsettled = states;
    if let Claim::Final(standing) = &mut unsettled[2].claim {
        standing.is_settled = false;
    }
    assert_eq!(surplus(&unsettled, u64::MAX), [1], "what runs on may still become one of the best");
}

#[test]
fn under_the_limit_the_best_stay_longest_and_what_goes_on_always() {
    let states = [
        stored(1, 10, Claim::Open),
        stored(2, 10, ended(2, 0.9, None)),
        stored(3, 10, ended(3, 0.5, None)),
        stored(4, 10, Claim::Other),
        stored(5, 10, Claim::Other),
    ];
    for (limit, dropped) in [(50, &[][..]), (49, &[4]), (30, &[4, 5]), (29, &[4, 5, 3]), (19, &[4, 5, 3, 2]), (0, &[4, 5, 3, 2])] {
        assert_eq!(surplus(&states, limit), dropped, "limit {limit}");
    }
}

prop_compose! {
    fn any_claim()(kind in 0..4, sweep in 0..3_i64, trial in 0..6_i64, score in proptest::option::of(0..4_u8), is_settled in any::<bool>()) -> Claim {
        let standing = Standing {
            sweep,
            trial: 10 * sweep + trial,
            score: score.map(f64::from),
            goal: if sweep == 1 { Goal::Minimize } else { Goal::Maximize },
            is_settled,
            keep_final: [Some(0), Some(2), None][sweep as usize],
        };
        match kind {
            0 => Claim::Open,
            1 => Claim::Other,
            _ => Claim::Final(standing),
        }
    }
}

/// One standing for each trial: the first that was drawn.
fn consistent(states: &mut [Stored]) {
    let mut first = HashMap::new();
    for state in states {
        if let Claim::Final(standing) = &mut state.claim {
            *standing = first.entry(standing.trial).or_insert_with(|| standing.clone()).clone();
        }
    }
}

proptest! {
    #[test]
    fn no_more_goes_than_must(claims in proptest::collection::vec((any_claim(), 1..50_u64), 0..30), limit in 0..600_u64) {
        let mut states: Vec<_> = claims.into_iter().zip(1..).map(|((claim, bytes), id)| stored(id, bytes, claim)).collect();
        consistent(&mut states);
        let dropped = surplus(&states, limit);
        let is_dropped = |state: &&Stored| dropped.contains(&state.id);
        let (gone, stay): (Vec<_>, Vec<_>) = states.iter().partition(is_dropped);
        prop_assert_eq!(gone.len(), dropped.len(), "each is named once");
        prop_assert!(gone.iter().all(|state| state.claim != Claim::Open));

        // Either there is room, or nothing is left that could go; and the last to go had to.
        let bytes = |states: &[&Stored]| states.iter().map(|state| state.bytes).sum::<u64>();
        prop_assert!(bytes(&stay) <= limit || stay.iter().all(|state| state.claim == Claim::Open));
        let counted_out = surplus(&states, u64::MAX);
        if let Some(last) = dropped.get(counted_out.len()..).and_then(<[i64]>::last) {
            let last = states.iter().find(|state| state.id == *last).unwrap();
            prop_assert!(bytes(&stay) + last.bytes > limit);
        }

        // Of settled trials no worse one stays where a better one went, and no more than the sweep wants.
        for (kept, better) in stay.iter().flat_map(|kept| gone.iter().map(move |gone| (kept, gone))) {
            if let (Claim::Final(kept), Claim::Final(better)) = (&kept.claim, &better.claim) {
                let both = kept.sweep == better.sweep && kept.trial != better.trial && kept.is_settled && better.is_settled;
                prop_assert!(!both || by_score(kept.goal, better.score, kept.score) != Ordering::Less, "{:?} {:?}", kept, better);
            }
        }
        let settled = |sweep| {
            let trials = stay.iter().filter_map(|state| match &state.claim {
                Claim::Final(standing) if standing.sweep == sweep && standing.is_settled => Some(standing.trial),
                _ => None,
            });
            trials.collect::<HashSet<_>>().len()
        };
        prop_assert!(settled(0) == 0 && settled(1) <= 2);

        // What is right is left alone.
        let stay: Vec<_> = stay.into_iter().cloned().collect();
        prop_assert_eq!(surplus(&stay, limit), Vec::<i64>::new());
    }

    #[test]
    fn an_open_replicate_keeps_its_newest_and_a_completed_one_its_end(
        drawn in proptest::collection::btree_map(0..100_u64, proptest::option::of(0..5_u8), 1..20),
        keep_last in 0..4_u32,
        keep_best in 0..4_u32,
        is_completed in any::<bool>(),
    ) {
        let states: Vec<_> = drawn.iter().map(|(step, score)| state(*step, score.map(f64::from), false)).collect();
        let mut states = states;
        let last = states.len() - 1;
        states[last].is_final = is_completed;
        let status = if is_completed { ReplicateStatus::Completed } else { ReplicateStatus::Running };
        let retention = Retention { keep_last, keep_best, keep_final: Some(1) };
        let reasons = retention.reasons(status, Goal::Maximize, &states);
        let is = |wanted: Reason| reasons.iter().filter(|reason| **reason == Some(wanted)).count();
        prop_assert_eq!(reasons[last], Some(if is_completed { Reason::Final } else { Reason::Last }));
        prop_assert!(is(Reason::Best) <= keep_best as usize && is(Reason::Last) <= keep_last.max(1) as usize);
        let evaluated = states.iter().filter(|state| state.score.is_some()).count();
        let newest = if is_completed { 1 } else { keep_last.max(1) as usize };
        prop_assert!(reasons.iter().flatten().count() <= newest + evaluated.min(keep_best as usize));
        for (dropped, _) in states.iter().zip(&reasons).filter(|(_, reason)| reason.is_none()) {
            let better = states.iter().zip(&reasons).filter(|(other, reason)| reason.is_some() && other.score >= dropped.score).count();
            prop_assert!(dropped.score.is_none() || better >= keep_best as usize, "{:?} is dropped", dropped);
        }
    }
}
