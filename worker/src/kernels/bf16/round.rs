//! f32 rounded to bf16, the upper half of an f32: 8 bits of mantissa, the first of them implied.

/// The bits of the bf16 nearest to `x`, of two equally near ones the even one, in the upper half of a word whose lower half is anything.
#[inline(always)]
const fn nearest(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // Rounding could carry NaN into a number.
    if x.is_nan() { bits | 0x0040_0000 } else { rounded }
}

/// `x` rounded to bf16.
#[inline(always)]
pub const fn round(x: f32) -> f32 {
    f32::from_bits(nearest(x) & 0xffff_0000)
}

/// Two numbers rounded to bf16, the first in the lower half of the word. Only units of x86-64 take pairs.
#[cfg(any(test, target_arch = "x86_64"))]
#[inline(always)]
pub const fn pair(first: f32, second: f32) -> u32 {
    (nearest(first) >> 16) | (nearest(second) & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;
    use proptest::prelude::*;

    fn is_that_of_half(x: f32) {
        let wanted = bf16::from_f32(x);
        assert_eq!(round(x).to_bits(), wanted.to_f32().to_bits(), "{x} ({:x})", x.to_bits());
        assert_eq!(pair(x, 1.0), 0x3f80_0000 | u32::from(wanted.to_bits()), "{x} ({:x})", x.to_bits());
        assert_eq!(pair(1.0, x), 0x3f80 | u32::from(wanted.to_bits()) << 16, "{x} ({:x})", x.to_bits());
    }

    #[test]
    fn ties_ends_and_no_numbers() {
        // 1 + 2⁻⁸ lies between 1 and 1 + 2⁻⁷, and the next tie between that and 1 + 2⁻⁶.
        assert_eq!([round(1.0 + 1.0 / 256.0), round(1.0 + 3.0 / 256.0)], [1.0, 1.0 + 1.0 / 64.0]);
        let ends = [0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN];
        for x in ends.into_iter().chain([0x7fff_ffff, 0xffff_ffff, 0x7f80_0001].map(f32::from_bits)) {
            is_that_of_half(x);
        }
    }

    proptest! {
        #[test]
        fn every_pattern_of_bits(bits: u32) {
            is_that_of_half(f32::from_bits(bits));
        }
    }
}
