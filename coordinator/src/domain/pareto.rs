//! Which of many results no other one beats in two respects at once.

use tinysweep_proto::metric::Goal;

/// For each point whether it is on the Pareto front: no other one is better in one respect and at least as good in the other.
///
/// A point lacks a coordinate that is none or not a number, and then is on no front. Equal points are on it together.
pub fn front(points: &[[Option<f64>; 2]], goals: [Goal; 2]) -> Vec<bool> {
    // Negated where more is better, so that less is better in both.
    let cost =
        |value: Option<f64>, goal| value.filter(|value| !value.is_nan()).map(|value| if goal == Goal::Maximize { -value } else { value });
    let costs: Vec<_> = points.iter().map(|[x, y]| cost(*x, goals[0]).zip(cost(*y, goals[1]))).collect();
    let beats = |(x, y): (f64, f64), (other_x, other_y): (f64, f64)| x <= other_x && y <= other_y && (x < other_x || y < other_y);
    costs.iter().map(|point| point.is_some_and(|point| !costs.iter().flatten().any(|other| beats(*other, point)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beaten_in_both_respects_is_not_on_the_front() {
        let points = [[1.0, 0.5], [2.0, 0.9], [3.0, 0.9], [3.0, 0.4], [2.0, 0.9]].map(|point| point.map(Some));
        assert_eq!(front(&points, [Goal::Minimize, Goal::Maximize]), [true, true, false, false, true]);
        assert_eq!(front(&points, [Goal::Maximize, Goal::Minimize]), [false, false, false, true, false]);
    }

    #[test]
    fn what_lacks_a_coordinate_is_on_no_front_and_beats_nothing() {
        let points = [[Some(1.0), Some(0.1)], [None, Some(0.9)], [Some(0.5), Some(f64::NAN)]];
        assert_eq!(front(&points, [Goal::Minimize, Goal::Maximize]), [true, false, false]);
    }
}
