#!/usr/bin/env python3
"""An endpoint comes back while 10 000 events wait for it: what arrives, beside what its `rate` and `concurrency` allow.

    benches/comeback.py [--events 10000] [--rate 1000] [--concurrency 8]

It fails in four ways (connections refused, 503, 503 with Retry-After, 503 with a breaker), each with a rate and without, until
all events wait, and then answers after 5 ms. With a rate at most twice as many may arrive in any 100 ms, and in any second, as
it gives; without, never more may be under way than `concurrency`, nor more connections be open. Each event must be answered 200
once. The receiver is this script; see also stand.py.
"""
import collections, heapq, select, threading
from stand import *

WELL = b'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'
ILL = b'HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\n\r\n'
LATER = b'HTTP/1.1 503 Unavailable\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n'
FAILURES = {'refused': (None, ''), '503': (ILL, ''), 'retry-after': (LATER, ''), 'breaker': (ILL, 'breaker = { failures = 10, pause = "2s" }')}
DELAY = 0.005

class Receiver(threading.Thread):
    """Gives one `answer`, that of the well after a while; none: refuses connections. Notes when requests arrive then, and how many
    are under way."""
    def __init__(self, answer):
        super().__init__(daemon=True)
        self.port = free_port()
        self.poll, self.sockets, self.listener, self.ended = select.epoll(), {}, None, False
        self.arrivals, self.delivered, self.failures = [], collections.Counter(), 0
        self.under_way = self.most = self.most_open = 0
        self.turn(answer)
        self.start()

    def turn(self, answer):
        self.answer = answer
        if answer is not None and self.listener is None:
            self.listener = socket.create_server(('127.0.0.1', self.port), backlog=1024)
            self.listener.setblocking(False)
            self.poll.register(self.listener, select.EPOLLIN)

    def run(self):
        answers = []
        while not self.ended:
            wait = max(0, answers[0][0] - time.monotonic()) if answers else 0.05
            for fd, _ in self.poll.poll(wait):
                if self.listener and fd == self.listener.fileno():
                    taken, _ = self.listener.accept()
                    taken.setblocking(False)
                    taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.sockets[taken.fileno()] = [taken, b'']
                    self.poll.register(taken, select.EPOLLIN)
                    self.most_open = max(self.most_open, len(self.sockets))
                else:
                    self.read(fd, answers)
            while answers and answers[0][0] <= time.monotonic():
                _, fd, event = heapq.heappop(answers)
                self.under_way -= 1
                if fd in self.sockets:
                    self.delivered[event] += 1
                    self.sockets[fd][0].send(WELL)

    def read(self, fd, answers):
        held = self.sockets[fd]
        try:
            got = held[0].recv(65536)
        except OSError:
            got = b''
        if not got:
            del self.sockets[fd]
            return held[0].close()
        held[1] += got
        head, parted, body = held[1].partition(b'\r\n\r\n')
        fields = dict(line.split(b': ', 1) for line in head.split(b'\r\n')[1:])
        if not parted or len(body) < int(fields[b'content-length']):
            return
        held[1] = b''
        if self.answer != WELL:
            self.failures += 1
            return held[0].send(self.answer)
        now = time.monotonic()
        self.arrivals.append(now)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        heapq.heappush(answers, (now + DELAY, fd, fields[b'webhook-id']))

def most_within(times, seconds):
    """The most of `times` in any stretch of so long."""
    most = first = 0
    for last, then in enumerate(times):
        while then - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most

def await_parked(sidecar, receiver, a, pauses):
    """Until every event was tried, or, where the endpoint is paused, something was."""
    end = time.time() + 60
    while time.time() < end:
        tried = receiver.failures if receiver.answer else sidecar.lines('deliveries.jsonl') - 1
        if tried >= (1 if pauses else a.events):
            return
        time.sleep(0.1)
    raise SystemExit(f'{tried} of {a.events} were tried')

def measure(a, failure, has_rate):
    answer, more = FAILURES[failure]
    concurrency = 64 if has_rate else a.concurrency
    more += f'\nconcurrency = {concurrency}\nretry = {{ delay = "3s", backoff = "fixed", attempts = 100 }}\nqueue = {{ events = {2 * a.events} }}\n'
    more += f'rate = "{a.rate}/s"\n' if has_rate else ''
    receiver = Receiver(answer)
    with Sidecar(a, endpoint('back', receiver.port, more) + route('**', 'back')) as sidecar:
        accepted = sidecar.generate('closed', 8, 60, '/events/bench', a.events)['ok']
        await_parked(sidecar, receiver, a, failure in ('retry-after', 'breaker'))
        receiver.turn(WELL)
        end, since = time.time() + 60, time.monotonic()
        while len(receiver.delivered) < accepted and time.time() < end:
            time.sleep(0.05)
        code = sidecar.stop()
        receiver.ended = True
        receiver.join()
        kept = sidecar.lines('state/dead_letters.jsonl') + sidecar.lines('state/pending.jsonl')
    once = len(receiver.delivered) == accepted == sum(receiver.delivered.values()) and kept == 0 and code == 0
    tenth, second = most_within(receiver.arrivals, 0.1), most_within(receiver.arrivals, 1)
    print(f'{failure}, {f"rate {a.rate}/s" if has_rate else f"concurrency {concurrency}"}: first after {receiver.arrivals[0] - since:.2f} s, all after '
          f'{receiver.arrivals[-1] - since:.1f} s; most in 100 ms {tenth}, in 1 s {second}; under way {receiver.most}, connections {receiver.most_open}; '
          f'each once: {once}')
    if has_rate:
        return once and tenth <= 2 * a.rate / 10 and second <= 2 * a.rate
    return once and receiver.most <= concurrency and receiver.most_open <= concurrency

def main():
    a = options(__doc__, events=10000, rate=1000, concurrency=8)
    end(*[measure(a, failure, has_rate) for has_rate in (True, False) for failure in FAILURES])

if __name__ == '__main__':
    main()
