//! Alerts to people: Alertmanager's configuration and behaviour, in this process.
//!
//! In: alerts of the own rules and of other senders. Out: notifications to receivers, and a history
//! of everything that led to them. Never here: evaluating rules, HTTP handlers.
//!
//! [`config`] reads `alertmanager.yml`; [`matcher`] and [`interval`] are its small languages.
//! [`deliver`] is the seam to [`receivers`], which talk to people.

pub mod config;
pub mod deliver;
pub mod event;
pub mod fingerprint;
pub mod inhibit;
pub mod interval;
pub mod machine;
pub mod matcher;
pub mod metrics;
pub mod receivers;
pub mod route;
pub mod rows;
pub mod service;
pub mod silence;
