//! One file over HTTP: redirects, resumption, progress, size and hash.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use tinysweep_proto::ARTIFACT_LIMIT_BYTES;
use ureq::{Agent, Body, http::Response};

use super::HubError;

/// The most redirects that are followed.
const REDIRECTS: usize = 5;
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 16;

/// Downloads `url` into a file beside `path` and returns that file, whose size and hash are right as far as the hub tells them; `pinned`
/// is the hash that an earlier download had. What an interrupted download leaves is gone on with.
///
/// # Errors
/// The hub cannot be reached or sends something else.
pub fn fetch(url: &str, path: &Path, pinned: Option<&str>) -> Result<PathBuf, HubError> {
    let transfer = Transfer { url, path, agent: agent() };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|source| HubError::Disk { path: folder.into(), source })?;
    let (part, announced, found) = transfer.run()?;
    let mut expected = announced.sha256.iter().map(String::as_str).chain(pinned);
    if let Some(expected) = expected.find(|expected| *expected != found) {
        _ = fs::remove_file(&part);
        let expected = expected.to_owned();
        return Err(HubError::Wrong { path: path.into(), what: "the SHA-256 of what came", found, expected, is_kept: false });
    }
    Ok(part)
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        // Redirects are followed here, since the answers on the way carry the hash.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .user_agent(concat!("tinysweep/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}

/// What the hub says of a file before it sends it.
struct Announced {
    /// Where the redirects lead.
    url: String,
    /// The hash of files in the hub's large-file store.
    sha256: Option<String>,
    /// The size, likewise.
    bytes: Option<u64>,
}

impl Announced {
    /// Where the download goes on: another file for another version, so that versions are never mixed.
    fn part(&self, path: &Path) -> PathBuf {
        let version = self.sha256.as_deref().map_or("unknown", |sha256| &sha256[..12]);
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{version}.part"));
        name.into()
    }
}

struct Transfer<'a> {
    url: &'a str,
    path: &'a Path,
    agent: Agent,
}

