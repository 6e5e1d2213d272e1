//! Globs: a tree over the parts of a name, in which all rules are followed at once.
//!
//! In: patterns such as `a.*.c`, in the order of the file. Out: the rule of a name, and what its
//! stars stand for. `*` stands for exactly one part. Among several rules the first of the file wins,
//! or, with `glob_disable_ordering`, the most specific one: a literal part beats a star, from the
//! left. Looking a name up costs what its own parts cost, however many rules there are: only stars
//! beside literals are tried twice.

use hashbrown::HashMap;

use crate::statsd::line::Kind;

/// Most parts of a pattern, and of a name that is looked up; longer names match no glob. It bounds
/// the recursion.
pub(super) const PARTS_MAX: usize = 128;
/// The kinds rules tell apart, sets being gauges.
const KINDS: usize = 3;

/// The tree.
#[derive(Debug, Default)]
pub(super) struct Globs {
    /// One tree a kind, so that a name meets only rules that apply to it.
    roots: [Node; KINDS],
    most_specific: bool,
}

#[derive(Debug)]
struct Node {
    literals: HashMap<Box<str>, Node, foldhash::fast::RandomState>,
    star: Option<Box<Node>>,
    /// The rule whose pattern ends here.
    rule: Option<usize>,
    /// The first rule at or below this node; rules later in the file need not be looked for.
    first: usize,
}

impl Default for Node {
    fn default() -> Node {
        Node { literals: HashMap::default(), star: None, rule: None, first: usize::MAX }
    }
}

fn tree_of(kind: Kind) -> usize {
    match kind {
        Kind::Counter => 0,
        Kind::Gauge | Kind::Set => 1,
        Kind::Observer => 2,
    }
}

impl Globs {
    pub(super) fn new(most_specific: bool) -> Globs {
        Globs { roots: Default::default(), most_specific }
    }

    /// Adds rule `index`; of two with the same pattern the later one replaces the earlier, as in
    /// statsd_exporter.
    pub(super) fn add(&mut self, pattern: &str, only: Option<Kind>, index: usize) {
        for (tree, root) in self.roots.iter_mut().enumerate() {
            if only.is_none_or(|only| tree_of(only) == tree) {
                root.add(pattern, index);
            }
        }
    }

    /// To be called once all rules are added.
    pub(super) fn complete(&mut self) {
        for root in &mut self.roots {
            root.refresh();
        }
    }

    /// The rule of `name`; `captures` takes what its stars stand for.
    pub(super) fn find<'n>(
        &self,
        name: &'n str,
        kind: Kind,
        captures: &mut Vec<&'n str>,
    ) -> Option<usize> {
        let root = &self.roots[tree_of(kind)];
        if root.literals.is_empty() && root.star.is_none() {
            return None;
        }
        let parts: Vec<&str> = name.split('.').take(PARTS_MAX + 1).collect();
        if parts.len() > PARTS_MAX {
            return None;
        }
        let mut search = Search {
            parts: &parts,
            stars: Vec::new(),
            best: usize::MAX,
            captures,
            first_wins: self.most_specific,
        };
        search.below(root, 0);
        (search.best != usize::MAX).then_some(search.best)
    }
}

impl Node {
    fn add(&mut self, pattern: &str, index: usize) {
        let mut node = self;
        for part in pattern.split('.') {
            node = match part {
                "*" => node.star.get_or_insert_default(),
                literal => node.literals.entry(literal.into()).or_default(),
            };
        }
        node.rule = Some(index);
    }

    /// Computes `first` again, down the whole tree.
    fn refresh(&mut self) -> usize {
        let own = self.rule.unwrap_or(usize::MAX);
        let literals = self.literals.values_mut().map(Node::refresh).min();
        let star = self.star.as_mut().map(|star| star.refresh());
        self.first = literals.into_iter().chain(star).fold(own, usize::min);
        self.first
    }
}

