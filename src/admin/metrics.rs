//! What was counted and how things are, for Prometheus (text exposition format 0.0.4).
//!
//! Every series of a configured endpoint is there from the start, with zeros, and gone once the endpoint is.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::Response;
use http_body_util::Full;
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet, prometheus_text,
    },
    metrics::MetricType,
    registry::Registry,
};

use super::{endpoints, process::Vitals, reload::Reloads};
use crate::{
    door,
    log::{
        Log,
        counters::{BOUNDS, Counters, Durations, ENDS, Endpoint, REFUSALS, RESULTS},
    },
    queue::{Condition, Outlet},
};

pub(super) async fn response(outlets: &[Outlet], log: &Log, reloads: &Reloads) -> Response<Full<Bytes>> {
    let endpoints = join_all(outlets.iter().map(Sample::take)).await;
    let told = reloads.told();
    let snapshot = Snapshot {
        counters: log.counters(),
        endpoints,
        reload_successful: told.successful,
        reload_succeeded: told.succeeded,
        vitals: Vitals::read(),
    };
    // Of a thousand endpoints these are megabytes, and deliveries must not wait for them.
    let text = tokio::task::spawn_blocking(move || text(snapshot)).await.unwrap_or_default();
    door::with_type(prometheus_text::CONTENT_TYPE, text.into_bytes())
}

fn text(snapshot: Snapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    // It is written to memory, which does not fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

/// All that is shown, at one moment.
#[derive(Debug)]
struct Snapshot {
    counters: Counters,
    endpoints: Vec<Sample>,
    reload_successful: bool,
    reload_succeeded: SystemTime,
    vitals: Option<Vitals>,
}

/// How one endpoint's queue is.
#[derive(Debug)]
struct Sample {
    name: Arc<str>,
    enabled: bool,
    events: usize,
    bytes: usize,
    oldest: Duration,
}

impl Sample {
    async fn take(outlet: &Outlet) -> Sample {
        let status = endpoints::status(outlet).await;
        Sample {
            name: Arc::clone(&outlet.endpoint.name),
            enabled: !matches!(status.condition, Condition::Disabled { .. }),
            events: status.waiting + status.in_flight,
            bytes: status.bytes,
            oldest: status.oldest_waiting.unwrap_or_default(),
        }
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.events(&mut page)?;
        self.deliveries(&mut page)?;
        self.queues(&mut page)?;
        self.sidecar(&mut page)?;
        self.vitals.map_or(Ok(()), |vitals| process(&vitals, &mut page))
    }
}

impl Snapshot {
    fn events(&self, page: &mut Page<'_>) -> fmt::Result {
        let counters = &self.counters;
        page.counter("sidehook_events_received", "Events answered as accepted, duplicates among them", counters.received)?;
        let rejected = "Events refused, by the code of the answer; what could not be read counts as one";
        let codes = REFUSALS.iter().map(|code| ([("code", *code)], counters.refused(code)));
        page.counters("sidehook_events_rejected", rejected, codes)?;
        let duplicates = "Events whose id was accepted before";
        page.counter("sidehook_events_duplicate", duplicates, counters.others("event", "duplicate"))
    }

    fn deliveries(&self, page: &mut Page<'_>) -> fmt::Result {
        let attempts = "Requests sent, by what they came to; a batch is one";
        let counts = self.of_each(&RESULTS, "result", Endpoint::attempts);
        page.counters("sidehook_attempts", attempts, counts)?;
        let deliveries = "Deliveries that have ended, by how";
        page.counters("sidehook_deliveries", deliveries, self.of_each(&ENDS, "outcome", Endpoint::deliveries))?;
        let durations = "From the start of a request to the end of the answer's head, or until it was given up";
        let mut family = page.family("sidehook_attempt_duration_seconds", durations, MetricType::Histogram)?;
        for Sample { name, .. } in &self.endpoints {
            let counted = self.counters.endpoint(name).map_or_else(Durations::default, |endpoint| endpoint.durations);
            histogram(&mut family.encode_family(&[("endpoint", &**name)])?, &counted)?;
        }
        Ok(())
    }

    /// A count of each endpoint for each of `words`, the values of `label`.
    fn of_each<'a>(
        &'a self,
        words: &'a [&'static str],
        label: &'static str,
        count: impl Fn(&Endpoint, &str) -> u64 + Copy + 'a,
    ) -> impl Iterator<Item = ([(&'static str, &'a str); 2], u64)> + 'a {
        let of_one = move |sample: &'a Sample| {
            let counted = self.counters.endpoint(&sample.name);
            words.iter().map(move |word| {
                ([("endpoint", &*sample.name), (label, *word)], counted.map_or(0, |counted| count(counted, word)))
            })
        };
        self.endpoints.iter().flat_map(of_one)
    }

    fn queues(&self, page: &mut Page<'_>) -> fmt::Result {
        let events = "Events in the endpoint's queue: waiting, or in flight";
        page.gauges("sidehook_queue_events", events, self.each(|sample| sample.events as u64))?;
        page.gauges("sidehook_queue_bytes", "What they take", self.each(|sample| sample.bytes as u64))?;
        let oldest = "Since the oldest of those that wait was accepted; 0 where none does";
        page.gauges("sidehook_queue_oldest_seconds", oldest, self.each(|sample| sample.oldest.as_secs_f64()))?;
        let enabled = "0: failures or a person have disabled the endpoint, and what comes is dead-lettered";
        page.gauges("sidehook_endpoint_enabled", enabled, self.each(|sample| u64::from(sample.enabled)))
    }

    fn each<'a, G: 'a>(
        &'a self,
        value: impl Fn(&Sample) -> G + 'a,
    ) -> impl Iterator<Item = ([(&'static str, &'a str); 1], G)> + 'a {
        self.endpoints.iter().map(move |sample| ([("endpoint", &*sample.name)], value(sample)))
    }

    fn sidecar(&self, page: &mut Page<'_>) -> fmt::Result {
        let successful = u64::from(self.reload_successful);
        page.gauge("sidehook_config_last_reload_successful", "Whether the config file as it is now is in force", successful)?;
        let succeeded = self.reload_succeeded.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let when = "When the config in force was put in force";
        page.gauge("sidehook_config_last_reload_success_timestamp_seconds", when, succeeded)?;
        let lost = "Lines of the delivery log that could not be written";
        page.counter("sidehook_log_lines_lost", lost, self.counters.lost)?;
        let build = [([("version", env!("CARGO_PKG_VERSION"))], 1_u64)];
        page.gauges("sidehook_build_info", "Which sidehook this is", build.into_iter())
    }
}

