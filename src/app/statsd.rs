//! The StatsD receiver's wiring: from configuration to a running receiver, and its rules again on a
//! reload.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Base, ServeError, Stage, metrics};
use crate::config::{Config, StatsdConfig, StatsdSockets};
use crate::ingest::Ingest;
use crate::runtime::Shutdown;
use crate::statsd::airflow::Airflow;
use crate::statsd::{
    Listen, Mapper, Memory, Options, Resolver, StatsdHandle, StatsdMetrics, StatsdServer,
};
use crate::storage::Store;

/// A running receiver.
pub(super) struct Running {
    /// Its first network address; `None` when it listens on Unix sockets only.
    pub address: Option<SocketAddr>,
    /// The way to ask it.
    pub handle: StatsdHandle,
}

/// Starts the receiver when it is to listen anywhere.
pub(super) fn start(
    base: &Base,
    config: &Config,
    ingest: &Ingest,
    store: &Arc<Store>,
    stage: &mut Stage,
    shutdown: &Shutdown,
) -> Result<Option<Running>, ServeError> {
    let options = options(config);
    if options.listens.is_empty() && options.unix.is_none() && options.unixgram.is_none() {
        return Ok(None);
    }
    let failed = |error| ServeError::io("starting the StatsD receiver", error);
    let resolver = resolver(&config.statsd, &config.statsd.sockets)
        .map_err(|why| failed(std::io::Error::other(why)))?;
    let counters = Arc::new(StatsdMetrics::default());
    let clock = Arc::clone(&base.clock);
    let (ingest, own) = (ingest.clone(), Arc::clone(&counters));
    let memory = Some(Memory::new(Arc::clone(store)));
    let server = StatsdServer::bind(options, resolver, ingest, clock, own, memory);
    let server = server.map_err(failed)?;
    let running = Running { address: server.local_addr(), handle: server.handle() };
    metrics::register_statsd(&base.registry, counters);
    let shutdown = shutdown.clone();
    stage.tasks.spawn("StatsD receiver", server.run(async move { shutdown.requested().await }));
    Ok(Some(running))
}

fn options(config: &Config) -> Options {
    let sockets = config.statsd.sockets.clone();
    let own = sockets.airflow.listens;
    Options {
        listens: config.statsd.listen.map(Listen::both).into_iter().chain(own).collect(),
        ranges: sockets.airflow.ranges,
        unixgram: sockets.unixgram,
        unix: sockets.unix,
        unix_mode: sockets.unix_mode,
        read_buffer_bytes: sockets.read_buffer_bytes,
        flush_interval: sockets.flush_interval,
        series_max: config.limits.statsd_series_max,
        relay: sockets.relay,
    }
}

/// The rules; reads the mapping file. `sockets` are those in use, which a reload does not change.
pub(super) fn resolver(config: &StatsdConfig, sockets: &StatsdSockets) -> Result<Resolver, String> {
    let mapper = match &config.mapping_config {
        Some(path) => Mapper::load(path).map_err(|error| error.to_string())?,
        None => Mapper::default(),
    };
    let airflow = config.airflow.as_ref().map(|mapping| {
        Airflow::new(sockets.airflow.instances.clone(), &mapping.name, mapping.native)
    });
    Ok(Resolver {
        dialects: config.dialects,
        signed_gauges: config.signed_gauges,
        mapper,
        airflow,
        labels: config.labels.clone(),
    })
}
