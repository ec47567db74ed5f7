#!/usr/bin/env python3
"""What a reload costs, and that none is noticed: see README.md.

    benches/reload.py [--only effect,plan,mixed,memory] [--saves 31] [--secs 60] [--reloads 1000] [--rate 2000] [--many 10000]

effect: from the end of a write to the new config in force, median: 250 ms. plan: 1 000 endpoints and 10 000 routes without jq
are checked, and started with, in 200 ms, and all endpoints changed by a reload in 250 ms, while no 202 takes longer than 20 ms.
mixed: `--reloads` within `--secs`, half of them by SIGHUP and half by POST /reload, between two contents that differ in path,
headers, credentials and secret, under `--rate` events/s: none refused, none lost, none made of both. memory: RSS grows by less
than 2 % after the first fifth of `--many` reloads. See also stand.py.
"""
import collections, contextlib, datetime, hashlib, hmac, http.client, select, threading
from stand import *

class Admin:
    """A config that is written over, and the listener that reloads it."""
    def __init__(self, a, text):
        self.port = free_port()
        self.head = f'[admin]\naddress = "127.0.0.1:{self.port}"\n'
        self.began = time.time()
        self.sidecar = Sidecar(a, self.head + text)
        self.started = time.time() - self.began
        self.before = open(self.sidecar.path('sidehook.toml')).read().removesuffix(text)
        self.connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, text):
        with open(self.sidecar.path('new.toml'), 'w') as file:
            file.write(self.before + text)
        os.rename(self.sidecar.path('new.toml'), self.sidecar.path('sidehook.toml'))

    def reload(self):
        """Asks for a reload; says what changed."""
        self.connection.request('POST', '/reload')
        answer = self.connection.getresponse()
        said = answer.read()
        assert answer.status == 200, said
        return json.loads(said)['changed']

    def reloads(self):
        """The log's lines about the config."""
        with open(self.sidecar.path('deliveries.jsonl')) as log:
            return [json.loads(line) for line in log if '"kind":"config"' in line and line.endswith('\n')]

def effect(a):
    took = []
    text = lambda version: endpoint('hook', 9, f'headers = {{ X-Version = "{version}" }}') + route('**', 'hook')
    admin = Admin(a, text('first'))
    with admin.sidecar:
        for n in range(a.saves):
            admin.write(text(n))
            written, end = time.time(), time.time() + 10
            while len(lines := admin.reloads()) <= n and time.time() < end:
                time.sleep(0.005)
            assert lines[n]['outcome'] == 'loaded', lines
            took.append((datetime.datetime.fromisoformat(lines[n]['timestamp']).timestamp() - written) * 1e3)
    print(f'effect: {min(took):.0f} to {max(took):.0f} ms')
    return [verdict('write to effect, median', median(took), 250, ' ms')]

def plan_of(endpoints, routes, timeout, secrets):
    key = (lambda n: f'{{ file = "keys/{n}" }}') if secrets else (lambda n: '{ env = "BENCH_KEY" }')
    signed = lambda n: f'timeout = "{timeout}s"\nsignature = {{ scheme = "standard", secrets = [{key(n)}] }}'
    text = ''.join(endpoint(f'e{n}', 9, signed(n)) for n in range(endpoints))
    return text + ''.join(f'[[routes]]\nevents = ["shop{n % 97}.order{n}.*", "!**.test"]\nto = ["e{n % endpoints}"]\n' for n in range(routes))

class Ticker(threading.Thread):
    """Posts an event every half a millisecond, and notes how long the longest answer took, in ms."""
    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.longest, self.ended = port, 0, False
        self.start()

    def run(self):
        body = b'POST /events/nobody.wants HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n1'
        with socket.create_connection(('127.0.0.1', self.port)) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self.ended:
                since = time.perf_counter()
                s.sendall(body)
                assert s.recv(65536).startswith(b'HTTP/1.1 202')
                self.longest = max(self.longest, (time.perf_counter() - since) * 1e3)
                time.sleep(0.0005)

