//! Texts of rules as Go templates with Prometheus' functions.

use super::templates::{Template, TemplateInput, Templates};
use crate::model::Timestamp;
use crate::promql::{PointValue, VectorSample};
use crate::template::functions::prometheus::FUNCTIONS;
use crate::template::{
    Escaping, Host, Needs, QuerySample, RULE_VARIABLES, RuleData, Run, SampleValue, TemplateSet,
};

use super::unit_test::histogram_text;

/// Compiles texts of rules.
#[derive(Clone, Debug)]
pub struct GoTemplates(TemplateSet);

impl Default for GoTemplates {
    fn default() -> GoTemplates {
        GoTemplates(TemplateSet::new(FUNCTIONS))
    }
}

impl Templates for GoTemplates {
    fn compile(&self, name: &str, text: &str) -> Result<Box<dyn Template>, String> {
        let template = self.0.compile(name, text, &RULE_VARIABLES);
        let template = template.map_err(|error| error.to_string())?;
        let needs = template.needs();
        Ok(Box::new(Compiled { set: self.0.clone(), name: name.into(), template, needs }))
    }
}

struct Compiled {
    set: TemplateSet,
    name: Box<str>,
    template: crate::template::Template,
    needs: Needs,
}

impl Template for Compiled {
    fn expand(&self, input: &TemplateInput<'_>) -> Result<String, String> {
        let data = input.data.get_or_init(|| data(input));
        let (dot, variables) = (data.dot(), data.variables());
        let run =
            Run { data: &dot, variables: &variables, host: &Lent(input), escaping: Escaping::Text };
        let failed = |error| format!("error executing template {}: {error}", self.name);
        self.set.execute(&self.template, &run).map_err(failed)
    }

    fn needs(&self) -> Needs {
        self.needs
    }
}

fn data(input: &TemplateInput<'_>) -> RuleData {
    let externals = input.externals;
    let (labels, url) = (&externals.labels, &*externals.url);
    match input.value {
        PointValue::Float(value) => RuleData::new(input.labels, *value, labels, url),
        PointValue::Histogram(histogram) => {
            RuleData::new(input.labels, histogram_text(histogram), labels, url)
        }
    }
}

/// What a template's functions are lent.
struct Lent<'a>(&'a TemplateInput<'a>);

impl Host for Lent<'_> {
    fn now(&self) -> Timestamp {
        self.0.at
    }

    fn query(&self, query: &str) -> Result<Vec<QuerySample>, String> {
        let samples = (self.0.query)(query)?;
        let sample = |sample: VectorSample| QuerySample {
            labels: sample.labels,
            value: match sample.value {
                PointValue::Float(value) => SampleValue::Float(value),
                PointValue::Histogram(histogram) => {
                    SampleValue::Histogram(histogram_text(&histogram))
                }
            },
        };
        Ok(samples.into_iter().map(sample).collect())
    }

    fn external_url(&self) -> &str {
        &self.0.externals.url
    }
}
