//! Executes a tree, as Go's `text/template` does.
//!
//! In: a tree, data, functions, limits. Out: text, or where and why it stopped. Never here: parsing,
//! what the functions do.

use std::fmt;

use super::ast::{Arg, ArgKind, Branch, Command, List, Node, Number, Pipe, Tree};
use super::error::TemplateError;
use super::format::{self, quote};
use super::functions::{Call, Function, Method, Param, builtin};
use super::html::Sink;
use super::limits::DEPTH_MAX;
use super::value::Value;

/// Where templates called by name and functions are found.
pub trait Lookup {
    /// The template of this name.
    fn tree(&self, name: &str) -> Option<&Tree>;
    /// The function of this name.
    fn function(&self, name: &str) -> Option<&'static Function>;
}

/// Executes `tree` with `data` as the dot; `variables` exist beforehand, named with their `$`.
///
/// # Errors
/// [`TemplateError::Execute`].
pub fn execute<'t>(
    tree: &'t Tree,
    lookup: &'t dyn Lookup,
    data: Value,
    variables: &[(&'t str, Value)],
    call: Call<'_>,
    sink: Sink,
) -> Result<String, TemplateError> {
    let mut vars: Vec<(&str, Value)> = Vec::with_capacity(variables.len() + 1);
    vars.push(("$", data.clone()));
    vars.extend_from_slice(variables);
    let mut state = State { lookup, call, sink, vars, tree, here: Part::Start, depth: 0 };
    state.list(&data, &tree.root).map_err(|e| *e)?;
    Ok(state.sink.into_string())
}

type Fallible<T> = Result<T, Box<TemplateError>>;

/// How a list ended.
enum Flow {
    Onward,
    Break,
    Continue,
}

/// The part of a tree that is being executed.
#[derive(Clone, Copy)]
enum Part<'t> {
    Start,
    Node(&'t Node),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Arg(&'t Arg),
}

impl Part<'_> {
    fn at(&self) -> usize {
        match self {
            Part::Start => 0,
            Part::Node(node) => node.at(),
            Part::Pipe(pipe) => pipe.at,
            Part::Command(command) => command.at,
            Part::Arg(arg) => arg.at,
        }
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Start => Ok(()),
            Part::Node(node) => write!(f, "{node}"),
            Part::Pipe(pipe) => write!(f, "{pipe}"),
            Part::Command(command) => write!(f, "{command}"),
            Part::Arg(arg) => write!(f, "{arg}"),
        }
    }
}

/// Longest part that an error quotes, in characters.
const PART_CHARS_MAX: usize = 200;

struct State<'t, 'c> {
    lookup: &'t dyn Lookup,
    call: Call<'c>,
    sink: Sink,
    vars: Vec<(&'t str, Value)>,
    tree: &'t Tree,
    here: Part<'t>,
    depth: usize,
}

impl<'t> State<'t, '_> {
    fn error<T>(&self, reason: impl Into<String>) -> Fallible<T> {
        let (line, column) = self.tree.line_and_column(self.here.at());
        let mut part = self.here.to_string();
        if let Some((end, _)) = part.char_indices().nth(PART_CHARS_MAX) {
            part.truncate(end);
            part.push_str("...");
        }
        Err(Box::new(TemplateError::Execute {
            name: self.tree.source_name.to_string(),
            line,
            column,
            executing: self.tree.name.clone(),
            part,
            reason: reason.into(),
        }))
    }

    /// Counts a step at `part`.
    fn step(&mut self, part: Part<'t>) -> Fallible<()> {
        self.here = part;
        self.call.budget.step().or_else(|limit| self.error(limit.to_string()))
    }

    fn deeper(&mut self) -> Fallible<()> {
        self.depth += 1;
        match self.depth > DEPTH_MAX {
            true => self.error(format!("exceeded maximum template depth ({DEPTH_MAX})")),
            false => Ok(()),
        }
    }

    fn list(&mut self, dot: &Value, list: &'t List) -> Fallible<Flow> {
        self.deeper()?;
        for node in &list.nodes {
            match self.node(dot, node)? {
                Flow::Onward => {}
                flow => {
                    self.depth -= 1;
                    return Ok(flow);
                }
            }
        }
        self.depth -= 1;
        Ok(Flow::Onward)
    }

