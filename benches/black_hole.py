#!/usr/bin/env python3
"""One of ten endpoints is a black hole: what the other nine and the app notice of it. Each event goes to all ten.

    benches/black_hole.py [--rounds 5] [--secs 7] [--rate 2000]

In turn: the tenth is well, it takes connections and never answers, its SYNs are lost. The p99 from the moment of posting to the
nine receivers, and of the 202, may each be 1.2 times, or 1 ms more than, what it is where the tenth is well; and every delivery
must have arrived or be in the state files. The black hole's queue holds 2 000 events, so that most of its events overflow to
disk. See stand.py.
"""
from stand import *

KINDS = ['well', 'silent', 'dropping']

def measure(a, kind):
    """The p99 to the nine and of the 202, in µs, and how many deliveries are missing."""
    hole = {'well': lambda: None, 'silent': silent, 'dropping': dropping}[kind]()
    with Sink(a) as nine, Sink(a) as tenth:
        port = tenth.port if hole is None else (hole[0] if kind == 'dropping' else hole).getsockname()[1]
        names = [f'e{n}' for n in range(9)] + ['tenth']
        config = ''.join(endpoint(name, nine.port, SIGNED) for name in names[:9])
        config += endpoint('tenth', port, SIGNED + '\ntimeout = "2s"\nqueue = { events = 2000 }') + route('**', *names)
        with Sidecar(a, config) as sidecar:
            warm = sidecar.generate('open', 32, 1.5, '/events/bench', a.rate)['ok']
            missing = 9 * warm - nine.await_count(9 * warm)
            nine.ask('reset')
            load = sidecar.generate('open', 32, a.secs, '/events/bench', a.rate)
            missing += 9 * load['ok'] - nine.await_count(9 * load['ok'])
            p99 = float(nine.ask('stats')[3])
            if kind == 'well':
                tenth.await_count(warm + load['ok'])
            code = sidecar.stop()
            kept = sidecar.lines('state/dead_letters.jsonl') + sidecar.lines('state/pending.jsonl')
            missing += warm + load['ok'] - kept - tenth.count()
        print(f'{kind}: p99 {p99:.0f} µs to the nine, {load["ack_p99"]:.0f} µs of the 202; {load["ok"]:.0f} accepted, '
              f'{load["err"]:.0f} refused, {kept} in the state files, {missing:.0f} missing, exit {code}')
        return p99, load['ack_p99'], abs(missing) + load['err'] + code

def main():
    a = options(__doc__, rounds=5, secs=7.0, rate=2000)
    rows = []
    for turn in range(a.rounds):
        order = KINDS[turn % 3:] + KINDS[:turn % 3]
        rows.append({kind: measure(a, kind) for kind in order})
    held = []
    for at, what in enumerate(['p99 to the nine', 'p99 of the 202']):
        base = median(row['well'][at] for row in rows)
        print(f'{what}, the tenth well: {base:.0f} µs')
        for kind in KINDS[1:]:
            value = median(row[kind][at] for row in rows)
            held.append(verdict(f'{what}, the tenth {kind}', value / 1000, max(1.2 * base, base + 1000) / 1000, ' ms'))
            print(f'  ratio of the medians {value / base:.3f}, median of the ratios {median(row[kind][at] / row["well"][at] for row in rows):.3f}')
    end(*held, all(row[kind][2] == 0 for row in rows for kind in KINDS))

if __name__ == '__main__':
    main()
