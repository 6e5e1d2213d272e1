//! Go's `text/template` and `html/template`, as far as rule files and Alertmanager's templates use
//! them, with the functions of both products.
//!
//! In: texts with `{{ }}` actions, data as [`Value`]s, and a [`Host`] that lends the time and the
//! answers to queries. Out: text, or an error that names template, line and column. Execution ends
//! within [`Limits`]. Never here: files, clocks, networks.
//!
//! ```text
//! let set = TemplateSet::new(functions::alertmanager::FUNCTIONS);
//! set.add("team.tmpl", r#"{{ define "team.text" }}{{ .Status }}{{ end }}"#)?;
//! let text = set.expand("", r#"{{ template "team.text" . }}"#, &run)?;
//! ```

mod ast;
pub mod data;
mod error;
mod exec;
mod float_text;
mod format;
pub mod functions;
mod html;
mod json;
mod lexer;
mod limits;
mod literal;
mod needs;
mod parse;
pub mod time;
pub mod value;

use std::collections::HashMap;
use std::sync::Arc;

use ast::Tree;
pub use data::{AlertData, NotificationData, RULE_VARIABLES, RuleData};
pub use error::TemplateError;
use exec::Lookup;
pub use format::quote as go_quote;
pub use functions::{AtTime, Function, Functions, Host, QuerySample, SampleValue};
use functions::{Call, builtin};
pub use html::Escaping;
use html::Sink;
use limits::Budget;
pub use limits::Limits;
pub use needs::Needs;
pub use value::Value;

/// What an execution is given.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The dot.
    pub data: &'a Value,
    /// Variables that exist beforehand, named with their `$`.
    pub variables: &'a [(&'a str, Value)],
    /// What the functions are lent.
    pub host: &'a dyn Host,
    /// Whether values are escaped.
    pub escaping: Escaping,
}

/// Templates that can call each other, and the functions they may use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TemplateSet {
    functions: FunctionTable,
    trees: HashMap<String, Arc<Tree>>,
    limits: Limits,
}

/// A parsed text that is not part of a set but may call its templates. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    trees: HashMap<String, Arc<Tree>>,
}

impl Template {
    /// What its result depends on, for a text of a rule that calls no templates of a set.
    pub fn needs(&self) -> Needs {
        Needs::of(self.trees.values().map(|tree| &**tree))
    }
}

#[derive(Clone, Copy)]
struct FunctionTable(Functions);

impl std::fmt::Debug for FunctionTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|function| function.name)).finish()
    }
}

impl FunctionTable {
    fn get(self, name: &str) -> Option<&'static Function> {
        self.0.iter().chain(builtin::FUNCTIONS).find(|function| function.name == name)
    }
}

impl TemplateSet {
    /// An empty set whose templates may call these functions, and Go's own.
    pub fn new(functions: Functions) -> TemplateSet {
        TemplateSet::with_limits(functions, Limits::default())
    }

    /// As [`Self::new`], with limits other than the usual ones.
    pub fn with_limits(functions: Functions, limits: Limits) -> TemplateSet {
        TemplateSet { functions: FunctionTable(functions), trees: HashMap::new(), limits }
    }

    /// Adds the template `name` and those that `text` defines. Templates of names known before are
    /// replaced, unless the new one is empty.
    ///
    /// # Errors
    /// [`TemplateError::Parse`], [`TemplateError::TooLarge`]; then the set is as it was.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), TemplateError> {
        for tree in self.parse(name, text, &[])? {
            let is_known = self.trees.contains_key(&tree.name);
            if !(is_known && tree.is_empty()) {
                self.trees.insert(tree.name.clone(), Arc::new(tree));
            }
        }
        Ok(())
    }

    /// Parses a text without adding it. `variables` may be used in it: named with their `$`, they
    /// have to be given to [`Self::execute`].
    ///
    /// # Errors
    /// [`TemplateError::Parse`], [`TemplateError::TooLarge`].
    pub fn compile(
        &self,
        name: &str,
        text: &str,
        variables: &[&str],
    ) -> Result<Template, TemplateError> {
        let trees = self.parse(name, text, variables)?;
        let trees = trees.into_iter().map(|tree| (tree.name.clone(), Arc::new(tree))).collect();
        Ok(Template { name: name.to_owned(), trees })
    }

    fn parse(
        &self,
        name: &str,
        text: &str,
        variables: &[&str],
    ) -> Result<Vec<Tree>, TemplateError> {
        if text.len() > self.limits.source_bytes_max {
            let bytes_max = self.limits.source_bytes_max;
            return Err(TemplateError::TooLarge { name: name.to_owned(), bytes_max });
        }
        let is_function = |name: &str| self.functions.get(name).is_some();
        parse::parse(name, text, &parse::Known { is_function: &is_function, variables })
    }

    /// Executes a compiled text.
    ///
    /// # Errors
    /// [`TemplateError::Execute`].
    pub fn execute(&self, template: &Template, run: &Run<'_>) -> Result<String, TemplateError> {
        let lookup = Both { set: self, own: Some(template) };
        self.run(&lookup, &template.name, run)
    }

    /// Executes a template of the set.
    ///
    /// # Errors
    /// [`TemplateError::Unknown`], [`TemplateError::Execute`].
    pub fn execute_named(&self, name: &str, run: &Run<'_>) -> Result<String, TemplateError> {
        self.run(&Both { set: self, own: None }, name, run)
    }

    /// Parses and executes a text at once.
    ///
    /// # Errors
    /// All of [`TemplateError`].
    pub fn expand(&self, name: &str, text: &str, run: &Run<'_>) -> Result<String, TemplateError> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        let variables: Vec<&str> = run.variables.iter().map(|(name, _)| *name).collect();
        self.execute(&self.compile(name, text, &variables)?, run)
    }

    /// Whether a template of this name is in the set.
    pub fn contains(&self, name: &str) -> bool {
        self.trees.contains_key(name)
    }

    fn run(&self, lookup: &Both<'_>, name: &str, run: &Run<'_>) -> Result<String, TemplateError> {
        let Some(tree) = lookup.tree(name) else {
            return Err(TemplateError::Unknown(name.to_owned()));
        };
        let call = Call::new(run.host, Budget::new(self.limits), run.escaping);
        let sink = Sink::new(run.escaping, self.limits.output_bytes_max);
        exec::execute(tree, lookup, run.data.clone(), run.variables, call, sink)
    }
}

/// A compiled text's own templates before those of the set.
struct Both<'a> {
    set: &'a TemplateSet,
    own: Option<&'a Template>,
}

impl Lookup for Both<'_> {
    fn tree(&self, name: &str) -> Option<&Tree> {
        let own = self.own.and_then(|own| own.trees.get(name));
        own.or_else(|| self.set.trees.get(name)).map(|tree| &**tree)
    }

    fn function(&self, name: &str) -> Option<&'static Function> {
        self.set.functions.get(name)
    }
}

#[cfg(test)]
mod tests;
