use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::random::{Stream, generator};

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = generator(seed, Stream::Data);
    (0..count).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
}

/// Numbers of a line below `end`, or those of two panels.
fn side(end: usize) -> impl Strategy<Value = (usize, bool)> {
    prop_oneof![(1..end, Just(false)), Just((2 * PANEL, true))]
}

proptest! {
    #[test]
    fn products_are_exact_but_for_rounding(
        m in 1..20usize,
        [(n, out_in_panels), (k, a_in_panels)] in [side(150), side(70)],
        [a_by_rows, b_by_rows, add] in [any::<bool>(), any::<bool>(), any::<bool>()],
        seed: u64,
    ) {
        if !is_available() {
            return Ok(());
        }
        let (a, b, before) = (random(m * k, seed), random(k * n, seed ^ 1), random(m * n, seed ^ 2));
        let a = if a_by_rows { Matrix::by_rows(&a[..], m, k).cut(a_in_panels) } else { Matrix::by_rows(&a[..], k, m).t() };
        let b = if b_by_rows { Matrix::by_rows(&b[..], k, n) } else { Matrix::by_rows(&b[..], n, k).t() };
        // What lies before and behind the result is not its own.
        let mut around = [&[7.0; 16][..], &before, &[7.0; 16]].concat();
        multiply_once(Matrix::by_rows(&mut around[16..16 + m * n], m, n).cut(out_in_panels), a, b, add);
        prop_assert!(around[..16].iter().chain(&around[16 + m * n..]).all(|&value| value == 7.0));
        let at = |matrix: Matrix<&[f32]>, i, j| {
            let Matrix { values, rows, columns, by_rows, in_panels } = matrix;
            f64::from(values[match (by_rows, in_panels) {
                (true, true) => j / PANEL * PANEL * rows + i * PANEL + j % PANEL,
                (true, false) => i * columns + j,
                (false, _) => j * rows + i,
            }])
        };
        for (index, (got, before)) in around[16..].iter().zip(&before).enumerate() {
            let (i, j) = if out_in_panels { (index / PANEL % m, index / PANEL / m * PANEL + index % PANEL) } else { (index / n, index % n) };
            let terms = (0..k).map(|l| at(a, i, l) * at(b, l, j));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
            let wanted = sum + if add { f64::from(*before) } else { 0.0 };
            // Each of k additions may lose half a unit in the last of 24 places.
            prop_assert!((f64::from(*got) - wanted).abs() <= (size + 1.0) * (k + 2) as f64 * 2f64.powi(-24), "{got} for {wanted}");
        }
    }
}
