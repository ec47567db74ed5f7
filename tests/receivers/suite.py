"""Sends events through a sidecar, and lets the receivers' own libraries say what they think of the requests.

    suite.py SIDEHOOK NODE_FOLDER [README]

Every case is a line; the last one says how many passed. Written from the interface: nothing here knows how sidehook does it.
"""
import base64, datetime, hashlib, hmac, http.server, json, os, re, socket, subprocess, sys, tempfile, threading, time, urllib.parse, urllib.request

import requests, standardwebhooks, stripe, svix
from cloudevents.core.bindings import http as ce
from cloudevents.core.v1.event import CloudEvent
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, InvalidSignature as BadMessage, algorithms
from lxml import etree
from slack_sdk.signature import SignatureVerifier

WHSEC = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
NEXT = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'
OTHER = 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
TEXT, TEXT_NEXT, TEXT_OTHER = 'a shared secret', 'its successor', 'somebody else’s'
SEED = bytes(range(32))
PRIVATE = Ed25519PrivateKey.from_private_bytes(SEED)
WHSK = 'whsk_' + base64.b64encode(SEED).decode()

NASTY = {'text': 'é & < > " \' ]]> \u2028 \r\n\t', 'astral': '😀', 'list': [1, [2, []], {}, {'a': None}], 'empty': {}, 'no name!': True,
         'xmlns': 'x', '1st': -0.5, 'big': 12345678901234567890, 'nested': {'deep': {'er': ['x', 'y']}}}
