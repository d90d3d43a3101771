//! Compiles the .proto files to Rust, and to the descriptor set that the reflection service shows.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=tinysweep");
    let descriptors = protox::compile(["tinysweep/v1/sweeps.proto", "tinysweep/v1/workers.proto"], ["."])?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("tinysweep.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
