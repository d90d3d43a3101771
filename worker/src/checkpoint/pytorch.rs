//! Reads a checkpoint that `torch.save(model.state_dict(), path)` has written: a zip archive of stored entries, in which `data.pkl` names
//! tensors and `data/KEY` are the numbers that they are views of.
//!
//! Nothing is executed, and nothing is allocated because a header says so: an entry is read up to the size of the file at the most.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Seek},
    path::Path,
};

use candle_core::{Device, Tensor};
use zip::{CompressionMethod, ZipArchive};

use super::{
    CheckpointError,
    pickle::{self, Element, Storage, StoredTensor},
    view::View,
};

/// How a zip archive begins.
pub const ZIP_MAGIC: &[u8] = b"PK\x03\x04";
/// How the files begin that PyTorch wrote before version 1.6: a pickled magic number.
pub const OLD_MAGIC: &[u8] = &[0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The most entries that an archive may have: one for each tensor, and a few.
const ENTRY_LIMIT: usize = 100_000;

/// The tensors of the file at `path`, in f32, by name as PyTorch has them.
///
/// # Errors
/// When it cannot be read or is no such file; says every tensor that holds no floats.
pub fn read(path: &Path) -> Result<HashMap<String, Tensor>, CheckpointError> {
    let failed = |source| CheckpointError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    read_archive(std::io::BufReader::new(file), length).map_err(|message| CheckpointError::Malformed { path: path.to_owned(), message })
}

/// The same for an archive of `length` bytes that is open already.
///
/// # Errors
/// What is wrong with it.
pub fn read_archive(file: impl Read + Seek, length: u64) -> Result<HashMap<String, Tensor>, String> {
    let mut archive = Archive::open(file, length)?;
    let bytes = archive.entry("data.pkl", pickle::BYTE_LIMIT as u64)?;
    let tensors = pickle::read(&bytes).map_err(|error| format!("data.pkl {error}"))?;
    check_kinds(&tensors)?;
    check_total(&tensors, length)?;
    let big_endian = archive.is_big_endian()?;
    // Tensors may share a storage: they are read one after the other, so that each storage is read once and none is kept for long.
    let mut in_order: Vec<_> = tensors.iter().collect();
    in_order.sort_by_key(|(_, tensor)| tensor.storage.key);
    let mut read = HashMap::new();
    let mut last: Option<(Storage, Vec<u8>)> = None;
    for (name, tensor) in in_order {
        let view = View::new(tensor).map_err(|problem| format!("tensor `{name}` {problem}"))?;
        let bytes = match last.take() {
            Some((storage, bytes)) if storage == tensor.storage => bytes,
            _ => archive.storage(&tensor.storage)?,
        };
        let values = view.values(&bytes, big_endian);
        let value = Tensor::from_vec(values, view.shape(), &Device::Cpu).map_err(|error| format!("tensor `{name}`: {error}"))?;
        read.insert((*name).to_owned(), value);
        last = Some((tensor.storage, bytes));
    }
    Ok(read)
}

fn check_kinds(tensors: &[(&str, StoredTensor)]) -> Result<(), String> {
    let wrong = tensors.iter().filter_map(|(name, tensor)| match tensor.storage.element {
        Element::Other(kind) => Some(format!("tensor `{}` is a {kind}; weights are floats", name.escape_debug())),
        _ => None,
    });
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ")) }
}

/// Tensors may share storages, but not so that a small file becomes a large model. Each number takes two bytes of the file at least.
fn check_total(tensors: &[(&str, StoredTensor)], length: u64) -> Result<(), String> {
    let elements = |tensor: &StoredTensor| tensor.shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
    let total = tensors.iter().try_fold(0_u64, |total, (_, tensor)| total.checked_add(elements(tensor)?));
    match total {
        Some(total) if total <= length => Ok(()),
        _ => Err(format!("names tensors of more numbers than a file of {length} bytes can hold")),
    }
}

/// An archive that is open.
struct Archive<R> {
    zip: ZipArchive<R>,
    /// The folder that everything is in.
    root: String,
    /// Bytes of the file.
    length: u64,
}

impl<R: Read + Seek> Archive<R> {
    fn open(file: R, length: u64) -> Result<Self, String> {
        let zip = ZipArchive::new(file).map_err(|error| format!("is no whole zip archive: {error}"))?;
        if zip.len() > ENTRY_LIMIT {
            return Err(format!("has {} entries; a checkpoint has at most {ENTRY_LIMIT}", zip.len()));
        }
        let roots: Vec<_> = zip.file_names().filter_map(|name| Some(name.ok()?.strip_suffix("data.pkl")?.to_owned())).collect();
        match roots.as_slice() {
            [root] if root.is_empty() || root.ends_with('/') => Ok(Self { root: root.clone(), zip, length }),
            _ => Err("is a zip archive, but not one of PyTorch: these have one entry data.pkl".into()),
        }
    }

    /// The bytes of one entry, which may be `limit` at the most.
    fn entry(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, String> {
        let path = format!("{}{name}", self.root);
        let entry = self.zip.by_name(&path).map_err(|error| format!("entry {path}: {error}"))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(format!("entry {path} is compressed, which torch.save does not do; it was changed after it was written"));
        }
        let size = entry.size();
        if size > limit {
            return Err(format!("entry {path} claims {size} bytes; there can be {limit} at the most"));
        }
        let mut bytes = Vec::new();
        // One more byte than there can be: the checksum is compared at the end of the entry.
        entry.take(size + 1).read_to_end(&mut bytes).map_err(|error| format!("entry {path} cannot be read: {error}"))?;
        if bytes.len() as u64 != size {
            return Err(format!("entry {path} claims {size} bytes, but has {}", bytes.len()));
        }
        Ok(bytes)
    }

    fn storage(&mut self, storage: &Storage) -> Result<Vec<u8>, String> {
        let name = format!("data/{}", storage.key);
        let bytes = self.entry(&name, self.length)?;
        let width = width(storage.element);
        if storage.count.checked_mul(width) != Some(bytes.len() as u64) {
            let (found, count) = (bytes.len(), storage.count);
            return Err(format!("entry {}{name} has {found} bytes; data.pkl announces {count} numbers of {width} bytes", self.root));
        }
        Ok(bytes)
    }

    /// PyTorch before 2.1 does not say; it wrote what the machine has, which is little-endian but on rare ones.
    fn is_big_endian(&mut self) -> Result<bool, String> {
        if self.zip.index_for_name(&format!("{}byteorder", self.root)).is_none() {
            return Ok(false);
        }
        match self.entry("byteorder", 16)?.as_slice() {
            b"little" => Ok(false),
            b"big" => Ok(true),
            _ => Err("entry byteorder says neither `little` nor `big`".into()),
        }
    }
}

/// Bytes of one number.
fn width(element: Element) -> u64 {
    match element {
        Element::F64 => 8,
        Element::F32 => 4,
        Element::F16 | Element::BF16 | Element::Other(_) => 2,
    }
}

#[cfg(test)]
mod tests;