    fn node(&mut self, dot: &Value, node: &'t Node) -> Fallible<Flow> {
        self.step(Part::Node(node))?;
        match node {
            Node::Text { text, .. } => {
                self.sink.text(text).or_else(|limit| self.error(limit.to_string()))?;
            }
            Node::Action(pipe) => {
                let value = self.pipe(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.here = Part::Node(node);
                    self.sink.value(&value).or_else(|limit| self.error(limit.to_string()))?;
                }
            }
            Node::If(branch) => return self.if_or_with(dot, branch, false),
            Node::With(branch) => return self.if_or_with(dot, branch, true),
            Node::Range(branch) => return self.range(dot, node, branch),
            Node::Template { name, pipe, .. } => self.template(dot, name, pipe.as_ref())?,
            Node::Break { .. } => return Ok(Flow::Break),
            Node::Continue { .. } => return Ok(Flow::Continue),
        }
        Ok(Flow::Onward)
    }

    fn if_or_with(&mut self, dot: &Value, branch: &'t Branch, is_with: bool) -> Fallible<Flow> {
        let mark = self.vars.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let flow = match (value.is_true(), &branch.otherwise) {
            (true, _) => self.list(if is_with { &value } else { dot }, &branch.list)?,
            (false, Some(otherwise)) => self.list(dot, otherwise)?,
            (false, None) => Flow::Onward,
        };
        self.vars.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, dot: &Value, node: &'t Node, branch: &'t Branch) -> Fallible<Flow> {
        let mark = self.vars.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let mut rounds = Rounds { state: self, node, branch, count: 0 };
        match &value {
            Value::Int(count) | Value::Duration(count) | Value::Named(_, count, _) => {
                if branch.pipe.variables.len() > 1 {
                    let text = "to iterate over more than one variable";
                    return self.error(format!("can't use {count} {text}"));
                }
                let mut i = 0;
                while i < *count && rounds.one(Value::Nil, &Value::Int(i))? {
                    i += 1;
                }
            }
            Value::List(list) => {
                for (i, item) in list.items.iter().enumerate() {
                    let index = Value::Int(i64::try_from(i).unwrap_or(i64::MAX));
                    if !rounds.one(index, item)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (name, item) in &map.entries {
                    if !rounds.one(Value::Text(name.clone()), item)? {
                        break;
                    }
                }
            }
            Value::Nil => {}
            other => {
                let text = self.printed(other);
                return self.error(format!("range can't iterate over {text}"));
            }
        }
        let is_empty = rounds.count == 0;
        let flow = match &branch.otherwise {
            Some(otherwise) if is_empty => self.list(dot, otherwise)?,
            _ => Flow::Onward,
        };
        self.vars.truncate(mark);
        Ok(flow)
    }

    fn printed(&self, value: &Value) -> String {
        let mut text = self.call.text();
        match format::print(&mut text, value) {
            Ok(()) => text.into_string(),
            Err(limit) => limit.to_string(),
        }
    }

    fn template(&mut self, dot: &Value, name: &str, pipe: Option<&'t Pipe>) -> Fallible<()> {
        let Some(tree) = self.lookup.tree(name) else {
            return self.error(format!("template {} not defined", quote(name)));
        };
        self.deeper()?;
        let data = match pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Value::Nil,
        };
        let own = vec![("$", data.clone())];
        let outside = (std::mem::replace(&mut self.vars, own), self.tree);
        self.tree = tree;
        self.list(&data, &tree.root)?;
        (self.vars, self.tree) = outside;
        self.depth -= 1;
        Ok(())
    }

    fn pipe(&mut self, dot: &Value, pipe: &'t Pipe) -> Fallible<Value> {
        self.step(Part::Pipe(pipe))?;
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or_default();
        for name in &pipe.variables {
            match pipe.is_assign {
                true => self.assign(name, value.clone())?,
                false => self.vars.push((name, value.clone())),
            }
        }
        Ok(value)
    }