DATA = json.dumps(NASTY, ensure_ascii=False)


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps every request by its path; says 503 the first time where the path asks for it, and gives tokens."""
    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.seen, self.there = {}, threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def wait(self, path, count=1):
        with self.there:
            if not self.there.wait_for(lambda: len(self.seen.get(path, [])) >= count, 20):
                raise AssertionError(f'{path}: {len(self.seen.get(path, []))} of {count} requests came')
            return self.seen[path][count - 1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

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


def quoted(text):
    return json.dumps(text)


def config(base):
    """Every endpoint of the suite: name, keys."""
    def signed(scheme, *secrets, more=''):
        return f'signature = {{ scheme = "{scheme}", secrets = [{", ".join(quoted(s) for s in secrets)}]{more} }}\n'
    endpoints = {
        'standard': signed('standard', WHSEC), 'standard_two': signed('standard', WHSEC, NEXT),
        'stripe': signed('stripe', TEXT), 'stripe_two': signed('stripe', TEXT, TEXT_NEXT),
        'slack': signed('slack', TEXT), 'github': signed('github', TEXT), 'shopify': signed('shopify', TEXT),
        'xsignature': signed('x-signature', TEXT), 'ed25519': signed('standard', WHSK), 'moving': signed('standard', WHSEC, WHSK),
        'message_hmac': signed('http-message', TEXT, more=', key_id = "k1"'),
        'message_ed25519': signed('http-message', WHSK, more=', key_id = "k1", algorithm = "ed25519"'),
        'both': f'signature = [{{ scheme = "standard", secrets = ["{WHSEC}"] }}, {{ scheme = "github", secrets = ["{TEXT}"] }}]\n',
        'none': 'envelope = "none"\n', 'ce': 'envelope = "cloudevents"\n', 'cebin': 'envelope = "cloudevents-binary"\n',
        'basic': 'auth = { type = "basic", username = "u", password = "p:w" }\n', 'bearer': 'auth = { type = "bearer", token = "t0" }\n',
        'apikey': 'auth = { type = "api_key", value = "k0" }\n', 'flaky': 'retry = { attempts = 3, delay = "10ms", backoff = "fixed" }\n',
        'oauth2': f'auth = {{ type = "oauth2", token_url = "{base}/token", client_id = "i d", client_secret = "s+t", scopes = ["a"] }}\n',
        'batch': 'envelope = "none"\nbatch = { max_events = 3, max_wait = "5s" }\n' + signed('standard', WHSEC),
    }
    for form in ('json', 'xml', 'form'):
        endpoints['md5_' + form] = f'format = "{form}"\nenvelope = "md5"\n'
        endpoints['event_' + form] = f'format = "{form}"\nenvelope = "event"\n'
        endpoints['none_' + form] = f'format = "{form}"\nenvelope = "none"\n'
    text = ''.join(f'[endpoints.{name}]\nurl = "{base}/{name}"\n{keys}' for name, keys in endpoints.items())
    text += '[endpoints.jq]\nurl = "%s/jq"\nenvelope = "none"\n' % base
    text += '[[routes]]\nevents = ["**"]\ntransform = \'{n: .data.n, list: [.data.m]}\'\nto = ["jq"]\n'
    return text + '[[routes]]\nevents = ["nobody.posts.this"]\nto = [%s]\n' % ', '.join(quoted(name) for name in endpoints)


class Sidecar:
    def __init__(self, binary, folder, text):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        path = os.path.join(folder, 'sidehook.toml')
        with open(path, 'w') as file:
            file.write(f'[listen]\naddress = "127.0.0.1:{self.port}"\n[log]\ndeliveries = "log.jsonl"\n[shutdown]\ngrace = "100ms"\n{text}')
        self.process = subprocess.Popen([binary, 'run', '--config', path], stderr=open(os.path.join(folder, 'stderr'), 'w'))
        for _ in range(1000):
            try:
                return socket.create_connection(('127.0.0.1', self.port), 1).close()
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(open(os.path.join(folder, 'stderr')).read())
                time.sleep(0.01)
        raise SystemExit('the sidecar does not start')

    def post(self, endpoint, body, headers=None):
        request = urllib.request.Request(f'http://127.0.0.1:{self.port}/endpoints/{endpoint}/events', body.encode() if isinstance(body, str) else body,
                                         {'content-type': 'application/json', **(headers or {})})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 202


class Node:
    def __init__(self, folder):
        script = os.path.join(folder, 'verify.mjs')
        self.process = subprocess.Popen(['node', script], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, check, request, secret=None):
        question = {'check': check, 'headers': request['headers'], 'body': request['body'].decode(), 'secret': secret}
        self.process.stdin.write(json.dumps(question) + '\n')
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if not answer['ok']:
            raise ValueError(answer['error'])
        return answer['value']


passed, failures = 0, []


def case(name, run):
    global passed
    try:
        run()
        passed += 1
        print('ok    ', name)
    except Exception as error:  # whatever a library raises
        failures.append(name)
        print('FAILED', name, '-', type(error).__name__, str(error)[:300])


def refused(run):
    """Passes where `run` raises."""
    def turned():
        try:
            run()
        except Exception:
            return
        raise AssertionError('it was taken')
    return turned


def changed(request, **parts):
    return {**request, **parts, 'headers': {**request['headers'], **parts.get('headers', {})}}


def signatures(name, verify, requests_, secrets, old):
    """A good request, a changed byte, another secret, an old timestamp, and both secrets of a rotation."""
    one, two = requests_
    first, second, other = secrets
    case(f'{name}: a good request', lambda: verify(one, first))
    body = one['body'].replace(b'event_type', b'event_typo', 1)
    assert body != one['body']
    case(f'{name}: a changed byte is refused', refused(lambda: verify(changed(one, body=body), first)))
    case(f'{name}: another secret is refused', refused(lambda: verify(one, other)))
    if old:
        case(f'{name}: an old timestamp is refused', refused(lambda: verify(changed(one, headers=old(one)), first)))
    if two:
        case(f'{name}: the old secret of a rotation', lambda: verify(two, first))
        case(f'{name}: the new secret of a rotation', lambda: verify(two, second))


def equal(left, right):
    assert left == right, f'{left!r} is not {right!r}'


def in_message(request, key, algorithm, base):
    class Keys(HTTPSignatureKeyResolver):
        def resolve_public_key(self, key_id):
            equal(key_id, 'k1')
            return key
    message = requests.Request(request['method'], base + request['path'], headers=request['headers'], data=request['body']).prepare()
    HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=Keys()).verify(message)
    digest = base64.b64encode(hashlib.sha256(request['body']).digest()).decode()
    equal(request['headers']['content-digest'], f'sha-256=:{digest}:')


def in_ed25519(request, key):
    text = next(part[4:] for part in request['headers']['webhook-signature'].split(' ') if part.startswith('v1a,'))
    signed = f"{request['headers']['webhook-id']}.{request['headers']['webhook-timestamp']}.".encode() + request['body']
    key.verify(base64.b64decode(text), signed)


def leaves(value):
    """What XML carries of a JSON value, as lxml reads it back: the same writer's rules, turned round."""
    if isinstance(value, dict):
        return {k: leaves(v) for k, v in value.items()}
    return value


