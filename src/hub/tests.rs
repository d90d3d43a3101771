//! Downloads from a server on this machine that keeps its word, or does not.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use tinysweep_worker::data::sha256;

use super::*;

/// A data set that is not in the table, so that any number of rows will do.
const SET: &str = "someone/puzzles";
const CONTENT: &[u8] = b"question,answer\n..34..1.214..32.,1234341221434321\n1.34..1.214..32.,1234341221434321\n";

/// How the server behaves.
#[derive(Clone, Debug)]
struct Behaviour {
    status: u16,
    /// The hash that it announces.
    sha256: Option<String>,
    /// The length that it announces instead of the right one.
    length: Option<usize>,
    /// Bytes after which it hangs up.
    hang_up_after: usize,
    heeds_ranges: bool,
}

const fn honest() -> Behaviour {
    Behaviour { status: 200, sha256: None, length: None, hang_up_after: usize::MAX, heeds_ranges: true }
}

/// A hub whose server is here, and the requests that it got.
struct Fixture {
    hub: Hub,
    behaviour: Arc<Mutex<Behaviour>>,
    requests: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (behaviour, requests) = (Arc::new(Mutex::new(behaviour)), Arc::new(Mutex::new(Vec::new())));
        let (shared, log) = (behaviour.clone(), requests.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let behaviour = shared.lock().unwrap().clone();
                _ = serve(stream, &behaviour, &log);
            }
        });
        let folder = tempfile::tempdir().unwrap();
        Self { hub: Hub { url, cache: folder.path().join("hub") }, behaviour, requests, _folder: folder }
    }

    fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    fn content(&self) -> Vec<u8> {
        fs::read(self.hub.file(SET, TRAIN).unwrap()).unwrap()
    }

    fn error(&self) -> String {
        self.hub.file(SET, TRAIN).unwrap_err().to_string()
    }

    fn ranges(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().filter(|line| line.starts_with("range:")).cloned().collect()
    }
}

/// Answers one request: `/datasets/…` is redirected to `/content`, as the hub does.
fn serve(mut stream: TcpStream, behaviour: &Behaviour, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let lines: Vec<_> = lines.map(|line| line.to_ascii_lowercase()).collect();
    log.lock().unwrap().extend(lines.clone());
    if behaviour.status != 200 {
        return write!(stream, "HTTP/1.1 {} Sorry\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", behaviour.status);
    }
    if lines[0].contains("/datasets/") {
        let tag = behaviour.sha256.as_ref().map_or(String::new(), |tag| format!("x-linked-etag: \"{tag}\"\r\n"));
        return write!(stream, "HTTP/1.1 302 Found\r\nlocation: /content\r\n{tag}content-length: 0\r\nconnection: close\r\n\r\n");
    }
    let range = lines.iter().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let start = range.filter(|_| behaviour.heeds_ranges).unwrap_or(0);
    let rest = &CONTENT[start..];
    match start {
        0 => write!(stream, "HTTP/1.1 200 OK\r\n")?,
        _ => write!(stream, "HTTP/1.1 206 Partial\r\ncontent-range: bytes {start}-{}/{}\r\n", CONTENT.len() - 1, CONTENT.len())?,
    }
    write!(stream, "content-length: {}\r\nconnection: close\r\n\r\n", behaviour.length.unwrap_or(rest.len()))?;
    if lines[0].starts_with("get") {
        stream.write_all(&rest[..rest.len().min(behaviour.hang_up_after)])?;
    }
    Ok(())
}

