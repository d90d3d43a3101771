//! The search space of a sweep: which hyper-parameters vary, over what, and how a value is drawn.

use std::borrow::Cow;

use serde_json::Value;

use super::sampler::Draw;
use super::spec::Position;

/// The hyper-parameters that vary, in the order of the sweep file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    /// One for each hyper-parameter; no two have the same path.
    pub parameters: Vec<Parameter>,
}

/// A hyper-parameter that varies.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Canonical path in the trial's configuration.
    pub path: Cow<'static, str>,
    /// What it varies over.
    pub domain: Domain,
    /// Whether its numbers are whole.
    pub whole: bool,
    /// Where the sweep file names it.
    pub at: Position,
}

/// What a hyper-parameter varies over.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// A list of values.
    Choices {
        /// The values, all different, in the form that the configuration gives them.
        values: Vec<Choice>,
        /// How likely each is, summing to 1; none where all are equally likely.
        probabilities: Option<Vec<f64>>,
    },
    /// Every whole number between two, both included.
    Integers {
        /// Least.
        min: i64,
        /// Greatest.
        max: i64,
    },
    /// Numbers of a distribution.
    Numbers {
        /// The distribution.
        shape: Shape,
        /// The step that numbers are rounded to, if any.
        step: Option<f64>,
    },
}

/// One value of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The value.
    pub value: Value,
    /// Where it is written.
    pub at: Position,
}

/// A distribution of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Evenly between two numbers.
    Uniform {
        /// Least.
        min: f64,
        /// Greatest.
        max: f64,
    },
    /// With an evenly distributed logarithm, between two numbers greater than 0.
    LogUniform {
        /// Least.
        min: f64,
        /// Greatest.
        max: f64,
    },
    /// Gaussian.
    Normal {
        /// Mean.
        mu: f64,
        /// Standard deviation.
        sigma: f64,
    },
    /// With a Gaussian natural logarithm.
    LogNormal {
        /// Mean of the logarithm.
        mu: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
}

impl Shape {
    /// Least and greatest number, where there are such.
    pub fn bounds(&self) -> Option<(f64, f64)> {
        match *self {
            Self::Uniform { min, max } | Self::LogUniform { min, max } => Some((min, max)),
            Self::Normal { .. } | Self::LogNormal { .. } => None,
        }
    }

    fn draw(&self, draw: &mut Draw) -> f64 {
        match *self {
            Self::Uniform { min, max } => min + (max - min) * draw.unit(),
            Self::LogUniform { min, max } => (min.ln() + (max.ln() - min.ln()) * draw.unit()).exp(),
            Self::Normal { mu, sigma } => mu + sigma * draw.normal(),
            Self::LogNormal { mu, sigma } => (mu + sigma * draw.normal()).exp(),
        }
    }

    /// `number` rounded to a multiple of `step`, and never out of the bounds: where W&B rounds beyond them, this stops at them.
    fn settle(&self, number: f64, step: Option<f64>) -> f64 {
        let rounded = step.map_or(number, |step| (number / step).round_ties_even() * step);
        self.bounds().map_or(rounded, |(min, max)| rounded.clamp(min, max))
    }
}

impl Domain {
    /// How many values a grid takes from it; none where they cannot be listed.
    ///
    /// A stepped uniform distribution counts `min`, `min + step`, … up to and including `max` (W&B leaves `max` out).
    pub fn grid_len(&self) -> Option<u64> {
        match self {
            Self::Choices { values, .. } => Some(values.len() as u64),
            Self::Integers { min, max } => Some(max.abs_diff(*min).saturating_add(1)),
            // A float's cast saturates; the tolerance lets 0.1 + 2·0.1 reach 0.3.
            Self::Numbers { shape: Shape::Uniform { min, max }, step: Some(step) } => {
                Some((((max - min) / step + 1e-9).floor() as u64).saturating_add(1))
            }
            Self::Numbers { .. } => None,
        }
    }

    /// How many different values a draw can give; none where they are not counted.
    fn draw_len(&self) -> Option<u64> {
        match self {
            Self::Choices { probabilities: Some(probabilities), .. } => Some(probabilities.iter().filter(|p| **p > 0.0).count() as u64),
            Self::Choices { .. } | Self::Integers { .. } => self.grid_len(),
            Self::Numbers { .. } => None,
        }
    }
}

impl Parameter {
    /// The value of index `index` below the domain's [`Domain::grid_len`].
    pub fn grid_value(&self, index: u64) -> Value {
        match &self.domain {
            Domain::Choices { values, .. } => values[index as usize].value.clone(),
            Domain::Integers { min, .. } => self.integer(min.saturating_add_unsigned(index)),
            Domain::Numbers { shape, step } => {
                let (least, step) = (shape.bounds().map_or(0.0, |(min, _)| min), step.unwrap_or_default());
                // Counting in steps and rounding keeps 0.3 from becoming 0.30000000000000004.
                self.number(shape.settle(round_to_15_digits(least + index as f64 * step), None))
            }
        }
    }

    /// Draws a value.
    pub fn sample(&self, draw: &mut Draw) -> Value {
        match &self.domain {
            Domain::Choices { values, probabilities: None } => values[draw.below(values.len() as u64) as usize].value.clone(),
            Domain::Choices { values, probabilities: Some(probabilities) } => values[weighted(probabilities, draw.unit())].value.clone(),
            Domain::Integers { min, max } => {
                let offset = draw.below(max.abs_diff(*min).saturating_add(1));
                self.integer(min.saturating_add_unsigned(offset))
            }
            Domain::Numbers { shape, step } => {
                let number = shape.settle(shape.draw(draw), *step);
                self.number(if step.is_some() { round_to_15_digits(number) } else { number })
            }
        }
    }

