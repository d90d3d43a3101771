//! The stack machine.

use std::collections::HashSet;

use super::{Global, Memo, PickleError, Storage, StoredTensor, Value, opcode_name};

/// The most axes that a tensor may have.
const AXES: usize = 8;

/// A run over one pickle.
pub struct Machine<'a> {
    bytes: &'a [u8],
    /// The next byte to read.
    position: usize,
    /// Where the opcode that is being done began.
    at: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at which `MARK` was done.
    marks: Vec<usize>,
    memo: Memo<'a>,
    tuples: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    storages: Vec<Storage<'a>>,
    tensors: Vec<StoredTensor<'a>>,
}

type Result<T> = std::result::Result<T, PickleError>;

impl<'a> Machine<'a> {
    /// A machine that has done nothing yet.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Memo::new(),
            tuples: Vec::new(),
            dicts: Vec::new(),
            storages: Vec::new(),
            tensors: Vec::new(),
        }
    }

    /// Runs to the end, and takes the dictionary that is left.
    pub fn run(mut self) -> Result<Vec<(&'a str, StoredTensor<'a>)>> {
        loop {
            self.at = self.position;
            match self.byte()? {
                b'.' => break,
                opcode => self.step(opcode)?,
            }
        }
        let rest = self.bytes.len() - self.position;
        if rest > 0 {
            return Err(self.malformed(format!("{rest} bytes follow the end")));
        }
        let root = self.pop()?;
        if !self.stack.is_empty() || !self.marks.is_empty() {
            return Err(self.malformed("values are left over at the end"));
        }
        self.dictionary(root)
    }

    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            0x80 => match self.byte()? {
                2 => {}
                other => return Err(PickleError::Protocol(other)),
            },
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a => self.int(opcode)?,
            b'X' => self.text()?,
            b'c' => self.global()?,
            b')' => self.tuple(0)?,
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' => {
                let count = self.since_mark()?;
                self.tuple(count)?;
            }
            b'}' => self.empty_dict(),
            b's' => self.set_items(2)?,
            b'u' => {
                let count = self.since_mark()?;
                self.set_items(count)?;
            }
            b'q' | b'r' => self.put(opcode)?,
            b'h' | b'j' => self.get(opcode)?,
            b'Q' => self.persistent()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            other => return Err(PickleError::Opcode { name: opcode_name(other), at: self.at }),
        }
        Ok(())
    }

    fn malformed(&self, message: impl Into<String>) -> PickleError {
        PickleError::Malformed { message: message.into(), at: self.at }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let bytes = self.position.checked_add(count).and_then(|end| self.bytes.get(self.position..end));
        let bytes = bytes.ok_or(PickleError::Truncated(self.bytes.len()))?;
        self.position += count;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// To the end of the line, which is skipped.
    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or(PickleError::Truncated(self.bytes.len()))?;
        let line = self.take(length)?;
        self.byte()?;
        std::str::from_utf8(line).map_err(|_| self.malformed("a name is not UTF-8 text"))
    }

    fn pop(&mut self) -> Result<Value<'a>> {
        // Values below the last mark belong to what is not finished yet.
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(value) if self.stack.len() >= floor => Ok(value),
            _ => Err(self.malformed("a value is asked for, but there is none")),
        }
    }

    /// How many values stand above the last mark, which is taken away.
    fn since_mark(&mut self) -> Result<usize> {
        match self.marks.pop() {
            Some(height) => Ok(self.stack.len() - height),
            None => Err(self.malformed("a mark is asked for, but there is none")),
        }
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value<'a>>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(height) if height >= floor => Ok(self.stack.split_off(height)),
            _ => Err(self.malformed(format!("{count} values are asked for, but there are fewer"))),
        }
    }

    fn int(&mut self, opcode: u8) -> Result<()> {
        let value = match opcode {
            b'K' => self.byte()?.into(),
            b'M' => {
                let bytes = self.take(2)?;
                u16::from_le_bytes([bytes[0], bytes[1]]).into()
            }
            b'J' => (self.u32()? as i32).into(),
            _ => self.long()?,
        };
        self.stack.push(Value::Int(value));
        Ok(())
    }

    /// A whole number of up to eight bytes, in two's complement.
    fn long(&mut self) -> Result<i64> {
        let length = usize::from(self.byte()?);
        let bytes = self.take(length)?;
        if length > 8 {
            return Err(self.malformed(format!("a number of {length} bytes; sizes have up to 8")));
        }
        let sign = bytes.last().map_or(0, |last| if last & 0x80 != 0 { 0xff } else { 0 });
        let mut wide = [sign; 8];
        wide[..length].copy_from_slice(bytes);
        Ok(i64::from_le_bytes(wide))
    }

    fn text(&mut self) -> Result<()> {
        let length = self.u32()? as usize;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| self.malformed("a text is not UTF-8"))?;
        self.stack.push(Value::Text(text));
        Ok(())
    }

    fn global(&mut self) -> Result<()> {
        let (module, name) = (self.line()?, self.line()?);
        let global = Global::find(module, name).ok_or_else(|| PickleError::Name { name: shortened(module, name), at: self.at })?;
        self.stack.push(Value::Global(global));
        Ok(())
    }

    fn tuple(&mut self, count: usize) -> Result<()> {
        let values = self.pop_many(count)?;
        self.stack.push(Value::Tuple(self.tuples.len()));
        self.tuples.push(values);
        Ok(())
    }

    fn empty_dict(&mut self) {
        self.stack.push(Value::Dict(self.dicts.len()));
        self.dicts.push(Vec::new());
    }

    fn set_items(&mut self, count: usize) -> Result<()> {
        let values = self.pop_many(count)?;
        let target = self.pop()?;
        let Value::Dict(dict) = target else {
            return Err(self.malformed(format!("items are set on {}", target.description())));
        };
        let (pairs, []) = values.as_chunks::<2>() else { return Err(self.malformed("a key has no value")) };
        self.dicts[dict].extend(pairs.iter().map(|[key, value]| (*key, *value)));
        self.stack.push(target);
        Ok(())
    }

    fn memo_index(&mut self, opcode: u8) -> Result<u32> {
        if matches!(opcode, b'q' | b'h') { Ok(self.byte()?.into()) } else { self.u32() }
    }

    fn put(&mut self, opcode: u8) -> Result<()> {
        let index = self.memo_index(opcode)?;
        let value = self.pop()?;
        self.stack.push(value);
        self.memo.insert(index, value);
        Ok(())
    }

    fn get(&mut self, opcode: u8) -> Result<()> {
        let index = self.memo_index(opcode)?;
        let value = self.memo.get(&index).copied().ok_or_else(|| self.malformed(format!("value {index} was never kept")))?;
        self.stack.push(value);
        Ok(())
    }

    /// The parts of a tuple of `N` values.
    fn parts<const N: usize>(&self, value: Value<'a>) -> Option<[Value<'a>; N]> {
        let Value::Tuple(tuple) = value else { return None };
        self.tuples[tuple].as_slice().try_into().ok()
    }

    /// A persistent id is a storage: `('storage', type, key, device, count)`.
    fn persistent(&mut self) -> Result<()> {
        let id = self.pop()?;
        let Some([Value::Text("storage"), Value::Global(Global::Storage(element)), Value::Text(key), Value::Text(_), Value::Int(count)]) =
            self.parts(id)
        else {
            return Err(self.malformed("a reference out of the pickle is no storage"));
        };
        let count = u64::try_from(count).map_err(|_| self.malformed(format!("a storage of {count} numbers")))?;
        self.stack.push(Value::Storage(self.storages.len()));
        self.storages.push(Storage { element, key, count });
        Ok(())
    }

    fn reduce(&mut self) -> Result<()> {
        let arguments = self.pop()?;
        let callee = self.pop()?;
        let value = match callee {
            Value::Global(Global::OrderedDict) if self.parts::<0>(arguments).is_some() => {
                self.empty_dict();
                return Ok(());
            }
            Value::Global(Global::RebuildTensor) => self.rebuild_tensor(arguments),
            Value::Global(Global::RebuildParameter) => match self.parts(arguments) {
                Some([tensor @ Value::Tensor(_), Value::Bool(_), Value::Dict(_)]) => Some(tensor),
                _ => None,
            },
            _ => None,
        };
        let value = value.ok_or_else(|| self.malformed(format!("{} cannot be made of these arguments", callee.description())))?;
        self.stack.push(value);
        Ok(())
    }

    /// Of `(storage, offset, sizes, strides, requires_grad, hooks)`.
    fn rebuild_tensor(&mut self, arguments: Value<'a>) -> Option<Value<'a>> {
        let [Value::Storage(storage), Value::Int(offset), sizes, strides, Value::Bool(_), Value::Dict(_)] = self.parts(arguments)? else {
            return None;
        };
        let (shape, strides) = (self.counts(sizes)?, self.counts(strides)?);
        if shape.len() != strides.len() || shape.len() > AXES {
            return None;
        }
        let tensor = StoredTensor { storage: self.storages[storage], offset: u64::try_from(offset).ok()?, shape, strides };
        self.tensors.push(tensor);
        Some(Value::Tensor(self.tensors.len() - 1))
    }

    fn counts(&self, value: Value<'a>) -> Option<Vec<u64>> {
        let Value::Tuple(tuple) = value else { return None };
        let count = |value: &Value| if let Value::Int(count) = value { u64::try_from(*count).ok() } else { None };
        self.tuples[tuple].iter().take(AXES + 1).map(count).collect()
    }

    /// The attributes of a dictionary: PyTorch keeps the versions of its modules there, which we have no use for.
    fn build(&mut self) -> Result<()> {
        let (state, target) = (self.pop()?, self.pop()?);
        let (Value::Dict(_), Value::Dict(_)) = (target, state) else {
            return Err(self.malformed(format!("{} is given attributes", target.description())));
        };
        self.stack.push(target);
        Ok(())
    }

    fn dictionary(&self, root: Value<'a>) -> Result<Vec<(&'a str, StoredTensor<'a>)>> {
        let Value::Dict(dict) = root else {
            return Err(PickleError::Content(format!("holds {}, not a dictionary of tensors", root.description())));
        };
        let (mut tensors, mut names) = (Vec::new(), HashSet::new());
        for &(key, value) in &self.dicts[dict] {
            let Value::Text(name) = key else {
                return Err(PickleError::Content(format!("a key is {}; keys are names of tensors", key.description())));
            };
            let Value::Tensor(tensor) = value else {
                return Err(PickleError::Content(format!(
                    "`{}` is {}; save model.state_dict() alone, a dictionary of nothing but tensors",
                    shortened("", name),
                    value.description()
                )));
            };
            if !names.insert(name) {
                return Err(PickleError::Content(format!("`{}` is there twice", shortened("", name))));
            }
            tensors.push((name, self.tensors[tensor].clone()));
        }
        Ok(tensors)
    }
}

/// A name for a message: on one line, and not too long.
fn shortened(module: &str, name: &str) -> String {
    const LIMIT: usize = 80;
    let whole = if module.is_empty() { name.to_owned() } else { format!("{module}.{name}") };
    whole.chars().take(LIMIT).collect::<String>().escape_debug().to_string()
}
