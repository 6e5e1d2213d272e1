//! Stack for deeply nested expressions.
//!
//! In: work that recurses as deeply as an expression is nested. Out: its result. Parsing and
//! evaluating take up to 20 KiB of stack a level without optimisation. So only what is nested a little
//! ([`DEPTH_SHALLOW`]) runs on the thread that asks; everything else gets a thread of its own, with
//! stack for as many levels as are accepted. Never here: work that spreads over a thread pool, which
//! could wait for the very thread that waits here.

use std::thread;

use crate::model::limits::EXPRESSION_DEPTH_MAX;

use super::ast::Expr;

/// Levels that any thread has stack for: they take a third of the 2 MiB of the smallest.
pub(super) const DEPTH_SHALLOW: usize = 32;
/// Stack of a level in bytes: thrice what was seen without optimisation.
const LEVEL_BYTES: usize = 64 << 10;

/// Runs `work` on a thread with stack for the deepest expression; `None` when the system refuses to
/// start one.
pub(super) fn run<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    let stack = thread::Builder::new()
        .name("tidewatch-deep".to_owned())
        .stack_size(EXPRESSION_DEPTH_MAX * LEVEL_BYTES);
    thread::scope(|scope| {
        let running = stack.spawn_scoped(scope, work).ok()?;
        match running.join() {
            Ok(result) => Some(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Whether the expression is nested more than [`DEPTH_SHALLOW`] levels deep. Operands of a chain are
/// no levels; durations do not count, they need little.
pub(super) fn is_deep(expr: &Expr) -> bool {
    let mut below = vec![(expr, 1)];
    while let Some((expr, level)) = below.pop() {
        if level > DEPTH_SHALLOW {
            return true;
        }
        match expr {
            Expr::Binary(_) => {
                let (first, operations) = expr.left_side();
                let operands = operations.into_iter().map(|binary| &binary.rhs).chain([first]);
                below.extend(operands.map(|operand| (operand, level + 1)));
            }
            _ => below.extend(expr.children().into_iter().map(|child| (child, level + 1))),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Timestamp;
    use crate::promql::memory::MemorySource;
    use crate::promql::{Engine, EngineOptions, Features, QueryOptions, parse, pretty};

    /// The smallest stack a thread has that asks: a test's, an async runtime's.
    const SMALL_BYTES: usize = 2 << 20;
    /// The stack of a thread that evaluates queries.
    const POOL_BYTES: usize = 8 << 20;

    fn on_stack(bytes: usize, work: impl FnOnce() + Send + 'static) {
        let thread = thread::Builder::new().stack_size(bytes).spawn(work).expect("a thread starts");
        thread.join().expect("the work ends");
    }

    /// Texts nested about as deeply as is accepted, in every way there is.
    fn deepest() -> Vec<String> {
        let max = EXPRESSION_DEPTH_MAX - 4;
        let around = |open: &str, inner: &str, close: &str, levels: usize| {
            format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
        };
        vec![
            around("(", "1", ")", max),
            around("-(", "a", ")", max / 2),
            around("abs(", "a", ")", max),
            around("sum by (x) (", "a", ")", max),
            around("clamp(", "a", ", 0, scalar(a))", max / 2),
            around("max_over_time((", "a", ")[5m:1m])", max / 3),
            around("label_replace(", "a", ", \"b\", \"c\", \"d\", \"e\")", max),
            around("topk(2, ", "a", ")", max),
            around("1 + (", "a", ")", max / 2),
            around("a or (", "a", ")", max / 2),
            format!("a{}", " ^ a".repeat(max)),
            format!("2{}", " ^ 1".repeat(max)),
            format!("rate(a[{}])", around("(", "1m", ")", max)),
            format!("rate(a[1m{}])", " + 1s".repeat(max)),
            format!("rate(a[60{}])", " ^ 1".repeat(max)),
            format!("a offset {}", around("-(", "1m", ")", max / 2)),
            format!("rate(a[{}])", around("max_of(1, ", "1m", ")", max)),
        ]
    }

    #[test]
    fn the_deepest_is_evaluated_on_the_smallest_stack() {
        on_stack(SMALL_BYTES, || {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
            let options = EngineOptions {
                features: Features::all(),
                pool: Some(Arc::new(pool)),
                ..EngineOptions::default()
            };
            let (engine, source) = (Engine::new(options), MemorySource::new());
            let (start, end) = (Timestamp(0), Timestamp(60_000));
            for text in deepest() {
                let shown = &text[..text.len().min(60)];
                engine
                    .range(&source, &text, start, end, 30_000, &QueryOptions::default())
                    .unwrap_or_else(|error| panic!("{shown}: {error}"));
            }
        });
    }

    #[test]
    fn the_deepest_is_copied_compared_and_printed_on_the_smallest_stack() {
        on_stack(SMALL_BYTES, || {
            for text in deepest() {
                let expr = parse(&text, &Features::all()).expect("not too deep");
                let copy = expr.clone();
                assert!(copy == expr);
                assert!(!expr.to_string().is_empty());
            }
        });
        on_stack(POOL_BYTES, || {
            for text in deepest() {
                let expr = parse(&text, &Features::all()).expect("not too deep");
                let again = parse(&pretty(&expr), &Features::all()).expect("it parses again");
                assert_eq!(again.to_string(), expr.to_string());
            }
        });
    }

    #[test]
    fn a_chain_is_not_deep() {
        let is_deep = |text: &str| is_deep(&parse(text, &Features::all()).expect("valid"));
        assert!(!is_deep(&format!("a{}", " + a".repeat(1000))));
        assert!(!is_deep(&format!("{}1{}", "(".repeat(31), ")".repeat(31))));
        assert!(is_deep(&format!("{}1{}", "(".repeat(32), ")".repeat(32))));
    }
}