    /// Where `value` is written: its own place in a list, else that of the parameter.
    pub fn position_of(&self, value: &Value) -> Position {
        match &self.domain {
            Domain::Choices { values, .. } => values.iter().find(|choice| choice.value == *value).map_or(self.at, |choice| choice.at),
            _ => self.at,
        }
    }

    fn integer(&self, number: i64) -> Value {
        if self.whole { Value::from(number) } else { Value::from(number as f64) }
    }

    fn number(&self, number: f64) -> Value {
        if self.whole { Value::from(number.round() as i64) } else { Value::from(number) }
    }
}

impl Space {
    /// Trials of the whole grid; the error is the path of a parameter that a grid cannot list. Too many for 64 bits are `u64::MAX`.
    pub fn grid_len(&self) -> Result<u64, &Parameter> {
        self.parameters
            .iter()
            .try_fold(1_u64, |product, parameter| parameter.domain.grid_len().map(|len| product.saturating_mul(len)).ok_or(parameter))
    }

    /// How many different trials can be drawn; none where they are not counted.
    pub fn draw_len(&self) -> Option<u64> {
        self.parameters.iter().try_fold(1_u64, |product, parameter| Some(product.saturating_mul(parameter.domain.draw_len()?)))
    }

    /// The values of the grid's trial `index`, the last parameter varying fastest.
    pub fn grid_values(&self, index: u64) -> Vec<Value> {
        let mut rest = index;
        let mut values: Vec<_> = self
            .parameters
            .iter()
            .rev()
            .map(|parameter| {
                let len = parameter.domain.grid_len().unwrap_or(1).max(1);
                let value = parameter.grid_value(rest % len);
                rest /= len;
                value
            })
            .collect();
        values.reverse();
        values
    }

    /// Draws a value for each parameter.
    pub fn sample(&self, draw: &mut Draw) -> Vec<Value> {
        self.parameters.iter().map(|parameter| parameter.sample(draw)).collect()
    }
}

/// The index whose share of [0, 1) holds `point`.
fn weighted(probabilities: &[f64], point: f64) -> usize {
    let mut sum = 0.0;
    let found = probabilities.iter().position(|probability| {
        sum += probability;
        point < sum
    });
    // Rounding may leave the sum just under 1: the last that is possible at all then takes the rest.
    found.or_else(|| probabilities.iter().rposition(|probability| *probability > 0.0)).unwrap_or(0)
}

fn round_to_15_digits(number: f64) -> f64 {
    format!("{number:.14e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sampler::Draw;

    fn parameter(domain: Domain, whole: bool) -> Parameter {
        Parameter { path: "train.lr".into(), domain, whole, at: Position::START }
    }

    fn draws(domain: Domain, count: u64) -> Vec<f64> {
        let parameter = parameter(domain, false);
        (0..count).map(|index| parameter.sample(&mut Draw::keyed(7, index)).as_f64().unwrap()).collect()
    }

    #[test]
    fn integers_include_both_ends() {
        let domain = Domain::Integers { min: -1, max: 2 };
        assert_eq!(domain.grid_len(), Some(4));
        let mut drawn = draws(domain, 200);
        drawn.sort_by(f64::total_cmp);
        drawn.dedup();
        assert_eq!(drawn, [-1.0, 0.0, 1.0, 2.0]);
        assert_eq!(Domain::Integers { min: i64::MIN, max: i64::MAX }.grid_len(), Some(u64::MAX));
    }

    #[test]
    fn stepped_numbers_reach_both_ends_and_stay_within() {
        let domain = Domain::Numbers { shape: Shape::Uniform { min: 0.1, max: 0.3 }, step: Some(0.1) };
        assert_eq!(domain.grid_len(), Some(3));
        let listed: Vec<_> = (0..3).map(|index| parameter(domain.clone(), false).grid_value(index)).collect();
        assert_eq!(listed, [Value::from(0.1), Value::from(0.2), Value::from(0.3)]);
        let narrow = Domain::Numbers { shape: Shape::Uniform { min: 4.0, max: 11.0 }, step: Some(5.0) };
        assert!(draws(narrow, 200).iter().all(|number| [4.0, 5.0, 10.0].contains(number)));
    }

    #[test]
    fn distributions_have_the_moments_they_should() {
        let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
        let log = |numbers: &[f64]| numbers.iter().map(|number| number.ln()).collect::<Vec<_>>();
        let numbers = |shape| draws(Domain::Numbers { shape, step: None }, 4000);
        assert!((mean(&numbers(Shape::Uniform { min: 2.0, max: 4.0 })) - 3.0).abs() < 0.05);
        let logs = log(&numbers(Shape::LogUniform { min: 1e-4, max: 1e-2 }));
        assert!((mean(&logs) - 1e-3_f64.ln()).abs() < 0.1);
        let normal = numbers(Shape::Normal { mu: 5.0, sigma: 2.0 });
        let variance = mean(&normal.iter().map(|x| (x - 5.0).powi(2)).collect::<Vec<_>>());
        assert!((mean(&normal) - 5.0).abs() < 0.15 && (variance - 4.0).abs() < 0.4);
        assert!((mean(&log(&numbers(Shape::LogNormal { mu: -1.0, sigma: 0.5 }))) + 1.0).abs() < 0.05);
    }

    #[test]
    fn probabilities_are_kept() {
        assert_eq!([0.0, 0.19, 0.2, 0.99].map(|point| weighted(&[0.2, 0.0, 0.8], point)), [0, 0, 2, 2]);
        assert_eq!(weighted(&[0.5, 0.499_999_999, 0.0], 0.999_999_999_9), 1);
    }
}
