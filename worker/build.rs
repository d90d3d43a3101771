//! Compiles the kernels for GPUs, where the program is built with them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "cuda")]
    compile_kernels();
}

/// Writes each file of kernels as PTX, and `kernels.rs`, which names them, into `OUT_DIR`.
#[cfg(feature = "cuda")]
fn compile_kernels() {
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo::rerun-if-changed=src/kernels/cuda");
    let compiled = cudaforge::KernelBuilder::new().source_dir("src/kernels/cuda").arg("-std=c++17").arg("-O3").build_ptx();
    compiled.and_then(|compiled| compiled.write(out.join("kernels.rs"))).expect("nvcc compiles src/kernels/cuda");
}
