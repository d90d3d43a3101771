//! Builds again when a migration is added: the program has them inside, and the compiler tracks only those it has seen.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
