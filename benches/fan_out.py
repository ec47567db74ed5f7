#!/usr/bin/env python3
"""CPU per delivery of an event that goes to ten endpoints, beside that of events that go to one: at most 0.75.

    benches/fan_out.py [--rounds 11] [--secs 0.8] [--limit 0.75]

One sidecar, signed deliveries, a closed loop that posts 1 KiB events; the two kinds in turn. With eight connections deliveries keep
pace; with 32 the app outruns them, ten times as many are under way as for one endpoint, and they queue. See stand.py.
"""
from stand import *

WAYS = [('/events/one', 1), ('/events/ten', 10)]

def measure(sidecar, sink, connections, path, secs, each):
    sink.ask('reset')
    before = sidecar.cpu()
    sent = sidecar.generate('closed', connections, secs, path)['ok']
    arrived = sink.await_count(sent * each)
    return (sidecar.cpu() - before) * 1e6 / (sent * each), arrived == sent * each

def main():
    a = options(__doc__, rounds=11, secs=0.8, limit=0.75)
    rows, complete = {8: [], 32: []}, True
    with Sink(a) as sink:
        more = SIGNED + '\nconcurrency = 16\nqueue = { events = 200000, bytes = "256MiB", when_full = "reject" }'
        names = [f'e{n}' for n in range(10)]
        config = ''.join(endpoint(name, sink.port, more) for name in names) + route('one', names[0]) + route('ten', *names)
        with Sidecar(a, config) as sidecar:
            for path, each in WAYS:
                measure(sidecar, sink, 32, path, 0.5, each)
            for turn in range(a.rounds):
                for connections in rows:
                    row = {}
                    for path, each in WAYS if turn % 2 == 0 else WAYS[::-1]:
                        row[each], whole = measure(sidecar, sink, connections, path, a.secs, each)
                        complete = complete and whole
                    rows[connections].append(row)
                    print(f'round {turn + 1}, {connections} connections: {row[1]:.2f} µs a delivery alone, {row[10]:.2f} of ten, ratio {row[10] / row[1]:.3f}')
    held = []
    for connections, measured in rows.items():
        print(f'{connections} connections: medians {median(row[1] for row in measured):.2f} and {median(row[10] for row in measured):.2f} µs')
        held.append(verdict('  CPU per delivery, of ten / alone', median(row[10] / row[1] for row in measured), a.limit))
    print(f'all delivered: {complete}')
    end(*held, complete)

if __name__ == '__main__':
    main()
