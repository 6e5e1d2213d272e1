//! Every limit on what comes from outside, each with its reason. Parts take these as defaults;
//! configuration may lower or raise those that say so.

use std::time::Duration;

/// Longest accepted label name in bytes: beyond it a sender is confused, and each name is kept in
/// every partition's symbol table.
pub const LABEL_NAME_BYTES_MAX: usize = 1024;
/// Longest accepted label value in bytes; long enough for a URL or a stack frame.
pub const LABEL_VALUE_BYTES_MAX: usize = 8 * 1024;
/// Most labels on one series; Prometheus users stay below 60.
pub const LABELS_PER_SERIES_MAX: usize = 128;
/// Largest label set of one series, packed, in bytes; it must fit a journal block.
pub const LABELS_PACKED_BYTES_MAX: usize = 32 * 1024;
/// Largest accepted HTTP request body of the remote-write and remote-read endpoints, compressed,
/// in bytes (as in Prometheus).
pub const WRITE_BODY_BYTES_MAX: usize = 32 << 20;
/// Largest request body after decompression, in bytes (as in Prometheus).
pub const WRITE_DECODED_BYTES_MAX: usize = 32 << 20;
/// Largest form body of a query endpoint in bytes; a query longer than this is no query.
pub const FORM_BODY_BYTES_MAX: usize = 10 << 20;
/// Most HTTP connections open at a time; configurable (as in Prometheus: `--web.max-connections`).
pub const HTTP_CONNECTIONS_MAX: usize = 512;
/// How long reading an HTTP request may take, and a connection be idle; configurable. Longer than
/// the pause between two requests of the usual clients (15 s to 60 s), short enough that silent
/// connections do not use up the number allowed.
pub const HTTP_READ_TIMEOUT: Duration = Duration::from_secs(90);
/// How far in the future a sample may lie, in milliseconds: a sender whose clock is wrong must not
/// close the current window for everybody (as in Prometheus).
pub const SAMPLE_FUTURE_MS_MAX: i64 = 10 * 60 * 1000;
/// Most buckets in one native histogram; beyond it the sender did not limit its resolution.
pub const HISTOGRAM_BUCKETS_MAX: usize = 10_000;
/// Largest packed label set of one exemplar in bytes; OpenMetrics asks for 128 characters, real
/// tracers send more.
pub const EXEMPLAR_LABELS_BYTES_MAX: usize = 1024;
/// Most series alive in the head; configurable. Each costs about 600 bytes of memory.
pub const SERIES_MAX: usize = 5_000_000;
/// Deepest nesting of a PromQL expression (parentheses, calls, aggregations, signs, subqueries,
/// right operands, operands of durations), which bounds the parser's and evaluator's stack: the
/// deepest one is copied, printed and dropped within 2 MiB, and parsed and evaluated on a thread
/// with stack for it. How many operands stand in a row, as in `a + b + c`, is no matter of depth.
pub const EXPRESSION_DEPTH_MAX: usize = 512;
/// Longest PromQL expression in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 1 << 20;
/// Most samples one query may hold in memory at a time (`--query.max-samples`); as in Prometheus.
pub const QUERY_SAMPLES_MAX: u64 = 50_000_000;
/// Most series one selector of a query may match: their rows alone would take gigabytes.
pub const QUERY_SERIES_MAX: usize = 2_000_000;
/// Most points per series of a range query (as in Prometheus).
pub const QUERY_POINTS_MAX: i64 = 11_000;
