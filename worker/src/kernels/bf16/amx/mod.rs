//! The product by AMX's `tdpbf16ps`, which multiplies a tile of 16 rows of 32 bf16 by one of 32 rows of 16, and adds to 256 sums in f32.
//!
//! Two by two tiles of sums are kept in registers, so that each tile that is loaded is used twice. What they are computed from lies one
//! tile after the other: two columns of tiles of the right factor, which stay in the cache while all rows of the left one go by.
#![allow(unsafe_code)]

#[cfg(all(test, target_os = "linux"))]
mod emulation;
mod support;
pub mod tiles;

use std::arch::asm;

use super::{super::vectorized, write::write};
pub use support::is_available;
use tiles::{SIDE, Tile};

/// Rows, and columns, of the result that are computed at once.
pub const BLOCK: usize = 2 * SIDE;

/// `out = a·b`, or `out += a·b` where `add` says so; `out` lies row by row and is `columns` wide. Of `a` and `b`, which are packed, each 16
/// rows or columns have `deep` tiles.
///
/// # Panics
/// Where [`is_available`] says no, and when there are not as many tiles as the shapes need.
pub fn multiply(out: &mut [f32], a: &[Tile], b: &[Tile], columns: usize, deep: usize, add: bool) {
    assert!(is_available(), "AMX-BF16 was not detected");
    let (rows, panels) = (out.len() / columns, |lines: usize| lines.div_ceil(SIDE) * deep);
    assert!(a.len() >= panels(rows) && b.len() == panels(columns), "tiles of a product");
    // SAFETY: the processor has tiles, and the system lets this process use them, as just asserted.
    let registers = unsafe { Registers::configure() };
    let mut sums = Sums([[[0.0; SIDE]; 2]; BLOCK]);
    vectorized(
        #[inline(always)]
        || {
            for (panel, b) in b.chunks(2 * deep).enumerate() {
                for (out, a) in out.chunks_mut(BLOCK * columns).zip(a.chunks(2 * deep)) {
                    registers.multiply(&mut sums, two(a, deep), two(b, deep));
                    for (out, sums) in out.chunks_exact_mut(columns).zip(&sums.0) {
                        for (out, sums) in out[panel * BLOCK..].chunks_mut(SIDE).zip(sums) {
                            write(out, *sums, add);
                        }
                    }
                }
            }
        },
    );
}

/// Two rows or columns of tiles. Where one is left it is computed twice: this is at an edge alone, and spares a loop for each kind of edge.
#[inline(always)]
fn two(tiles: &[Tile], deep: usize) -> [&[Tile]; 2] {
    let (first, second) = tiles.split_at(deep);
    if second.is_empty() { [first, first] } else { [first, second] }
}

/// Two by two tiles of sums, row by row.
#[repr(align(64))]
struct Sums([[[f32; SIDE]; 2]; BLOCK]);

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Of each tile.
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// The eight tiles that there are, each of 16 rows of 64 bytes.
static CONFIGURATION: Configuration = {
    let (mut row_bytes, mut rows) = ([0; 16], [0; 16]);
    let mut tile = 0;
    while tile < 8 {
        (row_bytes[tile], rows[tile]) = (64, SIDE as u8);
        tile += 1;
    }
    Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows }
};

/// This thread's tile registers, configured as long as this lives.
struct Registers;

impl Registers {
    /// # Safety
    /// [`is_available`] must have said yes.
    unsafe fn configure() -> Self {
        // SAFETY: the instruction is there, says the caller. It reads 64 bytes, which the configuration has, and sets tile registers
        // alone: the compiler keeps nothing in them, as no function is compiled for them.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, readonly, preserves_flags));
        }
        Self
    }

    /// Writes the sums of the products of two rows of tiles by two columns of tiles.
    #[inline(always)]
    fn multiply(&self, sums: &mut Sums, [a, below]: [&[Tile]; 2], [b, beside]: [&[Tile]; 2]) {
        let deep = a.len();
        assert!(deep > 0 && [below.len(), b.len(), beside.len()] == [deep; 3], "tiles of sums");
        // SAFETY: tiles are configured as long as `self` lives. A tile has 16 rows of 64 bytes: each of the four pointers is read `deep`
        // times for that many bytes and moved by as many, so within the slices, which have `deep` tiles, as asserted. Each of the four
        // stores writes 16 rows of 64 bytes that lie 128 bytes apart, from the first or second half of row 0 or 16 of `sums` on, which has
        // 32 rows of 128 bytes. What is changed is named.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{a} + {row}]",
                "tileloadd tmm6, [{b} + {row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{beside} + {row}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{below} + {row}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a}, {tile}",
                "add {b}, {tile}",
                "add {below}, {tile}",
                "add {beside}, {tile}",
                "dec {deep}",
                "jnz 2b",
                "tilestored [{sums} + 2*{row}], tmm0",
                "tilestored [{sums} + 2*{row} + 64], tmm1",
                "tilestored [{sums} + 2*{row} + 16*128], tmm2",
                "tilestored [{sums} + 2*{row} + 16*128 + 64], tmm3",
                a = inout(reg) a.as_ptr() => _,
                b = inout(reg) b.as_ptr() => _,
                below = inout(reg) below.as_ptr() => _,
                beside = inout(reg) beside.as_ptr() => _,
                deep = inout(reg) deep => _,
                sums = in(reg) &raw mut *sums,
                row = in(reg) 64_usize,
                tile = const size_of::<Tile>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        // SAFETY: whoever has configured the tiles has this instruction too. It clears the tile registers, and nothing else: the system
        // need not save them from now on.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
    }
}
