//! Means of few replicates, and how far they can be trusted.

/// An interval that holds the true mean with 95 % confidence, if the numbers are normally distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether the two share a point.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }

    /// What of it lies from `least` to `most`; a mean that lies there stays inside.
    pub fn within(&self, least: f64, most: f64) -> Self {
        Self { low: self.low.max(least), high: self.high.min(most) }
    }
}

/// The arithmetic mean; none of no numbers.
pub fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// The sample standard deviation (over n − 1); none of fewer than two numbers.
pub fn sample_std(numbers: &[f64]) -> Option<f64> {
    let mean = mean(numbers).filter(|_| numbers.len() > 1)?;
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    Some((squares / (numbers.len() - 1) as f64).sqrt())
}

/// The 95 % confidence interval of the mean by Student's t; none of fewer than two numbers.
pub fn confidence_95(numbers: &[f64]) -> Option<Interval> {
    let (mean, std) = (mean(numbers)?, sample_std(numbers)?);
    let half = t_quantile_975(numbers.len() as u64 - 1) * std / (numbers.len() as f64).sqrt();
    Some(Interval { low: mean - half, high: mean + half })
}

/// Student's t at 97.5 % for 1 to 10 degrees of freedom.
const T_975: [f64; 10] = [
    12.706_204_736,
    4.302_652_730,
    3.182_446_305,
    2.776_445_105,
    2.570_581_836,
    2.446_911_851,
    2.364_624_252,
    2.306_004_135,
    2.262_157_163,
    2.228_138_852,
];

/// The 97.5 % quantile of Student's t with `freedom` degrees of freedom, at least 1.
///
/// From a table up to 10; beyond, the expansion around the normal quantile of Abramowitz and Stegun 26.7.5, good to 10⁻⁵ there.
fn t_quantile_975(freedom: u64) -> f64 {
    const NORMAL: f64 = 1.959_963_984_540_054;
    if let Some(quantile) = freedom.checked_sub(1).and_then(|index| T_975.get(index as usize)) {
        return *quantile;
    }
    let (z, n) = (NORMAL, freedom as f64);
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
        (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5) - 1920.0 * z.powi(3) - 945.0 * z) / 92_160.0,
    ];
    z + terms.iter().zip(1..).map(|(term, power)| term / n.powi(power)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let known = [
            (1, 12.706_205),
            (2, 4.302_653),
            (4, 2.776_445),
            (9, 2.262_157),
            (10, 2.228_139),
            (11, 2.200_985),
            (12, 2.178_813),
            (15, 2.131_450),
            (30, 2.042_272),
            (100, 1.983_972),
            (1_000_000_000, 1.959_964),
        ];
        for (freedom, quantile) in known {
            assert!((t_quantile_975(freedom) - quantile).abs() < 1e-5, "{freedom}: {}", t_quantile_975(freedom));
        }
    }

    #[test]
    fn an_interval_needs_two_numbers() {
        assert_eq!((mean(&[]), sample_std(&[1.0]), confidence_95(&[1.0])), (None, None, None));
        assert_eq!((mean(&[1.0, 3.0]), sample_std(&[1.0, 3.0])), (Some(2.0), Some(2.0_f64.sqrt())));
        let interval = confidence_95(&[0.80, 0.82, 0.84]).unwrap();
        assert!((interval.low - 0.770_317).abs() < 1e-6 && (interval.high - 0.869_683).abs() < 1e-6, "{interval:?}");
        assert_eq!(confidence_95(&[0.5, 0.5]), Some(Interval { low: 0.5, high: 0.5 }));
    }

    #[test]
    fn intervals_overlap_also_at_an_end() {
        let interval = |low, high| Interval { low, high };
        assert!(interval(0.0, 1.0).overlaps(&interval(1.0, 2.0)));
        assert!(!interval(0.0, 1.0).overlaps(&interval(1.1, 2.0)));
    }
}
