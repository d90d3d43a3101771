//! The output of a program, cut into lines within bounds.

/// The most bytes of a line; what is longer is cut. Room for a hundred metrics and more.
pub const LINE_LIMIT_BYTES: usize = 64 << 10;

/// Cuts bytes into lines. A carriage return makes a line begin anew, as on a terminal, so that of a progress bar only its last state counts.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    /// The last byte was a carriage return; what follows decides what it means.
    returned: bool,
    /// The line has been cut: the rest of it is passed over.
    is_cut: bool,
}

impl Lines {
    /// Takes the next bytes; gives each line that they end to `take`.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(String)) {
        for byte in bytes {
            match byte {
                b'\n' => self.end(&mut take),
                b'\r' => self.returned = true,
                byte => self.add(*byte),
            }
        }
    }

    /// Gives what has no line end to `take`: nothing follows.
    pub fn finish(&mut self, mut take: impl FnMut(String)) {
        if !self.line.is_empty() {
            self.end(&mut take);
        }
    }

    fn add(&mut self, byte: u8) {
        if std::mem::take(&mut self.returned) {
            self.line.clear();
            self.is_cut = false;
        }
        if self.line.len() < LINE_LIMIT_BYTES {
            self.line.push(byte);
        } else {
            self.is_cut = true;
        }
    }

    fn end(&mut self, take: &mut impl FnMut(String)) {
        let mut text = readable(&String::from_utf8_lossy(&self.line));
        if self.is_cut {
            text.push('…');
        }
        *self = Self::default();
        take(text);
    }
}

/// Without what would steer the terminal on which it is read: escape sequences and control characters but tabs.
fn readable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            // `ESC [`, parameters, and one letter or sign that ends it.
            while chars.next_if(|c| !('@'..='~').contains(c)).is_some() {}
            chars.next();
        } else if c == '\t' || !c.is_control() {
            clean.push(c);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut cutter, mut lines) = (Lines::default(), Vec::new());
        pieces.iter().for_each(|piece| cutter.push(piece, |line| lines.push(line)));
        cutter.finish(|line| lines.push(line));
        lines
    }

    #[test]
    fn lines_end_where_they_do_on_a_terminal() {
        assert_eq!(lines(&[b"a\nb", b"c\n", b"\nlast"]), ["a", "bc", "", "last"]);
        assert_eq!(lines(&[b"10 %\r20 %\r", b"30 %\nwindows\r\n"]), ["30 %", "windows"]);
        assert_eq!(lines(&[b"\x1b[31mred\x1b[0m\tok\x07\n"]), ["red\tok"]);
    }

    #[test]
    fn what_is_no_text_is_shown_as_such() {
        assert_eq!(lines(&[b"a\xffb\xe2\x82\n"]), ["a\u{fffd}b\u{fffd}"]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_takes_no_more_memory() {
        let piece = vec![b'x'; 10_000];
        let (mut cutter, mut lines) = (Lines::default(), Vec::new());
        for _ in 0..100 {
            cutter.push(&piece, |line| lines.push(line));
        }
        assert!(cutter.line.capacity() <= 2 * LINE_LIMIT_BYTES);
        cutter.push(b"\nnext\n", |line| lines.push(line));
        assert_eq!((lines[0].len(), lines[1].as_str()), (LINE_LIMIT_BYTES + "…".len(), "next"));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0x1b), any::<u8>()], 0..200), at in 0_usize..200) {
            let at = at.min(bytes.len());
            prop_assert_eq!(lines(&[&bytes]), lines(&[&bytes[..at], &bytes[at..]]));
        }
    }
}
