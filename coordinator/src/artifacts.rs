//! Content-addressed files: `DATA_DIR/artifacts/AA/SHA256`, AA the first two digits of the hash.
//!
//! A file appears under its hash only whole and on the disk: it is written beside, synced, checked and renamed.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};
use tinysweep_proto::{ARTIFACT_LIMIT_BYTES, CHUNK_BYTES, hex, is_sha256};
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt, AsyncWriteExt},
};

/// Why an artifact cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A name that is no hash; nothing else may become part of a path.
    #[error("an artifact is named by its SHA-256, 64 lower-case hex digits")]
    BadName,
    /// More than may be stored.
    #[error("an artifact has at most {ARTIFACT_LIMIT_BYTES} bytes, not {0}")]
    TooLarge(u64),
    /// A chunk above the limit.
    #[error("a chunk has at most {CHUNK_BYTES} bytes, not {0}")]
    ChunkTooLarge(usize),
    /// More or less than was announced.
    #[error("{announced} bytes were announced and {got} came")]
    WrongSize {
        /// In the first message.
        announced: u64,
        /// So far.
        got: u64,
    },
    /// Something else than was announced.
    #[error("what came has SHA-256 {got}, not {announced}")]
    WrongHash {
        /// In the first message.
        announced: String,
        /// Of what came.
        got: String,
    },
    /// Not here.
    #[error("no artifact {0} is in the store")]
    NotFound(String),
    /// The disk no longer has what was written.
    #[error("artifact {0} is damaged on the coordinator's disk; put it again")]
    Damaged(String),
    /// No room.
    #[error("no room is left on the coordinator's disk")]
    DiskFull,
    /// The system fails.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ArtifactError + 'a {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ArtifactError::DiskFull,
        _ => ArtifactError::Io { doing, path: path.to_owned(), source },
    }
}

/// All artifacts of a coordinator.
#[derive(Debug)]
pub struct Artifacts {
    folder: PathBuf,
}

impl Artifacts {
    /// Opens the artifacts of a data directory, and removes what an earlier process had not finished.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub async fn open(data_dir: &Path) -> Result<Self, ArtifactError> {
        let artifacts = Self { folder: data_dir.join("artifacts") };
        let incoming = artifacts.incoming();
        match fs::remove_dir_all(&incoming).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("clear", &incoming)(error)),
            _ => {}
        }
        fs::create_dir_all(&incoming).await.map_err(failed("create", &incoming))?;
        Ok(artifacts)
    }

    fn incoming(&self) -> PathBuf {
        self.folder.join("incoming")
    }

    fn path(&self, sha256: &str) -> Result<PathBuf, ArtifactError> {
        if is_sha256(sha256) { Ok(self.folder.join(&sha256[..2]).join(sha256)) } else { Err(ArtifactError::BadName) }
    }

    /// Size of an artifact in bytes; none where it is not here.
    ///
    /// # Errors
    /// The name is no hash, or the system fails.
    pub async fn size(&self, sha256: &str) -> Result<Option<u64>, ArtifactError> {
        let path = self.path(sha256)?;
        match fs::metadata(&path).await {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look at", &path)(error)),
        }
    }

    /// As [`size`](Self::size), and what is here is kept as if it had just been put: whoever asks is about to name it.
    ///
    /// # Errors
    /// The name is no hash, or the system fails.
    pub async fn touch(&self, sha256: &str) -> Result<Option<u64>, ArtifactError> {
        let size = self.size(sha256).await?;
        if size.is_some() {
            let path = self.path(sha256)?;
            let touch = |path: &Path| std::fs::File::options().append(true).open(path)?.set_modified(SystemTime::now());
            touch(&path).map_err(failed("touch", &path))?;
        }
        Ok(size)
    }

    /// Removes what is not `needed` and was not put or touched for `grace`. Returns how many files and bytes.
    ///
    /// # Errors
    /// The system fails; what was removed stays so.
    pub async fn remove_unless(&self, needed: &HashSet<String>, grace: Duration) -> Result<(u64, u64), ArtifactError> {
        let (mut files, mut bytes) = (0, 0);
        let mut folders = fs::read_dir(&self.folder).await.map_err(failed("list", &self.folder))?;
        while let Some(folder) = folders.next_entry().await.map_err(failed("list", &self.folder))? {
            if folder.file_name().len() != 2 {
                continue; // `incoming`, whose files have no names yet
            }
            let path = folder.path();
            let mut entries = fs::read_dir(&path).await.map_err(failed("list", &path))?;
            while let Some(entry) = entries.next_entry().await.map_err(failed("list", &path))? {
                let file = entry.path();
                let metadata = entry.metadata().await.map_err(failed("look at", &file))?;
                // A time in the future is no age.
                let age = metadata.modified().ok().and_then(|modified| modified.elapsed().ok()).unwrap_or_default();
                let name = entry.file_name();
                if age > grace && name.to_str().is_some_and(|name| is_sha256(name) && !needed.contains(name)) {
                    fs::remove_file(&file).await.map_err(failed("remove", &file))?;
                    (files, bytes) = (files + 1, bytes + metadata.len());
                }
            }
        }
        Ok((files, bytes))
    }

    /// Begins to store an artifact of `bytes` bytes.
    ///
    /// # Errors
    /// The name is no hash, the size is above the limit, or the system fails.
    pub async fn put(&self, sha256: &str, bytes: u64) -> Result<Incoming, ArtifactError> {
        let target = self.path(sha256)?;
        if bytes > ARTIFACT_LIMIT_BYTES {
            return Err(ArtifactError::TooLarge(bytes));
        }
        let path = self.incoming().join(format!("{:016x}", rand::random::<u64>()));
        let file = File::create_new(&path).await.map_err(failed("create", &path))?;
        Ok(Incoming {
            file,
            unfinished: Unfinished(path),
            target,
            sha256: sha256.to_owned(),
            hash: Sha256::new(),
            announced: bytes,
            got: 0,
        })
    }

    /// Opens an artifact for reading.
    ///
    /// # Errors
    /// It is not here, the name is no hash, or the system fails.
    pub async fn get(&self, sha256: &str) -> Result<Outgoing, ArtifactError> {
        let path = self.path(sha256)?;
        match File::open(&path).await {
            Ok(file) => Ok(Outgoing { file, path, sha256: sha256.to_owned(), hash: Sha256::new() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ArtifactError::NotFound(sha256.to_owned())),
            Err(error) => Err(failed("open", &path)(error)),
        }
    }
}

