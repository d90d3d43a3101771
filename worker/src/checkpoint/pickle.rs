//! Reads the one kind of pickle that a PyTorch checkpoint needs: a dictionary of tensors. Nothing is executed.
//!
//! A pickle is a program for a stack machine, and its `REDUCE` calls whatever function it names. This machine has no functions: it knows
//! the few names that `torch.save` writes for a tensor dictionary, makes plain values of them, and refuses every other name and opcode.
//! Values refer to one another by their place in a list, so a pickle that contains itself costs nothing and nothing here recurses.
//! Each opcode makes one value at the most, so memory is bounded by the length of the pickle.

use std::collections::HashMap;

mod machine;
mod names;

use machine::Machine;
use names::{Global, opcode_name};

/// The most bytes that a pickle may have. The tensors' values are not in it; a model of a thousand layers needs less than one MiB.
pub const BYTE_LIMIT: usize = 4 << 20;

/// How the numbers of a storage are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of single precision.
    BF16,
    /// No floats; PyTorch's name for the type of storage.
    Other(&'static str),
}

/// A storage, as the pickle announces it. Nothing about it is checked against the archive yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage<'a> {
    /// What its numbers are.
    pub element: Element,
    /// Its name in the archive.
    pub key: &'a str,
    /// How many numbers it has.
    pub count: u64,
}

/// A tensor, as the pickle announces it: a view of a storage, all counted in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTensor<'a> {
    /// Where its numbers are.
    pub storage: Storage<'a>,
    /// The place of its first number.
    pub offset: u64,
    /// Its sizes.
    pub shape: Vec<u64>,
    /// By how many numbers a step along each axis moves; as many as sizes.
    pub strides: Vec<u64>,
}

/// Why a pickle is refused. Bytes count from 0.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// It is longer than any dictionary of tensors.
    #[error("has {0} bytes; a dictionary of tensors needs no more than {BYTE_LIMIT}")]
    TooLong(u64),
    /// It ends within an opcode, or without the one that ends it.
    #[error("ends at byte {0}, in the middle")]
    Truncated(usize),
    /// Another protocol than the one of `torch.save`.
    #[error("is written in pickle protocol {0}; torch.save writes 2")]
    Protocol(u8),
    /// It names what is not part of a tensor.
    #[error("names `{name}` at byte {at}, which a dictionary of tensors does not need; it was not executed")]
    Name {
        /// Module and name.
        name: String,
        /// Where.
        at: usize,
    },
    /// It does what is not needed for tensors.
    #[error("has opcode {name} at byte {at}, which a dictionary of tensors does not need; nothing was executed")]
    Opcode {
        /// Its name, or its number.
        name: String,
        /// Where.
        at: usize,
    },
    /// An opcode met values that it is not for.
    #[error("{message} (byte {at})")]
    Malformed {
        /// What is wrong.
        message: String,
        /// Where.
        at: usize,
    },
    /// The end result is something else.
    #[error("{0}")]
    Content(String),
}

/// The tensors that `bytes` names, in order, each name once.
///
/// # Errors
/// Says why `bytes` is no dictionary of tensors.
pub fn read(bytes: &[u8]) -> Result<Vec<(&str, StoredTensor<'_>)>, PickleError> {
    if bytes.len() > BYTE_LIMIT {
        return Err(PickleError::TooLong(bytes.len() as u64));
    }
    Machine::new(bytes).run()
}

/// A value of the machine. What has parts is kept in the machine, and named by its place there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Tuple(usize),
    Dict(usize),
    Global(Global),
    Storage(usize),
    Tensor(usize),
}

impl Value<'_> {
    /// What it is, for a message.
    fn description(self) -> String {
        match self {
            Self::None => "None".into(),
            Self::Bool(value) => format!("{value}"),
            Self::Int(value) => format!("the number {value}"),
            Self::Text(_) => "a text".into(),
            Self::Tuple(_) => "a tuple".into(),
            Self::Dict(_) => "a dictionary".into(),
            Self::Global(global) => global.name().into(),
            Self::Storage(_) => "a storage".into(),
            Self::Tensor(_) => "a tensor".into(),
        }
    }
}

/// Memo: what `PUT` has kept under a number.
type Memo<'a> = HashMap<u32, Value<'a>>;

#[cfg(test)]
mod tests;
