#!/usr/bin/env python3
"""CPU per event while 100 000 retries wait, beside a sidecar where none does: at most 1.05; and what they cost while nothing comes.

    benches/parked_retries.py [--rounds 21] [--secs 0.6] [--parked 100000] [--idle 5] [--limit 1.05]

Two sidecars of one config, in turn; in one of them half of the retries wait at the endpoint that is measured, half at another:
both answered 503 to their first attempt. A closed loop of 32 connections posts 1 KiB events, signed. See stand.py.
"""
from stand import *

def measure(sidecar, sink, secs):
    sink.ask('reset')
    before = sidecar.cpu()
    sent = sidecar.generate('closed', 32, secs, '/events/healthy')['ok']
    arrived = sink.await_count(sent)
    return (sidecar.cpu() - before) * 1e6 / sent, arrived == sent

def idle(sidecar, seconds):
    """CPU in milliseconds per second."""
    before = sidecar.cpu()
    time.sleep(seconds)
    return (sidecar.cpu() - before) * 1e3 / seconds

def main():
    a = options(__doc__, rounds=21, secs=0.6, parked=100000, idle=5.0, limit=1.05)
    more = (SIGNED + '\nconcurrency = 16\nretry = { delay = "10h", max_delay = "10h" }\n'
            'queue = { events = 200000, bytes = "512MiB", when_full = "reject" }')
    port, other = free_port(), free_port()
    config = ('[queue]\nbytes = "1GiB"\n' + endpoint('measured', port, more) + endpoint('dead', other, more)
              + route('both', 'measured', 'dead') + route('healthy', 'measured'))
    with Sidecar(a, config) as without, Sidecar(a, config) as waiting, Sink(a, other, '503 Unavailable') as dead:
        with Sink(a, port, '503 Unavailable') as sink:
            waiting.generate('closed', 32, 60, '/events/both', a.parked // 2)
            parked = sink.await_count(a.parked // 2) + dead.await_count(a.parked // 2)
        with Sink(a, port) as sink:
            rows, complete, quiet = [], parked == a.parked, []
            for sidecar in without, waiting:
                measure(sidecar, sink, 0.5)
            for turn in range(a.rounds):
                row = {}
                for sidecar in (without, waiting) if turn % 2 == 0 else (waiting, without):
                    row[sidecar], whole = measure(sidecar, sink, a.secs)
                    complete = complete and whole
                rows.append((row[without], row[waiting]))
                print(f'round {turn + 1}: {rows[-1][0]:.2f} µs an event without, {rows[-1][1]:.2f} with, ratio {rows[-1][1] / rows[-1][0]:.3f}')
            # Past the idle timeout of the connections.
            time.sleep(5)
            for sidecar in without, waiting:
                quiet.append(idle(sidecar, a.idle))
            again = sum(1 for line in open(waiting.path('deliveries.jsonl'), 'rb') if b'"attempt":2' in line)
            print(f'medians: {median(row[0] for row in rows):.2f} µs an event without, {median(row[1] for row in rows):.2f} with {parked} that wait; '
                  f'all delivered: {complete}; tried again meanwhile: {again}')
            print(f'CPU while nothing comes: {quiet[0]:.3f} ms/s without, {quiet[1]:.3f} with; RSS {without.rss():.1f} and {waiting.rss():.1f} MiB')
    held = verdict('CPU per event, with / without', median(row[1] / row[0] for row in rows), a.limit)
    end(held, verdict('CPU while nothing comes', quiet[1], quiet[0] + 0.5, ' ms/s'), complete, again == 0)

if __name__ == '__main__':
    main()
