//! Alerts to people: Alertmanager's configuration and behaviour, in this process.
//!
//! In: alerts of the own rules and of other senders. Out: notifications to receivers, and a history
//! of everything that led to them. Never here: evaluating rules, HTTP handlers.
//!
//! The way of an alert: [`config`] reads `alertmanager.yml` ([`matcher`], [`interval`] and [`moment`]
//! are its small languages); [`machine`] decides who is told what and when, out of [`route`],
//! [`inhibit`] and [`silence`]; [`service`] gives it a clock, threads and a place on the disk;
//! [`deliver`] is the seam to [`receivers`], which talk to people; [`event`] is what the history
//! tells. Only `service` and `receivers` know threads, files and networks.

pub mod config;
pub mod deliver;
pub mod event;
pub mod fingerprint;
pub mod inhibit;
pub mod interval;
pub mod machine;
pub mod matcher;
pub mod metrics;
pub mod moment;
pub mod receivers;
pub mod route;
pub mod rows;
pub mod service;
pub mod silence;