/// A file that is removed unless it was renamed in time.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After the rename there is nothing to remove; otherwise the next start clears what stays.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An artifact on its way in.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    unfinished: Unfinished,
    target: PathBuf,
    sha256: String,
    hash: Sha256,
    announced: u64,
    got: u64,
}

impl Incoming {
    /// Takes the next chunk.
    ///
    /// # Errors
    /// The chunk is too large, more comes than was announced, or the system fails.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), ArtifactError> {
        if chunk.len() > CHUNK_BYTES {
            return Err(ArtifactError::ChunkTooLarge(chunk.len()));
        }
        self.got += chunk.len() as u64;
        if self.got > self.announced {
            return Err(ArtifactError::WrongSize { announced: self.announced, got: self.got });
        }
        self.hash.update(chunk);
        self.file.write_all(chunk).await.map_err(failed("write", &self.unfinished.0))
    }

    /// Checks what came and gives it its name.
    ///
    /// # Errors
    /// It is not what was announced, or the system fails; then nothing is stored.
    pub async fn finish(mut self) -> Result<(), ArtifactError> {
        if self.got != self.announced {
            return Err(ArtifactError::WrongSize { announced: self.announced, got: self.got });
        }
        let got = hex(&self.hash.finalize());
        if got != self.sha256 {
            return Err(ArtifactError::WrongHash { announced: self.sha256, got });
        }
        let path = &self.unfinished.0;
        self.file.flush().await.map_err(failed("write", path))?;
        self.file.sync_all().await.map_err(failed("sync", path))?;
        let folder = self.target.parent().unwrap_or(&self.target);
        fs::create_dir_all(folder).await.map_err(failed("create", folder))?;
        fs::rename(path, &self.target).await.map_err(failed("rename", path))?;
        sync_folder(folder).await
    }
}

/// A rename outlives a power cut only once its folder is on the disk.
async fn sync_folder(folder: &Path) -> Result<(), ArtifactError> {
    let opened = File::open(folder).await.map_err(failed("open", folder))?;
    opened.sync_all().await.map_err(failed("sync", folder))
}

/// An artifact on its way out.
#[derive(Debug)]
pub struct Outgoing {
    file: File,
    path: PathBuf,
    sha256: String,
    hash: Sha256,
}

