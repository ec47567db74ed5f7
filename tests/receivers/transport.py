"""How a request travels: TLS, HTTP/2, OAuth2 and proxies, against servers that are Node's and npm's."""
import base64, json, os

from certificates import Certificates, OpenSSL
from sidecar import Sidecar, case, equal, until

USER, PASSWORD, WRONG, CLIENT_SECRET = 'squid', 'p%40ss-w0rd', 'wr0ng-w0rd', 'oauth-s3cret'


class Endpoints:
    """Endpoints of servers in Node, by name; the sidecar is started once all are known."""

    def __init__(self, node):
        self.node, self.ports, self.text, self.count = node, {}, '', {}

    def serve(self, kind, **options):
        return self.node.ask('serve', kind=kind, **options)

    def add(self, name, port, keys='', scheme='https', host='127.0.0.1'):
        self.ports[name] = port
        # One attempt, so that a failure is the last word.
        self.text += f'[endpoints.{name}]\nurl = "{scheme}://{host}:{port}/{name}?a=1"\nenvelope = "none"\nretry = {{ attempts = 1 }}\n{keys}\n'

    def start(self, binary, folder, environment):
        self.sidecar = Sidecar(binary, folder, self.text, environment)

    def post(self, name):
        self.count[name] = self.count.get(name, 0) + 1
        self.sidecar.post(name, json.dumps({'type': 't', 'id': f'{name}-{self.count[name]}', 'data': {'n': self.count[name]}}))
        return f'{name}-{self.count[name]}'

    def outcome(self, name):
        """Posts an event; the log's line of its attempt."""
        event = self.post(name)
        return self.sidecar.line(lambda line: line.get('event_id') == event and line.get('outcome') in ('delivered', 'failed'))

    def sent(self, name):
        """Posts an event that is to arrive; the request as the server saw it."""
        line = self.outcome(name)
        equal((line['outcome'], line.get('error')), ('delivered', None))
        seen = self.node.ask('seen', port=self.ports[name], count=1)
        request = [request for request in seen if request['headers']['webhook-id'] == line['event_id']][-1]
        equal((request['method'], request['body']), ('POST', json.dumps({'n': self.count[name]})))
        return request

    def failed(self, name, code, *words):
        """Posts an event that is not to arrive; its error has the code (one of them, with a bar between), and says these words."""
        line = self.outcome(name)
        equal((line['outcome'], line.get('error_code') in code.split('|') or line['error_code']), ('failed', True))
        missing = [word for word in words if word not in line['error'].lower()]
        assert not missing, f"{missing} not in: {line['error']}"
        seen = self.node.ask('seen', port=self.ports[name], count=0)
        assert not [request for request in seen if request['headers'].get('webhook-id') == line['event_id']], 'it arrived all the same'
        return line


def run(binary, folder, node):
    certificates = Certificates(os.path.join(folder, 'certificates'))
    authorities(certificates)
    endpoints = Endpoints(node)
    tls_endpoints(endpoints, certificates)
    two = endpoints.serve('h2c')
    endpoints.add('h2c', two, 'http = "2"', 'http')
    openssl = OpenSSL(certificates, 'local', 'authority')
    mtls_endpoint(endpoints, certificates, 'alert', openssl.port, 'mallory')
    tokens = oauth2_endpoints(endpoints)
    proxy, environment = proxy_endpoints(endpoints, certificates)
    endpoints.start(binary, os.path.join(folder, 'transport'), environment)
    try:
        tls(endpoints, openssl)
        versions(endpoints)
        together(endpoints)
        replaced(endpoints, certificates)
        oauth2(endpoints, tokens)
        proxied(endpoints, proxy)
    finally:
        endpoints.sidecar.end()


def authorities(certificates):
    for name in ('authority', 'successor', 'stranger'):
        certificates.authority(name)
    certificates.leaf('local', 'authority', 'local', 'IP:127.0.0.1')
    certificates.expired('late', 'authority', 'IP:127.0.0.1')
    certificates.leaf('next', 'successor', 'local', 'IP:127.0.0.1')
    certificates.leaf('named', 'authority', 'named', 'DNS:receiver.test')
    certificates.leaf('alone', None, 'alone', 'IP:127.0.0.1')
    for name, authority in (('alice', 'authority'), ('bob', 'authority'), ('mallory', 'stranger')):
        certificates.leaf(name, authority, name, usage='clientAuth')
    for name, by in (('trusted.pem', 'authority.pem'), ('client.pem', 'alice.pem'), ('client.key', 'alice.key')):
        certificates.replace(name, by)


