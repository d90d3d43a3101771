//! Elementary functions without calls or branches, so that loops over them are compiled to vector instructions.

use std::{
    f32::consts::{FRAC_PI_2, LOG2_E},
    f64::consts::{LN_2, SQRT_2},
};

/// `atan(√s)/√s` for s in 0..1: interpolation at Chebyshev nodes, off by less than 3e-9 before rounding.
const ATAN: [f32; 10] = [
    1.0,
    -0.333_332_76,
    0.199_980_75,
    -0.142_600_16,
    0.109_323_42,
    -0.083_497_25,
    0.057_089_556,
    -0.030_351_865,
    0.010_487_65,
    -0.001_701_17,
];

/// `e^f` for f within ±ln(2)/2: interpolation at Chebyshev nodes, off by less than 3e-9 of the value before rounding.
const EXP: [f32; 7] = [1.0, 1.0, 0.5, 0.166_664_16, 0.041_666_355, 0.008_375_126, 0.001_394_110_9];

/// ln(2) in two parts. The first has so few bits that its product with a whole number of the range is exact.
const LN2: (f32, f32) = (355.0 / 512.0, (std::f64::consts::LN_2 - 355.0 / 512.0) as f32);

/// Adding this to a small number rounds it to an integer, which then stands in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// `atan2(y, x)` for `x ≥ 0`, which is then `atan(y/x)`; 0 where both are 0.
#[inline(always)]
pub fn atan_of_ratio(y: f32, x: f32) -> f32 {
    let (small, large) = (y.abs().min(x), y.abs().max(x));
    // Where both are 0 the ratio is 0/tiny; elsewhere the largest is at least the smallest positive number already.
    let ratio = small / large.max(f32::MIN_POSITIVE);
    let angle = ratio * polynomial(&ATAN, ratio * ratio);
    let angle = if y.abs() > x { FRAC_PI_2 - angle } else { angle };
    angle.copysign(y)
}

/// `e^x`, to about two units in the last place for x from −87 to 88, and the value there beyond. NaN where x is not finite.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped * LOG2_E + ROUNDER;
    let whole = shifted - ROUNDER;
    let rest = (clamped - whole * LN2.0) - whole * LN2.1;
    let power = f32::from_bits(polynomial(&EXP, rest).to_bits().wrapping_add(shifted.to_bits() << 23));
    // Exponent arithmetic would turn NaN into a number.
    power + 0.0 * x
}

#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    // From the last one on: 0 · x would be computed, since it may not be 0.
    let Some((last, others)) = coefficients.split_last() else { return 0.0 };
    others.iter().rev().fold(*last, |sum, coefficient| sum * x + coefficient)
}

/// `1/(1+e^−x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The natural logarithm of a positive number that is not subnormal; off by less than 2⁻⁴⁸ of the value.
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    /// With an integer in its lowest bits it is that much more.
    const SHIFT: f64 = (1_u64 << FRACTION_BITS) as f64;
    const BIAS: f64 = (f64::MAX_EXP - 1) as f64;
    let (exponent, fraction) = (x.to_bits() >> FRACTION_BITS, x.to_bits() & ((1 << FRACTION_BITS) - 1));
    let (exponent, m) = (f64::from_bits(SHIFT.to_bits() | exponent) - SHIFT - BIAS, f64::from_bits(1.0_f64.to_bits() | fraction));
    let (exponent, m) = if m > SQRT_2 { (exponent + 1.0, m / 2.0) } else { (exponent, m) };
    // ln m = 2·artanh((m−1)/(m+1)), by its series: the first term that is left out is below 2⁻⁵⁵ of the sum.
    let z = (m - 1.0) / (m + 1.0);
    let mut sum = 0.0;
    for odd in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * (z * z) + 1.0 / odd;
    }
    exponent * LN_2 + 2.0 * z * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_to_the_last_places() {
        let below_one = (1..10_000).map(|step| 1.0 - f64::from(step).powi(4) * 1e-16);
        let of_all_sizes = (-30_000..30_000).map(|step| (f64::from(step) * 0.0233).exp());
        for x in below_one.chain(of_all_sizes).chain([1.0 - f64::EPSILON / 2.0, f64::MIN_POSITIVE, f64::MAX, 2.0, 0.5]) {
            let (got, wanted) = (ln(x), x.ln());
            assert!((got - wanted).abs() <= wanted.abs() / (1_u64 << 48) as f64, "ln({x}) = {wanted}, not {got}");
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn arc_tangent_in_every_octant() {
        for y in [-3.0f32, -1.0, -0.2, -1e-20, 0.0, 1e-30, 0.7, 1.0, 5.0, 1e20] {
            for x in [0.0f32, 1e-30, 1e-6, 0.5, 1.0, 2.0, 1e10] {
                let (got, wanted) = (atan_of_ratio(y, x), y.atan2(x));
                assert!((got - wanted).abs() <= 3e-7 * wanted.abs(), "atan2({y}, {x}) = {wanted}, not {got}");
            }
        }
    }

    #[test]
    fn exponential_to_the_last_places() {
        for step in -8_000..8_000 {
            let x = step as f32 * 0.0107;
            let (got, wanted) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((got / wanted - 1.0).abs() < 5e-7, "exp({x}) = {wanted}, not {got}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(-1000.0) < 2e-38);
    }
}