impl Outgoing {
    /// The next chunk; none at the end of an artifact that has its hash.
    ///
    /// # Errors
    /// All is read and does not have its hash, or the system fails.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ArtifactError> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let mut limited = (&mut self.file).take(CHUNK_BYTES as u64);
        limited.read_to_end(&mut chunk).await.map_err(failed("read", &self.path))?;
        if !chunk.is_empty() {
            self.hash.update(&chunk);
            return Ok(Some(chunk));
        }
        if hex(&self.hash.clone().finalize()) == self.sha256 { Ok(None) } else { Err(ArtifactError::Damaged(self.sha256.clone())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn put(artifacts: &Artifacts, name: &str, announced: u64, content: &[u8]) -> Result<(), ArtifactError> {
        let mut incoming = artifacts.put(name, announced).await?;
        for chunk in content.chunks(1000) {
            incoming.write(chunk).await?;
        }
        incoming.finish().await
    }

    async fn get(artifacts: &Artifacts, name: &str) -> Result<Vec<u8>, ArtifactError> {
        let mut outgoing = artifacts.get(name).await?;
        let mut content = Vec::new();
        while let Some(chunk) = outgoing.next().await? {
            content.extend(chunk);
        }
        Ok(content)
    }

    #[tokio::test]
    async fn content_comes_back_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(folder.path()).await.unwrap();
        let content = vec![7; 600_000];
        let name = hex(&Sha256::digest(&content));
        assert_eq!(artifacts.size(&name).await.unwrap(), None);
        put(&artifacts, &name, 600_000, &content).await.unwrap();
        put(&artifacts, &name, 600_000, &content).await.unwrap();
        assert_eq!(artifacts.size(&name).await.unwrap(), Some(600_000));
        assert_eq!(get(&artifacts, &name).await.unwrap(), content);
        std::fs::write(artifacts.path(&name).unwrap(), [8; 600_000]).unwrap();
        assert!(matches!(get(&artifacts, &name).await, Err(ArtifactError::Damaged(_))));
    }

    #[tokio::test]
    async fn nothing_is_stored_that_is_not_as_announced() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(folder.path()).await.unwrap();
        let name = hex(&Sha256::digest(b"right"));
        assert!(matches!(put(&artifacts, &name, 5, b"wrong").await, Err(ArtifactError::WrongHash { .. })));
        assert!(matches!(put(&artifacts, &name, 6, b"right").await, Err(ArtifactError::WrongSize { announced: 6, got: 5 })));
        assert!(matches!(put(&artifacts, &name, 4, b"right").await, Err(ArtifactError::WrongSize { announced: 4, got: 5 })));
        assert!(matches!(put(&artifacts, &name, u64::MAX, b"right").await, Err(ArtifactError::TooLarge(_))));
        assert_eq!(artifacts.size(&name).await.unwrap(), None);
        assert!(std::fs::read_dir(artifacts.incoming()).unwrap().next().is_none());
    }

    #[tokio::test]
    async fn only_what_nothing_needs_and_nobody_has_asked_for_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(folder.path()).await.unwrap();
        let names: Vec<_> = [b"old", b"new", b"use"].map(|content| hex(&Sha256::digest(content))).into();
        for (name, content) in names.iter().zip([b"old", b"new", b"use"]) {
            put(&artifacts, name, 3, content).await.unwrap();
            let file = std::fs::File::options().append(true).open(artifacts.path(name).unwrap()).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
        }
        assert_eq!(artifacts.touch(&names[1]).await.unwrap(), Some(3));
        let needed = HashSet::from([names[2].clone()]);
        assert_eq!(artifacts.remove_unless(&needed, Duration::from_secs(50)).await.unwrap(), (1, 3));
        let mut left = Vec::new();
        for name in &names {
            left.push(artifacts.size(name).await.unwrap().is_some());
        }
        assert_eq!(left, [false, true, true]);
    }

    #[tokio::test]
    async fn names_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(folder.path()).await.unwrap();
        for name in ["../../etc/passwd", "", "incoming", &"A".repeat(64), &"é".repeat(32)] {
            assert!(matches!(artifacts.size(name).await, Err(ArtifactError::BadName)), "{name}");
            assert!(matches!(artifacts.get(name).await, Err(ArtifactError::BadName)), "{name}");
        }
    }
}
