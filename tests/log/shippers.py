"""Lets real shippers tail the delivery log with README's own settings, while it is written and rotated.

    shippers.py SIDEHOOK README UNPACKED [WAY]

UNPACKED is a folder that Debian's packages were unpacked in; a program that is not there is looked for on the path, and
skipped, and said so, where it is not either. WAY is a word that selects ways of rotating. Every case is a line; the last one
says how many passed.

A line counts as shipped when the shipper has parsed it and has sent what it understood: each that sidehook wrote has to come
once, with all of its keys and values.
"""
import collections, contextlib, glob, gzip, http.client, http.server, json, os, subprocess, sys, tempfile, threading, time, traceback

import yaml

sys.dont_write_bytecode = True  # nothing beside the sources
import programs
from programs import PATIENCE, Shipper, found, read, settings, until, write

SECONDS = 20  # of load for each way to rotate
PAUSE = 5  # seconds between two rotations: syslog-ng takes three to notice one
PER_SECOND, PER_POST = 1000, 100  # events
BINARY, README, UNPACKED = map(os.path.abspath, sys.argv[1:4])
counts = {'ok': 0, 'FAILED': 0, 'skipped': 0}


def say(what, name, why=''):
    counts[what] += 1
    print(f'{what:8}{name}{" - " if why else ""}{why}', flush=True)


def case(name, run):
    try:
        run()
        say('ok', name)
    except Exception as error:
        say('FAILED', name, f'{type(error).__name__}: {error}')


