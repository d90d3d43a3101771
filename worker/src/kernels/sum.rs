//! Sums in a fixed order that suits vector instructions.

/// Sums that run side by side.
const LANES: usize = 16;

/// Σ a·b. The order of addition depends on the length alone, so the result is the same each time.
#[inline(always)]
pub fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    let mut lanes = [0f32; LANES];
    for (a, b) in a.zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lanes_and_rests() {
        for length in [0, 1, 15, 16, 17, 40] {
            let numbers: Vec<f32> = (0..length).map(|number| number as f32).collect();
            let wanted: f32 = numbers.iter().map(|number| number * number).sum();
            assert_eq!(sum_of_products(&numbers, &numbers), wanted);
        }
    }
}
