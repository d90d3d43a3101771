//! The names that a dictionary of tensors needs, and what opcodes are called.

use super::Element;

/// A name that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    /// Makes an empty dictionary.
    OrderedDict,
    /// Makes a tensor of a storage.
    RebuildTensor,
    /// Makes a parameter of a tensor; to us it is the tensor.
    RebuildParameter,
    /// A type of storage.
    Storage(Element),
}

/// Every name, as a pickle writes it: module, name.
const KNOWN: [(&str, &str, Global); 13] = [
    ("collections", "OrderedDict", Global::OrderedDict),
    ("torch._utils", "_rebuild_tensor_v2", Global::RebuildTensor),
    ("torch._utils", "_rebuild_parameter", Global::RebuildParameter),
    ("torch", "DoubleStorage", Global::Storage(Element::F64)),
    ("torch", "FloatStorage", Global::Storage(Element::F32)),
    ("torch", "HalfStorage", Global::Storage(Element::F16)),
    ("torch", "BFloat16Storage", Global::Storage(Element::BF16)),
    ("torch", "LongStorage", Global::Storage(Element::Other("LongStorage"))),
    ("torch", "IntStorage", Global::Storage(Element::Other("IntStorage"))),
    ("torch", "ShortStorage", Global::Storage(Element::Other("ShortStorage"))),
    ("torch", "CharStorage", Global::Storage(Element::Other("CharStorage"))),
    ("torch", "ByteStorage", Global::Storage(Element::Other("ByteStorage"))),
    ("torch", "BoolStorage", Global::Storage(Element::Other("BoolStorage"))),
];

impl Global {
    /// The known name, if it is one.
    pub fn find(module: &str, name: &str) -> Option<Self> {
        KNOWN.iter().find(|known| (known.0, known.1) == (module, name)).map(|known| known.2)
    }

    /// What Python calls it, without its module.
    pub fn name(self) -> &'static str {
        KNOWN.iter().find(|known| known.2 == self).map_or("", |known| known.1)
    }
}

/// What an opcode that is refused is called.
pub fn opcode_name(opcode: u8) -> String {
    let name = match opcode {
        b'i' => "INST (makes an object)",
        b'o' => "OBJ (makes an object)",
        0x81 => "NEWOBJ (makes an object)",
        0x92 => "NEWOBJ_EX (makes an object)",
        0x93 => "STACK_GLOBAL (names anything)",
        0x82..=0x84 => "EXT (names anything)",
        b'P' => "PERSID",
        b'G' | b'F' => "FLOAT",
        b'I' | b'L' | 0x8b => "INT or LONG",
        b'S' | b'T' | b'U' | b'V' => "STRING",
        b'B' | b'C' | 0x8e | 0x96 => "BYTES",
        b']' | b'l' | b'a' | b'e' => "LIST",
        0x8f..=0x91 => "SET",
        0x8c | 0x8d => "UNICODE (of protocol 4)",
        0x94 | 0x95 => "MEMOIZE or FRAME (of protocol 4)",
        b'0' | b'1' | b'2' => "POP or DUP",
        _ => return format!("0x{opcode:02x}"),
    };
    name.to_owned()
}