def tls_endpoints(endpoints, certificates):
    def ca(name, more=''):
        return f'tls = {{ ca = {json.dumps(certificates.path(name))}{more} }}'
    by_authority, local = ca('authority.pem'), certificates.server('local')
    both, only = endpoints.serve('both', **local), endpoints.serve('https', **local)
    endpoints.add('alpn', both, by_authority)
    endpoints.add('one', both, by_authority + '\nhttp = "1.1"')
    endpoints.add('two', both, by_authority + '\nhttp = "2"')
    endpoints.add('alpn_one', only, by_authority)
    endpoints.add('two_of_one', only, by_authority + '\nhttp = "2"')
    endpoints.add('no_ca', only)
    endpoints.add('other_ca', only, ca('stranger.pem'))
    endpoints.add('self_signed', endpoints.serve('https', **certificates.server('alone')))
    endpoints.add('late', endpoints.serve('https', **certificates.server('late')), by_authority)
    named = endpoints.serve('https', **certificates.server('named'))
    endpoints.add('server_name', named, ca('authority.pem', ', server_name = "receiver.test"'))
    endpoints.add('other_name', named, by_authority)
    asking = {'ca': certificates.pem('authority.pem'), 'requestCert': True, 'rejectUnauthorized': True}
    for name, kind in (('mtls', 'https'), ('mtls_two', 'both')):
        port = endpoints.serve(kind, **local, **asking)
        for suffix, client in (('', 'alice'), ('_none', None), ('_stranger', 'mallory')):
            mtls_endpoint(endpoints, certificates, name + suffix, port, client)
    mtls_endpoint(endpoints, certificates, 'client_replaced', endpoints.serve('https', **local, **asking), 'client')
    endpoints.add('ca_replaced', endpoints.serve('https', **certificates.server('next')), ca('trusted.pem'))


def mtls_endpoint(endpoints, certificates, name, port, client):
    files = {'ca': 'authority.pem', **({'certificate': client + '.pem', 'key': client + '.key'} if client else {})}
    endpoints.add(name, port, 'tls = { %s }' % ', '.join(f'{key} = {json.dumps(certificates.path(file))}' for key, file in files.items()))


def tls(endpoints, openssl):
    sent, failed = endpoints.sent, endpoints.failed
    case('TLS: an authority of tls.ca is trusted', lambda: equal(sent('alpn_one')['url'], '/alpn_one?a=1'))
    case('TLS: without tls.ca it is not', lambda: failed('no_ca', 'tls', 'certificate'))
    case('TLS: nor is it by another authority', lambda: failed('other_ca', 'tls', 'certificate'))
    case('TLS: a self-signed certificate is refused', lambda: failed('self_signed', 'tls', 'certificate'))
    case('TLS: an expired certificate is refused, and called so', lambda: failed('late', 'tls', 'certificate', 'expired'))
    case('TLS: server_name is asked for and checked', lambda: equal(sent('server_name')['servername'], 'receiver.test'))
    case('TLS: a certificate for another name is refused, and the name said', lambda: failed('other_name', 'tls', 'certificate', 'receiver.test'))
    for name, what in (('mtls', 'mTLS'), ('mtls_two', 'mTLS over HTTP/2')):
        case(f'{what}: the server sees the client', lambda: equal(sent(name)['client'], 'alice'))
        case(f'{what}: without a client certificate it is refused', lambda: failed(name + '_none', 'tls', 'certificate'))
        # Node judges it after the handshake, and only hangs up.
        case(f'{what}: with a stranger’s it is refused', lambda: failed(name + '_stranger', 'reset', 'connection'))

    def alert():
        endpoints.failed('alert', 'tls', 'certificate')
        assert openssl.verdicts, 'OpenSSL took it'
    case('mTLS: with a stranger’s, OpenSSL says why, and the log as well', alert)


def versions(endpoints):
    version = lambda name: endpoints.sent(name)['version']
    case('ALPN: HTTP/2 where the server has it', lambda: equal(version('alpn'), '2.0'))
    case('ALPN: HTTP/1.1 where it has not', lambda: equal(version('alpn_one'), '1.1'))
    case('http = "1.1" stays 1.1 where both are offered', lambda: equal(version('one'), '1.1'))
    case('http = "2" over TLS', lambda: equal(version('two'), '2.0'))
    case('http = "2" in the clear', lambda: equal(version('h2c'), '2.0'))
    # Node 18 has no word for it and takes the handshake; later ones say that no protocol fits.
    case('http = "2" where there is only 1.1 is a failure that says so', lambda: endpoints.failed('two_of_one', 'tls|protocol', 'http'))


