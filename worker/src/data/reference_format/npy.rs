//! NumPy's array files, versions 1 to 3: the few kinds that data sets are made of, in C order and little-endian.

/// What such a file begins with.
const MAGIC: &[u8] = b"\x93NUMPY";
/// The most bytes of a header; ours have 128.
const HEADER_LIMIT: usize = 4096;
/// Header and data begin at multiples of so many bytes.
const ALIGNMENT: usize = 64;

/// The kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned, one byte.
    U8,
    /// Unsigned, two bytes.
    U16,
    /// Signed, four bytes.
    I32,
    /// Signed, eight bytes.
    I64,
}

/// What is wrong with an array file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NpyProblem {
    /// It is some other file.
    #[error("it does not begin like a NumPy array file")]
    Magic,
    /// A version that is not known.
    #[error("NumPy file version {0}; versions 1, 2 and 3 are read")]
    Version(u8),
    /// It ends within the header, or the header is absurdly long.
    #[error("the header is cut off or longer than {HEADER_LIMIT} bytes")]
    HeaderLength,
    /// The header is not the one of an array.
    #[error("the header has no right `{0}`")]
    Header(&'static str),
    /// Numbers of a kind that is not read.
    #[error("numbers of kind `{0}`; written as |u1, <u2, <i4 or <i8 they are read (pickled objects never are)")]
    Kind(String),
    /// The columns come first.
    #[error("it is in Fortran's order; save it in C order (numpy.ascontiguousarray)")]
    Order,
    /// Not as many bytes as the shape says.
    #[error("shape {shape:?} needs {needed} bytes, but {found} follow the header")]
    Size {
        /// The announced shape.
        shape: Vec<usize>,
        /// What it takes; `more than can be` where that is beyond counting.
        needed: String,
        /// What is there.
        found: usize,
    },
    /// Another shape than the data set needs.
    #[error("the shape must be {expected}, not {found:?}")]
    Shape {
        /// The right one.
        expected: String,
        /// The one of the file.
        found: Vec<usize>,
    },
    /// A number that cannot be.
    #[error("number {index} is {found}; {most} is the most here, and 0 the least")]
    Range {
        /// Which number, from 0.
        index: usize,
        /// The number.
        found: i64,
        /// The largest that is allowed.
        most: i64,
    },
}

/// An array within the bytes of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    /// The kind of its numbers.
    pub kind: Kind,
    /// Its shape.
    pub shape: Vec<usize>,
    data: &'a [u8],
}

impl Kind {
    const ALL: [Self; 4] = [Self::U8, Self::U16, Self::I32, Self::I64];

    /// Bytes of a number.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::I32 => 4,
            Self::I64 => 8,
        }
    }

    /// NumPy's name.
    const fn name(self) -> &'static str {
        match self {
            Self::U8 => "|u1",
            Self::U16 => "<u2",
            Self::I32 => "<i4",
            Self::I64 => "<i8",
        }
    }
}

impl<'a> Array<'a> {
    /// Reads the content of a file. Its size is compared with what the header claims before anything is made of it.
    ///
    /// # Errors
    /// Says what is wrong with the file.
    pub fn parse(file: &'a [u8]) -> Result<Self, NpyProblem> {
        let rest = file.strip_prefix(MAGIC).ok_or(NpyProblem::Magic)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(NpyProblem::HeaderLength)?;
        let (length, rest) = match version[0] {
            1 => rest.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest)),
            2 | 3 => rest.split_first_chunk::<4>().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest)),
            other => return Err(NpyProblem::Version(other)),
        }
        .ok_or(NpyProblem::HeaderLength)?;
        if length > HEADER_LIMIT || length > rest.len() {
            return Err(NpyProblem::HeaderLength);
        }
        let (header, data) = rest.split_at(length);
        let header = std::str::from_utf8(header).map_err(|_| NpyProblem::Header("text"))?;
        let (kind, shape) = read_header(header)?;
        let needed = shape.iter().try_fold(kind.bytes(), |bytes, length| bytes.checked_mul(*length));
        if needed != Some(data.len()) {
            let needed = needed.map_or("more than can be".into(), |needed| needed.to_string());
            return Err(NpyProblem::Size { shape, needed, found: data.len() });
        }
        Ok(Self { kind, shape, data })
    }

    /// The numbers, row by row; each is 0 to `most`.
    ///
    /// # Errors
    /// Names the first number that is not.
    pub fn numbers(&self, most: u32) -> Result<Vec<u32>, NpyProblem> {
        let number = |bytes: &[u8]| match *bytes {
            [a] => i64::from(a),
            [a, b] => i64::from(u16::from_le_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
            _ => i64::from_le_bytes(bytes.try_into().unwrap_or([0; 8])),
        };
        let checked = |(index, bytes)| match number(bytes) {
            found if (0..=i64::from(most)).contains(&found) => Ok(found as u32),
            found => Err(NpyProblem::Range { index, found, most: i64::from(most) }),
        };
        self.data.chunks_exact(self.kind.bytes()).enumerate().map(checked).collect()
    }

    /// As [`numbers`](Self::numbers), one byte each.
    ///
    /// # Errors
    /// Names the first number that is too large.
    pub fn bytes(&self, most: u8) -> Result<Vec<u8>, NpyProblem> {
        match (self.kind, self.data.iter().position(|byte| *byte > most)) {
            (Kind::U8, None) => Ok(self.data.to_vec()),
            _ => Ok(self.numbers(u32::from(most))?.into_iter().map(|number| number as u8).collect()),
        }
    }
}

