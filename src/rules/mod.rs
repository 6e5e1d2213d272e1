//! Rules as Prometheus reads and evaluates them: recording rules, and alerting rules with their
//! state.
//!
//! In: rule files, a query engine over a [`crate::model::SeriesSource`], the time of an evaluation.
//! Out: samples through a [`SampleSink`], alerts through an [`AlertSink`], state through a
//! [`StateStore`]. Never here: sockets, async, files other than rule files; the only threads are
//! those of [`manager`], and everything it runs is handed the time.
//!
//! The way: [`file`] reads and checks, [`spec`] says what a group is, [`group`] evaluates one,
//! [`alert`] is the state machine, [`slot`] says when, [`manager`] runs all of them.

pub mod alert;
mod alert_map;
pub mod file;
pub mod go_templates;
pub mod group;
mod label_merge;
pub mod manager;
pub mod metrics;
pub mod number_text;
mod output;
mod recording;
pub mod reload;
pub mod restore;
pub mod rule;
pub mod saved;
pub mod seams;
pub mod slot;
pub mod spec;
pub mod templates;
pub mod unit_test;

pub use go_templates::GoTemplates;
pub use group::{Group, Settings};
pub use manager::Manager;
pub use seams::{AlertSink, Environment, Externals, SampleSink, StateStore, Written};
pub use spec::{GroupSpec, RuleKind, RuleSpec};
pub use templates::{Template, TemplateInput, Templates};
