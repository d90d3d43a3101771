//! AMX on a processor without it: what such a processor refuses, a handler of the signal for it computes, as Intel's manual says. So the
//! kernel's own machine code is tested anywhere, and each of its loads and stores is one that an address sanitizer sees.
//!
//! The handler is the whole process's, so these tests are run in a process of their own, which an environment variable tells to emulate.

use std::{
    cell::RefCell,
    env, ptr,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::super::super::vectorized;

/// Set, it makes AMX available to this process.
const VARIABLE: &str = "TINYSWEEP_TEST_EMULATE_AMX";

/// Products of two tiles that were emulated in this process.
pub static PRODUCTS: AtomicUsize = AtomicUsize::new(0);

/// Whether this process shall emulate what the processor does not have; if so, it does from the first call on.
pub fn is_asked_for() -> bool {
    static IS_ASKED_FOR: LazyLock<bool> = LazyLock::new(|| {
        let is_asked_for = env::var_os(VARIABLE).is_some();
        if is_asked_for && !super::support::is_native() {
            install();
        }
        is_asked_for
    });
    *IS_ASKED_FOR
}

fn install() {
    // SAFETY: zeros are an action without flags or a mask, and the handler has the type that `SA_SIGINFO` says.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGILL, &action, ptr::null_mut()), 0, "sigaction");
    }
}

/// Runs the instruction that the processor refused, if it is one of these, and goes on behind it. Any other ends the process, as without.
extern "C" fn handle(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: such a handler is given the thread's registers, which are its own until it returns.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let at = registers[libc::REG_RIP as usize];
    // SAFETY: the processor has read an instruction here; behind the longest of them is more code, the end of a function at the least.
    let code = unsafe { ptr::read_unaligned(at as *const [u8; 10]) };
    let run = Instruction::decode(&code, |number| registers[NUMBERED[number] as usize] as usize)
        .and_then(|(instruction, length)| TILES.with_borrow_mut(|tiles| tiles.run(instruction)).map(|()| length));
    match run {
        Some(length) => registers[libc::REG_RIP as usize] = at + length as i64,
        // SAFETY: the call takes no pointer. The instruction is refused once more, and the process ends.
        None => _ = unsafe { libc::signal(libc::SIGILL, libc::SIG_DFL) },
    }
}

/// The registers as instructions number them.
const NUMBERED: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instruction {
    Configure { from: usize },
    Release,
    Zero { tile: usize },
    Load { tile: usize, from: usize, stride: usize },
    Store { tile: usize, to: usize, stride: usize },
    Product { sums: usize, a: usize, b: usize },
}

impl Instruction {
    /// The instruction at the beginning of `code`, and its length in bytes.
    fn decode(code: &[u8; 10], register: impl Fn(usize) -> usize) -> Option<(Self, usize)> {
        let [0xc4, first, second, opcode, modrm, ..] = *code else { return None };
        // Of the map 0F38, with W and L of 0. R, which is inverted like X, B and vvvv, would be of tiles that there are not.
        if first & 0x9f != 0x82 || second & 0x84 != 0 {
            return None;
        }
        let (prefix, third) = (second & 0b11, usize::from(!second >> 3 & 0b1111));
        let (reg, rm) = (usize::from(modrm >> 3 & 0b111), usize::from(modrm & 0b111));
        if modrm >> 6 == 0b11 {
            let instruction = match (prefix, opcode) {
                (NONE, 0x49) if modrm == 0xc0 => Self::Release,
                (F2, 0x49) if rm == 0 => Self::Zero { tile: reg },
                (F3, 0x5c) if third < 8 => Self::Product { sums: reg, a: rm, b: third },
                _ => return None,
            };
            return Some((instruction, 5));
        }
        let (Place { address, stride }, length) = Place::decode(first, &code[4..], register)?;
        let instruction = match (prefix, opcode, stride) {
            (NONE, 0x49, _) if reg == 0 => Self::Configure { from: address },
            (F2, 0x4b, Some(stride)) => Self::Load { tile: reg, from: address, stride },
            (F3, 0x4b, Some(stride)) => Self::Store { tile: reg, to: address, stride },
            _ => return None,
        };
        Some((instruction, 4 + length))
    }
}

/// Prefixes, as VEX has them in two bits.
const NONE: u8 = 0b00;
const F3: u8 = 0b10;
const F2: u8 = 0b11;

/// What an instruction names in memory.
struct Place {
    address: usize,
    /// From a row to the next, where there is an index to say it.
    stride: Option<usize>,
}

