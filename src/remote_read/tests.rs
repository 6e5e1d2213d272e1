//! Tests across the modules: what a client makes of our answers.

mod chunks;
mod http;
mod proto;
mod requests;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::model::source::{HistogramPoint, SeriesData};
use crate::model::{
    Interrupt, Interrupted, Labels, Matcher, Selector, SeriesSet, SeriesSource, SourceError,
    Timestamp,
};

use super::query::ReadQuery;
use super::sampled::{self, ReadError};
use super::stream::Frames;

/// A store in memory.
#[derive(Clone, Default)]
struct Source(Vec<(Labels, SeriesData)>);

impl Source {
    fn with(mut self, name: &str, data: SeriesData) -> Source {
        let labels = Labels::from_pairs([("__name__", name), ("job", "test")]).expect("valid");
        self.0.push((labels, data));
        self
    }
}

/// Series with floats at the given times.
fn floats(timestamps: impl IntoIterator<Item = i64>) -> SeriesData {
    let timestamps: Vec<i64> = timestamps.into_iter().collect();
    let values = timestamps.iter().map(|t| *t as f64 * 0.1).collect();
    SeriesData { timestamps, values, ..SeriesData::default() }
}

fn in_range(selector: &Selector<'_>, timestamp: i64) -> bool {
    (selector.start..=selector.end).contains(&Timestamp(timestamp))
}

fn cut(data: &SeriesData, selector: &Selector<'_>) -> SeriesData {
    let mut out = SeriesData::default();
    for (t, v) in data.timestamps.iter().zip(&data.values) {
        if in_range(selector, *t) {
            out.timestamps.push(*t);
            out.values.push(*v);
        }
    }
    let histograms = data.histograms.iter().filter(|h| in_range(selector, h.timestamp));
    out.histograms = histograms.cloned().collect::<Vec<HistogramPoint>>();
    out
}

struct Set(Vec<(Labels, SeriesData)>);

impl SeriesSet for Set {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.0[index].0
    }

    fn read(&self, index: usize, out: &mut SeriesData) -> Result<(), SourceError> {
        *out = self.0[index].1.clone();
        Ok(())
    }
}

impl SeriesSource for Source {
    fn select(&self, selector: &Selector<'_>) -> Result<Box<dyn SeriesSet>, SourceError> {
        let matches = |labels: &Labels| selector.matchers.iter().all(|m| m.matches_labels(labels));
        if selector.matchers.iter().any(|m| m.name() == "broken") {
            return Err(SourceError::Unavailable("store is closed".into()));
        }
        let series = self.0.iter().filter(|(labels, _)| matches(labels));
        Ok(Box::new(Set(series.map(|(l, data)| (l.clone(), cut(data, selector))).collect())))
    }

    fn series(&self, _: &Selector<'_>) -> Result<Vec<Labels>, SourceError> {
        Err(SourceError::Unavailable("not asked by remote read".into()))
    }

    fn label_names(&self, _: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        Err(SourceError::Unavailable("not asked by remote read".into()))
    }

    fn label_values(&self, _: &str, _: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        Err(SourceError::Unavailable("not asked by remote read".into()))
    }
}

#[test]
fn nothing_is_read_for_a_client_that_is_gone() {
    let source = Source::default().with("a", floats([1, 2]));
    let query = || ReadQuery {
        matchers: vec![Matcher::equal("__name__", "a")],
        start: Timestamp(0),
        end: Timestamp(9),
    };
    let gone = Interrupt::on(Arc::new(AtomicBool::new(true)));
    let canceled =
        |error: &SourceError| matches!(error, SourceError::Interrupted(Interrupted::Canceled));
    let error = sampled::respond(&source, &[query()], &gone).expect_err("nobody is there");
    assert!(matches!(&error, ReadError::Source(error) if canceled(error)));
    let mut frames = Frames::new(Arc::new(source), vec![query()]);
    assert!(canceled(&frames.next_block(&gone).expect_err("nobody is there")));
    let block = frames.next_block(Interrupt::never()).expect("readable");
    assert!(block.is_some_and(|block| !block.is_empty()));
}
