//! The engine against the reference evaluator, on random expressions.
//!
//! `TIDEWATCH_SEED` sets the first seed, `TIDEWATCH_EXPRESSIONS` how many are tried. A failure names
//! the seed of its expression.

use std::collections::BTreeMap;

use super::reference::check::{Bench, Outcome};
use super::reference::dice::Dice;
use super::reference::generate::{Language, expression};

/// Expressions tried unless told otherwise.
const EXPRESSIONS_DEFAULT: u64 = 3000;
/// A number from the environment.
pub fn from_env(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}"))
}

#[test]
fn the_engine_gives_what_the_reference_gives() {
    let first = from_env("TIDEWATCH_SEED", 1);
    let count = from_env("TIDEWATCH_EXPRESSIONS", EXPRESSIONS_DEFAULT);
    println!("seeds {first}..{}", first + count);
    let (bench, language) = (Bench::small(), Language::of_reference());
    let (mut same, mut fail, mut open, mut failures) = (0, 0, BTreeMap::new(), Vec::new());
    for seed in first..first + count {
        let text = expression(&mut Dice::new(&[], Some(seed)), &language);
        match bench.compare(&text) {
            Ok(Outcome::Same) => same += 1,
            Ok(Outcome::BothFail) => fail += 1,
            Ok(Outcome::Open(why)) => *open.entry(why).or_insert(0) += 1,
            Err(how) => failures.push(format!("seed {seed}: {how}")),
        }
    }
    let undecided: u64 = open.values().sum();
    println!("{same} the same, {fail} fail in both, {undecided} open, {} differ", failures.len());
    open.iter().for_each(|(why, count)| println!("  open: {count} {why}"));
    let shown = failures.len().min(20);
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures[..shown].join("\n"));
    assert!(same > count / 2, "too few expressions have a value");
}

#[test]
fn where_rounding_or_times_between_ranges_decide() {
    let bench = Bench::small();
    // Two values that differ by rounding alone: which is the least?
    let text = r#"ts_of_min_over_time((histogram_quantiles(avg_over_time(nh[1m]), "q", 0.5, 0))[30s:2 * 10s] offset 10s)"#;
    let rounding = Ok(Outcome::Open("rounding chooses among equals"));
    assert_eq!(bench.compare(text), rounding);
    // It fails at steps of the subquery that lie in no range.
    let text = "sum_over_time(((rate(target_info[max_of(step(), 30s)])) </ on(job, instance) group_right() fill_left(1) (vector(0)))[10s:step()])";
    assert_eq!(bench.compare(text), Ok(Outcome::BothFail));
}