def read_xml(element):
    name = element.get('key') if element.tag == 'entry' else element.tag
    if len(element):
        members = {}
        for child in element:
            key, value = read_xml(child)
            members.setdefault(key, []).append(value)
        return name, members
    return name, None if element.get('nil') else (element.text or '')


def main():
    binary, node_folder, readme = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None
    receiver = Receiver()
    base = f'http://127.0.0.1:{receiver.server_port}'
    folder = tempfile.TemporaryDirectory(prefix='receivers-')
    sidecar, node = Sidecar(binary, folder.name, config(base)), Node(node_folder)
    try:
        run(sidecar, receiver, node, base)
        if readme:
            snippets(readme, receiver, sidecar, folder.name)
    finally:
        sidecar.process.terminate()
        node.process.kill()
        sidecar.process.wait(20)
    print(f'{passed} passed, {len(failures)} failed')
    return 1 if failures else 0


def run(sidecar, receiver, node, base):
    event = '{"type": "order.paid", "id": "e-%s", "time": "2016-06-21T02:33:30Z", "data": ' + DATA + '}'

    def sent(endpoint, body=None, headers=None, count=1):
        sidecar.post(endpoint, body if body is not None else event % endpoint, headers)
        return receiver.wait('/' + endpoint, count)

    two = sent('standard'), sent('standard_two')
    old_standard = lambda request: {'webhook-timestamp': str(int(request['headers']['webhook-timestamp']) - 3600)}
    secrets = WHSEC, NEXT, OTHER
    signatures('standardwebhooks (Python)', lambda r, s: standardwebhooks.Webhook(s).verify(r['body'].decode(), r['headers']), two, secrets, old_standard)
    signatures('svix (Python)', lambda r, s: svix.Webhook(s).verify(r['body'].decode(), r['headers']), two, secrets, old_standard)
    signatures('standardwebhooks (Node)', lambda r, s: node.ask('standard', r, s), two, secrets, old_standard)
    signatures('svix (Node)', lambda r, s: node.ask('svix', r, s), two, secrets, old_standard)
    two, texts = (sent('stripe'), sent('stripe_two')), (TEXT, TEXT_NEXT, TEXT_OTHER)
    old_stripe = lambda r: {'stripe-signature': re.sub(r't=(\d+)', lambda m: f't={int(m[1]) - 3600}', r['headers']['stripe-signature'])}
    signatures('stripe (Python)', lambda r, s: stripe.WebhookSignature.verify_header(r['body'].decode(), r['headers']['stripe-signature'], s, 300), two, texts, old_stripe)
    signatures('stripe (Node)', lambda r, s: node.ask('stripe', r, s), two, texts, old_stripe)

    def slack(r, s):
        assert SignatureVerifier(s).is_valid_request(r['body'], r['headers'])
    old_slack = lambda r: {'x-slack-request-timestamp': str(int(r['headers']['x-slack-request-timestamp']) - 3600)}
    signatures('slack_sdk', slack, (sent('slack'), None), texts, old_slack)
    signatures('octokit (Node)', lambda r, s: node.ask('octokit', r, s), (sent('github'), None), texts, None)

    def shopify(r, s):
        equal(r['headers']['x-shopify-hmac-sha256'], base64.b64encode(hmac.digest(s.encode(), r['body'], 'sha256')).decode())
    signatures('shopify, by hand', shopify, (sent('shopify'), None), texts, None)

    def x_signature(r, s):
        equal((r['headers']['x-signature-algo'], r['headers']['x-signature']), ('sha256', hmac.new(s.encode(), r['body'], hashlib.sha256).hexdigest()))
    signatures('x-signature, by hand', x_signature, (sent('xsignature'), None), texts, None)
    public, another = PRIVATE.public_key(), Ed25519PrivateKey.generate().public_key()
    one = sent('ed25519')
    signatures('Ed25519 (cryptography)', in_ed25519, (one, None), (public, None, another), old_standard)
    moving = sent('moving')
    case('moving from HMAC to Ed25519: the new way', lambda: in_ed25519(moving, public))
    case('moving from HMAC to Ed25519: the old way (Python)', lambda: standardwebhooks.Webhook(WHSEC).verify(moving['body'].decode(), moving['headers']))
    case('moving from HMAC to Ed25519: the old way (Node)', lambda: node.ask('svix', moving, WHSEC))
    both = sent('both')
    case('two schemes on one endpoint: standard', lambda: node.ask('standard', both, WHSEC))
    case('two schemes on one endpoint: github', lambda: node.ask('octokit', both, TEXT))
    for name, key, other, algorithm in (('hmac', TEXT.encode(), b'other', algorithms.HMAC_SHA256), ('ed25519', public, another, algorithms.ED25519)):
        request = sent('message_' + name)
        verify = lambda r, s, algorithm=algorithm: in_message(r, s, algorithm, base)
        signatures(f'http-message-signatures, {name}', verify, (request, None), (key, None, other), None)
        path = changed(request, path=request['path'] + '?x=1')
        case(f'http-message-signatures, {name}: another URL is refused', refused(lambda: verify(path, key)))

    cloud_events(sent, receiver, node)
    bodies(sent, node)
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


