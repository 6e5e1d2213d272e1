//! `statsd`: where StatsD is received and what is made of it.
//!
//! In: the section of the file. Out: checked values. The mapping file is only named here; whoever
//! starts the receiver reads it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::build::{Overrides, address, positive};
use super::error::ConfigError;
use super::raw::{PromDuration, RawConfig};
use super::statsd_airflow::{self, AirflowSenders, RawAirflow, RawSwitch};
use crate::model::Labels;
use crate::model::labels::is_legacy_name;
use crate::statsd::name::Dialects;
use crate::statsd::resolve::SignedGauges;
use crate::statsd::{self, RelayOptions};

const LISTEN: &str = "127.0.0.1:8125";
/// Smallest and largest datagram a relay may send, in bytes.
const PACKET_BYTES: std::ops::RangeInclusive<usize> = 64..=65_507;
/// Most memory one receive buffer may ask for, in bytes.
const READ_BUFFER_BYTES_MAX: usize = 1 << 30;

/// The StatsD receiver's part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsdConfig {
    /// Address for UDP and TCP; `None` when it is off.
    pub listen: Option<SocketAddr>,
    /// Sockets and rhythm; what they say takes effect at the start only.
    pub sockets: StatsdSockets,
    /// Mapping file; `None` when there is none.
    pub mapping_config: Option<PathBuf>,
    /// Tag dialects.
    pub dialects: Dialects,
    /// What a sign before a gauge's value means.
    pub signed_gauges: SignedGauges,
    /// Labels every series gets that has no tag of that name.
    pub labels: Vec<(String, String)>,
    /// The built-in mapping for Airflow; `None` when it is off.
    pub airflow: Option<AirflowMapping>,
}

/// The built-in mapping for Airflow; its instances are part of [`StatsdSockets`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AirflowMapping {
    /// Name of the instance that is none of those listed.
    pub name: String,
    /// Whether histograms are native ones.
    pub native: bool,
}

/// What takes effect at the start only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsdSockets {
    /// Path of a Unix datagram socket.
    pub unixgram: Option<PathBuf>,
    /// Path of a Unix stream socket.
    pub unix: Option<PathBuf>,
    /// Permissions of the Unix sockets.
    pub unix_mode: u32,
    /// Size asked for the UDP receive buffer in bytes.
    pub read_buffer_bytes: usize,
    /// How often values are written.
    pub flush_interval: Duration,
    /// Where lines are handed on to.
    pub relay: Option<RelayOptions>,
    /// Airflows that are told apart.
    pub airflow: AirflowSenders,
}

/// `statsd`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStatsd {
    listen: Option<String>,
    listen_unixgram: Option<String>,
    listen_unix: Option<String>,
    unix_socket_mode: Option<String>,
    read_buffer_bytes: Option<usize>,
    flush_interval: Option<PromDuration>,
    mapping_config: Option<String>,
    relay: Option<RawRelay>,
    parse: Option<RawParse>,
    labels: Option<BTreeMap<String, String>>,
    airflow: Option<RawAirflow>,
}

/// `statsd.relay`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRelay {
    address: String,
    packet_bytes: Option<usize>,
}

/// `statsd.parse`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParse {
    dogstatsd_tags: Option<bool>,
    influxdb_tags: Option<bool>,
    librato_tags: Option<bool>,
    signalfx_tags: Option<bool>,
    graphite_tags: Option<bool>,
    container_id: Option<bool>,
    signed_gauges: Option<RawSigned>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawSigned {
    Auto,
    Relative,
    Absolute,
}

/// Checks the section; relative paths start at the directory of the file `path`.
pub(super) fn build(
    path: &Path,
    raw: &mut RawConfig,
    overrides: &Overrides,
) -> Result<StatsdConfig, ConfigError> {
    let section = raw.statsd.take().unwrap_or_default();
    let parse = section.parse.unwrap_or_default();
    let mut raw_airflow = section.airflow.unwrap_or_default();
    let beside = |file: String| path.parent().unwrap_or(Path::new("")).join(file);
    let mapping = section.mapping_config.filter(|file| !file.is_empty()).map(beside);
    let mapping = overrides.statsd_mapping.clone().or(mapping);
    Ok(StatsdConfig {
        listen: listen(section.listen, overrides)?,
        sockets: StatsdSockets {
            unixgram: overrides
                .statsd_unixgram
                .clone()
                .or(section.listen_unixgram.map(PathBuf::from)),
            unix: section.listen_unix.map(PathBuf::from),
            unix_mode: unix_mode(section.unix_socket_mode)?,
            read_buffer_bytes: read_buffer(section.read_buffer_bytes)?,
            flush_interval: positive(
                "statsd.flush_interval",
                None,
                section.flush_interval,
                statsd::Options::FLUSH_INTERVAL,
            )?,
            relay: relay(section.relay, overrides)?,
            airflow: statsd_airflow::senders(&mut raw_airflow)?,
        },
        airflow: airflow(raw_airflow, mapping.is_some())?,
        labels: labels(section.labels)?,
        mapping_config: mapping,
        dialects: dialects(&parse),
        signed_gauges: match parse.signed_gauges.unwrap_or(RawSigned::Auto) {
            RawSigned::Auto => SignedGauges::Auto,
            RawSigned::Relative => SignedGauges::Relative,
            RawSigned::Absolute => SignedGauges::Absolute,
        },
    })
}

