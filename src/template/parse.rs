//! Tokens to trees, as Go's `text/template/parse` reads them.
//!
//! In: a text, the functions and variables it may name. Out: the tree of the text and of each
//! template it defines. Never here: values.

use std::sync::Arc;

use super::ast::{Arg, ArgKind, Branch, Command, List, Node, Pipe, Tree};
use super::error::TemplateError;
use super::format::quote;
use super::lexer::{self, Keyword, Kind, Shown, Token};
use super::limits::NESTING_MAX;
use super::literal;

/// What a text may name.
pub struct Known<'a> {
    /// Whether there is a function of this name.
    pub is_function: &'a dyn Fn(&str) -> bool,
    /// Variables that exist before the text begins, with their `$`.
    pub variables: &'a [&'a str],
}

/// The tree of `text` itself, then those of the templates it defines, in the order of their ends.
///
/// # Errors
/// [`TemplateError::Parse`].
pub fn parse(name: &str, text: &str, known: &Known<'_>) -> Result<Vec<Tree>, TemplateError> {
    let mut parser = Parser {
        name: name.into(),
        text: text.into(),
        known,
        tokens: lexer::tokens(text),
        at: 0,
        variables: variables_at_start(known),
        range_depth: 0,
        nesting: 0,
        action_line: 0,
        defined: Vec::new(),
    };
    match parser.whole() {
        Ok(root) => {
            let mut trees = vec![parser.tree(name.to_owned(), root)];
            trees.append(&mut parser.defined);
            Ok(trees)
        }
        Err(Bad { line, reason }) => {
            Err(TemplateError::Parse { name: name.to_owned(), line, reason })
        }
    }
}

fn variables_at_start(known: &Known<'_>) -> Vec<String> {
    std::iter::once("$").chain(known.variables.iter().copied()).map(str::to_owned).collect()
}

struct Bad {
    line: u32,
    reason: String,
}

/// What ended a list.
enum Ended {
    End,
    /// `{{else}}`; whether `if` or `with` follows in the same action.
    Else,
}

#[derive(Clone, Copy, PartialEq)]
enum Control {
    If,
    With,
    Range,
}

impl Control {
    fn name(self) -> &'static str {
        match self {
            Control::If => "if",
            Control::With => "with",
            Control::Range => "range",
        }
    }
}

struct Parser<'a> {
    name: Arc<str>,
    text: Arc<str>,
    known: &'a Known<'a>,
    tokens: Vec<Token>,
    at: usize,
    variables: Vec<String>,
    range_depth: u32,
    nesting: usize,
    /// The line of the action being read, 0 outside.
    action_line: u32,
    defined: Vec<Tree>,
}