def cloud_events(sent, receiver, node):
    attributes = {'id': 'A', 'source': '/shop', 'type': 'com.example.sold', 'subject': 'Straße 😀 "1"', 'comexampleext': 'ä b',
                  'time': datetime.datetime(2018, 4, 5, 17, 31, tzinfo=datetime.timezone.utc)}
    data = {'n': 1, 'text': 'é'}
    names = 'id', 'source', 'type', 'subject', 'comexampleext', 'time'
    counts = {'ce': 0, 'cebin': 0}

    def through(mode, endpoint):
        counts[endpoint] += 1
        own = CloudEvent({**attributes, 'id': f'{mode}-{endpoint}'}, data)
        message = ce.to_structured_event(own) if mode == 'structured' else ce.to_binary_event(own)
        # A client of HTTP/1.1 sends what it is given: text in ISO 8859-1.
        return sent(endpoint, message.body, {k: v for k, v in message.headers.items()}, counts[endpoint]), own

    for mode in ('structured', 'binary'):
        for endpoint in ('ce', 'cebin'):
            def python(mode=mode, endpoint=endpoint):
                request, own = through(mode, endpoint)
                got = ce.from_http_event(ce.HTTPMessage(request['headers'], request['body']))
                for name in names:
                    equal(got.get_attributes().get(name), own.get_attributes().get(name))
                equal(got.get_data(), data)
                python.request = request
            case(f'CloudEvents SDK (Python): {mode} in, {endpoint} out', python)

            def in_node(mode=mode, endpoint=endpoint, python=python):
                got = node.ask('cloudevents', python.request)
                equal((got['id'], got['source'], got['type'], got['data']), (f'{mode}-{endpoint}', '/shop', 'com.example.sold', data))
            case(f'CloudEvents SDK (Node) reads {endpoint}, {mode} in', in_node)

    def batched():
        events = [json.loads(ce.to_structured_event(CloudEvent({**attributes, 'id': f'b{n}'}, {'n': n})).body) for n in range(2)]
        counts['ce'] += 2
        sent('ce', json.dumps(events), {'content-type': 'application/cloudevents-batch+json'}, counts['ce'])
        got = [json.loads(request['body']) for request in receiver.seen['/ce'][-2:]]
        equal(sorted(event['id'] for event in got), ['b0', 'b1'])
    case('CloudEvents: a batch in', batched)


