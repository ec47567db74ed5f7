"""Sends events through a sidecar, and lets the receivers' own libraries say what they think of the requests.

    suite.py SIDEHOOK NODE_FOLDER [README]

Every case is a line; the last one says how many passed. Written from the interface: nothing here knows how sidehook does it.
"""
import base64, datetime, json, os, re, shutil, subprocess, sys, tempfile, time, urllib.parse

import standardwebhooks

sys.dont_write_bytecode = True  # nothing beside the sources
import bodies, events, metrics, sidecar, signatures, transport
from sidecar import Node, Receiver, Sidecar, case, equal, quoted, section
from signatures import HOUR, NEXT, WHSEC

DATA = json.dumps({'text': 'é & < > " \' ]]> \u2028 \r\n\t', 'astral': '😀', 'big': 12345678901234567890, 'nested': [{'deep': {}}]}, ensure_ascii=False)


def config(base):
    """Every endpoint that the Python receiver has: name, keys."""
    endpoints = {
        **signatures.ENDPOINTS, **events.ENDPOINTS, **bodies.ENDPOINTS,
        'basic': 'auth = { type = "basic", username = "u", password = "p:w" }\n', 'bearer': 'auth = { type = "bearer", token = "t0" }\n',
        'apikey': 'auth = { type = "api_key", value = "k0" }\n', 'flaky': 'retry = { attempts = 3, delay = "10ms", backoff = "fixed" }\n',
        'oauth2': f'auth = {{ type = "oauth2", token_url = "{base}/token", client_id = "i d", client_secret = "s+t", scopes = ["a"] }}\n',
        'batch': 'envelope = "none"\nbatch = { max_events = 3, max_wait = "5s" }\n' + signatures.signed('standard', WHSEC),
    }
    text = ''.join(f'[endpoints.{name}]\nurl = "{base}/{name}"\n{keys}' for name, keys in endpoints.items())
    return text + bodies.ROUTES + '[[routes]]\nevents = ["nobody.posts.this"]\nto = [%s]\n' % ', '.join(quoted(name) for name in endpoints)


def main():
    # Absolute, for some of it runs in folders of its own.
    binary, node_folder, readme = [os.path.abspath(path) for path in sys.argv[1:4]] + [None] * (4 - len(sys.argv))
    receiver = Receiver()
    base = f'http://127.0.0.1:{receiver.server_port}'
    with tempfile.TemporaryDirectory(prefix='receivers-') as folder:
        started, node = Sidecar(binary, os.path.join(folder, 'main'), config(base)), Node(node_folder)
        try:
            run(started, receiver, node, base)
            section('sidehook verify', lambda: signatures.verify_command(binary, folder, node))
            section('metrics', lambda: metrics.run(binary, folder, base))
            section('transport', lambda: transport.run(binary, folder, node))
            if readme:
                section('README', lambda: snippets(readme, receiver, folder))
        finally:
            started.end()
            node.end()
    print(f'{sidecar.passed} passed, {len(sidecar.failures)} failed')
    return 1 if sidecar.failures else 0