fn listen(file: Option<String>, overrides: &Overrides) -> Result<Option<SocketAddr>, ConfigError> {
    let text = overrides.statsd_listen.clone().or(file);
    match text.as_deref().unwrap_or(LISTEN) {
        "off" => Ok(None),
        text => address("statsd listen", text).map(Some),
    }
}

fn unix_mode(text: Option<String>) -> Result<u32, ConfigError> {
    let Some(text) = text else { return Ok(statsd::Options::UNIX_MODE) };
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(invalid("statsd.unix_socket_mode", format!("{text:?} is not octal such as 755"))),
    }
}

fn read_buffer(bytes: Option<usize>) -> Result<usize, ConfigError> {
    match bytes.unwrap_or(statsd::Options::READ_BUFFER_BYTES) {
        bytes if bytes <= READ_BUFFER_BYTES_MAX => Ok(bytes),
        bytes => Err(invalid(
            "statsd.read_buffer_bytes",
            format!("{bytes} is more than {READ_BUFFER_BYTES_MAX}"),
        )),
    }
}

fn relay(
    raw: Option<RawRelay>,
    overrides: &Overrides,
) -> Result<Option<RelayOptions>, ConfigError> {
    let packet_bytes = raw.as_ref().and_then(|relay| relay.packet_bytes);
    let packet_bytes = packet_bytes.unwrap_or(RelayOptions::PACKET_BYTES);
    let address = overrides.statsd_relay.clone().or(raw.map(|relay| relay.address));
    let Some(address) = address.filter(|address| !address.is_empty()) else { return Ok(None) };
    let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        let message = format!("{address:?} is not HOST:PORT");
        return Err(invalid("statsd.relay.address", message));
    }
    if !PACKET_BYTES.contains(&packet_bytes) {
        let message = format!("{packet_bytes} is not from 64 to 65507");
        return Err(invalid("statsd.relay.packet_bytes", message));
    }
    Ok(Some(RelayOptions { address, packet_bytes }))
}

/// By default on, unless there is a mapping file: whoever has one expects its names.
fn airflow(raw: RawAirflow, has_file: bool) -> Result<Option<AirflowMapping>, ConfigError> {
    let name = raw.name.unwrap_or_else(|| "default".to_owned());
    statsd_airflow::check_name(&name)?;
    let native = raw.native_histograms.unwrap_or(false);
    let mapping = AirflowMapping { name, native };
    Ok(match raw.mapping.unwrap_or(RawSwitch::Auto) {
        RawSwitch::On => Some(mapping),
        RawSwitch::Auto if !has_file => Some(mapping),
        RawSwitch::Auto | RawSwitch::Off => None,
    })
}

fn labels(raw: Option<BTreeMap<String, String>>) -> Result<Vec<(String, String)>, ConfigError> {
    let labels: Vec<(String, String)> = raw.unwrap_or_default().into_iter().collect();
    let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let wrong = |message| invalid("statsd.labels", message);
    Labels::from_pairs(pairs).map_err(|error| wrong(error.to_string()))?;
    match labels.iter().find(|(name, _)| !is_legacy_name(name) || name.starts_with("__")) {
        Some((name, _)) => Err(wrong(format!("{name:?} is not a label name"))),
        None => Ok(labels),
    }
}

fn dialects(parse: &RawParse) -> Dialects {
    let usual = Dialects::default();
    Dialects {
        dogstatsd: parse.dogstatsd_tags.unwrap_or(usual.dogstatsd),
        influxdb: parse.influxdb_tags.unwrap_or(usual.influxdb),
        librato: parse.librato_tags.unwrap_or(usual.librato),
        signalfx: parse.signalfx_tags.unwrap_or(usual.signalfx),
        graphite: parse.graphite_tags.unwrap_or(usual.graphite),
        container_id: parse.container_id.unwrap_or(usual.container_id),
    }
}

fn invalid(key: &'static str, message: String) -> ConfigError {
    ConfigError::Invalid { key, message }
}
