//! Logs and metrics.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Bounds of the latency histograms, in seconds.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Bounds of the sizes of batches.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// What was measured is kept one by one until it is counted: when somebody looks, and this often where nobody does.
pub const GATHER: Duration = Duration::from_secs(5);

/// Sends logs to standard error. `filter` is in `tracing`'s directive syntax.
pub fn init_logs(filter: &str, format: LogFormat) {
    let filter = EnvFilter::try_new(with_quiet(filter)).unwrap_or_else(|_| EnvFilter::new(with_quiet("info")));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

/// The brokers' clients tell of every try, as errors too. What has to be known, we tell ourselves, once.
fn with_quiet(filter: &str) -> String {
    let quiet = ["async_nats", "rumqttc"].into_iter().filter(|name| !filter.contains(name));
    quiet.fold(filter.to_owned(), |filter, name| format!("{filter},{name}=off"))
}

/// The process's metrics; installed at the first call.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_items".to_owned()), SIZES))
            .expect("the lists of buckets are not empty")
            .install_recorder()
            .expect("no other recorder is installed")
    })
}