def run(started, receiver, node, base):
    event = '{"type": "order.paid", "id": "e-%s", "time": "2016-06-21T02:33:30Z", "data": ' + DATA + '}'

    def sent(endpoint, body=None, headers=None, count=1):
        started.post(endpoint, body if body is not None else event % endpoint, headers)
        return receiver.wait('/' + endpoint, count)

    section('signatures', lambda: signatures.run(sent, node, base))
    section('CloudEvents', lambda: events.run(sent, receiver, node))
    section('bodies', lambda: bodies.run(started, receiver, sent, node))
    case('basic auth', lambda: equal(sent('basic')['headers']['authorization'], 'Basic ' + base64.b64encode(b'u:p:w').decode()))
    case('bearer auth', lambda: equal(sent('bearer')['headers']['authorization'], 'Bearer t0'))
    case('API key', lambda: equal(sent('apikey')['headers']['x-api-key'], 'k0'))

    def oauth2():
        equal(sent('oauth2')['headers']['authorization'], 'Bearer tok')
        asked = receiver.wait('/token')
        equal(asked['headers']['authorization'], 'Basic ' + base64.b64encode(b'i+d:s%2Bt').decode())
        equal(urllib.parse.parse_qs(asked['body'].decode()), {'grant_type': ['client_credentials'], 'scope': ['a']})
    case('OAuth2 client credentials', oauth2)

    def flaky():
        first, second = sent('flaky'), receiver.wait('/flaky', 2)
        equal((first['headers']['webhook-id'], first['body']), (second['headers']['webhook-id'], second['body']))
        equal(first['headers']['webhook-id'], 'e-flaky')
    case('a retry has the same id and body', flaky)

    def batch():
        request = sent('batch', '[%s]' % ', '.join('{"type":"t","data":%d}' % n for n in range(3)))
        standardwebhooks.Webhook(WHSEC).verify(request['body'].decode(), request['headers'])
        equal(request['body'], b'[0,1,2]')
        assert request['headers']['webhook-id'].startswith('bat_')
    case('a batch is signed as a whole', batch)


RUNNERS = {
    'python': lambda file: [sys.executable, file], 'js': lambda file: ['node', file], 'go': lambda file: ['go', 'run', file],
    'ruby': lambda file: ['ruby', file], 'php': lambda file: ['php', file],
}


def snippets(readme, receiver, folder):
    """README's receivers: each reads headers from the environment and the body from stdin, and ends with 0 or 1."""
    text = open(readme, encoding='utf-8').read().split('\n## Receive them\n', 1)[1].split('\n## ', 1)[0]
    request = receiver.wait('/standard')
    for language, code in re.findall(r'```(\w+)\n(.*?)```', text, re.S):
        file = os.path.join(folder, 'receiver.' + {'python': 'py', 'js': 'mjs', 'ruby': 'rb'}.get(language, language))
        command = RUNNERS[language](file)
        if not shutil.which(command[0]):
            print('skipped', f'README, {language}: it is not installed here')
            continue
        with open(file, 'w', encoding='utf-8') as out:
            out.write(code)
        snippet(language, command, request)


def snippet(language, command, request):
    body, headers = request['body'], {name: value for name, value in request['headers'].items() if name.startswith('webhook-')}

    def says(status, body=body, secret=WHSEC, **other):
        environment = {'SECRET': secret, **{name.upper().replace('-', '_'): value for name, value in {**headers, **other}.items()}}
        ended = subprocess.run(command, input=body, env={**os.environ, **environment}, capture_output=True, timeout=120)
        equal(ended.returncode, status)
        # A receiver that breaks ends with 1 as well, but not silently; `go run` itself says how the program ended.
        equal((ended.stdout + ended.stderr).decode().strip().removeprefix('exit status 1'), '')
    case(f'README, {language}: a good request', lambda: says(0))
    case(f'README, {language}: a changed byte is refused', lambda: says(1, body + b' '))
    case(f'README, {language}: another secret is refused', lambda: says(1, secret=NEXT))
    case(f'README, {language}: the second of two signatures', lambda: says(0, **{'webhook-signature': 'v1,AAAA ' + headers['webhook-signature']}))
    for when, seconds in (('an old', -HOUR), ('a future', HOUR)):
        at = datetime.datetime.fromtimestamp(int(time.time()) + seconds, datetime.timezone.utc)
        again = standardwebhooks.Webhook(WHSEC).sign(headers['webhook-id'], at, body.decode())
        stamp = str(int(at.timestamp()))
        case(f'README, {language}: {when} request, rightly signed, is refused',
             lambda: says(1, **{'webhook-timestamp': stamp, 'webhook-signature': again}))


if __name__ == '__main__':
    sys.exit(main())