    fn assign(&mut self, name: &str, value: Value) -> Fallible<()> {
        match self.vars.iter_mut().rev().find(|(own, _)| *own == name) {
            Some((_, slot)) => {
                *slot = value;
                Ok(())
            }
            None => self.error(format!("undefined variable: {name}")),
        }
    }

    fn variable(&self, name: &str) -> Fallible<Value> {
        match self.vars.iter().rev().find(|(own, _)| *own == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.error(format!("undefined variable: {name}")),
        }
    }

    /// The value of a command; `last` is that of the one before it.
    fn command(
        &mut self,
        dot: &Value,
        command: &'t Command,
        last: Option<Value>,
    ) -> Fallible<Value> {
        let word = &command.args[0];
        let args = Args { words: &command.args[1..], last };
        if !matches!(word.kind, ArgKind::Pipe(_)) {
            self.step(Part::Arg(word))?;
        }
        match &word.kind {
            ArgKind::Function(name) => self.function(dot, name, Part::Command(command), args),
            ArgKind::Field(names) => self.fields(dot, dot.clone(), names, Part::Arg(word), args),
            ArgKind::Chain(base, names) => {
                let base = self.base(dot, base)?;
                self.fields(dot, base, names, Part::Arg(word), args)
            }
            ArgKind::Variable(names) if names.len() > 1 => {
                let base = self.variable(&names[0])?;
                self.fields(dot, base, &names[1..], Part::Arg(word), args)
            }
            ArgKind::Variable(names) => {
                let value = self.variable(&names[0])?;
                match args.is_empty() {
                    true => Ok(value),
                    false => self.error(format!("can't give argument to non-function {word}")),
                }
            }
            ArgKind::Nil if args.is_empty() => self.error("nil is not a command"),
            _ if !args.is_empty() => {
                self.error(format!("can't give argument to non-function {word}"))
            }
            _ => self.plain(dot, word),
        }
    }

    /// What the fields of a chain are of.
    fn base(&mut self, dot: &Value, base: &'t Arg) -> Fallible<Value> {
        match base.kind {
            ArgKind::Nil => self.error("indirection through explicit nil in nil"),
            _ => self.arg(dot, base, Param::Any),
        }
    }

    /// A word that is not called with arguments.
    fn plain(&mut self, dot: &Value, word: &'t Arg) -> Fallible<Value> {
        self.step(Part::Arg(word))?;
        let args = Args { words: &[], last: None };
        match &word.kind {
            ArgKind::Function(name) => self.function(dot, name, Part::Arg(word), args),
            ArgKind::Variable(names) => {
                let base = self.variable(&names[0])?;
                match names.len() {
                    1 => Ok(base),
                    _ => self.fields(dot, base, &names[1..], Part::Arg(word), args),
                }
            }
            ArgKind::Dot => Ok(dot.clone()),
            ArgKind::Nil => Ok(Value::Nil),
            ArgKind::Field(names) => self.fields(dot, dot.clone(), names, Part::Arg(word), args),
            ArgKind::Chain(base, names) => {
                let base = self.base(dot, base)?;
                self.fields(dot, base, names, Part::Arg(word), args)
            }
            ArgKind::Bool(value) => Ok(Value::Bool(*value)),
            ArgKind::Number(number) => self.number(number),
            ArgKind::Text { text, .. } => Ok(Value::Text(text.clone())),
            ArgKind::Pipe(pipe) => {
                self.deeper()?;
                let value = self.pipe(dot, pipe)?;
                self.depth -= 1;
                Ok(value)
            }
        }
    }

    /// A number constant where any type will do.
    fn number(&self, number: &Number) -> Fallible<Value> {
        let source = &number.source;
        let is_hex = source.starts_with("0x") || source.starts_with("0X");
        let is_float = match is_hex || source.starts_with('\'') {
            true => !source.starts_with('\'') && source.contains(['p', 'P']),
            false => source.contains(['.', 'e', 'E', 'p', 'P']),
        };
        match (number.int, number.float) {
            (_, Some(float)) if is_float => Ok(Value::Float(float)),
            (Some(int), _) => Ok(Value::Int(int)),
            _ => self.error(format!("{source} overflows int")),
        }
    }