/// The three entries of a header, such as `{'descr': '<i4', 'fortran_order': False, 'shape': (3, 4), }`, in any order.
fn read_header(header: &str) -> Result<(Kind, Vec<usize>), NpyProblem> {
    let entries = header.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or(NpyProblem::Header("braces"))?;
    let (mut kind, mut is_fortran, mut shape) = (None, None, None);
    let mut rest = entries.trim();
    while !rest.is_empty() {
        let (name, after) = quoted(rest).ok_or(NpyProblem::Header("name"))?;
        let value = after.trim_start().strip_prefix(':').ok_or(NpyProblem::Header("colon"))?.trim_start();
        rest = match name {
            "descr" if kind.is_none() => {
                let (name, after) = quoted(value).ok_or(NpyProblem::Header("descr"))?;
                kind = Some(Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| NpyProblem::Kind(shown(name)))?);
                after
            }
            "fortran_order" if is_fortran.is_none() => {
                let (is, after) = match (value.strip_prefix("False"), value.strip_prefix("True")) {
                    (Some(after), _) => (false, after),
                    (_, Some(after)) => (true, after),
                    _ => return Err(NpyProblem::Header("fortran_order")),
                };
                is_fortran = Some(is);
                after
            }
            "shape" if shape.is_none() => {
                let (lengths, after) = value.strip_prefix('(').and_then(|text| text.split_once(')')).ok_or(NpyProblem::Header("shape"))?;
                shape = Some(read_shape(lengths)?);
                after
            }
            _ => return Err(NpyProblem::Header("entry")),
        };
        rest = rest.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(NpyProblem::Header("comma")),
        };
    }
    if is_fortran.ok_or(NpyProblem::Header("fortran_order"))? {
        return Err(NpyProblem::Order);
    }
    Ok((kind.ok_or(NpyProblem::Header("descr"))?, shape.ok_or(NpyProblem::Header("shape"))?))
}

fn read_shape(lengths: &str) -> Result<Vec<usize>, NpyProblem> {
    let lengths = lengths.trim();
    let lengths = lengths.strip_suffix(',').unwrap_or(lengths);
    if lengths.trim().is_empty() {
        return Ok(Vec::new());
    }
    lengths.split(',').map(|length| length.trim().parse().map_err(|_| NpyProblem::Header("shape"))).collect()
}

/// The text in quotes that `text` begins with, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|character| matches!(character, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// The beginning of a name from some file, fit for a message.
fn shown(name: &str) -> String {
    name.chars().take(16).collect::<String>().escape_debug().to_string()
}