def together(endpoints):
    def one_connection():
        endpoints.sent('h2c')
        before = endpoints.node.ask('connections', port=endpoints.ports['h2c'])
        events = [endpoints.post('h2c') for _ in range(50)]
        for event in events:
            endpoints.sidecar.line(lambda line: line.get('event_id') == event and line.get('outcome') == 'delivered')
        equal((before, endpoints.node.ask('connections', port=endpoints.ports['h2c'])), (1, 1))
    case('HTTP/2: fifty events over one connection', one_connection)


def replaced(endpoints, certificates):
    def client():
        equal(endpoints.sent('client_replaced')['client'], 'alice')
        certificates.replace('client.key', 'bob.key')
        certificates.replace('client.pem', 'bob.pem')
        until(lambda: endpoints.sent('client_replaced')['client'] == 'bob', 'the new client certificate is not used')
    case('a replaced client certificate is taken up', client)

    def authority():
        endpoints.failed('ca_replaced', 'tls', 'certificate')
        certificates.replace('trusted.pem', 'successor.pem')
        until(lambda: endpoints.outcome('ca_replaced')['outcome'] == 'delivered', 'the new authority is not trusted')
    case('a replaced CA file is taken up', authority)
    case('it is still the same process', lambda: equal(endpoints.sidecar.process.poll(), None))


def oauth2_endpoints(endpoints):
    """Receivers that take only tokens of their own token server: name, port of that server."""
    servers = {}
    for name in ('token', 'renewed', 'refusing', 'no_token'):
        server = endpoints.node.ask('startOAuth2', refuses=name == 'no_token')
        servers[name] = server['tokenPort']
        endpoints.add(name, server['port'], scheme='http', keys=f'auth = {{ type = "oauth2", token_url = "http://127.0.0.1:{server["tokenPort"]}/token", '
                      f'client_id = "shop", client_secret = "{CLIENT_SECRET}", scopes = ["events:write", "b"] }}')
    return servers


def oauth2(endpoints, servers):
    node = endpoints.node

    def asked(name):
        return node.ask('seen', port=servers[name], count=0)

    def taken():
        request = endpoints.sent('token')
        equal((request['status'], request['token']['scope'], request['token']['jti']), (200, 'events:write b', 'token-1'))
        equal([one['body']['grant_type'] for one in asked('token')], ['client_credentials'])
        equal(asked('token')[0]['headers']['authorization'], 'Basic ' + base64.b64encode(f'shop:{CLIENT_SECRET}'.encode()).decode())
    case('OAuth2: jose verifies the token that arrives', taken)

    def twenty():
        events = [endpoints.post('token') for _ in range(20)]
        for event in events:
            endpoints.sidecar.line(lambda line: line.get('event_id') == event and line.get('outcome') == 'delivered')
        equal(len(asked('token')), 1)
    case('OAuth2: one token for twenty events', twenty)

    def renewed():
        equal(endpoints.sent('renewed')['token']['jti'], 'token-1')
        node.ask('revoke', port=endpoints.ports['renewed'], tokens=['token-1'])
        line = endpoints.outcome('renewed')
        equal((line['outcome'], line['attempt']), ('delivered', 1))
        seen = node.ask('seen', port=endpoints.ports['renewed'], count=3)
        equal([(one['token']['jti'], one['status']) for one in seen], [('token-1', 200), ('token-1', 401), ('token-2', 200)])
        equal(len(asked('renewed')), 2)
    case('OAuth2: a 401 leads to one renewal', renewed)

    def refusing():
        node.ask('revoke', port=endpoints.ports['refusing'], all=True)
        line = endpoints.outcome('refusing')
        equal((line['outcome'], line['http_status']), ('failed', 401))
        equal([one['token']['jti'] for one in node.ask('seen', port=endpoints.ports['refusing'], count=2)], ['token-1', 'token-2'])
        equal(len(asked('refusing')), 2)
    case('OAuth2: a 401 that stays leads to one renewal and no more', refusing)

    def no_token():
        endpoints.failed('no_token', 'oauth2', 'token', '401', 'invalid_client')
        equal(len(asked('no_token')), 1)
    case('OAuth2: without a token nothing is sent, and the log says what the token server said', no_token)
    case('OAuth2: neither secret nor token is in the log', lambda: unsaid(endpoints, CLIENT_SECRET, 'eyJ'))