    /// An argument for `param`.
    fn arg(&mut self, dot: &Value, word: &'t Arg, param: Param) -> Fallible<Value> {
        self.step(Part::Arg(word))?;
        let expected = match (&word.kind, param) {
            (_, Param::Any) => None,
            (ArgKind::Nil, _) if param.takes_nil() => return Ok(Value::Nil),
            (ArgKind::Nil, _) => {
                return self.error(format!("cannot assign nil to {}", param.type_name()));
            }
            (ArgKind::Number(number), Param::Int) => match number.int {
                Some(int) => return Ok(Value::Int(int)),
                None => Some("integer"),
            },
            (ArgKind::Number(Number { int: Some(ns), .. }), Param::Of("time.Duration")) => {
                return Ok(Value::Duration(*ns));
            }
            (ArgKind::Bool(_) | ArgKind::Number(_), Param::Text) => Some("string"),
            (ArgKind::Bool(_) | ArgKind::Text { .. }, Param::Int) => Some("integer"),
            (ArgKind::Bool(_) | ArgKind::Number(_) | ArgKind::Text { .. }, other)
                if other != Param::Text =>
            {
                let name = other.type_name();
                return self.error(format!("can't handle {word} for arg of type {name}"));
            }
            _ => None,
        };
        if let Some(expected) = expected {
            return self.error(format!("expected {expected}; found {word}"));
        }
        let value = self.plain(dot, word)?;
        self.checked(value, param)
    }

    fn checked(&self, value: Value, param: Param) -> Fallible<Value> {
        let name = param.type_name();
        match &value {
            Value::Nil if param.takes_nil() => Ok(value),
            Value::Nil => self.error(format!("invalid value; expected {name}")),
            _ if param.takes(&value) => Ok(value),
            other => {
                let got = other.type_name();
                self.error(format!("wrong type for value; expected {name}; got {got}"))
            }
        }
    }

    fn function(
        &mut self,
        dot: &Value,
        name: &str,
        part: Part<'t>,
        args: Args<'t>,
    ) -> Fallible<Value> {
        let Some(function) = self.lookup.function(name) else {
            return self.error(format!("{} is not a defined function", quote(name)));
        };
        self.count_fits(name, function.params, function.rest, &args)?;
        if matches!(name, "and" | "or") && builtin::FUNCTIONS.iter().any(|f| f.name == name) {
            return self.and_or(dot, name == "or", args);
        }
        let callee = args.words.first();
        let values = self.values(dot, function.params, function.rest, args)?;
        let result = (function.call)(&mut self.call, &values).map_err(|reason| match name {
            "call" if let Some(callee) = callee => {
                reason.replace("non-function", &format!("non-function {callee}"))
            }
            _ => reason,
        });
        self.result(result, name, part)
    }

    fn result(
        &mut self,
        result: Result<Value, String>,
        name: &str,
        part: Part<'t>,
    ) -> Fallible<Value> {
        result.or_else(|reason| {
            self.here = part;
            self.error(format!("error calling {name}: {reason}"))
        })
    }

    fn count_fits(
        &self,
        name: &str,
        params: &[Param],
        rest: Option<Param>,
        args: &Args<'_>,
    ) -> Fallible<()> {
        let (want, got) = (params.len(), args.len());
        match rest {
            Some(_) if got < want => {
                let got = args.words.len();
                let text = format!("want at least {want} got {got}");
                self.error(format!("wrong number of args for {name}: {text}"))
            }
            None if got != want => {
                self.error(format!("wrong number of args for {name}: want {want} got {got}"))
            }
            _ => Ok(()),
        }
    }

    /// The first argument that decides, or the last.
    fn and_or(&mut self, dot: &Value, is_or: bool, args: Args<'t>) -> Fallible<Value> {
        let mut value = Value::Nil;
        for word in args.words {
            value = self.arg(dot, word, Param::Any)?;
            if value.is_true() == is_or {
                return Ok(value);
            }
        }
        Ok(args.last.unwrap_or(value))
    }