def bodies(sent, node):
    request = sent('none', '{"type":"t","data":  [1.0, 12345678901234567890, 1e400, "\\u00e9"] }')
    case('JSON arrives byte for byte', lambda: equal(request['body'], b'[1.0, 12345678901234567890, 1e400, "\\u00e9"]'))

    def transformed():
        sent('jq', '{"type":"t","data":{"n":1.0,"m":12345678901234567890123}}')
        equal(sent('jq', '{"type":"t","data":{"n":2.50}}', count=2)['body'], b'{"n":2.50,"list":[null]}')
    case('a transform keeps the text of numbers', transformed)
    for form in ('json', 'xml', 'form'):
        md5, event, none = sent('md5_' + form), sent('event_' + form), sent('none_' + form)
        case(f'{form}: the MD5 is that of the payload as it arrived', lambda form=form, md5=md5: md5_of(form, md5['body']))
        if form == 'json':
            case('json: express reads it', lambda none=none: equal(node.ask('express', none)['nested'], NASTY['nested']))
        if form == 'xml':
            for name, request in (('event', event), ('none', none)):
                case(f'xml, {name}: well-formed for lxml', lambda request=request: etree.fromstring(request['body']))
                case(f'xml, {name}: well-formed for fast-xml-parser', lambda request=request: node.ask('xml', request))
            case('xml: the values are read back', lambda none=none: xml_values(none['body']))
        if form == 'form':
            case('form: urllib reads it', lambda event=event: form_values(dict(urllib.parse.parse_qsl(event['body'].decode(), keep_blank_values=True, strict_parsing=True))))
            for library in ('qs', 'express'):
                case(f'form: {library} reads it', lambda library=library, none=none: nested_values(node.ask(library, none)))


def md5_of(form, body):
    text = body.decode()
    if form == 'json':
        payload, stated = text[len('{"payload":'):text.rindex(',"md5":"')], text[-34:-2]
    elif form == 'xml':
        payload, stated = text[text.index('<payload>'):text.index('</payload>') + 10], re.search('<md5>(.*)</md5>', text)[1]
    else:
        payload, stated = text[:text.rindex('&md5=')], text[-32:]
    equal(hashlib.md5(payload.encode()).hexdigest(), stated)


def xml_values(body):
    _, read = read_xml(etree.fromstring(body))
    equal(read['text'], [NASTY['text']])
    equal((read['astral'], read['no name!'], read['xmlns'], read['1st'], read['big']), (['😀'], ['true'], ['x'], ['-0.5'], ['12345678901234567890']))
    equal(read['nested'], [{'deep': [{'er': ['x', 'y']}]}])


def form_values(pairs):
    equal(pairs['data[text]'], NASTY['text'])
    equal((pairs['data[big]'], pairs['data[1st]'], pairs['data[no name!]'], pairs['event_type']), ('12345678901234567890', '-0.5', 'true', 'order.paid'))


def nested_values(read):
    equal(read['text'], NASTY['text'])
    equal((read['nested'], read['astral']), ({'deep': {'er': ['x', 'y']}}, '😀'))


RUNNERS = {
    'python': lambda file: [sys.executable, file], 'js': lambda file: ['node', file], 'go': lambda file: ['go', 'run', file],
    'ruby': lambda file: ['ruby', file], 'php': lambda file: ['php', file],
}


def snippets(readme, receiver, sidecar, folder):
    """README's receivers: each reads headers from the environment and the body from stdin, and ends with 0 or 1."""
    text = open(readme, encoding='utf-8').read().split('\n## Receive them\n', 1)[1].split('\n## ', 1)[0]
    request = receiver.wait('/standard')
    for language, code in re.findall(r'```(\w+)\n(.*?)```', text, re.S):
        file = os.path.join(folder, 'receiver.' + {'python': 'py', 'js': 'mjs', 'ruby': 'rb'}.get(language, language))
        command = RUNNERS[language](file)
        if subprocess.run(['which', command[0]], capture_output=True).returncode:
            print('skipped', f'README, {language}: it is not installed here')
            continue
        with open(file, 'w') as out:
            out.write(code)
        environment = {**os.environ, 'SECRET': WHSEC, **{name.upper().replace('-', '_'): value for name, value in request['headers'].items() if name.startswith('webhook-')}}

        def taken(body, command=command, environment=environment):
            ended = subprocess.run(command, input=body, env=environment, capture_output=True, timeout=120)
            assert ended.returncode == 0, ended.stderr.decode()[-300:]
        case(f'README, {language}: a good request', lambda: taken(request['body']))
        case(f'README, {language}: a changed byte is refused', refused(lambda: taken(request['body'] + b' ')))


if __name__ == '__main__':
    sys.exit(main())
