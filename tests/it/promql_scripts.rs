//! PromQL scripts over two sources: in memory, and the real store, with the samples in its head, in
//! its partitions, and in both. Prometheus' own ones, if they are there, and ours in
//! `tests/promqltest`, which Prometheus' runner passes too.

use std::path::{Path, PathBuf};

use tidewatch::app::{Placement, ScriptDisk};
use tidewatch::promql::memory::MemorySource;
use tidewatch::promql::script::{self, Report, Script, ScriptStore};

/// The directory of the scripts, if it is there.
fn scripts() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("TIDEWATCH_SHARED_DATA").map(PathBuf::from);
    let candidates =
        [shared, Some(here.join("../shared/data")), Some(here.join("../../shared/data"))];
    candidates.into_iter().flatten().map(|dir| dir.join("promqltest")).find(|dir| dir.is_dir())
}

/// How many evaluations passed, and the line and message of each of the others.
fn outcome(script: &Script, store: &mut dyn ScriptStore) -> (usize, Vec<(usize, String)>) {
    let Report { passed, failures } = script::run(script, &script::engine(), store);
    (passed, failures.into_iter().map(|failure| (failure.line, failure.message)).collect())
}

#[test]
fn scripts_give_the_same_over_the_store_as_in_memory() {
    let Some(dir) = scripts() else {
        println!("skipped: no promqltest directory in the shared data");
        return;
    };
    let passed = run_all(&dir);
    assert!(passed >= 1478, "only {passed} evaluations passed");
}

/// Ours say what no script of Prometheus has to say.
#[test]
fn our_scripts_pass_over_both_sources() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promqltest");
    let texts = std::fs::read_dir(&dir).expect("the directory is readable").map(|entry| {
        let path = entry.expect("the directory is readable").path();
        std::fs::read_to_string(path).expect("the script is readable")
    });
    let is_eval = |line: &&str| line.starts_with("eval");
    let evals = texts.map(|text| text.lines().filter(is_eval).count()).sum::<usize>();
    assert_eq!(run_all(&dir), evals);
}

/// Runs the scripts of a directory over both sources, which must give the same; how many
/// evaluations passed.
fn run_all(dir: &Path) -> usize {
    let mut passed = 0;
    for entry in std::fs::read_dir(dir).expect("the directory is readable") {
        let path = entry.expect("the directory is readable").path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("the script is readable");
        let script = script::parse(&text).expect("the script parses");
        let in_memory = outcome(&script, &mut MemorySource::new());
        for placement in [Placement::Head, Placement::Partitions, Placement::Both] {
            let mut disk = ScriptDisk::new(placement).expect("a store opens");
            assert_eq!(outcome(&script, &mut disk), in_memory, "{} {placement:?}", path.display());
        }
        in_memory.1.iter().for_each(|(line, why)| println!("{}:{line}: {why}", path.display()));
        passed += in_memory.0;
    }
    passed
}

/// Samples of one series loaded in two steps lie in several generations of a partition.
#[test]
fn what_is_loaded_late_is_merged() {
    let script = "load 1h\n  a _ 1 _ 3x30\n\nload 1h\n  a 0 _ 2\n\n\
                  eval range from 0 to 4h step 1h last_over_time(a[1h])\n  a 0 1 2 3 3\n\n\
                  clear\neval instant at 1h a\n";
    let script = script::parse(script).expect("the script parses");
    let (passed, failures) =
        outcome(&script, &mut ScriptDisk::new(Placement::Partitions).expect("a store opens"));
    assert_eq!((passed, failures), (2, Vec::new()));
}
