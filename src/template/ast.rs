//! What a template's text says, with the position of every part; each part displays as its source.

use std::fmt;
use std::sync::Arc;

/// One parsed template: the text given under a name, or a `define`d part of it.
#[derive(Debug)]
pub struct Tree {
    /// The name it is called by.
    pub name: String,
    /// The name of the whole text, for errors.
    pub source_name: Arc<str>,
    /// The whole text, for errors.
    pub source: Arc<str>,
    /// What it consists of.
    pub root: List,
}

impl Tree {
    /// Line from 1 and bytes before `at` in it.
    pub fn line_and_column(&self, at: usize) -> (u32, u32) {
        let before = &self.source.as_bytes()[..at.min(self.source.len())];
        let lines = before.iter().filter(|b| **b == b'\n').count();
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (number(lines + 1), number(before.len() - line_start))
    }

    /// Whether nothing but white space is in it.
    pub fn is_empty(&self) -> bool {
        self.root
            .nodes
            .iter()
            .all(|node| matches!(node, Node::Text { text, .. } if text.trim().is_empty()))
    }
}

/// Texts and actions one after the other.
#[derive(Debug, Default)]
pub struct List {
    /// The parts.
    pub nodes: Vec<Node>,
}

/// A text or an action.
#[derive(Debug)]
pub enum Node {
    /// Text that goes out as it is.
    Text {
        /// Where.
        at: usize,
        /// The text.
        text: Box<str>,
    },
    /// A pipeline whose value goes out.
    Action(Pipe),
    /// `{{if}}`
    If(Branch),
    /// `{{with}}`
    With(Branch),
    /// `{{range}}`
    Range(Branch),
    /// `{{template}}`, also in place of `{{block}}`.
    Template {
        /// Where.
        at: usize,
        /// The template called.
        name: String,
        /// Its data.
        pipe: Option<Pipe>,
    },
    /// `{{break}}`
    Break {
        /// Where.
        at: usize,
    },
    /// `{{continue}}`
    Continue {
        /// Where.
        at: usize,
    },
}

/// `{{if}}`, `{{with}}` or `{{range}}`.
#[derive(Debug)]
pub struct Branch {
    /// What decides.
    pub pipe: Pipe,
    /// What is executed if it holds, or for each item.
    pub list: List,
    /// What is executed otherwise.
    pub otherwise: Option<List>,
}

/// Commands, each taking the value of the one before as its last argument.
#[derive(Debug)]
pub struct Pipe {
    /// Where.
    pub at: usize,
    /// Whether `=` rather than `:=` follows the variables.
    pub is_assign: bool,
    /// Variables set to the value, with their `$`.
    pub variables: Vec<String>,
    /// At least one.
    pub commands: Vec<Command>,
}

/// A function, method or value, and its arguments.
#[derive(Debug)]
pub struct Command {
    /// Where.
    pub at: usize,
    /// At least one.
    pub args: Vec<Arg>,
}

/// One word of a command.
#[derive(Debug)]
pub struct Arg {
    /// Where.
    pub at: usize,
    /// What it is.
    pub kind: ArgKind,
}

/// What a word of a command is.
#[derive(Debug)]
pub enum ArgKind {
    /// A function.
    Function(String),
    /// A variable with its `$`, and fields behind it.
    Variable(Vec<String>),
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// `.a.b`
    Field(Vec<String>),
    /// Fields of any other expression.
    Chain(Box<Arg>, Vec<String>),
    /// `true` or `false`.
    Bool(bool),
    /// A number or character constant.
    Number(Number),
    /// A text with its source.
    Text {
        /// As written.
        source: String,
        /// What it means.
        text: Arc<str>,
    },
    /// A pipeline in parentheses.
    Pipe(Pipe),
}

/// A number constant in every type that can hold it.
#[derive(Clone, Debug)]
pub struct Number {
    /// As written.
    pub source: String,
    /// As integer.
    pub int: Option<i64>,
    /// As floating-point number.
    pub float: Option<f64>,
}

fn fields(f: &mut fmt::Formatter<'_>, names: &[String]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, ".{name}"))
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ArgKind::Function(name) => f.write_str(name),
            ArgKind::Variable(names) => f.write_str(&names.join(".")),
            ArgKind::Dot => f.write_str("."),
            ArgKind::Nil => f.write_str("nil"),
            ArgKind::Field(names) => fields(f, names),
            ArgKind::Chain(base, names) => {
                match &base.kind {
                    ArgKind::Pipe(pipe) => write!(f, "({pipe})")?,
                    _ => write!(f, "{base}")?,
                }
                fields(f, names)
            }
            ArgKind::Bool(value) => write!(f, "{value}"),
            ArgKind::Number(number) => f.write_str(&number.source),
            ArgKind::Text { source, .. } => f.write_str(source),
            ArgKind::Pipe(pipe) => write!(f, "{pipe}"),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            match &arg.kind {
                ArgKind::Pipe(pipe) => write!(f, "({pipe})")?,
                _ => write!(f, "{arg}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.is_assign { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.variables.join(", "))?;
        }
        for (i, command) in self.commands.iter().enumerate() {
            if i > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{command}")?;
        }
        Ok(())
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nodes.iter().try_for_each(|node| write!(f, "{node}"))
    }
}

impl Branch {
    fn write(&self, f: &mut fmt::Formatter<'_>, word: &str) -> fmt::Result {
        write!(f, "{{{{{word} {}}}}}{}", self.pipe, self.list)?;
        if let Some(otherwise) = &self.otherwise {
            write!(f, "{{{{else}}}}{otherwise}")?;
        }
        f.write_str("{{end}}")
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Text { text, .. } => f.write_str(text),
            Node::Action(pipe) => write!(f, "{{{{{pipe}}}}}"),
            Node::If(branch) => branch.write(f, "if"),
            Node::With(branch) => branch.write(f, "with"),
            Node::Range(branch) => branch.write(f, "range"),
            Node::Template { name, pipe: None, .. } => write!(f, "{{{{template {name:?}}}}}"),
            Node::Template { name, pipe: Some(pipe), .. } => {
                write!(f, "{{{{template {name:?} {pipe}}}}}")
            }
            Node::Break { .. } => f.write_str("{{break}}"),
            Node::Continue { .. } => f.write_str("{{continue}}"),
        }
    }
}

impl Node {
    /// Where it is in the text.
    pub fn at(&self) -> usize {
        match self {
            Node::Action(pipe) => pipe.at,
            Node::If(branch) | Node::With(branch) | Node::Range(branch) => branch.pipe.at,
            Node::Text { at, .. }
            | Node::Template { at, .. }
            | Node::Break { at }
            | Node::Continue { at } => *at,
        }
    }
}