class Receiver(http.server.ThreadingHTTPServer):
    """Takes what `load` gets, and answers `odd` with what no log should stumble over."""
    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    ANSWERS = [
        'ünïcode 😀 日本語 \u2028\u2029\u0085 \u202e'.encode(), b'\x1b[31mred\x1b[0m\x1b]0;title\x07 \x9b2J', b'\xff\xfe cut: \xc3',
        b'\r\n{"json": "in\\u0000side"}\n\n', b'%s %n $! ${x} @cee: "quoted" \\ / <b>', b'\x1b' * 4000, b'',
    ]

    def do_POST(self):
        body = self.rfile.read(int(self.headers['content-length']))
        odd = self.path.startswith('/odd')
        answer = self.ANSWERS[sum(body) % len(self.ANSWERS)] if odd else b''
        self.send_response(500 if odd else 200)
        self.send_header('content-length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Sidecar:
    """One that logs to `log/deliveries.jsonl`."""
    def __init__(self, folder, receiver, keys):
        self.folder, self.logs, self.kept = folder, os.path.join(folder, 'log'), os.path.join(folder, 'kept')
        self.log, self.stderr = os.path.join(self.logs, 'deliveries.jsonl'), os.path.join(folder, 'stderr')
        config = os.path.join(folder, 'sidehook.toml')
        os.mkdir(self.logs)
        os.mkdir(self.kept)
        base = f'http://127.0.0.1:{receiver.server_port}'
        write(config, (
            f'[listen]\naddress = "127.0.0.1:0"\n[log]\ndeliveries = "log/deliveries.jsonl"\n{keys}\n'
            f'[endpoints.load]\nurl = "{base}/load"\nenvelope = "none"\nbatch = {{ max_events = 100, max_wait = "20ms" }}\n'
            f'[endpoints.odd]\nurl = "{base}/odd/{"x" * 5500}"\nretry = {{ attempts = 1 }}\n'
            '[[routes]]\nevents = ["load"]\nto = ["load"]\n[[routes]]\nevents = ["odd"]\nto = ["odd"]\n'))
        with open(self.stderr, 'w') as errors:
            self.process = subprocess.Popen([BINARY, 'run', '--config', config], stderr=errors)
        self.address = until(self.started, lambda: read(self.stderr))

    def started(self):
        if self.process.poll() is not None:
            raise RuntimeError(read(self.stderr))
        return next((line['address'] for line in map(json.loads, self.written()) if line.get('outcome') == 'started'), None)

    def keep(self):
        """Another name for the file, by which it is there after whatever becomes of it."""
        os.link(self.log, os.path.join(self.kept, str(len(os.listdir(self.kept)))))

    def written(self):
        """Every line there is, in whichever file."""
        seen, lines = set(), []
        for path in sorted(glob.glob(f'{self.logs}/deliveries*') + glob.glob(f'{self.kept}/*')):
            with (gzip.open if path.endswith('.gz') else open)(path, 'rb') as file:
                inode = os.fstat(file.fileno()).st_ino
                if inode not in seen:
                    seen.add(inode)
                    lines += file.read().split(b'\n')[:-1]
        return lines

    def compressed(self):
        names = sorted(os.listdir(self.logs))
        assert any(name.endswith('.gz') for name in names), names

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()


class Load(threading.Thread):
    """Posts events at an even pace until its end; a hundredth of them fails, with odd answers."""
    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.posted, self.error = address, 0, None
        self.turn, self.ended, self.failed = threading.Lock(), False, threading.Event()
        self.start()

    def run(self):
        try:
            connection, due = http.client.HTTPConnection(self.address, timeout=PATIENCE), time.monotonic()
            while not self.ended:
                with self.turn:
                    self.post(connection)
                # What a pause took is not made up for.
                due = max(due + PER_POST / PER_SECOND, time.monotonic() - 1)
                time.sleep(max(0, due - time.monotonic()))
        except Exception as error:
            self.error = error
            self.failed.set()

    def post(self, connection):
        events = [{'id': f'e-{self.posted + n}', 'type': 'load', 'data': n} for n in range(1, PER_POST)]
        events.append({'id': f'e-{self.posted}', 'type': 'odd', 'data': self.posted})
        connection.request('POST', '/events', json.dumps(events), {'content-type': 'application/json'})
        answer = connection.getresponse()
        if answer.status != 202:
            raise RuntimeError(f'{answer.status}: {answer.read()}')
        answer.read()
        self.posted += PER_POST

    def lines(self):
        """How many there are of what was posted: one each, and another for each that ends among the dead letters."""
        return self.posted + self.posted // PER_POST

    def go_on_for(self, seconds):
        self.failed.wait(seconds)
        if self.error:
            raise self.error

    def end(self):
        self.ended = True
        self.join(PATIENCE)
        self.go_on_for(0)


class World:
    """A sidecar under load, and everybody who tails its log."""
    def __init__(self, folder, receiver, keys):
        self.sidecar, self.shippers = Sidecar(folder, receiver, keys), []

    def start(self):
        readme = read(README)
        for name, section, program, command, change in programs.KINDS:
            if program := found(program, UNPACKED):
                text = change(settings(readme, section))
                self.shippers.append(Shipper(name, program, command, text, self.sidecar.folder, self.sidecar.logs))
        self.load = Load(self.sidecar.address)

    def await_shipped(self, count):
        """Until everybody has as many lines. Who has lost some never has: that is found out when lines are compared."""
        try:
            until(lambda: all(len(shipper.sink.lines) >= count for shipper in self.shippers), '')
        except TimeoutError:
            pass

    def end(self):
        self.load.end()
        self.sidecar.end()
        written = self.sidecar.written()
        self.await_shipped(len(written))
        for shipper in self.shippers:
            shipper.stop()
        return written

    def kill(self):
        self.sidecar.process.kill()
        for shipper in self.shippers:
            shipper.kill()


def logrotate(*directives):
    def rotate(world):
        conf = os.path.join(world.sidecar.folder, 'logrotate.conf')
        write(conf, f'su root root\n{world.sidecar.log} {{\n' + '\n'.join(('rotate 100', *directives)) + '\n}\n')
        words = [found('logrotate', UNPACKED), '--force', '--state', conf + '.state', conf]
        subprocess.run(words, check=True, timeout=PATIENCE)
    return rotate


def while_idle(rotate):
    """With all shipped before, and nothing written meanwhile."""
    def rotate_idle(world):
        with world.load.turn:
            world.await_shipped(1 + world.load.lines())
            rotate(world)
    return rotate_idle


def rename(world):
    os.rename(world.sidecar.log, f'{world.sidecar.logs}/deliveries-{len(os.listdir(world.sidecar.logs)):03}.jsonl')


def delete(world):
    world.sidecar.keep()
    os.remove(world.sidecar.log)


def age(world):
    """What sidehook has rotated is as old as it has to be before it is compressed."""
    for path in glob.glob(f'{world.sidecar.logs}/deliveries-*.jsonl'):
        with contextlib.suppress(FileNotFoundError):
            os.utime(path, (0, 0))


# What it is called, what rotates, and what the config says of the log.
WAYS = [
    ('logrotate, create', logrotate('create'), ''),
    ('logrotate, nocreate', logrotate('nocreate'), ''),
    # It loses lines where something is written at that moment.
    ('logrotate, copytruncate, while idle', while_idle(logrotate('copytruncate')), ''),
    ('renamed', rename, ''),
    ('deleted', delete, ''),
    ('log.rotate', age, 'rotate = { size = "3MiB", keep = false }'),
]


def run(name, rotate, keys, receiver):
    with tempfile.TemporaryDirectory(prefix='shippers-') as folder:
        world = World(folder, receiver, keys)
        try:
            world.start()
            for _ in range(SECONDS // PAUSE):
                world.load.go_on_for(PAUSE)
                rotate(world)
            written = world.end()
            case(f'{name}: written', lambda: complete(written, world.load.posted))
            if rotate is age:
                case(f'{name}: compressed', world.sidecar.compressed)
            expected = meanings(written)
            for shipper in world.shippers:
                case(f'{name}: {shipper.name}', lambda: (shipper.end(), compare(expected, meanings(shipper.sink.lines))))
        finally:
            world.kill()


def complete(written, posted):
    """All that was posted has its line, and among them are the lines that shippers are to be tried with."""
    first = collections.Counter(line['event_id'] for line in map(json.loads, written) if line.get('outcome') in ('delivered', 'failed'))
    assert first == {f'e-{n}': 1 for n in range(posted)}, f'{len(first)} of {posted} events'
    longest = max(map(len, written))
    assert 7000 <= longest < 7168, f'the longest line has {longest} bytes'
    text = b'\n'.join(written).decode()
    missing = [part for part in ('日本語', '\\u2028', '\\u001b[31m', '\ufffd') if part not in text]
    assert not missing, f'no line has {missing}'


def compare(expected, came):
    missing, more = list((expected - came).elements()), list((came - expected).elements())
    some = [line[:300] for line in (missing + more)[:2]]
    assert not missing and not more, f'{len(missing)} of {expected.total()} lines are missing, {len(more)} are too many: {some}'


def meanings(lines):
    """What lines say, whatever the order of their keys."""
    return collections.Counter(map(meaning, lines))


def meaning(line):
    try:
        return json.dumps(json.loads(line), sort_keys=True)
    except ValueError:
        return f'not JSON: {line!r}'


def parse(section):
    """What is not run here is at least what its format asks for."""
    assert '/var/log/sidehook/deliveries' in json.dumps(yaml.safe_load(settings(read(README), section)))


def main():
    receiver = Receiver()
    for section in ('Vector', 'Filebeat', 'OpenTelemetry Collector', 'Promtail'):
        case(f'README: {section}', lambda: parse(section))
    for name, _, program, *_ in programs.KINDS:
        if not found(program, UNPACKED):
            say('skipped', name, f'{program} is not installed here')
    for name, rotate, keys in WAYS:
        if sys.argv[4:] and sys.argv[4] not in name:
            continue
        if name.startswith('logrotate') and not found('logrotate', UNPACKED):
            say('skipped', name, 'logrotate is not installed here')
            continue
        try:
            run(name, rotate, keys, receiver)
        except Exception as error:
            traceback.print_exc()
            say('FAILED', name, f'{type(error).__name__}: {error}')
    print(f'{counts["ok"]} passed, {counts["FAILED"]} failed, {counts["skipped"]} skipped')
    return 1 if counts['FAILED'] else 0


if __name__ == '__main__':
    sys.exit(main())