def proxy_endpoints(endpoints, certificates):
    """Receivers of a name that only the proxy knows; the environment names the proxy as well."""
    proxy = endpoints.node.ask('startProxy', user=USER, password='p@ss-w0rd')
    right, wrong = (f'http://{USER}:{password}@127.0.0.1:{proxy}' for password in (PASSWORD, WRONG))
    encrypted, both, clear = endpoints.serve('https', **certificates.server('named')), endpoints.serve('both', **certificates.server('named')), endpoints.serve('http')
    ca = f'tls = {{ ca = {json.dumps(certificates.path("authority.pem"))} }}\n'
    for suffix, keys in (('', f'proxy = "{right}"'), ('_env', ''), ('_wrong', f'proxy = "{wrong}"'), ('_nobody', f'proxy = "http://127.0.0.1:{proxy}"')):
        endpoints.add('tunnel' + suffix, encrypted, ca + keys, host='receiver.test')
        endpoints.add('passed' + suffix, clear, keys, scheme='http', host='receiver.test')
    endpoints.add('tunnel_two', both, ca + f'proxy = "{right}"', host='receiver.test')
    endpoints.add('loopback', clear, f'proxy = "{right}"', scheme='http')
    return proxy, {'HTTP_PROXY': right, 'HTTPS_PROXY': right, 'http_proxy': right, 'https_proxy': right, 'NO_PROXY': '', 'no_proxy': ''}


def proxied(endpoints, proxy):
    def told(name):
        """What the proxy was asked for this endpoint, which has a server of its own kind and a path of its own."""
        before = len(endpoints.node.ask('seen', port=proxy, count=0))
        request = endpoints.sent(name)
        return request, endpoints.node.ask('seen', port=proxy, count=before + 1)[before:]

    def tunnel(name, version='1.1'):
        request, asked = told(name)
        port = endpoints.ports[name]
        equal([(one['method'], one['url'], one['right']) for one in asked], [('CONNECT', f'receiver.test:{port}', True)])
        equal((request['servername'], request['url'], request['version']), ('receiver.test', f'/{name}?a=1', version))
        assert not [header for header in request['headers'] if header.startswith('proxy-')], request['headers']

    def passed(name):
        request, asked = told(name)
        url = f'receiver.test:{endpoints.ports[name]}'
        equal([(one['method'], one['url'], one['right']) for one in asked], [('POST', f'http://{url}/{name}?a=1', True)])
        equal((request['headers']['host'], request['url']), (url, f'/{name}?a=1'))
        assert not [header for header in request['headers'] if header.startswith('proxy-')], request['headers']

    for suffix, where in (('', 'of the endpoint'), ('_env', 'of the environment')):
        case(f'a proxy {where}: a tunnel for https', lambda: tunnel('tunnel' + suffix))
        case(f'a proxy {where}: the absolute form for http', lambda: passed('passed' + suffix))
    case('a proxy of the endpoint: HTTP/2 through the tunnel', lambda: tunnel('tunnel_two', '2.0'))
    for suffix, what in (('_wrong', 'a wrong password'), ('_nobody', 'no password')):
        for kind in ('tunnel', 'passed'):
            case(f'a proxy, {kind}: {what} is refused, and the log says so', lambda: endpoints.failed(kind + suffix, 'connect_refused', 'proxy', '407'))

    def loopback():
        before = len(endpoints.node.ask('seen', port=proxy, count=0))
        endpoints.sent('loopback')
        equal(len(endpoints.node.ask('seen', port=proxy, count=0)), before)
    case('a proxy is not asked for loopback', loopback)
    encoded = [base64.b64encode(f'{USER}:{password}'.encode()).decode() for password in ('p@ss-w0rd', WRONG)]
    case('a proxy: no password is in the log', lambda: unsaid(endpoints, PASSWORD, 'p@ss-w0rd', WRONG, *encoded))


def unsaid(endpoints, *secrets):
    for name in ('log.jsonl', 'stderr', os.path.join('state', 'dead_letters.jsonl')):
        found = [secret for secret in secrets if secret in endpoints.sidecar.text(name)]
        assert not found, f'{name} has {found}'
