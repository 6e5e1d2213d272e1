//! Regular expressions: all are tried at once, the first of the file that matches wins.
//!
//! In: expressions in the order of the file. Out: the rule of a name and its captures. As in
//! statsd_exporter an expression may match anywhere in the name.

use regex::{Captures, Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// Most memory one compiled expression may take, in bytes.
const REGEX_BYTES_MAX: usize = 10 << 20;
/// Most memory all expressions together may take, in bytes; a thousand take about 20 MiB. Beyond it
/// they are tried one by one.
const SET_BYTES_MAX: usize = 256 << 20;

/// The expressions.
#[derive(Debug, Default)]
pub(super) struct Regexes {
    /// Number of the rule, and its expression.
    rules: Vec<(usize, Regex)>,
    /// All of them in one automaton, unless they are too many.
    set: Option<RegexSet>,
}

impl Regexes {
    /// Compiles the expressions of rules, given by number.
    ///
    /// # Errors
    /// One is not valid; says which and why.
    pub(super) fn new(patterns: &[(usize, &str)]) -> Result<Regexes, String> {
        let compile = |(rule, pattern): &(usize, &str)| {
            let compiled = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
            compiled
                .map(|regex| (*rule, regex))
                .map_err(|error| format!("invalid regex {pattern} in mapping {rule}: {error}"))
        };
        let rules: Vec<(usize, Regex)> = patterns.iter().map(compile).collect::<Result<_, _>>()?;
        let all = patterns.iter().map(|(_, pattern)| pattern);
        let set = RegexSetBuilder::new(all).size_limit(SET_BYTES_MAX).build().ok();
        Ok(Regexes { rules, set: set.filter(|_| !patterns.is_empty()) })
    }

    /// The first rule that `applies` and matches `name`.
    pub(super) fn find<'n>(
        &self,
        name: &'n str,
        applies: impl Fn(usize) -> bool,
    ) -> Option<(usize, Captures<'n>)> {
        let captures = |(rule, regex): &(usize, Regex)| Some((*rule, regex.captures(name)?));
        match &self.set {
            Some(set) => {
                let found = set.matches(name);
                let mut rules = found.iter().map(|at| &self.rules[at]);
                captures(rules.find(|(rule, _)| applies(*rule))?)
            }
            None => self.rules.iter().filter(|(rule, _)| applies(*rule)).find_map(captures),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_matches_and_applies_wins() {
        let patterns = [(3, r"b\.(\w+)"), (5, r"a\.(.*)"), (7, "c$")];
        let regexes = Regexes::new(&patterns).expect("valid");
        let one_by_one = Regexes { set: None, ..Regexes::new(&patterns).expect("valid") };
        for regexes in [regexes, one_by_one] {
            let find = |name, not| {
                let found = regexes.find(name, |rule| rule != not);
                found.map(|(rule, captures)| (rule, captures[captures.len() - 1].to_owned()))
            };
            assert_eq!(find("a.b.c", 0), Some((3, "c".to_owned())));
            assert_eq!(find("a.b.c", 3), Some((5, "b.c".to_owned())));
            assert_eq!(find("xc", 0), Some((7, "c".to_owned())));
            assert_eq!(find("x", 0), None);
        }
    }

    #[test]
    fn an_invalid_expression_is_named() {
        let error = Regexes::new(&[(0, "a"), (4, "(")]).expect_err("invalid");
        assert!(error.starts_with("invalid regex ( in mapping 4: "), "{error}");
    }
}