    fn values(
        &mut self,
        dot: &Value,
        params: &[Param],
        rest: Option<Param>,
        args: Args<'t>,
    ) -> Fallible<Vec<Value>> {
        let param = |i: usize| params.get(i).copied().or(rest).unwrap_or(Param::Any);
        let mut values = Vec::with_capacity(args.len());
        for (i, word) in args.words.iter().enumerate() {
            values.push(self.arg(dot, word, param(i))?);
        }
        if let Some(last) = args.last {
            values.push(self.checked(last, param(args.words.len()))?);
        }
        Ok(values)
    }

    /// Fields of fields of `base`; the last may be a method with arguments.
    fn fields(
        &mut self,
        dot: &Value,
        base: Value,
        names: &'t [String],
        part: Part<'t>,
        args: Args<'t>,
    ) -> Fallible<Value> {
        let (last, first) = names.split_last().expect("BUG: a chain has a field");
        let (mut value, mut is_any) = (base, false);
        for name in first {
            let none = Args { words: &[], last: None };
            let next = self.field(dot, &Receiver { value: &value, is_any }, name, part, none)?;
            is_any = matches!(&value, Value::Map(map) if !map.holds_texts);
            value = next;
        }
        self.field(dot, &Receiver { value: &value, is_any }, last, part, args)
    }

    fn field(
        &mut self,
        dot: &Value,
        receiver: &Receiver<'_>,
        name: &str,
        part: Part<'t>,
        args: Args<'t>,
    ) -> Fallible<Value> {
        let value = receiver.value;
        if let Value::Nil = value {
            return match receiver.is_any {
                true => self.error(format!("nil pointer evaluating {ANY}.{name}")),
                false => Ok(Value::Nil),
            };
        }
        let method: Option<&'static Method> = value.methods().iter().find(|m| m.name == name);
        if let Some(method) = method {
            self.count_fits(name, method.params, None, &args)?;
            let values = self.values(dot, method.params, None, args)?;
            let result = (method.call)(&mut self.call, value, &values);
            return self.result(result, name, part);
        }
        match value {
            Value::Record(record) if let Some(field) = record.field(name) => {
                match args.is_empty() {
                    true => Ok(field.clone()),
                    false => self
                        .error(format!("{name} has arguments but cannot be invoked as function")),
                }
            }
            Value::Map(map) => match args.is_empty() {
                true => Ok(map.get_or_zero(name)),
                false => self.error(format!("{name} is not a method but has arguments")),
            },
            other => {
                let type_name = if receiver.is_any { ANY } else { other.type_name() };
                self.error(format!("can't evaluate field {name} in type {type_name}"))
            }
        }
    }
}

/// The type of what may be anything.
const ANY: &str = "interface {}";

/// What a field is asked of.
struct Receiver<'v> {
    value: &'v Value,
    /// Whether it comes from a map of anything, whose type errors then show.
    is_any: bool,
}

/// The words behind a function's name, and the value of the command before.
struct Args<'t> {
    words: &'t [Arg],
    last: Option<Value>,
}

impl Args<'_> {
    fn len(&self) -> usize {
        self.words.len() + usize::from(self.last.is_some())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The rounds of a `range`.
struct Rounds<'s, 't, 'c> {
    state: &'s mut State<'t, 'c>,
    node: &'t Node,
    branch: &'t Branch,
    count: usize,
}

impl Rounds<'_, '_, '_> {
    /// One round with this item; whether there may be another.
    fn one(&mut self, index: Value, item: &Value) -> Fallible<bool> {
        self.count += 1;
        let state = &mut *self.state;
        state.step(Part::Node(self.node))?;
        let mark = state.vars.len();
        let pipe = &self.branch.pipe;
        let set: &[(usize, &Value)] = match pipe.variables.len() {
            0 => &[],
            1 => &[(0, item)],
            _ => &[(0, &index), (1, item)],
        };
        for (i, value) in set {
            match pipe.is_assign {
                true => state.assign(&pipe.variables[*i], (*value).clone())?,
                // The pipeline declared them last.
                false => {
                    let at = mark - pipe.variables.len() + i;
                    state.vars[at].1 = (*value).clone();
                }
            }
        }
        let flow = state.list(item, &self.branch.list)?;
        state.vars.truncate(mark);
        Ok(!matches!(flow, Flow::Break))
    }
}