impl Transfer<'_> {
    fn failed(&self, reason: impl ToString, kept: u64) -> HubError {
        HubError::Download { url: self.url.into(), reason: reason.to_string(), kept, path: self.path.into() }
    }

    /// Follows the redirects and receives what is missing; gives the file, what was said of it, and the hash that it has.
    fn run(&self) -> Result<(PathBuf, Announced, String), HubError> {
        let mut announced = Announced { url: self.url.into(), sha256: None, bytes: None };
        for _ in 0..=REDIRECTS {
            let part = announced.part(self.path);
            let mut hash = Sha256::new();
            let have = hash_existing(&part, &mut hash).map_err(|source| HubError::Disk { path: part.clone(), source })?;
            if announced.bytes == Some(have) {
                return Ok((part, announced, tinysweep_proto::hex(&hash.finalize())));
            }
            // Redirects are answers to GET, too: a signed address that they lead to may allow nothing else.
            let mut request = self.agent.get(&announced.url);
            if have > 0 {
                request = request.header("range", format!("bytes={have}-"));
            }
            let response = request.call().map_err(|error| self.failed(error, have))?;
            announced.sha256 = announced.sha256.or_else(|| linked_hash(&response));
            announced.bytes = announced.bytes.or_else(|| header(&response, "x-linked-size")?.parse().ok());
            match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => {
                    let target = header(&response, "location").ok_or_else(|| self.failed("a redirect to nowhere", have))?;
                    announced.url = joined(&announced.url, target).ok_or_else(|| self.failed("a redirect to an odd place", have))?;
                }
                206 if header(&response, "content-range").is_some_and(|range| range.starts_with(&format!("bytes {have}-"))) => {
                    let found = self.receive(response, announced.bytes, &part, hash, have)?;
                    return Ok((part, announced, found));
                }
                // The whole file comes, whatever was asked for.
                200 => {
                    let found = self.receive(response, announced.bytes, &part, Sha256::new(), 0)?;
                    return Ok((part, announced, found));
                }
                401 | 403 => return Err(self.failed("the hub does not allow it (status 401 or 403)", have)),
                404 => return Err(self.failed("the hub has no such file (status 404)", have)),
                // What is there is not the beginning of what the hub has now.
                416 => _ = fs::remove_file(&part),
                status => return Err(self.failed(format!("the hub answers with status {status}"), have)),
            }
        }
        Err(self.failed("too many redirects", 0))
    }

    /// Receives into `part`, of which `have` bytes are there and in `hash`; gives the hash of the whole.
    fn receive(&self, response: Response<Body>, bytes: Option<u64>, part: &Path, mut hash: Sha256, have: u64) -> Result<String, HubError> {
        let disk = |source| HubError::Disk { path: part.into(), source };
        let rest: Option<u64> = header(&response, "content-length").and_then(|length| length.parse().ok());
        let total = bytes.or(rest.map(|rest| rest.saturating_add(have)));
        if total.is_some_and(|total| total > ARTIFACT_LIMIT_BYTES) {
            return Err(self.failed(format!("it is larger than {ARTIFACT_LIMIT_BYTES} bytes"), have));
        }
        let mut file = OpenOptions::new().create(true).append(have > 0).write(true).truncate(have == 0).open(part).map_err(disk)?;
        let received = self.copy(response, &mut file, &mut hash, have, total)?;
        file.sync_all().map_err(disk)?;
        match total {
            Some(total) if received < total => {
                Err(self.failed(format!("the connection ended after {received} of {total} bytes"), received))
            }
            Some(total) if received > total => {
                _ = fs::remove_file(part);
                Err(self.failed(format!("more than the announced {total} bytes came"), 0))
            }
            _ => Ok(tinysweep_proto::hex(&hash.finalize())),
        }
    }

    /// Copies the body to the file, of which `have` bytes are there; gives the bytes that are there then.
    fn copy(&self, response: Response<Body>, file: &mut File, hash: &mut Sha256, have: u64, total: Option<u64>) -> Result<u64, HubError> {
        let bar = bar(self.path, have, total);
        let limit = total.unwrap_or(ARTIFACT_LIMIT_BYTES);
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut there = have;
        while there <= limit {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed(error, there)),
            };
            file.write_all(&buffer[..count]).map_err(|source| HubError::Disk { path: self.path.into(), source })?;
            hash.update(&buffer[..count]);
            there += count as u64;
            bar.set_position(there);
        }
        bar.finish_and_clear();
        Ok(there)
    }
}

fn hash_existing(part: &Path, hash: &mut Sha256) -> io::Result<u64> {
    match File::open(part) {
        Ok(mut file) => io::copy(&mut file, &mut HashWriter(hash)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// The hash that the hub gives for files of its large-file store; its tags of other files are no SHA-256.
fn linked_hash(response: &Response<Body>) -> Option<String> {
    let tag = header(response, "x-linked-etag")?.trim_start_matches("W/").trim_matches('"');
    (tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| tag.to_ascii_lowercase())
}

/// The address that a redirect from `url` to `target` leads to. One from https to http is none.
pub(super) fn joined(url: &str, target: &str) -> Option<String> {
    let target = match target.strip_prefix('/') {
        Some(path) => {
            let (scheme, rest) = url.split_once("://")?;
            format!("{scheme}://{}/{path}", rest.split('/').next()?)
        }
        None => target.to_owned(),
    };
    let is_downgrade = url.starts_with("https://") && !target.starts_with("https://");
    ((target.starts_with("http://") || target.starts_with("https://")) && !is_downgrade).then_some(target)
}

fn bar(path: &Path, have: u64, total: Option<u64>) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30.green} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .expect("the template is right: drawn at every download");
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ProgressBar::new(total.unwrap_or(0)).with_style(style).with_message(name).with_position(have)
}