impl Place {
    /// From the ModRM byte on, with the inverted X and B in `vex`; and how many bytes it takes.
    fn decode(vex: u8, code: &[u8], register: impl Fn(usize) -> usize) -> Option<(Self, usize)> {
        let extended = |bit: u8, number: u8| usize::from(number & 0b111) | if vex & bit == 0 { 8 } else { 0 };
        let (mode, rm) = (code[0] >> 6, code[0] & 0b111);
        let (base, stride, length) = if rm == 0b100 {
            let index = extended(0x40, code[1] >> 3);
            // Number 4 is no index.
            let stride = if index == 4 { 0 } else { register(index) << (code[1] >> 6) };
            (code[1], Some(stride), 2)
        } else {
            (rm, None, 1)
        };
        // Without displacement number 5 is no base: nothing here is addressed so.
        if mode == 0b00 && base & 0b111 == 0b101 {
            return None;
        }
        let (displacement, more) = match mode {
            0b00 => (0, 0),
            0b01 => (code[length] as i8 as isize, 1),
            _ => (i32::from_le_bytes(*code[length..].first_chunk()?) as isize, 4),
        };
        let address = register(extended(0x20, base)).wrapping_add_signed(displacement);
        Some((Self { address, stride }, length + more))
    }
}

thread_local! {
    static TILES: RefCell<Tiles> = const { RefCell::new(Tiles { shapes: None, words: [[[0; 16]; 16]; 8] }) };
}

/// The registers of a thread.
struct Tiles {
    shapes: Option<[Shape; 8]>,
    words: [[[u32; 16]; 16]; 8],
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Shape {
    rows: usize,
    /// In a row.
    words: usize,
}

impl Tiles {
    /// Nothing where a processor would refuse it.
    fn run(&mut self, instruction: Instruction) -> Option<()> {
        match instruction {
            // SAFETY: whoever configures tiles has 64 bytes there.
            Instruction::Configure { from } => self.configure(unsafe { &*(from as *const [u8; 64]) })?,
            Instruction::Release => (self.shapes, self.words) = (None, [[[0; 16]; 16]; 8]),
            Instruction::Zero { tile } => {
                self.shape(tile)?;
                self.words[tile] = [[0; 16]; 16];
            }
            Instruction::Load { tile, from, stride } => {
                let Shape { rows, words } = self.shape(tile)?;
                self.words[tile] = [[0; 16]; 16];
                for (row, to) in self.words[tile][..rows].iter_mut().enumerate() {
                    let from = from.wrapping_add(row.wrapping_mul(stride)) as *const u32;
                    for (word, to) in to[..words].iter_mut().enumerate() {
                        // SAFETY: whoever loads a tile has as many rows of as many words there.
                        *to = unsafe { from.add(word).read_unaligned() };
                    }
                }
            }
            Instruction::Store { tile, to, stride } => {
                let Shape { rows, words } = self.shape(tile)?;
                for (row, from) in self.words[tile][..rows].iter().enumerate() {
                    let to = to.wrapping_add(row.wrapping_mul(stride)) as *mut u32;
                    for (word, from) in from[..words].iter().enumerate() {
                        // SAFETY: whoever stores a tile has room for as many rows of as many words there.
                        unsafe { to.add(word).write_unaligned(*from) };
                    }
                }
            }
            Instruction::Product { sums, a, b } => self.product(sums, a, b)?,
        }
        Some(())
    }

    fn configure(&mut self, bytes: &[u8; 64]) -> Option<()> {
        let (row_bytes, _) = bytes[16..48].as_chunks::<2>();
        let mut shapes = [Shape::default(); 8];
        for (tile, shape) in shapes.iter_mut().enumerate() {
            let row_bytes = usize::from(u16::from_le_bytes(row_bytes[tile]));
            *shape = Shape { rows: bytes[48 + tile].into(), words: row_bytes / 4 };
            let is_whole = row_bytes % 4 == 0 && (shape.rows == 0) == (row_bytes == 0);
            if !is_whole || shape.rows > 16 || shape.words > 16 {
                return None;
            }
        }
        let reserved = [&bytes[1..16], &bytes[32..48], &bytes[56..]].concat();
        if bytes[0] != 1 || reserved.iter().any(|byte| *byte != 0) {
            return None;
        }
        (self.shapes, self.words) = (Some(shapes), [[[0; 16]; 16]; 8]);
        Some(())
    }

    /// Of a tile that is configured.
    fn shape(&self, tile: usize) -> Option<Shape> {
        Some(self.shapes?[tile]).filter(|shape| shape.rows > 0)
    }