def plan(a, secrets):
    name = 'each with a secret file' if secrets else 'their secret in the environment'
    reloads, longest, checks, still = [], [], [], []
    admin = Admin(a, '')
    with admin.sidecar as sidecar:
        os.mkdir(sidecar.path('keys'))
        for n in range(1000):
            with open(sidecar.path(f'keys/{n}'), 'w') as file:
                file.write('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n')
        ticker = Ticker(sidecar.port)
        for turn in range(7):
            admin.write(plan_of(1000, 10000, 10 + turn, secrets))
            since = time.perf_counter()
            subprocess.run(on_core(a, 0, [a.sidehook, 'check', '--config', sidecar.path('sidehook.toml')]), check=True, capture_output=True)
            checks.append((time.perf_counter() - since) * 1e3)
            time.sleep(0.5)  # what the write alone has set off
            admin.write(plan_of(1000, 10000, 30 + turn, secrets))
            ticker.longest = 0
            time.sleep(0.05)
            still.append(ticker.longest)
            ticker.longest, since = 0, time.perf_counter()
            changed = admin.reload()
            reloads.append((time.perf_counter() - since) * 1e3)
            time.sleep(0.3)
            longest.append(ticker.longest)
            assert turn == 0 or len(changed) == 1000, changed
        ticker.ended = True
        ticker.join()
    print(f'plan, {name}: checks {list(map(round, checks))}, reloads {list(map(round, reloads))}, longest 202 {list(map(round, longest))} ms, '
          f'just before {list(map(round, still))}')
    # The first reload opens the lanes.
    return [verdict(f'plan, {name}: check', median(checks), 200, ' ms'), verdict('reload', median(reloads[1:]), 250, ' ms'),
            verdict('the longest 202 meanwhile, median', median(longest[1:]), 20, ' ms')]

def start(a):
    took = []
    for turn in range(5):
        admin = Admin(a, plan_of(1000, 10000, 10, False))
        admin.sidecar.stop()
        took.append(admin.started * 1e3)
    return [verdict('plan: start to the first connection', median(took), 200, ' ms')]

