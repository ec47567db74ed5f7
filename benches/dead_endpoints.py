#!/usr/bin/env python3
"""Memory while every endpoint is dead, and what becomes of the events once they are back.

    benches/dead_endpoints.py [--seconds 120] [--rate 2000] [--endpoints 10] [--queue 32] [--kind refused|silent|dropping]

Posts 1 KiB events for all of them at a rate, and goes on for ten seconds after the endpoints have come back. `refused` endpoints
refuse connections, `silent` ones accept them and never answer, to `dropping` ones SYNs are lost. Ends with 1 if RSS went over
the configured bound plus 10 % plus 16 MiB or grew by more than 5 % after the first quarter, or unless every delivery that was
accepted has arrived or is in the dead letters. See stand.py.
"""
import contextlib, threading
from stand import *

DEAD = {'refused': lambda: (free_port(), None), 'silent': lambda: port_of(silent()), 'dropping': lambda: port_of(*dropping())}

def port_of(listener, fillers=()):
    return listener.getsockname()[1], (listener, *fillers)

class Watch(threading.Thread):
    """Samples RSS."""
    def __init__(self, sidecar):
        super().__init__(daemon=True)
        self.sidecar, self.samples, self.ended = sidecar, [], False
        self.start()

    def run(self):
        while not self.ended:
            self.samples.append(self.sidecar.rss())
            time.sleep(0.25)

def come_back(sidecar, sinks, accepted, seconds=120):
    """Waits until every delivery has arrived or is a letter."""
    letters, end = sidecar.lines('state/dead_letters.jsonl'), time.time() + seconds
    while time.time() < end and letters + sum(sink.count() for sink in sinks) < accepted:
        time.sleep(0.25)

def main():
    a = options(__doc__, seconds=120, rate=2000, endpoints=10, queue=32, kind='refused')
    dead = [DEAD[a.kind]() for _ in range(a.endpoints)]
    names = [f'dead{n}' for n in range(a.endpoints)]
    config = f'[queue]\nbytes = "{a.queue}MiB"\n[state]\nmax_bytes = "16GiB"\n' + route('**', *names)
    config += ''.join(endpoint(name, port, 'retry = { max_delay = "20s" }') for name, (port, _) in zip(names, dead))
    with Sidecar(a, config) as sidecar, contextlib.ExitStack() as back:
        watch = Watch(sidecar)
        load = sidecar.generate('open', 32, a.seconds, '/events/order.paid', a.rate)
        while_dead = list(watch.samples)
        for _, sockets in dead:
            for s in sockets or ():
                s.close()
        since, sinks = time.time(), [back.enter_context(Sink(a, port)) for port, _ in dead]
        more = sidecar.generate('open', 32, 10, '/events/order.paid', a.rate)
        accepted = int(load['ok'] + more['ok']) * a.endpoints
        come_back(sidecar, sinks, accepted)
        took, watch.ended = time.time() - since, True
        watch.join()
        code = sidecar.stop()
        arrived = sum(sink.count() for sink in sinks)
        letters, pending = sidecar.lines('state/dead_letters.jsonl'), sidecar.lines('state/pending.jsonl')
    quarter, peak, all_peak = max(while_dead[:len(while_dead) // 4]), max(while_dead), max(watch.samples)
    refused = load['err'] + more['err']
    print(f'{a.kind}: {accepted} deliveries accepted ({refused:.0f} events refused), {arrived} arrived within {took:.0f} s of the endpoints\' return, '
          f'{letters} dead letters, {pending} pending, {accepted - arrived - letters} missing; exit {code}')
    print(f'RSS after a quarter {quarter:.1f} MiB, while dead at most {peak:.1f}, on the way back {all_peak:.1f}')
    end(verdict('RSS', all_peak, a.queue * 1.1 + 16, ' MiB'), verdict('growth after the first quarter', peak / quarter, 1.05),
        accepted == arrived + letters and pending == 0 and code == 0 and refused == 0)

if __name__ == '__main__':
    main()
