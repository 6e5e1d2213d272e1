//! `statsd.airflow`: the built-in mapping for Airflow and its instances.
//!
//! In: the section. Out: checked instances, the addresses they send to and the ranges they send
//! from. An instance told apart by address or port gets an origin of its own; the others are told
//! apart by their prefix.

use std::net::SocketAddr;

use serde::Deserialize;

use super::build::address;
use super::error::ConfigError;
use crate::model::Labels;
use crate::statsd::Listen;
use crate::statsd::airflow::{Instance, Version};
use crate::statsd::listen::source::{AddressRange, Origin};

/// Most instances: each is looked at for every new name.
const INSTANCES_MAX: usize = 1000;

/// The Airflows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AirflowSenders {
    /// The instances, in the order of the file.
    pub instances: Vec<Instance>,
    /// Addresses that only one of them sends to.
    pub listens: Vec<Listen>,
    /// Ranges of addresses that only one of them sends from.
    pub ranges: Vec<(AddressRange, Origin)>,
}

/// `statsd.airflow`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAirflow {
    pub mapping: Option<RawSwitch>,
    pub name: Option<String>,
    pub native_histograms: Option<bool>,
    instances: Option<Vec<RawInstance>>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawSwitch {
    Auto,
    On,
    Off,
}

/// One entry of `statsd.airflow.instances`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInstance {
    name: String,
    prefix: Option<String>,
    listen: Option<String>,
    sources: Option<Vec<String>>,
    version: Option<String>,
    timer_unit_consistency: Option<bool>,
    has_api: Option<bool>,
}

/// Checks the instances.
pub(super) fn senders(raw: &mut RawAirflow) -> Result<AirflowSenders, ConfigError> {
    let all = raw.instances.take().unwrap_or_default();
    if all.len() > INSTANCES_MAX {
        return Err(invalid(format!("{} instances are more than {INSTANCES_MAX}", all.len())));
    }
    let mut senders = AirflowSenders::default();
    for (index, raw) in all.into_iter().enumerate() {
        let number = u16::try_from(index + 1).expect("BUG: INSTANCES_MAX fits u16");
        add(raw, Origin(number), &mut senders)?;
    }
    Ok(senders)
}

fn add(raw: RawInstance, origin: Origin, senders: &mut AirflowSenders) -> Result<(), ConfigError> {
    let name = raw.name;
    check_name(&name)?;
    if senders.instances.iter().any(|other| other.name == name) {
        return Err(invalid(format!("two instances have the name {name:?}")));
    }
    let listen: Option<SocketAddr> =
        raw.listen.map(|text| address("statsd.airflow listen", &text)).transpose()?;
    let sources = raw.sources.unwrap_or_default();
    let has_origin = listen.is_some() || !sources.is_empty();
    senders.listens.extend(listen.map(|address| Listen { origin, ..Listen::both(address) }));
    for source in sources {
        let range: AddressRange = source.parse().map_err(invalid)?;
        senders.ranges.push((range, origin));
    }
    senders.instances.push(Instance {
        prefix: raw.prefix.unwrap_or_else(|| "airflow".to_owned()),
        origin: has_origin.then_some(origin),
        version: version(raw.version.as_deref())?,
        timer_unit_consistency: raw.timer_unit_consistency.unwrap_or(false),
        has_api: raw.has_api.unwrap_or(false),
        name,
    });
    Ok(())
}

/// The name becomes a label value.
pub(super) fn check_name(name: &str) -> Result<(), ConfigError> {
    match Labels::from_pairs([("airflow", name)]) {
        Ok(labels) if !labels.is_empty() => Ok(()),
        Ok(_) => Err(invalid("the name of an instance must not be empty".to_owned())),
        Err(error) => Err(invalid(format!("the name of an instance: {error}"))),
    }
}

fn version(text: Option<&str>) -> Result<Option<Version>, ConfigError> {
    match text.unwrap_or("auto") {
        "auto" => Ok(None),
        text if text == "2" || text.starts_with("2.") => Ok(Some(Version::V2)),
        text if text == "3" || text.starts_with("3.") => Ok(Some(Version::V3)),
        text => Err(invalid(format!("version {text:?} is none of auto, 2 and 3"))),
    }
}

fn invalid(message: String) -> ConfigError {
    ConfigError::Invalid { key: "statsd.airflow", message }
}
