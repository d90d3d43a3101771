//! One value of a replay beside the recorded one, and how far apart they are.

use super::{Check, Measure};

/// How much of the rounding twins' largest distance the replay may use.
///
/// The twins' weights differ from the recorded ones by less than the last bit, once, while the reference and this implementation
/// round differently in every operation: hence the margin.
const ROUNDING_MARGIN: f64 = 4.0;

/// A value of the replay beside the recorded one.
pub struct Observation {
    /// What was compared.
    pub quantity: String,
    /// In which step.
    pub place: String,
    /// How the error is measured.
    pub measure: Measure,
    /// What the replay has.
    pub ours: Vec<f64>,
    /// What was recorded.
    pub theirs: Vec<f64>,
    /// The most that the error may be for a single step.
    pub tolerance: f64,
    /// Whether the value has come through more than one step, so that rounding has grown in it.
    pub accumulates: bool,
}

impl Observation {
    /// The comparison, without a rounding bound.
    pub fn check(&self) -> Check {
        let error = error(self.measure, &self.ours, &self.theirs);
        let (quantity, place) = (self.quantity.clone(), self.place.clone());
        Check { quantity, place, measure: self.measure, error, tolerance: self.tolerance, rounding: 0.0 }
    }

    /// How far rounding alone may carry this value, judging by a twin; not at all where nothing has accumulated.
    pub fn rounding(&self, twin: &Self) -> f64 {
        if !self.accumulates {
            return 0.0;
        }
        let scale = if self.measure == Measure::Relative { largest(&self.theirs) } else { 0.0 };
        let distance = error(Measure::Absolute, &twin.ours, &self.ours);
        ROUNDING_MARGIN * if scale > 0.0 { distance / scale } else { distance }
    }
}

/// The error of our values against theirs; not a number where a value is none.
fn error(measure: Measure, ours: &[f64], theirs: &[f64]) -> f64 {
    let mut difference = 0.0;
    for off in ours.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs).abs()) {
        if off.is_nan() {
            return off;
        }
        difference = f64::max(difference, off);
    }
    let magnitude = largest(theirs);
    // Against a recording of nothing but zeros the difference stands for itself.
    if measure == Measure::Relative && magnitude > 0.0 { difference / magnitude } else { difference }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| f64::max(largest, value.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_by_measure() {
        let (ours, theirs) = ([1.0, 4.0], [1.5, 5.0]);
        assert_eq!(error(Measure::Absolute, &ours, &theirs), 1.0);
        assert_eq!(error(Measure::Relative, &ours, &theirs), 0.2);
        assert_eq!(error(Measure::Relative, &[0.25], &[0.0]), 0.25);
        assert!(error(Measure::Absolute, &[f64::NAN, 1.0], &[0.0, 0.0]).is_nan());
    }
}
