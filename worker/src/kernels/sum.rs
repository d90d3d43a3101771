//! Sums in a fixed order that suits vector instructions.

/// Sums that run side by side.
const LANES: usize = 16;

/// Σ a·b. The order of addition depends on the length alone, so the result is the same each time.
#[inline(always)]
pub fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    let ((a, rest_of_a), (b, rest_of_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = rest_of_a.iter().zip(rest_of_b).map(|(a, b)| a * b).sum();
    fold(lanes, |a, b| a + b) + rest
}

/// All values and `start` made one, in the same order; `start` is what changes nothing.
#[inline(always)]
pub fn reduce(values: &[f32], start: f32, with: impl Fn(f32, f32) -> f32) -> f32 {
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for values in whole {
        for lane in 0..LANES {
            lanes[lane] = with(lanes[lane], values[lane]);
        }
    }
    let rest = rest.iter().fold(start, |sum, &value| with(sum, value));
    with(fold(lanes, &with), rest)
}

/// Makes one of all lanes, by halves: one after the other would wait for each other.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], with: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = with(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
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
