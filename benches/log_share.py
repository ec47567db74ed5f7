#!/usr/bin/env python3
"""CPU that the delivery log takes per event at saturation: at most 1.2 µs.

    benches/log_share.py [--rounds 15] [--secs 1.0] [--limit 1.2] [--off PATH]

Two sidecars in turn, under the same closed loop: as it is, and a build that counts its lines and writes none. That one is
made of the checkout's last commit with one line changed, in a temporary folder, unless --off names it. See stand.py.
"""
from stand import *

def without_log(keep):
    """Builds the last commit so that no record becomes a line."""
    folder = os.path.join(keep, 'off')
    subprocess.run(['git', 'clone', '-q', '.', folder], check=True)
    path = os.path.join(folder, 'src/log/buffer.rs')
    before = open(path).read()
    place = 'state.counters.count(record);\n'
    if place not in before:
        raise SystemExit(f'{path} no longer counts where it did')
    with open(path, 'w') as file:
        file.write(before.replace(place, place + '        if now > SystemTime::UNIX_EPOCH {\n            return;\n        }\n', 1))
    subprocess.run(['cargo', 'build', '--release', '-q', '--locked'], cwd=folder, check=True)
    return os.path.join(folder, 'target/release/sidehook')

def measure(a, binary, sink):
    config = endpoint('one', sink.port, SIGNED + '\nconcurrency = 16\nqueue = { events = 200000, bytes = "256MiB", when_full = "reject" }')
    with Sidecar(argparse.Namespace(**{**vars(a), 'sidehook': binary}), config + route('**', 'one')) as sidecar:
        sink.ask('reset')
        sink.await_count(sidecar.generate('closed', 32, 0.3, '/events/one')['ok'])
        sink.ask('reset')
        before = sidecar.cpu()
        sent = sidecar.generate('closed', 32, a.secs, '/events/one')['ok']
        arrived = sink.await_count(sent)
        cpu = (sidecar.cpu() - before) * 1e6 / sent
        return cpu, sidecar.lines('deliveries.jsonl'), arrived == sent

def main():
    a = options(__doc__, rounds=15, secs=1.0, limit=1.2, off='')
    with tempfile.TemporaryDirectory(prefix='sidehook-bench-') as keep:
        off = a.off or without_log(keep)
        shares, on_all, whole = [], [], True
        with Sink(a) as sink:
            for turn in range(a.rounds):
                cpu = {}
                for name in ['on', 'off'] if turn % 2 == 0 else ['off', 'on']:
                    cpu[name], lines, arrived = measure(a, a.sidehook if name == 'on' else off, sink)
                    whole = whole and arrived and (lines > 0) == (name == 'on')
                shares.append(cpu['on'] - cpu['off'])
                on_all.append(cpu['on'])
                print(f'round {turn + 1}: {cpu["on"]:.2f} µs with the log, {cpu["off"]:.2f} without', flush=True)
    share = median(shares)
    print(f'share of the log: {share:.2f} µs of {median(on_all):.2f} (median of {a.rounds} pairs; limit {a.limit})')
    if not whole:
        print('not every event was delivered, or lines stood where none should')
    raise SystemExit(share > a.limit or not whole)

main()
