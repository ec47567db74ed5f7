"""Lets the delivery log's disk be full, read-only, limited and rotated by others, while the sidecar delivers, and counts lines.

    disk.py SIDEHOOK

Every case is a line; the last one says how many passed. It runs in a mount namespace of its own; what needs one, or a program
that is not here, is skipped, and said so. What needs neither is in tests/it/log_writing.rs.
"""
import http.client, http.server, json, os, re, shutil, signal, subprocess, sys, tempfile, threading, time, traceback

from programs import PATIENCE, until

MANY = 500  # events of a post, which make about 360 KB of lines
LIMIT = 400 * 1024  # bytes of a file, where there is one
SIDEHOOK = os.path.abspath(sys.argv[1])
MOUNTS = 'DISK_INSIDE' in os.environ
counts = {'ok': 0, 'FAILED': 0, 'skipped': 0}


def say(what, name, why=''):
    counts[what] += 1
    print(f'{what:8}{name}{" - " if why else ""}{why}', flush=True)


def run(*words):
    subprocess.run(words, check=True, timeout=PATIENCE)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers 200, and remembers the ids."""
    protocol_version = 'HTTP/1.1'
    ids = []

    def do_POST(self):
        self.rfile.read(int(self.headers['content-length']))
        self.ids.append(self.headers['webhook-id'])
        self.send_response(200)
        self.send_header('content-length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass


class Sidecar:
    """One whose log is `logs/deliveries.jsonl`; events of the type `hook` are delivered, and others only logged."""
    def __init__(self, folder, receiver, rotate='false', wrap=(), prepare=None):
        self.folder, self.receiver, self.posted, self.hooks = folder, receiver, 0, 0
        os.makedirs(self.path('logs'))
        if prepare:
            prepare(self)
        self.log = self.path('logs/deliveries.jsonl')
        self.configure(rotate)
        words = [*wrap, SIDEHOOK, 'run', '--config', self.path('sidehook.toml')]
        self.process = subprocess.Popen(words, stderr=open(self.path('stderr'), 'w'), stdout=subprocess.DEVNULL)
        until(lambda: self.ended() or 'listening on' in self.said(), self.said)
        self.address = re.search(r'listening on ([\d.:]+)', self.said())[1]

    def configure(self, rotate):
        # In one step: a half-written config would be refused, and that is a line.
        with open(self.path('new.toml'), 'w') as file:
            file.write(f'[listen]\naddress = "127.0.0.1:0"\n[log]\ndeliveries = "logs/deliveries.jsonl"\nrotate = {rotate}\n'
                       f'[state]\ndirectory = "state"\n[endpoints.hook]\nurl = "http://127.0.0.1:{self.receiver}/"\n'
                       '[[routes]]\nevents = ["hook"]\nto = ["hook"]\n')
        os.rename(self.path('new.toml'), self.path('sidehook.toml'))

    def path(self, name):
        return os.path.join(self.folder, name)

    def said(self):
        return open(self.path('stderr')).read()

    def ended(self):
        if self.process.poll() is not None:
            raise RuntimeError(self.said())

    def post(self, body):
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        connection.request('POST', '/events', json.dumps(body), {'content-type': 'application/json'})
        status = connection.getresponse().status
        connection.close()
        assert status == 202, status

    def load(self, posts):
        for _ in range(posts):
            self.post([{'type': 'a.' + 'x' * 150, 'id': f'{n:08}', 'data': 1} for n in range(self.posted, self.posted + MANY)])
            self.posted += MANY

    def deliver(self):
        """Whatever the log's disk is like, an event arrives."""
        self.hooks += 1
        name = f'{self.folder}-{self.hooks}'
        self.post({'type': 'hook', 'id': name, 'data': 1})
        until(lambda: name in Receiver.ids, 'the event does not arrive')

    def files(self):
        """Rotated ones, by sidehook or with the number that others give them, and the current one: in the order of lines."""
        names = [name for name in os.listdir(self.path('logs')) if name.startswith('deliveries')]
        others = [name for name in names if re.search(r'\.\d+$', name)]
        ours = sorted(name for name in names if name.startswith('deliveries-'))
        others.sort(key=lambda name: -int(name.rsplit('.', 1)[1]))
        return [self.path(f'logs/{name}') for name in [*others, *ours, 'deliveries.jsonl'] if name in names]

    def lines(self, cut=False):
        """All of them, parsed; with `cut` the last of a file may be cut."""
        found = []
        for path in self.files():
            text = open(path, 'rb').read().decode()
            whole, end = text.rsplit('\n', 1) if '\n' in text else ('', text)
            assert end == '' or cut, f'{path} ends in {end[-300:]}'
            found += [json.loads(line) for line in whole.split('\n') if line]
        return found

    def await_line(self, outcome):
        def there():
            try:
                return outcome.encode() in b''.join(open(path, 'rb').read() for path in self.files())
            except FileNotFoundError:  # renamed while we looked
                return False
        until(there, lambda: f'no {outcome}. {self.said()}')

    def stop(self):
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0, self.said()

    def check(self, cut=False, all_counted=True):
        """Stops it: each line is there once, in order, or counted."""
        self.stop()
        lines = self.lines(cut)
        ids = [line['event_id'] for line in lines if line['outcome'] == 'unrouted']
        assert ids == sorted(set(ids)), 'lines are doubled, or out of order'
        lost = sum(line['count'] for line in lines if line['outcome'] == 'log_lost')
        # Besides: started, draining, stopped.
        others = len([line for line in lines if line['outcome'] not in ('unrouted', 'log_lost', 'loaded')])
        missing = self.posted - len(ids) + self.hooks + 3 - others
        assert missing == lost or not all_counted, f'{missing} are missing, {lost} counted'
        return missing

    def kill(self):
        if hasattr(self, 'process'):
            self.process.kill()
            self.process.wait()


