"""What the measurements in this folder share: a sidecar, the load and the receivers of the project's bench, CPU time.

Each of them takes `--sidehook PATH` (default target/release/sidehook), `--bench FOLDER` (default ../shared/bench: its `gen` and
`sink` are built there by cargo) and `--no-pin` (else the sidecar has core 0, load and receivers core 1). Run them from the
checkout's root. They end with 1 where a limit is not held.
"""
import argparse, json, os, random, signal, socket, statistics, subprocess, sys, tempfile, time

TARGET = os.environ.get('RELAYBENCH_TARGET', os.path.join(tempfile.gettempdir(), 'relaybench-target'))
BIN = os.path.join(TARGET, 'release')
median = statistics.median

def options(doc, **defaults):
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sidehook', default='target/release/sidehook')
    parser.add_argument('--bench', default='../shared/bench')
    parser.add_argument('--no-pin', action='store_true')
    for name, default in defaults.items():
        parser.add_argument('--' + name.replace('_', '-'), type=type(default), default=default)
    a = parser.parse_args()
    subprocess.run(['cargo', 'build', '--release', '-q', '--manifest-path', os.path.join(a.bench, 'Cargo.toml'), '--target-dir', TARGET], check=True)
    return a

def on_core(a, core, command):
    return command if a.no_pin else ['taskset', '-c', str(core)] + command

def free_port():
    """None that an outgoing connection may get: it would meet itself there while nobody listens."""
    while True:
        port = random.randrange(16384, 32768)
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                pass

def wait_for(port, process):
    while process.poll() is None:
        try:
            return socket.create_connection(('127.0.0.1', port), 1).close()
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f'{process.args} ended with {process.returncode}')

def endpoint(name, port, more='', path='/'):
    return f'[endpoints.{name}]\nurl = "http://127.0.0.1:{port}{path}"\nenvelope = "none"\n{more}\n'

def route(events, *names):
    return f'[[routes]]\nevents = ["{events}"]\nto = {json.dumps(names)}\n'

SIGNED = 'signature = { scheme = "standard", secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] }'

class Process:
    """One that ends with the block it was started in."""
    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

class Sidecar(Process):
    def __init__(self, a, config, core=0):
        self.a, self.port, self.folder = a, free_port(), tempfile.TemporaryDirectory(prefix='sidehook-bench-')
        path = self.path('sidehook.toml')
        with open(path, 'w') as file:
            file.write(f'[listen]\naddress = "127.0.0.1:{self.port}"\n[log]\ndeliveries = "deliveries.jsonl"\n'
                       f'[shutdown]\ngrace = "100ms"\n{config}')
        self.process = subprocess.Popen(on_core(a, core, [a.sidehook, 'run', '--config', path]), stderr=open(self.path('stderr'), 'w'))
        wait_for(self.port, self.process)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def cpu(self):
        """Seconds on a CPU of all threads there are."""
        tasks = f'/proc/{self.process.pid}/task'
        return sum(int(open(f'{tasks}/{task}/schedstat').read().split()[0]) for task in os.listdir(tasks)) / 1e9

    def rss(self):
        """In MiB."""
        for line in open(f'/proc/{self.process.pid}/status'):
            if line.startswith('VmRSS:'):
                return int(line.split()[1]) / 1024

    def generate(self, *words):
        """Runs `gen` of the bench; says what it says, as numbers."""
        command = on_core(self.a, 1, [os.path.join(BIN, 'gen'), str(self.port), *map(str, words)])
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {name: float(value) for name, value in (word.split('=') for word in said.split())}

    def lines(self, name):
        """Lines of a file in its folder."""
        try:
            return sum(1 for _ in open(self.path(name), 'rb'))
        except FileNotFoundError:
            return 0

class Sink(Process):
    """A receiver that answers with `status` at once and knows how old what it gets is."""
    def __init__(self, a, port=None, status='200 OK'):
        self.port = port or free_port()
        self.process = subprocess.Popen(on_core(a, 1, [os.path.join(BIN, 'sink'), str(self.port)]), env={**os.environ, 'SINK_STATUS': status})
        wait_for(self.port, self.process)

    def ask(self, path):
        with socket.create_connection(('127.0.0.1', self.port), 10) as s:
            s.sendall(f'GET /{path} HTTP/1.1\r\n\r\n'.encode())
            head, _, body = s.recv(65536).decode().partition('\r\n\r\n')
            return body.split()

    def count(self):
        return int(self.ask('count')[0])

    def await_count(self, count, seconds=60):
        """Waits until so many have arrived, or none comes any more for three seconds; says how many have."""
        end, last, still = time.time() + seconds, -1, time.time()
        while time.time() < end:
            now = self.count()
            if now >= count or now == last and time.time() - still > 3:
                break
            if now != last:
                last, still = now, time.time()
            time.sleep(0.02)
        return now

def silent():
    """A receiver that accepts connections and never says anything, by the kernel alone: nobody calls accept(2)."""
    return socket.create_server(('127.0.0.1', free_port()), backlog=4096)

def dropping():
    """A receiver to which SYNs are lost: its queue is full, and nobody takes from it."""
    s = socket.create_server(('127.0.0.1', free_port()), backlog=0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(s.getsockname())
        fillers.append(filler)
    time.sleep(0.2)
    return s, fillers

def verdict(name, value, limit, unit=''):
    held = value <= limit
    print(f'{name}: {value:.3f}{unit}, allowed {limit:.3f}{unit}{"" if held else " — NOT HELD"}')
    return held

def end(*held):
    sys.exit(0 if all(held) else 1)
