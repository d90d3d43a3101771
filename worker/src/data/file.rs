//! Puzzle files on disk, plain or compressed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tinysweep_proto::ARTIFACT_LIMIT_BYTES;
use tinysweep_proto::dataset::Task;

use super::{DataError, Examples, csv, reference_format};

/// How a gzip file begins.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads the puzzles of `task` at `path`: a file of CSV text, plain or in gzip, or a folder in the reference's format.
///
/// # Errors
/// The file cannot be read, is too large, or does not hold puzzles of `task`.
pub fn load(path: &Path, task: Task) -> Result<Examples, DataError> {
    match path.is_dir() {
        true => reference_format::read(path, task),
        false => csv::read(&read_text(path)?, &path.display().to_string(), task),
    }
}

/// The uncompressed bytes of the file at `path`.
///
/// # Errors
/// The file cannot be read, or is larger than an artifact may be.
pub fn read_text(path: &Path) -> Result<Vec<u8>, DataError> {
    let failed = |source| DataError::Read { path: path.into(), source };
    let file = path.display().to_string();
    let bytes = read_limited(File::open(path).map_err(failed)?, ARTIFACT_LIMIT_BYTES).map_err(failed)?;
    match bytes {
        None => Err(DataError::TooLarge { file }),
        Some(bytes) => decompress(bytes, &file, ARTIFACT_LIMIT_BYTES),
    }
}

/// `bytes`, uncompressed if they are gzip: at most `limit` bytes, whatever a small file claims to unfold to. `file` is for messages.
///
/// # Errors
/// It is torn, damaged, or larger than `limit`.
pub fn decompress(bytes: Vec<u8>, file: &str, limit: u64) -> Result<Vec<u8>, DataError> {
    if !bytes.starts_with(&GZIP_MAGIC) {
        return Ok(bytes);
    }
    match read_limited(MultiGzDecoder::new(bytes.as_slice()), limit) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(DataError::TooLarge { file: file.into() }),
        Err(source) => Err(DataError::Gzip { file: file.into(), source }),
    }
}

/// Reads to the end; nothing if that is beyond `limit` bytes.
fn read_limited(reader: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const TEXT: &[u8] = b"question,answer\n..34..1.214..32.,1234341221434321\n";

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_compressed_files_read_alike_whatever_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, compressed) = (folder.path().join("plain.csv.gz"), folder.path().join("compressed.csv"));
        std::fs::write(&plain, TEXT).unwrap();
        std::fs::write(&compressed, gzip(TEXT)).unwrap();
        let examples = load(&plain, Task::Sudoku4x4).unwrap();
        assert_eq!(examples.len(), 1);
        assert_eq!(load(&compressed, Task::Sudoku4x4).unwrap(), examples);
    }

    #[test]
    fn members_of_a_gzip_file_are_joined() {
        let (head, tail) = TEXT.split_at(20);
        assert_eq!(decompress([gzip(head), gzip(tail)].concat(), "a.gz", 1000).unwrap(), TEXT);
    }

    #[test]
    fn a_bomb_is_refused_before_it_unfolds() {
        let bomb = gzip(&vec![b'0'; 1 << 20]);
        assert!(bomb.len() < 4096);
        assert!(decompress(bomb.clone(), "a.gz", 1 << 20).is_ok());
        let error = decompress(bomb, "a.gz", (1 << 20) - 1).unwrap_err();
        assert_eq!(error.to_string(), "a.gz: more than 1073741824 bytes of uncompressed text; use fewer rows");
    }

    #[test]
    fn a_torn_gzip_file_is_named() {
        let mut torn = gzip(TEXT);
        torn.truncate(torn.len() / 2);
        let error = decompress(torn, "a.gz", 1000).unwrap_err();
        assert!(error.to_string().starts_with("a.gz: not a whole gzip file: "), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("nowhere/a.csv"), Task::Sudoku4x4).unwrap_err();
        assert_eq!(error.to_string(), "cannot read nowhere/a.csv: No such file or directory (os error 2)");
    }
}
