#!/usr/bin/env python3
"""CPU per delivery of an event that goes to ten endpoints, beside that of events that go to one: at most 0.75.

    benches/fan_out.py [--rounds 7] [--secs 2] [--limit 0.75]

One sidecar, signed deliveries, a closed loop of 32 connections that posts 1 KiB events; the two kinds in turn. See stand.py.
"""
from stand import *

def measure(sidecar, sink, path, secs, each):
    sink.ask('reset')
    before = sidecar.cpu()
    sent = sidecar.generate('closed', 32, secs, path)['ok']
    arrived = sink.await_count(sent * each)
    return (sidecar.cpu() - before) * 1e6 / (sent * each), arrived == sent * each

def main():
    a = options(__doc__, rounds=7, secs=2.0, limit=0.75)
    with Sink(a) as sink:
        more = SIGNED + '\nconcurrency = 16\nqueue = { events = 200000, bytes = "256MiB", when_full = "reject" }'
        names = [f'e{n}' for n in range(10)]
        config = ''.join(endpoint(name, sink.port, more) for name in names) + route('one', names[0]) + route('ten', *names)
        with Sidecar(a, config) as sidecar:
            ways, rows, complete = [('/events/one', 1), ('/events/ten', 10)], [], True
            for way in ways:
                measure(sidecar, sink, way[0], 0.5, way[1])
            for turn in range(a.rounds):
                row = {}
                for path, each in ways if turn % 2 == 0 else ways[::-1]:
                    row[each], whole = measure(sidecar, sink, path, a.secs, each)
                    complete = complete and whole
                rows.append(row)
                print(f'round {turn + 1}: {row[1]:.2f} µs a delivery alone, {row[10]:.2f} of ten, ratio {row[10] / row[1]:.3f}')
    print(f'medians: {median(row[1] for row in rows):.2f} and {median(row[10] for row in rows):.2f} µs; all delivered: {complete}')
    end(verdict('CPU per delivery, of ten / alone', median(row[10] / row[1] for row in rows), a.limit), complete)

if __name__ == '__main__':
    main()
