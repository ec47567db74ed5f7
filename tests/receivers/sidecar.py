"""What the suite stands on: the sidecar, a receiver that keeps what comes, the Node process that is asked, and the count of cases."""
import http.server, json, os, subprocess, threading, time, traceback, urllib.request

PATIENCE = 20  # seconds, for what has to happen
passed, failures = 0, []


def case(name, run):
    global passed
    try:
        run()
        passed += 1
        print('ok    ', name, flush=True)
    except Exception as error:  # whatever a library raises
        failures.append(name)
        print('FAILED', name, '-', type(error).__name__, str(error)[:600], flush=True)


def section(name, run):
    """Cases that lean on one another: where what they share breaks, that is a failure, and the other sections go on."""
    try:
        run()
    except Exception as error:
        traceback.print_exc()
        case(name, lambda: fail(error))


def fail(error):
    raise error


def refused(run, verdict):
    """Passes where `run` raises `verdict`, one class or several; any other exception is a fault of the suite's own and comes through."""
    def turned():
        try:
            run()
        except verdict:
            return
        raise RuntimeError('it was taken')
    return turned


def equal(left, right):
    if left != right:
        left, right = repr(left), repr(right)
        start = max(len(os.path.commonprefix((left, right))) - 60, 0)
        raise AssertionError(f'at {start}: {left[start:start + 150]} is not {right[start:start + 150]}')


def quoted(text):
    return json.dumps(text)


def until(look, what):
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(what() if callable(what) else what)
        time.sleep(0.01)
    return found


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps every request by its path; says 503 the first time where the path asks for it, and gives tokens."""
    daemon_threads = True
    request_queue_size = 1024  # every endpoint opens its connections at once

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.seen, self.there = {}, threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def wait(self, path, count=1):
        with self.there:
            if not self.there.wait_for(lambda: len(self.seen.get(path, [])) >= count, PATIENCE):
                raise TimeoutError(f'{path}: {len(self.seen.get(path, []))} of {count} requests came')
            return self.seen[path][count - 1]

    def wait_ids(self, path, ids):
        """The first request of each `webhook-id`."""
        with self.there:
            def come():
                return {request['headers']['webhook-id']: request for request in reversed(self.seen.get(path, []))}
            if not self.there.wait_for(lambda: ids <= come().keys(), PATIENCE):
                raise TimeoutError(f'{path}: {sorted(ids - come().keys())} did not come')
            return come()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers['content-length']))
        request = {'method': self.command, 'path': self.path, 'headers': {k.lower(): v for k, v in self.headers.items()}, 'body': body}
        with self.server.there:
            seen = self.server.seen.setdefault(self.path, [])
            seen.append(request)
            self.server.there.notify_all()
        status, answer = (503 if self.path == '/flaky' and len(seen) == 1 else 200), b'{}'
        if self.path == '/token':
            answer = b'{"access_token":"tok","token_type":"bearer","expires_in":3600}'
        self.send_response(status)
        self.send_header('content-length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_PUT = do_POST

    def log_message(self, *_):
        pass


class Sidecar:
    def __init__(self, binary, folder, text, environment=None):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        path = self.file('sidehook.toml')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'[listen]\naddress = "127.0.0.1:0"\n[log]\ndeliveries = "log.jsonl"\n[shutdown]\ngrace = "100ms"\n{text}')
        with open(self.file('stderr'), 'w') as errors:
            self.process = subprocess.Popen([binary, 'run', '--config', path], stderr=errors, env={**os.environ, **(environment or {})})
        self.address = self.line(lambda line: line.get('outcome') == 'started')['address']

    def file(self, name):
        return os.path.join(self.folder, name)

    def text(self, name):
        return open(self.file(name), encoding='utf-8').read() if os.path.exists(self.file(name)) else ''

    def lines(self, select):
        """The log's whole lines that `select` takes."""
        return [line for line in map(json.loads, self.text('log.jsonl').split('\n')[:-1]) if select(line)]

    def line(self, select):
        """The first line of the log that `select` takes, once it is there."""
        def look():
            if self.process.poll() is not None:
                raise SystemExit(self.text('stderr'))
            return self.lines(select)
        return until(look, lambda: 'no such line in the log; its last: ' + self.text('log.jsonl')[-300:])[0]

    def post(self, endpoint, body, headers=None):
        return self.post_to(f'/endpoints/{endpoint}/events', body, headers)

    def post_to(self, path, body, headers=None):
        request = urllib.request.Request(f'http://{self.address}{path}', body.encode() if isinstance(body, str) else body,
                                         {'content-type': 'application/json', **(headers or {})})
        with LOCAL.open(request, timeout=PATIENCE) as answer:
            assert answer.status == 202, answer.status
            return json.loads(answer.read())

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()


# Not through a proxy that the environment names.
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """A library in Node says that a request does not verify."""


# What the libraries in Node raise for that, and for nothing else.
VERDICTS = 'WebhookVerificationError', 'StripeSignatureVerificationError', 'NoMatch'


class Node:
    def __init__(self, folder):
        self.process = subprocess.Popen(['node', os.path.join(folder, 'verify.mjs')], cwd=folder, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, encoding='utf-8')

    def ask(self, check, request=None, secret=None, **more):
        """Asks `check` of a request; `ahead` is how many seconds the receiver's clock is ahead."""
        question = {'check': check, 'secret': secret, **more}
        if request:
            question.update(headers=request['headers'], body=request['body'].decode())
        self.process.stdin.write(json.dumps(question) + '\n')
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if answer['ok']:
            return answer['value']
        raise (Refused if answer['kind'] in VERDICTS else RuntimeError)(f"{answer['kind']}: {answer['error']}")

    def end(self):
        self.process.kill()
        self.process.wait(PATIENCE)
