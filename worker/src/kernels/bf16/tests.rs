use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::random::{Stream, generator};

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = generator(seed, Stream::Data);
    (0..count).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
}

/// A matrix of shape `rows`·`columns` on `values` in either order.
fn matrix(values: &[f32], rows: usize, columns: usize, by_rows: bool) -> Matrix<&[f32]> {
    if by_rows { Matrix::by_rows(values, rows, columns) } else { Matrix::by_rows(values, columns, rows).t() }
}

/// `Σ a·b` of row `i` and column `j`, and `Σ |a·b|`, in f64.
fn sums(a: Matrix<&[f32]>, b: Matrix<&[f32]>, i: usize, j: usize, number: impl Fn(f32) -> f32) -> (f64, f64) {
    let at = |matrix: Matrix<&[f32]>, i, j| {
        let index = if matrix.by_rows { i * matrix.columns + j } else { j * matrix.rows + i };
        f64::from(number(matrix.values[index]))
    };
    (0..a.columns).map(|k| at(a, i, k) * at(b, k, j)).fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
}

fn product(unit: Unit, a: Matrix<&[f32]>, b: Matrix<&[f32]>, before: &[f32], add: bool) -> Vec<f32> {
    let mut out = before.to_vec();
    multiply(Matrix::by_rows(&mut out[..], a.rows, b.columns), &Left::pack(unit, a), &Right::pack(unit, b), add);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, ..ProptestConfig::default() })]

    /// Against the exact product of the given factors, and against that of the rounded ones.
    #[test]
    fn products_are_as_exact_as_bf16_allows(
        [m, n, k] in [1..70usize, 1..120usize, 1..90usize],
        [a_by_rows, b_by_rows, add] in [any::<bool>(), any::<bool>(), any::<bool>()],
        seed: u64,
    ) {
        let (a, b, before) = (random(m * k, seed), random(k * n, seed ^ 1), random(m * n, seed ^ 2));
        let (a, b) = (matrix(&a, m, k, a_by_rows), matrix(&b, k, n, b_by_rows));
        for unit in Unit::available() {
            let out = product(unit, a, b, &before, add);
            for (index, got) in out.iter().enumerate() {
                let got = f64::from(*got) - if add { f64::from(before[index]) } else { 0.0 };
                let (i, j) = (index / n, index % n);
                // Each of k additions may lose half a unit in the last of 24 places.
                let (wanted, size) = sums(a, b, i, j, round::round);
                let lost_in_sums = (size + 2.0) * (k + 2) as f64 * 2f64.powi(-24);
                prop_assert!((got - wanted).abs() <= lost_in_sums, "{unit:?} [{i}, {j}]: {got}, not {wanted}");
                // A factor that is rounded to 8 places is off by 2⁻⁹ of its power of two, and so by 2⁻⁸ of itself less a bit.
                let (wanted, size) = sums(a, b, i, j, |x| x);
                let lost_in_factors = size * ((1.0 + 2f64.powi(-8)).powi(2) - 1.0);
                prop_assert!((got - wanted).abs() <= lost_in_sums + lost_in_factors, "{unit:?} [{i}, {j}]: {got}, not {wanted}");
            }
        }
    }
}

#[test]
fn units_differ_in_the_order_of_additions_alone() {
    let (m, n, k) = (33, 81, 1);
    let (a, b) = (random(m * k, 1), random(k * n, 2));
    let (a, b) = (matrix(&a, m, k, true), matrix(&b, k, n, true));
    for unit in Unit::available() {
        // With one addition there is no order: every unit gives the product of the rounded numbers.
        assert_eq!(product(unit, a, b, &[0.0; 33 * 81], false), product(Unit::Rounded, a, b, &[0.0; 33 * 81], false), "{unit:?}");
    }
}

#[test]
fn rows_do_not_depend_on_the_rows_beside_them() {
    // So that threads may divide the rows among them as they like.
    let (m, n, k) = (37, 50, 65);
    let (a, b) = (random(m * k, 3), random(k * n, 4));
    for unit in Unit::available() {
        let b = matrix(&b, k, n, true);
        let whole = product(unit, matrix(&a, m, k, true), b, &vec![0.0; m * n], false);
        let parts = a.chunks(8 * k).flat_map(|a| product(unit, matrix(a, a.len() / k, k, true), b, &vec![0.0; a.len() / k * n], false));
        if unit != Unit::Rounded {
            assert_eq!(parts.collect::<Vec<_>>(), whole, "{unit:?}");
        }
    }
}

#[test]
fn what_is_no_number_stays_none() {
    for unit in Unit::available() {
        for wrong in [f32::NAN, -f32::NAN, f32::from_bits(0x7fff_ffff)] {
            let (a, b) = ([1.0, wrong, 2.0], [1.0; 3]);
            let out = product(unit, Matrix::by_rows(&a[..], 1, 3), Matrix::by_rows(&b[..], 3, 1), &[0.0], false);
            assert!(out[0].is_nan(), "{unit:?}");
        }
        let out = product(unit, Matrix::by_rows(&[f32::INFINITY][..], 1, 1), Matrix::by_rows(&[2.0][..], 1, 1), &[0.0], false);
        assert_eq!(out, [f32::INFINITY], "{unit:?}");
    }
}
