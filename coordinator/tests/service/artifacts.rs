//! Files in and out.

use sha2::{Digest, Sha256};
use tinysweep_proto::{
    CHUNK_BYTES, hex,
    v1::{GetArtifactRequest, PutArtifactRequest, StatArtifactsRequest},
};
use tonic::Code;

use crate::harness::{Client, Running, code_of, settings};

async fn get(client: &Client, sha256: &str) -> Result<Vec<u8>, tonic::Status> {
    let mut chunks = client.artifacts().get_artifact(GetArtifactRequest { sha256: sha256.into() }).await?.into_inner();
    let mut content = Vec::new();
    while let Some(message) = chunks.message().await? {
        content.extend(message.chunk);
    }
    Ok(content)
}

#[tokio::test]
async fn files_travel_in_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(settings(folder.path())).await;
    let client = running.client().await;
    let content: Vec<u8> = (0..CHUNK_BYTES * 5 / 2).map(|i| (i % 251) as u8).collect();
    let (sha256, bytes) = (hex(&Sha256::digest(&content)), content.len() as u64);
    let messages: Vec<_> = content
        .chunks(CHUNK_BYTES)
        .enumerate()
        .map(|(i, chunk)| match i {
            0 => PutArtifactRequest { sha256: sha256.clone(), bytes, chunk: chunk.into() },
            _ => PutArtifactRequest { chunk: chunk.into(), ..PutArtifactRequest::default() },
        })
        .collect();
    let stat = || client.artifacts();
    let names = StatArtifactsRequest { sha256: vec![sha256.clone(), "0".repeat(64)] };
    assert_eq!(stat().stat_artifacts(names.clone()).await.unwrap().into_inner().present, [false, false]);
    let cut = tokio_stream::iter(messages[..2].to_vec());
    assert_eq!(code_of(client.artifacts().put_artifact(cut).await), Code::InvalidArgument);
    assert_eq!(stat().stat_artifacts(names.clone()).await.unwrap().into_inner().present, [false, false]);
    for _ in 0..2 {
        client.artifacts().put_artifact(tokio_stream::iter(messages.clone())).await.unwrap();
    }
    assert_eq!(stat().stat_artifacts(names).await.unwrap().into_inner().present, [true, false]);
    assert_eq!(get(&client, &sha256).await.unwrap(), content);

    let path = folder.path().join("artifacts").join(&sha256[..2]).join(&sha256);
    std::fs::write(path, b"damaged").unwrap();
    assert_eq!(code_of(get(&client, &sha256).await), Code::DataLoss);
    assert_eq!(code_of(get(&client, &"0".repeat(64)).await), Code::NotFound);
    assert_eq!(code_of(get(&client, "../tinysweep.db").await), Code::InvalidArgument);
    let huge = PutArtifactRequest { sha256, bytes: (1 << 30) + 1, chunk: vec![] };
    assert_eq!(code_of(client.artifacts().put_artifact(tokio_stream::iter([huge])).await), Code::ResourceExhausted);
    running.stop().await;
}
