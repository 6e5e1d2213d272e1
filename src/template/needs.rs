//! What the result of a template depends on, so that whoever expands it again and again may know when
//! nothing can have changed.
//!
//! In: the trees of a rule's text. Out: whether it looks at the value, or at anything but labels and
//! value. When in doubt it does.

use super::ast::{Arg, ArgKind, List, Node, Pipe, Tree};

/// Functions whose result depends on more than their arguments.
const LENT: [&str; 4] = ["query", "now", "externalURL", "pathPrefix"];

/// What a rule's text depends on besides the labels of the sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The value of the sample.
    pub value: bool,
    /// Anything else: time, queries, labels and URL of the server.
    pub others: bool,
}

impl Needs {
    /// Everything there is.
    pub const ALL: Needs = Needs { value: true, others: true };

    /// What either needs.
    #[must_use]
    pub fn and(self, other: Needs) -> Needs {
        Needs { value: self.value || other.value, others: self.others || other.others }
    }

    /// What the trees of one text need.
    pub(super) fn of<'t>(trees: impl Iterator<Item = &'t Tree>) -> Needs {
        let mut needs = Needs::default();
        trees.for_each(|tree| needs.list(&tree.root));
        needs
    }

    fn list(&mut self, list: &List) {
        list.nodes.iter().for_each(|node| self.node(node));
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Text { .. } | Node::Break { .. } | Node::Continue { .. } => {}
            Node::Action(pipe) => self.pipe(pipe),
            Node::If(branch) | Node::With(branch) | Node::Range(branch) => {
                self.pipe(&branch.pipe);
                self.list(&branch.list);
                branch.otherwise.iter().for_each(|list| self.list(list));
            }
            Node::Template { pipe, .. } => pipe.iter().for_each(|pipe| self.pipe(pipe)),
        }
    }

    fn pipe(&mut self, pipe: &Pipe) {
        pipe.commands.iter().flat_map(|command| &command.args).for_each(|arg| self.arg(arg));
    }

    fn arg(&mut self, arg: &Arg) {
        match &arg.kind {
            ArgKind::Function(name) => self.others |= LENT.contains(&name.as_str()),
            ArgKind::Variable(names) => self.variable(names),
            ArgKind::Dot => *self = Needs::ALL,
            ArgKind::Field(names) => self.field(names.first()),
            ArgKind::Chain(base, _) => self.arg(base),
            ArgKind::Pipe(pipe) => self.pipe(pipe),
            ArgKind::Nil | ArgKind::Bool(_) | ArgKind::Number(_) | ArgKind::Text { .. } => {}
        }
    }

    /// What a variable of the text itself holds was looked at where it is set.
    fn variable(&mut self, names: &[String]) {
        match names.first().map_or("", String::as_str) {
            "$" => self.field(names.get(1)),
            "$value" => self.value = true,
            "$externalLabels" | "$externalURL" => self.others = true,
            _ => {}
        }
    }

    /// A field of the dot. Where that is something else than the beginning, its parts were looked at
    /// where it is made the dot.
    fn field(&mut self, name: Option<&String>) {
        match name.map(String::as_str) {
            None => *self = Needs::ALL,
            Some("Value") => self.value = true,
            Some("ExternalLabels" | "ExternalURL") => self.others = true,
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::functions::prometheus::FUNCTIONS;
    use super::super::{RULE_VARIABLES, TemplateSet};

    fn needs(text: &str) -> (bool, bool) {
        let set = TemplateSet::new(FUNCTIONS);
        let needs = set.compile("t", text, &RULE_VARIABLES).expect(text).needs();
        (needs.value, needs.others)
    }

    #[test]
    fn texts_of_labels_alone_need_nothing_else() {
        for text in [
            "plain",
            "{{ $labels.a }} {{ .Labels.b }} {{ $.Labels.c | toUpper }}",
            "{{ range $name, $text := $labels }}{{ $name }}={{ $text }}{{ end }}",
            "{{ with $x := .Labels.a }}{{ $x }}{{ else }}{{ reReplaceAll \"a\" \"b\" $labels.c }}{{ end }}",
        ] {
            assert_eq!(needs(text), (false, false), "{text}");
        }
    }

    #[test]
    fn whatever_else_is_looked_at_is_found() {
        for text in [
            "{{ $value }}",
            "{{ .Value | humanize }}",
            "{{ if gt ($.Value) 1.0 }}x{{ end }}",
            "{{ $v := .Value }}{{ $v }}",
            "{{ with $labels.a }}x{{ else }}{{ $value }}{{ end }}",
            "{{ range $labels }}{{ printf \"%v\" $value }}{{ end }}",
            "{{ define \"x\" }}{{ .Value }}{{ end }}",
        ] {
            assert_eq!(needs(text), (true, false), "{text}");
        }
        for text in [
            "{{ $externalLabels.a }}",
            "{{ .ExternalURL }}",
            "{{ $.ExternalLabels.a }}",
            "{{ query \"up\" | first | value }}",
            "{{ now }}",
            "{{ pathPrefix }}",
            "{{ printf \"%s\" (externalURL) }}",
        ] {
            assert_eq!(needs(text), (false, true), "{text}");
        }
        for text in ["{{ . }}", "{{ $ }}", "{{ define \"x\" }}{{ end }}{{ template \"x\" . }}"] {
            assert_eq!(needs(text), (true, true), "{text}");
        }
    }
}