def case(name, act, needs=(), mounts=False, **how):
    missing = [program for program in needs if not shutil.which(program)]
    if missing:
        return say('skipped', name, f'{", ".join(missing)} is not installed here')
    if mounts and not MOUNTS:
        return say('skipped', name, 'namespaces are not allowed here')
    with tempfile.TemporaryDirectory(prefix='disk-') as folder:
        sidecar = Sidecar.__new__(Sidecar)
        try:
            sidecar.__init__(folder, receiver, **how)
            act(sidecar)
            say('ok', name)
        except Exception as error:
            traceback.print_exc()
            say('FAILED', name, f'{type(error).__name__}: {error}')
        finally:
            sidecar.kill()
            for place in ('logs/deliveries.jsonl', 'logs'):
                subprocess.run(['umount', '-q', os.path.join(folder, place)], stderr=subprocess.DEVNULL)


def tmpfs(options):
    return lambda sidecar: run('mount', '-t', 'tmpfs', '-o', options, 'disk', sidecar.path('logs'))


def full(sidecar):
    filler = sidecar.path('logs/filler')
    free = os.statvfs(sidecar.path('logs'))
    with open(filler, 'wb') as file:
        file.write(b'x' * (free.f_bavail * free.f_bsize - 100_000))
    sidecar.load(20)
    sidecar.deliver()
    os.remove(filler)
    sidecar.await_line('"log_lost"')
    sidecar.deliver()
    assert 'No space left' in sidecar.said() and 'again' in sidecar.said(), sidecar.said()
    assert sidecar.check() > 0


def full_while_rotating(sidecar):
    """There is no inode left for another file."""
    blocker = sidecar.path('logs/blocker')
    open(blocker, 'w').close()
    sidecar.load(4)
    sidecar.deliver()
    sidecar.await_line('"delivered"')
    assert sidecar.said().count('cannot be rotated') == 1, sidecar.said()
    assert os.listdir(sidecar.path('logs')).count('deliveries.jsonl') == 1 and len(sidecar.files()) == 1
    os.remove(blocker)
    # Other rules are tried at once, and not after the minute that a failure is given.
    sidecar.configure('{ size = "310KiB", gzip = false, keep = false }')
    sidecar.await_line('"loaded"')
    sidecar.load(1)
    until(lambda: len(sidecar.files()) > 1, sidecar.said)
    assert sidecar.check() == 0


def limited(sidecar):
    sidecar.load(4)
    sidecar.deliver()
    until(lambda: 'cannot write' in sidecar.said(), sidecar.said)
    numbers = iter(range(40, 0, -1))
    def all_is_written():
        if os.path.exists(sidecar.log) and os.path.getsize(sidecar.log) == LIMIT:
            os.rename(sidecar.log, f'{sidecar.log}.{next(numbers)}')
        return any(b'"delivered"' in open(path, 'rb').read() for path in sidecar.files())
    until(all_is_written, sidecar.said)
    assert sidecar.check(cut=True) == 0


def limited_and_rotating(sidecar):
    sidecar.load(4)
    sidecar.deliver()
    sidecar.await_line('"delivered"')
    assert sidecar.check(cut=True) == 0 and len(sidecar.files()) > 2, sidecar.files()


def read_only(sidecar):
    """What is mounted there is another for a while, and read-only."""
    sidecar.load(1)
    run('mount', '-t', 'tmpfs', '-o', 'ro', 'disk', sidecar.path('logs'))
    sidecar.load(20)
    sidecar.deliver()
    assert 'Read-only file system' in sidecar.said(), sidecar.said()
    run('umount', sidecar.path('logs'))
    sidecar.await_line('"log_lost"')
    sidecar.deliver()
    assert sidecar.check() > 0


def mounted_alone(sidecar):
    """A file that is mounted by itself, as containers do, cannot be renamed."""
    sidecar.load(3)
    sidecar.deliver()
    sidecar.await_line('"delivered"')
    assert sidecar.said().count('cannot be rotated') == 1, sidecar.said()
    assert sidecar.check() == 0 and len(sidecar.files()) == 1


def bind(sidecar):
    log = sidecar.path('logs/deliveries.jsonl')
    open(log, 'w').close()
    run('mount', '--bind', log, log)


