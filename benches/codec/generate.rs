//! Samples like those of node_exporter and of a small Go service, made from a seed.

/// A small random number generator (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Roughly normal with mean 0 and deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// How a series moves from scrape to scrape.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Always the same.
    Constant(f64),
    /// An integer that grows by about `rate` a second, give or take `spread` of it.
    Counter { rate: f64, spread: f64 },
    /// Seconds with `scale` parts each (100: two decimals), as the kernel's clock ticks.
    Ticks { rate: f64, spread: f64, scale: f64 },
    /// Grows by one now and then.
    Rare { chance: f64 },
    /// Wanders in multiples of `quantum`.
    Walk { step: f64, quantum: f64 },
    /// Returns to a mean; printed with `scale` parts.
    Gauge { mean: f64, deviation: f64, scale: f64 },
    /// Nanoseconds multiplied by 1e-9.
    Noise { mean: f64 },
    /// The scrape's own time with nanoseconds.
    Clock,
}

/// A metric: its name says where the shape was seen, `share` how many series of a host have it.
pub struct Metric {
    pub name: &'static str,
    pub share: usize,
    pub kind: Kind,
}

/// 500 series a host, two thirds of them constant over half an hour.
pub fn metrics() -> Vec<Metric> {
    use Kind::*;
    let metric = |name, share, kind| Metric { name, share, kind };
    vec![
        metric("zero", 170, Constant(0.0)),
        metric("one", 60, Constant(1.0)),
        metric("size_bytes", 55, Constant(8_589_934_592.0)),
        metric("seconds_fixed", 20, Constant(1_700_000_000.43)),
        metric("idle counter", 20, Constant(18_336_912.0)),
        metric("cpu_seconds", 40, Ticks { rate: 0.4, spread: 0.6, scale: 100.0 }),
        metric("disk_seconds", 8, Ticks { rate: 0.03, spread: 0.9, scale: 1000.0 }),
        metric("bytes_total", 14, Counter { rate: 2e5, spread: 0.8 }),
        metric("packets_total", 16, Counter { rate: 400.0, spread: 0.8 }),
        metric("operations_total", 14, Counter { rate: 20.0, spread: 0.9 }),
        metric("errors_total", 16, Rare { chance: 0.05 }),
        metric("memory_bytes", 22, Walk { step: 1e6, quantum: 4096.0 }),
        metric("heap_bytes", 5, Walk { step: 1e6, quantum: 8.0 }),
        metric("load", 3, Gauge { mean: 1.5, deviation: 0.25, scale: 100.0 }),
        metric("sockets", 8, Gauge { mean: 120.0, deviation: 4.0, scale: 1.0 }),
        metric("temperature", 8, Gauge { mean: 48.0, deviation: 0.8, scale: 1.0 }),
        metric("duration_seconds", 12, Noise { mean: 3e-4 }),
        metric("time_seconds", 1, Clock),
        metric("requests_bucket", 8, Counter { rate: 1.0, spread: 0.9 }),
    ]
}

/// The values of one series in one window of `count` scrapes.
pub fn values(kind: Kind, count: usize, random: &mut Random) -> Vec<f64> {
    let seconds = 15.0;
    let mut state = match kind {
        Kind::Constant(v) => v,
        Kind::Walk { quantum, .. } => (random.unit() * 2e9 / quantum).floor() * quantum,
        Kind::Gauge { mean, .. } | Kind::Noise { mean } => mean,
        Kind::Clock => 1_795_262_400.0,
        _ => (random.unit() * 1e9).floor(),
    };
    let mut next = || match kind {
        Kind::Constant(v) => v,
        Kind::Counter { rate, spread } => {
            state += (rate * seconds * (1.0 + spread * random.normal())).floor().max(0.0);
            state
        }
        Kind::Ticks { rate, spread, scale } => {
            let ticks = rate * seconds * scale * (1.0 + spread * random.normal());
            state += ticks.round().max(0.0);
            state / scale
        }
        Kind::Rare { chance } => {
            state += if random.unit() < chance { 1.0 } else { 0.0 };
            state
        }
        Kind::Walk { step, quantum } => {
            state = (state + (step * random.normal() / quantum).round() * quantum).max(0.0);
            state
        }
        Kind::Gauge { mean, deviation, scale } => {
            state += 0.2 * (mean - state) + deviation * random.normal();
            (state.max(0.0) * scale).round() / scale
        }
        Kind::Noise { mean } => (mean * 1e9 * (1.0 + 0.2 * random.normal()).abs()).floor() * 1e-9,
        Kind::Clock => {
            state += seconds;
            state + (random.unit() * 1e9).floor() / 1e9
        }
    };
    (0..count).map(|_| next()).collect()
}

/// When one host was scraped: exactly on its grid, or up to 5 ms late.
pub fn timestamps(host: usize, count: usize, random: &mut Random) -> Vec<i64> {
    let first = 1_795_262_400_000 + (random.unit() * 15_000.0) as i64;
    let late =
        |random: &mut Random| if host.is_multiple_of(2) { 0 } else { (random.unit() * 6.0) as i64 };
    (0..count as i64).map(|i| first + i * 15_000 + late(random)).collect()
}
