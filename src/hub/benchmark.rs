//! What a benchmark's own puzzles are.

use tinysweep_proto::dataset::Source;
use tinysweep_worker::data::{DataRequest, Part};

use super::{Hub, HubError, TEST, TRAIN};

/// Fills in what `request` leaves to a benchmark whose puzzles are on the hub, which downloads them unless they are cached; and says which
/// files are known to be the hub's.
///
/// # Errors
/// The files cannot be had.
pub fn complete(mut request: DataRequest) -> Result<DataRequest, HubError> {
    let Source::Hub { repository, train, test } = request.benchmark.source else { return Ok(request) };
    let is_generated = |part: &Option<Part>| matches!(part, Some(Part::Generate(_)));
    if is_generated(&request.train) || is_generated(&request.test) {
        return Ok(request);
    }
    let is_complete = request.train.is_some() && request.test.is_some();
    let hub = match Hub::from_environment() {
        // Nothing is needed of it but the hashes of what it may have sent.
        Err(_) if is_complete => return Ok(request),
        hub => hub?,
    };
    let part = |file, rows| {
        let path = hub.file(repository, file)?;
        Ok::<_, HubError>(if rows == 0 { Part::File(path) } else { Part::Draw { file: path, rows } })
    };
    if request.train.is_none() {
        request.train = Some(part(TRAIN, train)?);
    }
    if request.test.is_none() {
        request.test = Some(part(TEST, test)?);
    }
    request.official = hub.official(repository)?;
    Ok(request)
}