class Receiver(threading.Thread):
    """Answers 200, counts each event, and says which requests are not made of one version alone."""
    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(('127.0.0.1', free_port()), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.seen, self.versions, self.mixed = collections.Counter(), collections.Counter(), []
        self.start()

    def run(self):
        poll, sockets = select.epoll(), {}
        poll.register(self.listener, select.EPOLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self.listener.fileno():
                    taken, _ = self.listener.accept()
                    taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sockets[taken.fileno()] = [taken, b'']
                    poll.register(taken, select.EPOLLIN)
                    continue
                with contextlib.suppress(OSError):
                    if got := sockets[fd][0].recv(65536):
                        sockets[fd][1] = self.take(sockets[fd][0], sockets[fd][1] + got)
                        continue
                sockets.pop(fd)[0].close()

    def take(self, s, held):
        head, parted, body = held.partition(b'\r\n\r\n')
        first, *fields = head.decode().split('\r\n')
        fields = dict(field.split(': ', 1) for field in fields)
        if not parted or len(body) < int(fields['content-length']):
            return held
        version = first.split(' ')[1][1:]
        signed = hmac.new(f'secret-{version}'.encode(), body, hashlib.sha256).hexdigest()
        made_of = {'x-one': version, 'x-two': version, 'authorization': f'Bearer token-{version}', 'x-hub-signature-256': f'sha256={signed}'}
        if any(fields.get(name) != value for name, value in made_of.items()):
            self.mixed.append((first, fields))
        self.seen[fields['webhook-id']] += 1
        self.versions[version] += 1
        s.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
        return b''

def mixed(a):
    receiver = Receiver()
    def text(n):
        version = f'v{n}'
        more = f'headers = {{ X-One = "{version}", X-Two = "{version}" }}\nauth = {{ type = "bearer", token = "token-{version}" }}\n'
        more += f'signature = {{ scheme = "github", secrets = ["secret-{version}"] }}\nqueue = {{ events = 100000 }}'
        return endpoint('hook', receiver.port, more, f'/{version}') + route('**', 'hook')
    admin = Admin(a, text(0))
    with admin.sidecar as sidecar:
        load = {}
        loading = threading.Thread(target=lambda: load.update(sidecar.generate('open', 32, a.secs, '/events/bench', a.rate)))
        loading.start()
        since, done = time.time(), 0
        for n in range(1, a.reloads + 1):
            admin.write(text(n % 2))
            if n % 4 < 2:
                done += admin.reload() != []
            else:
                # The answer is to a question asked after the signal.
                sidecar.process.send_signal(signal.SIGHUP)
                admin.connection.request('GET', '/healthz')
                admin.connection.getresponse().read()
            time.sleep(max(0, since + n * (a.secs - 2) / a.reloads - time.time()))
        took = time.time() - since
        loading.join()
        end, accepted = time.time() + 30, int(load['ok'])
        while len(receiver.seen) < accepted and time.time() < end:
            time.sleep(0.05)
        loaded = [line['outcome'] for line in admin.reloads()]
        code = sidecar.stop()
        kept = sidecar.lines('state/dead_letters.jsonl') + sidecar.lines('state/pending.jsonl')
    lost = accepted - len(receiver.seen)
    print(f'mixed: {loaded.count("loaded")} loaded and {len(loaded) - loaded.count("loaded")} refused in {took:.0f} s; {accepted} events accepted, '
          f'{load["err"]:.0f} refused, {lost} lost, {kept} kept, {sum(receiver.seen.values()) - len(receiver.seen)} repeated, '
          f'{len(receiver.mixed)} mixed; by version {dict(receiver.versions)}; p99 of the 202 {load["ack_p99"] / 1e3:.1f} ms; exit {code}')
    for request in receiver.mixed[:3]:
        print(' ', request)
    return [load['err'] == lost == kept == code == 0, not receiver.mixed, set(loaded) == {'loaded'}, len(loaded) >= a.reloads * 0.9]

def memory(a):
    def text(version):
        more = f'{SIGNED}\ntimeout = "{10 + version}s"\nheaders = {{ X-Version = "{version}", X-Long = "{"x" * (100 + version)}" }}'
        names = [f'e{n}' for n in range(50 + version % 2)]
        routes = ''.join(f'[[routes]]\nevents = ["shop.r{n}.*"]\nwhen = ".data.n > {n + version}"\nto = ["e{n % 50}"]\n' for n in range(200))
        return ''.join(endpoint(name, 9, more) for name in names) + routes
    admin, samples = Admin(a, text(0)), []
    with admin.sidecar as sidecar:
        for n in range(a.many):
            admin.write(text((n + 1) % 7))
            # Nothing is left to do for it where the watcher was quicker.
            admin.reload()
            samples.append(sidecar.rss())
        time.sleep(0.3)  # the log may be 100 ms late
        loaded = sum(line['outcome'] == 'loaded' for line in admin.reloads())
    fifth = a.many // 5
    early, late = median(samples[fifth:fifth + fifth // 4]), median(samples[-fifth // 4:])
    print('memory: ' + ' '.join(f'{samples[n]:.1f}' for n in range(0, a.many, max(1, a.many // 20))))
    print(f'memory: RSS {samples[0]:.1f} MiB after the first reload, {early:.1f} after a fifth of {a.many}, {late:.1f} at the end, {max(samples):.1f} at most; {loaded} were loaded')
    return [verdict('RSS at the end / after a fifth', late / early, 1.02), loaded == a.many]

def main():
    os.environ['BENCH_KEY'] = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
    a = options(__doc__, only='effect,plan,mixed,memory', saves=31, secs=60, reloads=1000, rate=2000, many=10000)
    measures = {'effect': lambda: effect(a), 'plan': lambda: plan(a, False) + plan(a, True) + start(a), 'mixed': lambda: mixed(a), 'memory': lambda: memory(a)}
    end(*[held for name in a.only.split(',') for held in measures[name]()])

if __name__ == '__main__':
    main()