fn process(vitals: &Vitals, page: &mut Page<'_>) -> fmt::Result {
    page.counter("process_cpu_seconds", "Total user and system CPU time spent in seconds", vitals.cpu_seconds)?;
    if let Some(most) = vitals.max_fds {
        page.gauge("process_max_fds", "Maximum number of open file descriptors", most)?;
    }
    page.gauge("process_open_fds", "Number of open file descriptors", vitals.open_fds)?;
    page.gauge("process_resident_memory_bytes", "Resident memory size in bytes", vitals.resident_bytes)?;
    let start = "Start time of the process since unix epoch in seconds";
    page.gauge("process_start_time_seconds", start, vitals.start_seconds)?;
    page.gauge("process_threads", "Number of OS threads in the process", vitals.threads)?;
    page.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes", vitals.virtual_bytes)
}

fn histogram(metric: &mut MetricEncoder<'_>, durations: &Durations) -> fmt::Result {
    let bounds = BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(durations.counts).collect();
    let count = durations.counts.iter().sum();
    metric.encode_histogram::<NoLabelSet>(durations.sum.as_secs_f64(), count, &buckets, None)
}

/// What is written, a family at a time.
struct Page<'e>(DescriptorEncoder<'e>);

impl Page<'_> {
    fn family(&mut self, name: &'static str, help: &str, kind: MetricType) -> Result<MetricEncoder<'_>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    /// A counter's name has no `_total`: that is added when it is written.
    fn counter(&mut self, name: &'static str, help: &str, value: impl EncodeCounterValue + Copy) -> fmt::Result {
        self.family(name, help, MetricType::Counter)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &'static str,
        help: &str,
        values: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Counter)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &'static str, help: &str, value: impl EncodeGaugeValue + Copy) -> fmt::Result {
        self.family(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<L: EncodeLabelSet, G: EncodeGaugeValue>(
        &mut self,
        name: &'static str,
        help: &str,
        values: impl Iterator<Item = (L, G)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}