struct Search<'s, 'n> {
    parts: &'s [&'n str],
    /// What the stars on the way to the present node stand for.
    stars: Vec<&'n str>,
    best: usize,
    captures: &'s mut Vec<&'n str>,
    first_wins: bool,
}

impl Search<'_, '_> {
    /// Follows part `depth` below `node`; true when the search is over.
    fn below(&mut self, node: &Node, depth: usize) -> bool {
        if node.first >= self.best {
            return false;
        }
        let Some(part) = self.parts.get(depth) else {
            return self.end(node);
        };
        if let Some(next) = node.literals.get(*part)
            && self.below(next, depth + 1)
        {
            return true;
        }
        let Some(next) = &node.star else { return false };
        self.stars.push(part);
        let over = self.below(next, depth + 1);
        self.stars.pop();
        over
    }

    fn end(&mut self, node: &Node) -> bool {
        let Some(rule) = node.rule.filter(|rule| *rule < self.best) else { return false };
        self.best = rule;
        self.captures.clone_from(&self.stars);
        self.first_wins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(patterns: &[&str], most_specific: bool) -> Globs {
        let mut globs = Globs::new(most_specific);
        patterns.iter().enumerate().for_each(|(i, pattern)| globs.add(pattern, None, i));
        globs.complete();
        globs
    }

    fn find<'n>(globs: &Globs, name: &'n str) -> Option<(usize, Vec<&'n str>)> {
        let mut captures = Vec::new();
        globs.find(name, Kind::Counter, &mut captures).map(|rule| (rule, captures))
    }

    #[test]
    fn stars_stand_for_exactly_one_part() {
        let globs = globs(&["a.*.c", "*.b"], false);
        assert_eq!(find(&globs, "a.x.c"), Some((0, vec!["x"])));
        assert_eq!(find(&globs, "a..c"), Some((0, vec![""])));
        assert_eq!(find(&globs, "a.b"), Some((1, vec!["a"])));
        for name in ["a.x.y.c", "a.c", "a", "", "b", "a.x.c.d", "."] {
            assert_eq!(find(&globs, name), None, "{name}");
        }
    }

    #[test]
    fn the_first_of_the_file_wins_or_the_most_specific() {
        let patterns = ["*.*.c", "a.*.c", "a.b.*", "a.b.c"];
        assert_eq!(find(&globs(&patterns, false), "a.b.c"), Some((0, vec!["a", "b"])));
        assert_eq!(find(&globs(&patterns, true), "a.b.c"), Some((3, vec![])));
        let reversed = ["a.b.c", "a.b.*", "a.*.c", "*.*.c"];
        assert_eq!(find(&globs(&reversed, false), "a.b.x"), Some((1, vec!["x"])));
        assert_eq!(find(&globs(&reversed, true), "a.x.c"), Some((2, vec!["x"])));
    }

    #[test]
    fn dead_ends_are_left_again() {
        for most_specific in [false, true] {
            let globs = globs(&["a.b.x", "a.*.c", "*.b.d"], most_specific);
            assert_eq!(find(&globs, "a.b.c"), Some((1, vec!["b"])));
            assert_eq!(find(&globs, "a.b.d"), Some((2, vec!["a"])));
            assert_eq!(find(&globs, "a.b.e"), None);
        }
    }

    #[test]
    fn the_later_of_two_equal_patterns_replaces_the_earlier() {
        assert_eq!(find(&globs(&["a.*", "a.*"], false), "a.x"), Some((1, vec!["x"])));
        let mut globs = Globs::new(false);
        globs.add("a", None, 0);
        globs.add("a", Some(Kind::Gauge), 1);
        globs.complete();
        let mut none = Vec::new();
        assert_eq!(globs.find("a", Kind::Counter, &mut none), Some(0));
        assert_eq!(globs.find("a", Kind::Gauge, &mut none), Some(1));
        assert_eq!(globs.find("a", Kind::Set, &mut none), Some(1));
    }

    #[test]
    fn overlong_names_match_nothing() {
        let globs = globs(&["*.*"], false);
        assert_eq!(find(&globs, &".".repeat(10_000)), None);
    }
}
