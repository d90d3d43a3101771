use std::io::{Cursor, Write};

use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytorch").join(name)
}

/// An archive of these entries.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn error(bytes: &[u8]) -> String {
    read_archive(Cursor::new(bytes), bytes.len() as u64).unwrap_err()
}

/// `data.pkl` and its storage, as they are in a file.
fn parts(name: &str) -> (Vec<u8>, Vec<u8>) {
    let mut zip = ZipArchive::new(File::open(fixture(name)).unwrap()).unwrap();
    let mut entry = |name| {
        let mut bytes = Vec::new();
        zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    (entry("archive/data.pkl"), entry("archive/data/0"))
}

#[test]
fn tensors_of_each_precision_and_byte_order_are_read() {
    for name in ["views_f32.pt", "views_f64.pt", "views_f16_big_endian.pt", "views_bf16.pt"] {
        let tensors = read(&fixture(name)).unwrap();
        let check = |tensor: &str, shape: &[usize], quarters: &[u8]| {
            let expected: Vec<_> = quarters.iter().map(|quarters| f32::from(*quarters) / 4.0).collect();
            assert_eq!(tensors[tensor].dims(), shape, "{name} {tensor}");
            assert_eq!(tensors[tensor].flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected, "{name} {tensor}");
        };
        assert_eq!(tensors.len(), 5);
        check("plain", &[3, 4], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        check("transposed", &[4, 3], &[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        check("slice", &[2, 2], &[5, 6, 9, 10]);
        check("parameter", &[2], &[10, 11]);
        check("scalar", &[], &[7]);
    }
}

#[test]
fn tensors_that_hold_no_floats_are_listed() {
    let error = read(&fixture("integers.pt")).unwrap_err().to_string();
    assert!(
        error.ends_with("tensor `a` is a LongStorage; weights are floats\n  tensor `b` is a LongStorage; weights are floats"),
        "{error}"
    );
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = std::fs::read(fixture("views_f32.pt")).unwrap();
    for length in 0..bytes.len() {
        assert!(read_archive(Cursor::new(&bytes[..length]), length as u64).is_err(), "{length}");
    }
}

#[test]
fn archives_that_lie_are_refused() {
    let (pickle, numbers) = parts("views_f32.pt");
    assert_eq!(error(&archive(&[("a.txt", b"x")])), "is a zip archive, but not one of PyTorch: these have one entry data.pkl");
    let alone = archive(&[("archive/data.pkl", &pickle), ("padding", &[0; 64])]);
    assert_eq!(error(&alone), "entry archive/data/0: specified file not found in archive");
    let padding = vec![0; 4096];
    let with = |numbers: &[u8]| archive(&[("archive/data.pkl", &pickle), ("archive/data/0", numbers), ("padding", &padding)]);
    assert_eq!(read_archive(Cursor::new(with(&numbers)), 8192).unwrap().len(), 5);
    assert_eq!(error(&with(&numbers[..40])), "entry archive/data/0 has 40 bytes; data.pkl announces 12 numbers of 4 bytes");
    assert_eq!(
        error(&archive(&[("a/data.pkl", &pickle), ("b/data.pkl", &pickle)])),
        "is a zip archive, but not one of PyTorch: these have one entry data.pkl"
    );
    let order = archive(&[("archive/data.pkl", &pickle), ("archive/data/0", &numbers), ("archive/byteorder", b"middle")]);
    assert_eq!(error(&order), "entry byteorder says neither `little` nor `big`");
}

#[test]
fn damage_to_the_numbers_is_found() {
    let mut bytes = std::fs::read(fixture("views_f32.pt")).unwrap();
    let (_, numbers) = parts("views_f32.pt");
    let place = bytes.windows(numbers.len()).position(|window| window == numbers).unwrap();
    bytes[place + 6] ^= 1;
    assert!(error(&bytes).starts_with("entry archive/data/0 cannot be read: "), "{}", error(&bytes));
}

#[test]
fn a_compressed_archive_is_no_bomb() {
    let mut bytes = archive(&[("archive/data.pkl", b"}.")]);
    // Method 8, deflate, in both headers.
    for place in [8, bytes.len() - 22 - 46 - "archive/data.pkl".len() + 10] {
        bytes[place] = 8;
    }
    assert!(error(&bytes).starts_with("entry archive/data.pkl"), "{}", error(&bytes));
}