impl Parser<'_> {
    fn tree(&self, name: String, root: List) -> Tree {
        Tree { name, source_name: self.name.clone(), source: self.text.clone(), root }
    }

    /// The next token; the last one stays.
    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek_non_space(&mut self) -> &Token {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
        self.peek()
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn next_non_space(&mut self) -> Token {
        self.peek_non_space();
        self.next()
    }

    fn source(&self, token: &Token) -> &str {
        &self.text[token.span.clone()]
    }

    /// An error in the line of the token last looked at.
    fn error<T>(&self, reason: impl Into<String>) -> Result<T, Bad> {
        let last = self.at.clamp(1, self.tokens.len()) - 1;
        Err(Bad { line: self.tokens[last].line, reason: reason.into() })
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Result<T, Bad> {
        let shown = Shown { token, text: &self.text };
        let Kind::Error(reason) = &token.kind else {
            return Err(Bad {
                line: token.line,
                reason: format!("unexpected {shown} in {context}"),
            });
        };
        let mut extra = String::new();
        if self.action_line != 0 && self.action_line != token.line {
            let place = format!("started at {}:{}", self.name, self.action_line);
            let joint = if reason.ends_with(" action") { "" } else { " in action" };
            extra = format!("{joint} {place}");
        }
        Err(Bad { line: token.line, reason: format!("{shown}{extra}") })
    }

    fn expect(&mut self, kind: &Kind, context: &str) -> Result<Token, Bad> {
        let token = self.next_non_space();
        match token.kind == *kind {
            true => Ok(token),
            false => self.unexpected(&token, context),
        }
    }

    fn nest(&mut self) -> Result<(), Bad> {
        self.nesting += 1;
        match self.nesting > NESTING_MAX {
            true => self.error(format!("more than {NESTING_MAX} levels of nesting")),
            false => Ok(()),
        }
    }

    /// The whole text, `define`s included.
    fn whole(&mut self) -> Result<List, Bad> {
        let mut list = List::default();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let start = self.at;
                self.at += 1;
                if self.next_non_space().kind == Kind::Keyword(Keyword::Define) {
                    self.definition()?;
                    continue;
                }
                self.at = start;
            }
            match self.text_or_action()? {
                Ok(node) => list.nodes.push(node),
                Err(ended) => return self.error(format!("unexpected {}", ended_text(&ended))),
            }
        }
        Ok(list)
    }

    /// A `define`, its keyword passed.
    fn definition(&mut self) -> Result<(), Bad> {
        const CONTEXT: &str = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(&Kind::RightDelim, CONTEXT)?;
        self.own_tree(name, CONTEXT)
    }

    /// The body of a `define` or `block` as a template of its own.
    fn own_tree(&mut self, name: String, context: &str) -> Result<(), Bad> {
        let outside = std::mem::replace(&mut self.variables, variables_at_start(self.known));
        let range_depth = std::mem::take(&mut self.range_depth);
        let (root, ended) = self.list()?;
        if let Ended::Else = ended {
            return self.error(format!("unexpected {{{{else}}}} in {context}"));
        }
        self.variables = outside;
        self.range_depth = range_depth;
        let tree = self.tree(name, root);
        let known = self.defined.iter().position(|other| other.name == tree.name);
        match known {
            None => self.defined.push(tree),
            Some(i) if self.defined[i].is_empty() => self.defined[i] = tree,
            Some(_) if tree.is_empty() => {}
            Some(_) => {
                let name = quote(&tree.name);
                return self.error(format!("template: multiple definition of template {name}"));
            }
        }
        Ok(())
    }

    /// Nodes up to `{{end}}` or `{{else}}`.
    fn list(&mut self) -> Result<(List, Ended), Bad> {
        self.nest()?;
        let mut list = List::default();
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Ok(node) => list.nodes.push(node),
                Err(ended) => {
                    self.nesting -= 1;
                    return Ok((list, ended));
                }
            }
        }
        self.at += 1;
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Result<Result<Node, Ended>, Bad> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => {
                let text = self.source(&token).into();
                Ok(Ok(Node::Text { at: token.span.start, text }))
            }
            Kind::LeftDelim => {
                self.action_line = token.line;
                let node = self.action();
                self.action_line = 0;
                node
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Result<Result<Node, Ended>, Bad> {
        let start = self.at;
        let token = self.next_non_space();
        let Kind::Keyword(keyword) = token.kind else {
            self.at = start;
            return Ok(Ok(Node::Action(self.pipeline("command", &Kind::RightDelim)?)));
        };
        let node = match keyword {
            Keyword::Block => self.block()?,
            Keyword::Break | Keyword::Continue => self.leave_range(&token, keyword)?,
            Keyword::Else => {
                let next = &self.peek_non_space().kind;
                let goes_on = [Kind::Keyword(Keyword::If), Kind::Keyword(Keyword::With)];
                if !goes_on.contains(next) {
                    self.expect(&Kind::RightDelim, "else")?;
                }
                return Ok(Err(Ended::Else));
            }
            Keyword::End => {
                self.expect(&Kind::RightDelim, "end")?;
                return Ok(Err(Ended::End));
            }
            Keyword::If => Node::If(self.control(Control::If)?),
            Keyword::With => Node::With(self.control(Control::With)?),
            Keyword::Range => Node::Range(self.control(Control::Range)?),
            Keyword::Template => self.template()?,
            Keyword::Dot | Keyword::Define | Keyword::Nil => {
                self.at = start;
                Node::Action(self.pipeline("command", &Kind::RightDelim)?)
            }
        };
        Ok(Ok(node))
    }

    fn leave_range(&mut self, token: &Token, keyword: Keyword) -> Result<Node, Bad> {
        let is_break = keyword == Keyword::Break;
        let word = if is_break { "{{break}}" } else { "{{continue}}" };
        self.expect(&Kind::RightDelim, word)?;
        if self.range_depth == 0 {
            return self.error(format!("{word} outside {{{{range}}}}"));
        }
        let at = token.span.start;
        Ok(if is_break { Node::Break { at } } else { Node::Continue { at } })
    }

    fn block(&mut self) -> Result<Node, Bad> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, &Kind::RightDelim)?;
        self.own_tree(name.clone(), CONTEXT)?;
        Ok(Node::Template { at: token.span.start, name, pipe: Some(pipe) })
    }

    fn template(&mut self) -> Result<Node, Bad> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let mut pipe = None;
        match self.peek_non_space().kind {
            Kind::RightDelim => self.at += 1,
            _ => pipe = Some(self.pipeline(CONTEXT, &Kind::RightDelim)?),
        }
        Ok(Node::Template { at: token.span.start, name, pipe })
    }

    fn template_name(&self, token: &Token, context: &str) -> Result<String, Bad> {
        if !matches!(token.kind, Kind::Quoted | Kind::RawString) {
            return self.unexpected(token, context);
        }
        literal::unquote(self.source(token)).or_else(|reason| self.error(reason))
    }

    fn control(&mut self, control: Control) -> Result<Branch, Bad> {
        let outside = self.variables.len();
        let pipe = self.pipeline(control.name(), &Kind::RightDelim)?;
        self.range_depth += u32::from(control == Control::Range);
        let (list, ended) = self.list()?;
        self.range_depth -= u32::from(control == Control::Range);
        let otherwise = match ended {
            Ended::End => None,
            Ended::Else => Some(self.otherwise(control)?),
        };
        self.variables.truncate(outside);
        Ok(Branch { pipe, list, otherwise })
    }

    /// What follows `{{else`.
    fn otherwise(&mut self, control: Control) -> Result<List, Bad> {
        let next = self.peek_non_space().kind.clone();
        let node = match (control, next) {
            (Control::If, Kind::Keyword(Keyword::If)) => self.chained(Control::If).map(Node::If)?,
            (Control::With, Kind::Keyword(Keyword::With)) => {
                self.chained(Control::With).map(Node::With)?
            }
            _ => {
                let (list, ended) = self.list()?;
                return match ended {
                    Ended::End => Ok(list),
                    Ended::Else => self.error("expected end; found {{else}}"),
                };
            }
        };
        Ok(List { nodes: vec![node] })
    }

    /// `if` or `with` behind `else`; it shares the `{{end}}`.
    fn chained(&mut self, control: Control) -> Result<Branch, Bad> {
        self.at += 1;
        self.nest()?;
        let branch = self.control(control)?;
        self.nesting -= 1;
        Ok(branch)
    }

    fn pipeline(&mut self, context: &str, end: &Kind) -> Result<Pipe, Bad> {
        let at = self.peek_non_space().span.start;
        let mut pipe = Pipe { at, is_assign: false, variables: Vec::new(), commands: Vec::new() };
        self.declarations(context, &mut pipe)?;
        loop {
            let start = self.at;
            let token = self.next_non_space();
            if token.kind == *end {
                self.check_pipeline(&pipe, context)?;
                return Ok(pipe);
            }
            match token.kind {
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Keyword(Keyword::Dot | Keyword::Nil)
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::RawString
                | Kind::Quoted
                | Kind::Variable
                | Kind::LeftParen => {
                    self.at = start;
                    pipe.commands.push(self.command()?);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    /// `$x :=`, `$x =` or `$i, $x :=` at the start of a pipeline.
    fn declarations(&mut self, context: &str, pipe: &mut Pipe) -> Result<(), Bad> {
        while self.peek_non_space().kind == Kind::Variable {
            let start = self.at;
            let name = self.next();
            let name = self.source(&name).to_owned();
            let next = self.peek_non_space().clone();
            let is_comma = next.kind == Kind::Char && self.source(&next) == ",";
            if !is_comma && !matches!(next.kind, Kind::Assign | Kind::Declare) {
                self.at = start;
                return Ok(());
            }
            self.at += 1;
            pipe.variables.push(name.clone());
            self.variables.push(name);
            if !is_comma {
                pipe.is_assign = next.kind == Kind::Assign;
                return Ok(());
            }
            if context != "range" || pipe.variables.len() > 1 {
                return self.error(format!("too many declarations in {context}"));
            }
            let follows = &self.peek_non_space().kind;
            if !matches!(follows, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                return self.error("range can only initialize variables");
            }
        }
        Ok(())
    }

    fn check_pipeline(&self, pipe: &Pipe, context: &str) -> Result<(), Bad> {
        if pipe.commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (i, command) in pipe.commands.iter().enumerate().skip(1) {
            let is_value = matches!(
                command.args[0].kind,
                ArgKind::Bool(_)
                    | ArgKind::Dot
                    | ArgKind::Nil
                    | ArgKind::Number(_)
                    | ArgKind::Text { .. }
            );
            if is_value {
                let stage = i + 1;
                return self.error(format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command, Bad> {
        let at = self.peek_non_space().span.start;
        let mut args = Vec::new();
        loop {
            self.peek_non_space();
            args.extend(self.operand()?);
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelim | Kind::RightParen => {
                    self.at -= 1;
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(&token, "operand"),
            }
        }
        if args.is_empty() {
            return self.error("empty command");
        }
        Ok(Command { at, args })
    }

    /// A term and the fields behind it, if one begins here.
    fn operand(&mut self) -> Result<Option<Arg>, Bad> {
        let Some(term) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(term));
        }
        let at = self.peek().span.start;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            let token = self.next();
            names.push(self.source(&token)[1..].to_owned());
        }
        let kind = match term.kind {
            ArgKind::Field(mut own) => {
                own.extend(names);
                ArgKind::Field(own)
            }
            ArgKind::Variable(mut own) => {
                own.extend(names);
                ArgKind::Variable(own)
            }
            ArgKind::Bool(_)
            | ArgKind::Text { .. }
            | ArgKind::Number(_)
            | ArgKind::Nil
            | ArgKind::Dot => {
                return self.error(format!("unexpected . after term {}", quote(&term.to_string())));
            }
            _ => ArgKind::Chain(Box::new(term), names),
        };
        Ok(Some(Arg { at, kind }))
    }

    fn term(&mut self) -> Result<Option<Arg>, Bad> {
        let start = self.at;
        let token = self.next_non_space();
        let source = self.source(&token).to_owned();
        let kind = match token.kind {
            Kind::Identifier => {
                if !(self.known.is_function)(&source) {
                    return self.error(format!("function {} not defined", quote(&source)));
                }
                ArgKind::Function(source)
            }
            Kind::Keyword(Keyword::Dot) => ArgKind::Dot,
            Kind::Keyword(Keyword::Nil) => ArgKind::Nil,
            Kind::Variable => {
                if !self.variables.contains(&source) {
                    return self.error(format!("undefined variable {}", quote(&source)));
                }
                ArgKind::Variable(vec![source])
            }
            Kind::Field => ArgKind::Field(vec![source[1..].to_owned()]),
            Kind::Bool => ArgKind::Bool(source == "true"),
            Kind::CharConstant => {
                ArgKind::Number(literal::character(&source).or_else(|e| self.error(e))?)
            }
            Kind::Complex => return self.error("complex numbers are not supported"),
            Kind::Number if source.ends_with('i') => {
                return self.error("complex numbers are not supported");
            }
            Kind::Number => ArgKind::Number(literal::number(&source).or_else(|e| self.error(e))?),
            Kind::LeftParen => {
                if self.nesting >= NESTING_MAX {
                    return self.error("max expression depth exceeded");
                }
                self.nesting += 1;
                let pipe = self.pipeline("parenthesized pipeline", &Kind::RightParen)?;
                self.nesting -= 1;
                ArgKind::Pipe(pipe)
            }
            Kind::Quoted | Kind::RawString => {
                let text = literal::unquote(&source).or_else(|e| self.error(e))?;
                ArgKind::Text { source, text: text.into() }
            }
            _ => {
                self.at = start;
                return Ok(None);
            }
        };
        Ok(Some(Arg { at: token.span.start, kind }))
    }
}

fn ended_text(ended: &Ended) -> &'static str {
    match ended {
        Ended::End => "{{end}}",
        Ended::Else => "{{else}}",
    }
}
