//! The seam to the template engine: texts of labels and annotations, compiled once and expanded
//! for each alert.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use super::seams::Externals;
use crate::model::{Labels, Timestamp};
use crate::promql::{PointValue, VectorSample};
use crate::template::{Needs, RuleData};

/// Compiles templates.
pub trait Templates: Send + Sync {
    /// Compiles `text`; `name` is what errors call it.
    ///
    /// # Errors
    /// The text is no template; says why and where.
    fn compile(&self, name: &str, text: &str) -> Result<Box<dyn Template>, String>;
}

/// A compiled template.
pub trait Template: Send + Sync {
    /// The text for one alert.
    ///
    /// # Errors
    /// It cannot be expanded; says why.
    fn expand(&self, input: &TemplateInput<'_>) -> Result<String, String>;

    /// What the text depends on besides the labels of the sample.
    fn needs(&self) -> Needs {
        Needs::ALL
    }
}

/// What a template works with.
pub struct TemplateInput<'a> {
    /// Labels of the sample, the metric name among them if the expression kept it.
    pub labels: &'a Labels,
    /// The sample's value.
    pub value: &'a PointValue,
    /// Time of the evaluation.
    pub at: Timestamp,
    /// Labels and URL of this server.
    pub externals: &'a Externals,
    /// Evaluates a query at that time.
    pub query: &'a dyn Fn(&str) -> Result<Vec<VectorSample>, String>,
    /// All this as a template engine wants it, made once for all texts of an alert.
    pub data: OnceCell<RuleData>,
}

/// The text of a label or annotation.
pub struct Text {
    source: Arc<str>,
    form: Form,
}

enum Form {
    /// No template: itself.
    Plain,
    Template(Box<dyn Template>),
    /// It did not compile, which stands in its place.
    Broken(Box<str>),
}

impl Text {
    /// A text that is taken as it is.
    pub fn plain(source: &str) -> Text {
        Text { source: source.into(), form: Form::Plain }
    }

    /// A text that may hold template actions.
    ///
    /// # Errors
    /// It is not a template; says why.
    pub fn compile(templates: &dyn Templates, rule: &str, source: &str) -> Result<Text, String> {
        if !source.contains("{{") {
            return Ok(Text::plain(source));
        }
        let template = templates.compile(&template_name(rule), source)?;
        Ok(Text { source: source.into(), form: Form::Template(template) })
    }

    /// Like [`Text::compile`]; what is no template says so when it is expanded.
    pub fn compile_or_say(templates: &dyn Templates, rule: &str, source: &str) -> Text {
        Text::compile(templates, rule, source).unwrap_or_else(|why| {
            let why = format!("error parsing template {}: {why}", template_name(rule));
            Text { source: source.into(), form: Form::Broken(why.into()) }
        })
    }

    /// The text as it stands in the file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is the same for every alert.
    pub fn is_plain(&self) -> bool {
        matches!(self.form, Form::Plain)
    }

    /// What it depends on besides the labels of the sample.
    pub fn needs(&self) -> Needs {
        match &self.form {
            Form::Plain => Needs::default(),
            Form::Template(template) => template.needs(),
            Form::Broken(_) => Needs::ALL,
        }
    }

    /// The text for one alert. A failure stands in its place, so that the alert fires all the same.
    ///
    /// # Errors
    /// The text that stands in its place.
    pub fn expand(&self, input: &TemplateInput<'_>) -> Result<Cow<'_, str>, String> {
        let failed = |why: &str| format!("<error expanding template: {why}>");
        match &self.form {
            Form::Plain => Ok(Cow::Borrowed(&*self.source)),
            Form::Template(template) => {
                template.expand(input).map(Cow::Owned).map_err(|why| failed(&why))
            }
            Form::Broken(why) => Err(failed(why)),
        }
    }
}

/// What errors call the texts of a rule.
fn template_name(rule: &str) -> String {
    format!("__alert_{rule}")
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

/// Templates that are taken as plain text: for checks that do not look into them, and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTemplates;

struct Unchanged(Box<str>);

impl Templates for NoTemplates {
    fn compile(&self, _: &str, text: &str) -> Result<Box<dyn Template>, String> {
        Ok(Box::new(Unchanged(text.into())))
    }
}

impl Template for Unchanged {
    fn expand(&self, _: &TemplateInput<'_>) -> Result<String, String> {
        Ok(self.0.to_string())
    }
}