#[test]
fn a_file_is_downloaded_once_and_is_official() {
    let fixture = Fixture::new(Behaviour { sha256: Some(sha256(CONTENT)), ..honest() });
    assert_eq!(fixture.content(), CONTENT);
    let asked = fixture.requests.lock().unwrap().len();
    assert_eq!(fixture.content(), CONTENT);
    assert_eq!(fixture.requests.lock().unwrap().len(), asked);
    assert_eq!(fixture.hub.official(SET).unwrap(), [sha256(CONTENT)]);
    let left: Vec<_> =
        fs::read_dir(fixture.hub.place(SET, TRAIN).parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn an_interrupted_download_goes_on_where_it_was() {
    for heeds_ranges in [true, false] {
        let right = Behaviour { sha256: Some(sha256(CONTENT)), heeds_ranges, ..honest() };
        let fixture = Fixture::new(Behaviour { hang_up_after: 30, ..right.clone() });
        let error = fixture.error();
        assert!(error.contains("(30 bytes are kept: the next try goes on from there)"), "{error}");
        fixture.behave(right);
        assert_eq!(fixture.content(), CONTENT);
        assert_eq!(fixture.ranges(), ["range: bytes=30-"]);
    }
}

#[test]
fn another_content_than_announced_is_not_kept() {
    let fixture = Fixture::new(Behaviour { sha256: Some("ab".repeat(32)), ..honest() });
    let error = fixture.error();
    let path = fixture.hub.place(SET, TRAIN);
    assert_eq!(
        error,
        format!("{}: the SHA-256 of what came is {}, but {} is right; it was not kept", path.display(), sha256(CONTENT), "ab".repeat(32))
    );
    assert!(fs::read_dir(path.parent().unwrap()).unwrap().next().is_none());
}

#[test]
fn a_later_download_must_have_the_hash_of_the_first() {
    let fixture = Fixture::new(honest());
    assert_eq!(fixture.content(), CONTENT);
    let folder = fixture.hub.place(SET, TRAIN).parent().unwrap().to_owned();
    fs::remove_file(fixture.hub.place(SET, TRAIN)).unwrap();
    assert_eq!(fixture.content(), CONTENT);
    fs::remove_file(fixture.hub.place(SET, TRAIN)).unwrap();
    let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap().replace(&sha256(CONTENT), &"cd".repeat(32));
    fs::write(folder.join("manifest.json"), manifest).unwrap();
    assert!(fixture.error().contains(&"cd".repeat(32)));
    fs::write(folder.join("manifest.json"), "{").unwrap();
    assert!(fixture.error().contains("manifest.json: "));
}

#[test]
fn a_server_that_lies_about_the_length_is_caught() {
    let fixture = Fixture::new(Behaviour { length: Some(CONTENT.len() + 5), ..honest() });
    assert!(fixture.error().contains("bytes are kept"), "{}", fixture.error());
    let fixture = Fixture::new(Behaviour { length: Some(usize::MAX / 2), ..honest() });
    assert!(fixture.error().contains("it is larger than 1073741824 bytes"), "{}", fixture.error());
}

#[test]
fn what_cannot_be_had_is_named_with_what_to_do() {
    let fixture = Fixture::new(Behaviour { status: 404, ..honest() });
    let (url, path) = (fixture.hub.address(SET, TRAIN), fixture.hub.place(SET, TRAIN));
    let expected = format!(
        "cannot download {url}: the hub has no such file (status 404); try again, or fetch it by other means and put it at {}",
        path.display()
    );
    assert_eq!(fixture.error(), expected);
    fixture.behave(Behaviour { status: 503, ..honest() });
    assert!(fixture.error().contains("the hub answers with status 503"));
    let nobody = Hub { url: "http://127.0.0.1:1".into(), cache: fixture.hub.cache.clone() };
    let error = nobody.file(SET, TRAIN).unwrap_err().to_string();
    assert!(error.starts_with("cannot download http://127.0.0.1:1/datasets/someone/puzzles/resolve/main/train.csv: "), "{error}");
}

#[test]
fn a_file_that_was_put_there_is_used_but_not_official() {
    let fixture = Fixture::new(Behaviour { status: 404, ..honest() });
    let path = fixture.hub.place(SET, TRAIN);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, CONTENT).unwrap();
    assert_eq!(fixture.content(), CONTENT);
    assert_eq!(fixture.hub.official(SET).unwrap(), Vec::<String>::new());
    fs::write(&path, &CONTENT[1..]).unwrap();
    assert!(fixture.error().ends_with("; remove the file, and it is downloaded anew"), "{}", fixture.error());
    let known = "sapientinc/maze-30x30-hard-1k";
    let path = fixture.hub.place(known, TEST);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, CONTENT).unwrap();
    let error = fixture.hub.file(known, TEST).unwrap_err().to_string();
    assert!(error.contains("the number of its rows is 2, but 1000 is right"), "{error}");
}

#[test]
fn redirects_stay_secure() {
    assert_eq!(download::joined("https://a/b/c", "/d").as_deref(), Some("https://a/d"));
    assert_eq!(download::joined("https://a/b", "https://c/d").as_deref(), Some("https://c/d"));
    assert_eq!(download::joined("https://a/b", "http://c/d"), None);
    assert_eq!(download::joined("http://a/b", "ftp://c"), None);
}
