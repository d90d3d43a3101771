//! The user's cache folder.

use std::{env, path::PathBuf};

/// Names another folder.
pub const VARIABLE: &str = "TINYSWEEP_CACHE";

/// The folder for what can be downloaded again: `TINYSWEEP_CACHE`, else where the system keeps such things.
pub fn folder() -> Option<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let system = match env::consts::OS {
        "macos" => env::home_dir().map(|home| home.join("Library/Caches")),
        "windows" => variable("LOCALAPPDATA"),
        _ => variable("XDG_CACHE_HOME").or_else(|| env::home_dir().map(|home| home.join(".cache"))),
    };
    variable(VARIABLE).or_else(|| system.map(|folder| folder.join("tinysweep")))
}
