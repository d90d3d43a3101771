//! Energy counters of processors: Linux's powercap folder. Its zones are called `intel-rapl` on processors of AMD too.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where Linux has it.
pub const FOLDER: &str = "/sys/class/powercap";

/// The counters of a machine that together count each joule of its processors and their memory once.
#[derive(Clone, Debug)]
pub struct Powercap {
    zones: Vec<Zone>,
}

#[derive(Clone, Debug)]
struct Zone {
    counter: PathBuf,
    /// Where it begins again from 0, in µJ.
    range: u64,
}

impl Powercap {
    /// The counters below `folder`; none where there are none, or one of them cannot be read: part of the energy would be taken for all.
    pub fn open(folder: &Path) -> Option<Self> {
        let zones: Vec<_> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(|path| counts(path)).collect();
        let zones = zones.into_iter().map(Zone::open).collect::<Option<Vec<_>>>()?;
        let powercap = Self { zones };
        (!powercap.zones.is_empty() && powercap.read().is_some()).then_some(powercap)
    }

    /// What each counter says, in µJ; none where one does not answer any more.
    pub fn read(&self) -> Option<Vec<u64>> {
        self.zones.iter().map(|zone| number(&zone.counter)).collect()
    }

    /// Where each counter begins again from 0, in µJ.
    pub fn ranges(&self) -> Vec<u64> {
        self.zones.iter().map(|zone| zone.range).collect()
    }
}

impl Zone {
    fn open(folder: PathBuf) -> Option<Self> {
        Some(Self { range: number(&folder.join("max_energy_range_uj"))?, counter: folder.join("energy_uj") })
    }
}

/// Whether a zone is one of those that count. Cores and built-in graphics are parts of their package; `psys` counts the packages again; and
/// `intel-rapl-mmio` is another door to the same package.
fn counts(zone: &Path) -> bool {
    let is_rapl = zone.file_name().is_some_and(|name| name.to_string_lossy().starts_with("intel-rapl:"));
    let name = fs::read_to_string(zone.join("name")).unwrap_or_default();
    is_rapl && (name.starts_with("package-") || name.trim() == "dram")
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A powercap folder with these zones: `(folder, name, µJ, range)`.
    fn powercap(zones: &[(&str, &str, &str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (zone, name, energy, range) in zones {
            let zone = folder.path().join(zone);
            fs::create_dir(&zone).unwrap();
            for (file, text) in [("name", name), ("energy_uj", energy), ("max_energy_range_uj", range)] {
                fs::write(zone.join(file), format!("{text}\n")).unwrap();
            }
        }
        folder
    }

    #[test]
    fn each_joule_is_counted_once() {
        let folder = powercap(&[
            ("intel-rapl:0", "package-0", "100", "9000"),
            ("intel-rapl:0:0", "core", "70", "9000"),
            ("intel-rapl:0:1", "dram", "30", "8000"),
            ("intel-rapl:1", "package-1", "200", "9000"),
            ("intel-rapl:2", "psys", "999", "9000"),
            ("intel-rapl-mmio:0", "package-0", "100", "9000"),
        ]);
        let powercap = Powercap::open(folder.path()).unwrap();
        let mut counters: Vec<_> = powercap.read().unwrap().into_iter().zip(powercap.ranges()).collect();
        counters.sort_unstable();
        assert_eq!(counters, [(30, 8000), (100, 9000), (200, 9000)]);
        fs::write(folder.path().join("intel-rapl:1/energy_uj"), "250").unwrap();
        assert!(powercap.read().unwrap().contains(&250));
    }

    #[test]
    fn what_cannot_be_read_in_full_is_not_read() {
        assert!(Powercap::open(Path::new("/nonexistent")).is_none());
        assert!(Powercap::open(powercap(&[("intel-rapl:0:0", "core", "70", "9000")]).path()).is_none(), "only parts");
        let folder = powercap(&[("intel-rapl:0", "package-0", "100", "9000"), ("intel-rapl:1", "package-1", "", "9000")]);
        assert!(Powercap::open(folder.path()).is_none(), "one without a number");
        fs::write(folder.path().join("intel-rapl:1/energy_uj"), "5").unwrap();
        let powercap = Powercap::open(folder.path()).unwrap();
        fs::remove_file(folder.path().join("intel-rapl:1/energy_uj")).unwrap();
        assert_eq!(powercap.read(), None);
    }
}
