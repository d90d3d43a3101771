use super::*;

/// A pickle of `parts`, one after the other.
fn pickle(parts: &[&[u8]]) -> Vec<u8> {
    [b"\x80\x02", parts.concat().as_slice(), b"."].concat()
}

fn text(value: &str) -> Vec<u8> {
    [b"X", (value.len() as u32).to_le_bytes().as_slice(), value.as_bytes()].concat()
}

/// `storage` 0 of 12 numbers.
fn storage() -> Vec<u8> {
    [b"(".as_slice(), &text("storage"), b"ctorch\nFloatStorage\n", &text("0"), &text("cpu"), b"K\x0ctQ"].concat()
}

/// A tensor `[3, 4]` of it.
fn tensor() -> Vec<u8> {
    [b"ctorch._utils\n_rebuild_tensor_v2\n(".as_slice(), &storage(), b"K\x00K\x03K\x04\x86K\x04K\x01\x86\x89}tR"].concat()
}

fn error(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn a_dictionary_of_a_tensor_is_read() {
    let bytes = pickle(&[b"}", &text("weight"), &tensor(), b"s"]);
    let storage = Storage { element: Element::F32, key: "0", count: 12 };
    assert_eq!(read(&bytes).unwrap(), [("weight", StoredTensor { storage, offset: 0, shape: vec![3, 4], strides: vec![4, 1] })]);
}

#[test]
fn a_call_of_anything_else_is_refused_by_name() {
    for (module, name) in
        [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("posix", "system"), ("torch._utils", "_rebuild_tensor_v3")]
    {
        let call = [format!("c{module}\n{name}\n").as_bytes(), b"(", &text("touch executed"), b"tR"].concat();
        let message = error(&pickle(&[b"}", &text("weight"), &call, b"s"]));
        assert_eq!(
            message,
            format!("names `{module}.{name}` at byte 14, which a dictionary of tensors does not need; it was not executed")
        );
    }
}

#[test]
fn other_opcodes_are_refused_by_name() {
    for (bytes, name) in [
        (b"(ios\nsystem\n".as_slice(), "INST (makes an object)"),
        (b"}}\x81", "NEWOBJ (makes an object)"),
        (b"\x93", "STACK_GLOBAL (names anything)"),
        (b"\x82\x01", "EXT (names anything)"),
        (b"]", "LIST"),
        (b"G\0\0\0\0\0\0\0\0", "FLOAT"),
        (b"\xff", "0xff"),
    ] {
        let message = error(&pickle(&[bytes]));
        assert!(message.starts_with(&format!("has opcode {name} at byte ")), "{message}");
    }
    assert_eq!(error(b"\x80\x04."), "is written in pickle protocol 4; torch.save writes 2");
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = pickle(&[b"}q\x00(", &text("weight"), &tensor(), b"u"]);
    assert_eq!(read(&bytes).unwrap().len(), 1);
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn values_in_wrong_places_are_named() {
    let huge = [b"X".as_slice(), &u32::MAX.to_le_bytes(), b"a"].concat();
    for (parts, expected) in [
        (vec![b"N".as_slice()], "holds None, not a dictionary of tensors"),
        (vec![&tensor()], "holds a tensor, not a dictionary of tensors"),
        (vec![b"}K\x01Ns"], "a key is the number 1; keys are names of tensors"),
        (
            vec![b"}", &text("step"), b"K\x07s"],
            "`step` is the number 7; save model.state_dict() alone, a dictionary of nothing but tensors",
        ),
        (vec![b"}", &text("w"), &tensor(), b"s", &text("w"), &tensor(), b"s"], "`w` is there twice"),
        (vec![b"s"], "2 values are asked for, but there are fewer (byte 2)"),
        (vec![b"NNNs"], "items are set on None (byte 5)"),
        (vec![b"(}Nu"], "a value is asked for, but there is none (byte 5)"),
        (vec![b"}(Nu"], "a key has no value (byte 5)"),
        (vec![b"t"], "a mark is asked for, but there is none (byte 2)"),
        (vec![b"h\x05"], "value 5 was never kept (byte 2)"),
        (vec![b"NQ"], "a reference out of the pickle is no storage (byte 3)"),
        (vec![b"}}R"], "a dictionary cannot be made of these arguments (byte 4)"),
        (vec![b"ctorch\nFloatStorage\n)R"], "FloatStorage cannot be made of these arguments (byte 23)"),
        (vec![b"ctorch._utils\n_rebuild_tensor_v2\n)R"], "_rebuild_tensor_v2 cannot be made of these arguments (byte 36)"),
        (vec![&tensor(), b"}b"], "a tensor is given attributes"),
        (vec![b"\x8a\x09123456789"], "a number of 9 bytes; sizes have up to 8 (byte 2)"),
        (vec![b"}}"], "values are left over at the end (byte 4)"),
        (vec![b"}.}"], "2 bytes follow the end (byte 3)"),
        (vec![&huge], "ends at byte 9, in the middle"),
    ] {
        let message = error(&pickle(&parts));
        assert!(message.starts_with(expected), "{message} / {expected}");
    }
    assert_eq!(error(&vec![b'N'; BYTE_LIMIT + 1]), "has 4194305 bytes; a dictionary of tensors needs no more than 4194304");
}

#[test]
fn a_dictionary_may_contain_itself_and_tuples_may_fold_up() {
    let message = error(&pickle(&[b"}q\x00", &text("self"), b"h\x00s"]));
    assert!(message.starts_with("`self` is a dictionary"), "{message}");
    // Each line doubles what the last one is; nothing here unfolds it.
    let folded = [b"Nq\x00".as_slice(), &b"h\x00h\x00\x86q\x00".repeat(1000)].concat();
    assert!(error(&pickle(&[&folded])).starts_with("values are left over"));
    let deep = [b"N".as_slice(), &b"\x85".repeat(100_000)].concat();
    assert!(error(&pickle(&[&deep])).starts_with("holds a tuple"));
}

#[test]
fn sizes_are_not_negative() {
    for sizes in [b"J\xff\xff\xff\xffK\x04\x86".as_slice(), b"K\x03K\x04K\x05\x87", b"N"] {
        let bytes = [b"ctorch._utils\n_rebuild_tensor_v2\n(".as_slice(), &storage(), b"K\x00", sizes, b"K\x04K\x01\x86\x89}tR"].concat();
        assert!(error(&pickle(&[b"}", &text("w"), &bytes, b"s"])).contains("cannot be made of these arguments"));
    }
}
