"""Metrics: read by Prometheus' own parser, and held against the delivery log."""
import collections, json, os, re

from prometheus_client.parser import text_string_to_metric_families

from sidecar import LOCAL, PATIENCE, Sidecar, case, equal, until

KINDS = {
    'sidehook_events_received': 'counter', 'sidehook_events_rejected': 'counter', 'sidehook_events_duplicate': 'counter',
    'sidehook_attempts': 'counter', 'sidehook_deliveries': 'counter', 'sidehook_attempt_duration_seconds': 'histogram',
    'sidehook_queue_events': 'gauge', 'sidehook_queue_bytes': 'gauge', 'sidehook_queue_oldest_seconds': 'gauge',
    'sidehook_endpoint_enabled': 'gauge', 'sidehook_config_last_reload_successful': 'gauge',
    'sidehook_config_last_reload_success_timestamp_seconds': 'gauge', 'sidehook_log_lines_lost': 'counter',
    'sidehook_build_info': 'gauge', 'process_cpu_seconds': 'counter', 'process_resident_memory_bytes': 'gauge',
    'process_virtual_memory_bytes': 'gauge', 'process_open_fds': 'gauge', 'process_max_fds': 'gauge',
    'process_start_time_seconds': 'gauge',
}
ENDS = 'delivered', 'dead_lettered', 'dropped', 'filtered', 'pending', 'skipped'


def run(binary, folder, base):
    text = '[admin]\naddress = "127.0.0.1:0"\n' + ''.join(
        f'[endpoints.{name}]\nurl = "{url}"\n{keys}\n' for name, url, keys in [
            ('well', f'{base}/counted', ''), ('flaky', f'{base}/flaky', 'retry = { delay = "10ms" }'),
            ('dead', 'http://127.0.0.1:1/', 'retry = { attempts = 2, delay = "10ms" }'), ('asleep', f'{base}/asleep', 'active = false'),
            ('batched', f'{base}/counted-batch', 'batch = { max_events = 20, max_wait = "10s" }'),
        ]) + '[[routes]]\nevents = ["**"]\nto = ["well", "flaky", "dead", "asleep", "batched"]\n'
    started = Sidecar(binary, os.path.join(folder, 'metrics'), text)
    try:
        told(started)
    finally:
        started.end()


def told(started):
    address = until(lambda: re.search(r'admin listener on ([\d.:]+)', started.text('stderr')), 'no admin listener')[1]

    def scrape():
        with LOCAL.open(f'http://{address}/metrics', timeout=PATIENCE) as answer:
            equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
            return {family.name: family for family in text_string_to_metric_families(answer.read().decode())}

    def there():
        families = scrape()
        equal({name: families[name].type if name in families else None for name in KINDS}, KINDS)
        assert all(family.documentation for family in families.values())
        for name in 'well', 'flaky', 'dead', 'asleep', 'batched':
            series = {sample.labels['outcome']: sample.value for sample in families['sidehook_deliveries'].samples
                      if sample.labels['endpoint'] == name}
            equal(series, dict.fromkeys(ENDS, 0.0))
    case('metrics: every family with its type and text, every series from the start', there)

    def agree():
        for n in range(20):
            started.post_to('/events', json.dumps({'type': 'a', 'id': f'm-{n}', 'data': n}))
        is_end = lambda line: line['kind'] == 'delivery' and line['outcome'] in ENDS
        until(lambda: len(started.lines(is_end)) == 100, 'not every delivery ends')
        families = scrape()
        logged = collections.Counter((line['endpoint'], line['outcome']) for line in started.lines(is_end))
        counted = {(s.labels['endpoint'], s.labels['outcome']): s.value for s in families['sidehook_deliveries'].samples}
        equal({key: value for key, value in counted.items() if value}, dict(logged))
        attempts = collections.Counter()
        for sample in families['sidehook_attempts'].samples:
            attempts[sample.labels['endpoint']] += sample.value
        counts = {s.labels['endpoint']: s.value for s in families['sidehook_attempt_duration_seconds'].samples if s.name.endswith('_count')}
        equal(dict(attempts), counts)
        lines = collections.Counter(line['endpoint'] for line in started.lines(lambda line: 'duration_ms' in line))
        equal((attempts['well'], attempts['flaky'], attempts['dead'], attempts['batched']), (lines['well'], lines['flaky'], lines['dead'], 1.0))
        for name in counts:
            buckets = [s.value for s in families['sidehook_attempt_duration_seconds'].samples
                       if s.name.endswith('_bucket') and s.labels['endpoint'] == name]
            assert buckets == sorted(buckets) and buckets[-1] == counts[name], (name, buckets)
        equal(families['sidehook_events_received'].samples[0].value, 20.0)
    case('metrics: what is counted is what the log says', agree)