def logrotate(sidecar, rule):
    config, state = sidecar.path('logrotate.conf'), sidecar.path('logrotate.state')
    with open(config, 'w') as file:
        file.write(f'{sidecar.log} {{\n rotate 100\n missingok\n nocompress\n su root root\n {rule}\n}}\n')
    os.chmod(config, 0o644)
    run('logrotate', '--force', '--state', state, config)


def loaded(rule):
    """Rotates while lines are written as fast as they can be."""
    def act(sidecar):
        loader = threading.Thread(target=sidecar.load, args=(20,))
        loader.start()
        while loader.is_alive():
            logrotate(sidecar, rule)
        loader.join()
        # What copytruncate loses between copying and truncating nobody can count.
        sidecar.deliver()
        missing = sidecar.check(cut=rule == 'copytruncate', all_counted=rule != 'copytruncate')
        assert len(sidecar.files()) > 2 and missing >= 0, sidecar.files()
        # What logrotate puts aside where it is not the one to make the file.
        names = os.listdir(sidecar.path('logs'))
        assert not any(name.endswith('.backup') for name in names), names
    return act


def truncated_in_peace(sidecar):
    for _ in range(5):
        sidecar.load(1)
        last = f'"{sidecar.posted - 1:08}"'
        sidecar.await_line(last)
        logrotate(sidecar, 'copytruncate')
    assert sidecar.check() == 0 and len(sidecar.files()) == 6


def unsynced(sidecar):
    # The injected error is strace's; the log is as it should be.
    sidecar.load(1)
    sidecar.await_line(f'"{sidecar.posted - 1:08}"')
    sidecar.process.send_signal(signal.SIGTERM)
    subprocess.run(['pkill', '-TERM', '-P', str(sidecar.process.pid)])
    sidecar.process.wait(PATIENCE)
    assert 'may be incomplete' in sidecar.said(), sidecar.said()


def old_files(sidecar):
    line = (json.dumps({'timestamp': '2020-01-01T00:00:00.000000Z', 'url': 'x' * 200, 'noise': os.urandom(100).hex()}) + '\n').encode()
    for name in ('20200101T000000.000000Z', '20200102T000000.000000Z'):
        path = sidecar.path(f'logs/deliveries-{name}.jsonl')
        with open(path, 'wb') as file:
            for _ in range(200):
                file.write(line * 1000)
        os.utime(path, (0, 0))


def compressing(sidecar):
    """It has the lowest priority, holds nothing up, and is not waited for."""
    def nice():
        tasks = f'/proc/{sidecar.process.pid}/task'
        for task in os.listdir(tasks):
            try:
                if open(f'{tasks}/{task}/comm').read().strip() == 'log-files':
                    return open(f'{tasks}/{task}/stat').read().rsplit(')', 1)[1].split()[16]
            except FileNotFoundError:
                pass
    until(lambda: nice() == '19', nice)
    listed = lambda: os.listdir(sidecar.path('logs'))
    until(lambda: any(name.endswith('.part') for name in listed()), listed)
    sidecar.deliver()
    began = time.monotonic()
    sidecar.stop()
    assert time.monotonic() - began < 3
    names = os.listdir(sidecar.path('logs'))
    assert len(names) == 3 and not any('gz' in name for name in names), names


if not MOUNTS and subprocess.run(['unshare', '-Urm', 'true'], stderr=subprocess.DEVNULL).returncode == 0:
    os.environ['DISK_INSIDE'] = 'yes'
    os.execvp('unshare', ['unshare', '-Urm', sys.executable, *sys.argv])
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
receiver = server.server_address[1]
small = '{ size = "300KiB", gzip = false, keep = false }'
daily = '{ size = false, gzip = false, keep = false }'
limit = ('sh', '-c', f'ulimit -f {LIMIT // 512}; exec "$0" "$@"')

case('disk full, and free again', full, mounts=True, prepare=tmpfs('size=16m'))
case('disk full, with rotation', full, mounts=True, prepare=tmpfs('size=16m'), rotate=small)
case('no inode for another file', full_while_rotating, mounts=True, prepare=tmpfs('nr_inodes=3'), rotate=small)
case('a limit of the size of files', limited, wrap=limit)
case('a limit of the size of files, with rotation', limited_and_rotating, wrap=limit, rotate=daily)
case('read-only, and back', read_only, mounts=True)
case('a file mounted by itself', mounted_alone, mounts=True, prepare=bind, rotate=small)
case('logrotate, create', loaded('create'), needs=['logrotate'])
case('logrotate, nocreate', loaded('nocreate'), needs=['logrotate'])
case('logrotate, copytruncate', loaded('copytruncate'), needs=['logrotate'])
case('logrotate, copytruncate between lines', truncated_in_peace, needs=['logrotate'])
case('a disk that does not sync', unsynced, needs=['strace'],
     wrap=('strace', '-qq', '-f', '-o', '/dev/null', '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO'))
case('compressing', compressing, prepare=old_files, rotate='{}')
print(f'{counts["ok"]} passed, {counts["FAILED"]} failed, {counts["skipped"]} skipped')
sys.exit(counts['FAILED'] > 0)
