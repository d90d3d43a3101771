//! A sweep file and its data, checked before anything is sent or trained.

use std::{fs, io::Read, path::Path};

use tinysweep_coordinator::domain::spec::{ModelSweep, PartSpec, SweepSpec};
use tinysweep_proto::{CHUNK_BYTES, dataset::DataFile, v1};
use tinysweep_worker::data::{ArcRequest, DataRequest, Part, PreparedData, prepare, sudoku::Ratings};

use crate::{
    client::{Client, refused, request},
    failure::Failure,
    hub,
};

/// The most bytes that a sweep file may have.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// A sweep file that is right, with its data.
pub struct SweepFile {
    /// The text as written.
    pub yaml: String,
    /// What the user called the file.
    pub file_name: String,
    /// What it says.
    pub spec: SweepSpec,
    /// Its puzzles; none for a program, which brings its own data.
    pub data: Option<PreparedData>,
}

impl SweepFile {
    /// Reads and checks the file at `path`, and reads or generates its puzzles. Data paths are relative to the file's folder.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let file_name = path.display().to_string();
        let yaml = read_text(path).map_err(|problem| Failure::bad_input(format!("{file_name}: {problem}")))?;
        let spec = SweepSpec::parse(&yaml, &file_name).map_err(Failure::bad_input)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let data = spec.models().map(|models| puzzles(models, folder));
        let data = data.transpose().map_err(|problem| Failure::bad_input(format!("{file_name}: data: {problem}")))?;
        Ok(Self { yaml, file_name, spec, data })
    }

    /// Puts the data into the coordinator's store, unless it has them, and submits the sweep. What the coordinator has to say of it goes
    /// to standard error, but for why none of its workers can run it, which is returned with the sweep and may be empty.
    pub async fn submit(&self, client: &Client) -> Result<(v1::Sweep, String), Failure> {
        if let Some(data) = &self.data {
            put(client, &data.dataset.train, &data.train).await?;
            put(client, &data.dataset.test, &data.test).await?;
        }
        let message = v1::SubmitSweepRequest {
            yaml: self.yaml.clone(),
            file_name: self.file_name.clone(),
            dataset: self.data.as_ref().map(|data| (&data.dataset).into()),
        };
        let v1::SubmitSweepResponse { sweep, note, waits } =
            client.sweeps().submit_sweep(request(message)).await.map_err(refused)?.into_inner();
        if !note.is_empty() {
            eprintln!("note: {note}");
        }
        Ok((sweep.ok_or_else(|| anyhow::anyhow!("the coordinator's answer has no sweep"))?, waits))
    }
}

/// Reads or generates what `models` are trained and measured on. Paths are relative to `folder`; the error is for people.
fn puzzles(models: &ModelSweep, folder: &Path) -> Result<PreparedData, String> {
    let data = &models.data;
    let part = |part: &Option<PartSpec>| {
        part.as_ref().map(|part| match part {
            PartSpec::Path(file) => Part::File(folder.join(file)),
            PartSpec::Count(count) => Part::Generate(*count as usize),
        })
    };
    let wanted = DataRequest {
        benchmark: models.benchmark,
        train: part(&data.train),
        test: part(&data.test),
        seed: data.seed,
        givens: data.givens,
        ratings: data.rating.map_or(Ratings::ANY, |(least, most)| Ratings { least, most }),
        official: Vec::new(),
        arc: data.arc.as_ref().map(|arc| ArcRequest {
            training: arc.training.iter().map(|file| folder.join(file)).collect(),
            evaluation: folder.join(&arc.evaluation),
            augmentations: arc.augmentations,
            seed: arc.seed,
            allow_overlap: arc.allow_overlap,
        }),
    };
    let wanted = hub::complete(wanted).map_err(|problem| problem.to_string())?;
    prepare(&wanted).map_err(|problem| problem.to_string())
}

fn read_text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > FILE_LIMIT_BYTES {
        return Err("is larger than 1 MiB; a sweep file holds questions, not data".into());
    }
    String::from_utf8(bytes).map_err(|error| format!("is not UTF-8 text (byte {})", error.utf8_error().valid_up_to()))
}

async fn put(client: &Client, file: &DataFile, text: &[u8]) -> Result<(), Failure> {
    let stat = v1::StatArtifactsRequest { sha256: vec![file.sha256.clone()] };
    let present = client.artifacts().stat_artifacts(request(stat)).await.map_err(refused)?.into_inner().present;
    if present == [true] {
        return Ok(());
    }
    let chunks: Vec<_> = text
        .chunks(CHUNK_BYTES)
        .map(|chunk| v1::PutArtifactRequest { sha256: file.sha256.clone(), bytes: file.bytes, chunk: chunk.to_vec() })
        .collect();
    client.artifacts().put_artifact(tokio_stream::iter(chunks)).await.map_err(refused)?;
    Ok(())
}