/// The file of an array whose numbers are in `data`, as [`Array::parse`] reads them; the shape must say how many.
pub fn write(kind: Kind, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let lengths: Vec<_> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let header = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{comma}), }}", kind.name(), lengths.join(", "));
    // Version 1: magic, version, two bytes of length, the header filled up with spaces, a line feed.
    let before = MAGIC.len() + 4;
    let length = (before + header.len() + 1).next_multiple_of(ALIGNMENT) - before;
    let mut file = MAGIC.to_vec();
    file.extend([1, 0]);
    file.extend((length as u16).to_le_bytes());
    file.extend(format!("{header:<0$}\n", length - 1).as_bytes());
    file.extend(data);
    file
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend([1, 0]);
        file.extend((header.len() as u16).to_le_bytes());
        [&file, header.as_bytes(), data].concat()
    }

    #[test]
    fn numpy_s_own_bytes_are_written() {
        // numpy.save of numpy.array([1, 2], dtype=numpy.int32)
        let header = "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }";
        let file = write(Kind::I32, &[2], &[1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!((file.len(), &file[..10]), (136, &b"\x93NUMPY\x01\x00v\x00"[..]));
        assert!(file[10..].starts_with(header.as_bytes()) && file[127] == b'\n');
        let array = Array::parse(&file).unwrap();
        assert_eq!((array.kind, &array.shape[..], array.numbers(9).unwrap()), (Kind::I32, &[2][..], vec![1, 2]));
        assert_eq!(array.numbers(1).unwrap_err().to_string(), "number 1 is 2; 1 is the most here, and 0 the least");
    }

    #[test]
    fn every_version_and_kind_is_read() {
        let header = b"{\"shape\": (1, 2), 'fortran_order': False, 'descr': '<u2'}\n";
        for version in [2, 3] {
            let length = (header.len() as u32).to_le_bytes();
            let file = [MAGIC, &[version, 0], &length, header, &[1, 0, 0, 1]].concat();
            assert_eq!(Array::parse(&file).unwrap().numbers(u32::MAX).unwrap(), [1, 256]);
        }
        let file = write(Kind::I64, &[1], &(-1_i64).to_le_bytes());
        assert_eq!(Array::parse(&file).unwrap().numbers(9).unwrap_err(), NpyProblem::Range { index: 0, found: -1, most: 9 });
        assert_eq!(Array::parse(&write(Kind::U8, &[2, 1], &[3, 4])).unwrap().bytes(4).unwrap(), [3, 4]);
        assert!(Array::parse(&write(Kind::U8, &[2, 1], &[3, 4])).unwrap().bytes(3).is_err());
    }

    #[test]
    fn files_that_lie_are_refused() {
        let right = "'descr': '|u1', 'fortran_order': False, 'shape': (3,), ";
        let with = |from: &str, to: &str| with_header(&format!("{{{}}}", right.replace(from, to)), b"abc");
        assert!(Array::parse(&with("", "")).is_ok());
        let cases = [
            (with("(3,)", "(4,)"), "shape [4] needs 4 bytes, but 3 follow the header"),
            (with("(3,)", "(2,)"), "shape [2] needs 2 bytes, but 3 follow the header"),
            (
                with("(3,)", "(99999999999, 99999999999)"),
                "shape [99999999999, 99999999999] needs more than can be bytes, but 3 follow the header",
            ),
            (with("(3,)", "(-3,)"), "the header has no right `shape`"),
            (with("(3,)", "3"), "the header has no right `shape`"),
            (with("False", "True"), "it is in Fortran's order; save it in C order (numpy.ascontiguousarray)"),
            (with("|u1", "|O"), "numbers of kind `|O`; written as |u1, <u2, <i4 or <i8 they are read (pickled objects never are)"),
            (with("|u1", ">i4"), "numbers of kind `>i4`; written as |u1, <u2, <i4 or <i8 they are read (pickled objects never are)"),
            (with("'shape'", "'size'"), "the header has no right `entry`"),
            (with("'shape': (3,), ", ""), "the header has no right `shape`"),
            (with_header("", b""), "the header has no right `braces`"),
            (b"\x93NUMPY\x04\x00\x00\x00".to_vec(), "NumPy file version 4; versions 1, 2 and 3 are read"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}".to_vec(), "the header is cut off or longer than 4096 bytes"),
            (b"\x93NUMPY\x01".to_vec(), "the header is cut off or longer than 4096 bytes"),
            (b"PK\x03\x04".to_vec(), "it does not begin like a NumPy array file"),
        ];
        for (file, message) in cases {
            assert_eq!(Array::parse(&file).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, header in "[a-z'{}():,0-9 <|]{0,80}") {
            let _ = Array::parse(&bytes);
            let _ = Array::parse(&[MAGIC, &bytes].concat());
            let _ = Array::parse(&with_header(&header, &bytes));
        }
    }
}