    fn product(&mut self, sums: usize, a: usize, b: usize) -> Option<()> {
        let (shape, left, right) = (self.shape(sums)?, self.shape(a)?, self.shape(b)?);
        let fits = left == Shape { rows: shape.rows, words: right.rows } && right.words == shape.words;
        if !fits || sums == a || sums == b || a == b {
            return None;
        }
        let (mut words, left, right) = (self.words[sums], &self.words[a][..shape.rows], &self.words[b][..right.rows]);
        vectorized(
            #[inline(always)]
            || {
                for (sums, left) in words.iter_mut().zip(left) {
                    add_products(sums, left, right);
                }
            },
        );
        self.words[sums] = words;
        PRODUCTS.fetch_add(1, Ordering::Relaxed);
        Some(())
    }
}

/// Adds up products of first numbers of pairs, and of second ones, by fused multiply-adds, and adds both to a row of sums.
#[inline(always)]
fn add_products(sums: &mut [u32; 16], left: &[u32; 16], right: &[[u32; 16]]) {
    let (mut first, mut second) = ([0_f32; 16], [0_f32; 16]);
    for (a, b) in left.iter().zip(right) {
        for column in 0..16 {
            first[column] = flushed(low(*a).mul_add(low(b[column]), first[column]));
            second[column] = flushed(high(*a).mul_add(high(b[column]), second[column]));
        }
    }
    for column in 0..16 {
        let before = flushed(f32::from_bits(sums[column]));
        sums[column] = flushed(before + flushed(first[column] + second[column])).to_bits();
    }
}

/// The first number of a pair.
#[inline(always)]
fn low(pair: u32) -> f32 {
    flushed(f32::from_bits(pair << 16))
}

/// The second number of a pair.
#[inline(always)]
fn high(pair: u32) -> f32 {
    flushed(f32::from_bits(pair & 0xffff_0000))
}

/// Zero in place of a number too small to be normal.
#[inline(always)]
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0.0_f32.copysign(x) } else { x }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Seek},
        process::{Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use super::{
        super::{
            super::{
                super::{factors::Factors, matmul::Matrix},
                Unit,
            },
            support::is_native,
        },
        *,
    };

    /// Nothing here takes longer, also not on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(300);

    #[test]
    fn instructions_are_those_of_the_manual() {
        // As an assembler writes them: tdpbf16ps tmm1, tmm2, tmm3; tileloadd tmm6, [r9 + 2*rbp + 16]; tilestored [rax + r10], tmm3.
        let decode = |code: &[u8]| {
            let mut padded = [0; 10];
            padded[..code.len()].copy_from_slice(code);
            Instruction::decode(&padded, |number| 1000 * number)
        };
        assert_eq!(decode(&[0xc4, 0xe2, 0x62, 0x5c, 0xca]), Some((Instruction::Product { sums: 1, a: 2, b: 3 }, 5)));
        let load = Instruction::Load { tile: 6, from: 9016, stride: 10_000 };
        assert_eq!(decode(&[0xc4, 0xc2, 0x7b, 0x4b, 0x74, 0x69, 0x10]), Some((load, 7)));
        let store = Instruction::Store { tile: 3, to: 0, stride: 10_000 };
        assert_eq!(decode(&[0xc4, 0xa2, 0x7a, 0x4b, 0x1c, 0x10]), Some((store, 6)));
        assert_eq!(decode(&[0xc4, 0xe2, 0x7b, 0x49, 0xe8]), Some((Instruction::Zero { tile: 5 }, 5)));
        assert_eq!(decode(&[0xc4, 0xe2, 0x78, 0x49, 0xc0]), Some((Instruction::Release, 5)));
        assert_eq!(decode(&[0xc4, 0xe2, 0x78, 0x49, 0x07]), Some((Instruction::Configure { from: 7000 }, 5)));
        assert_eq!(decode(&[0x0f, 0x0b]), None);
    }

    #[test]
    #[ignore = "runs among those of the test below, in a process that emulates"]
    fn products_are_emulated() {
        let before = PRODUCTS.load(Ordering::Relaxed);
        let (a, mut out) = ([3.0; 4], [0.0; 4]);
        let a = Matrix::by_rows(&a[..], 2, 2);
        Factors::Bf16.multiply(Matrix::by_rows(&mut out[..], 2, 2), a, a, false);
        assert_eq!((Unit::in_use(), out), (Unit::Amx, [18.0; 4]));
        assert!(is_native() || PRODUCTS.load(Ordering::Relaxed) >= before + 4);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri starts no process")]
    fn all_tests_of_kernels_pass_with_emulated_amx() {
        let mut said = tempfile::tempfile().unwrap();
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["kernels::", "--include-ignored", "--skip", "all_tests_of_kernels_pass_with_emulated_amx"])
            .env(VARIABLE, "1")
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said.try_clone().unwrap())
            .spawn()
            .unwrap();
        let start = Instant::now();
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                process.kill().unwrap();
                process.wait().unwrap();
                panic!("still running after {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(20));
        };
        let mut text = String::new();
        said.rewind().unwrap();
        said.read_to_string(&mut text).unwrap();
        assert!(status.success(), "{status}\n{text}");
        assert!(text.contains("products_are_emulated ... ok"), "{text}");
    }
}
