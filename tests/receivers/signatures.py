"""Signatures: the libraries verify what the sidecar signs, and `sidehook verify` what the libraries sign."""
import base64, datetime, hashlib, hmac, os, re, subprocess, time

import requests, standardwebhooks, stripe, svix, time_machine
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, HTTPSignatureKeyResolver, InvalidSignature as BadMessage, algorithms
from slack_sdk.signature import SignatureVerifier

from sidecar import Refused, case, equal, quoted, refused

WHSEC = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
NEXT = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'
OTHER = 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
TEXT, TEXT_NEXT, TEXT_OTHER = 'a shared secret', 'its successor', 'somebody else’s'
SEED = bytes(range(32))
PRIVATE = Ed25519PrivateKey.from_private_bytes(SEED)
PUBLIC, ANOTHER = PRIVATE.public_key(), Ed25519PrivateKey.generate().public_key()
WHSK = 'whsk_' + base64.b64encode(SEED).decode()
HOUR = 3600


def signed(scheme, *secrets, more=''):
    return f'signature = {{ scheme = "{scheme}", secrets = [{", ".join(quoted(s) for s in secrets)}]{more} }}\n'


ENDPOINTS = {
    'standard': signed('standard', WHSEC), 'standard_two': signed('standard', WHSEC, NEXT),
    'stripe': signed('stripe', TEXT), 'stripe_two': signed('stripe', TEXT, TEXT_NEXT),
    'slack': signed('slack', TEXT), 'github': signed('github', TEXT), 'shopify': signed('shopify', TEXT),
    'xsignature': signed('x-signature', TEXT), 'ed25519': signed('standard', WHSK), 'moving': signed('standard', WHSEC, WHSK),
    'message_hmac': signed('http-message', TEXT, more=', key_id = "k1"'),
    'message_ed25519': signed('http-message', WHSK, more=', key_id = "k1", algorithm = "ed25519"'),
    'both': f'signature = [{{ scheme = "standard", secrets = ["{WHSEC}"] }}, {{ scheme = "github", secrets = ["{TEXT}"] }}]\n',
}


def changed(request, **parts):
    return {**request, **parts, 'headers': {**request['headers'], **parts.get('headers', {})}}


def in_an_hour(verify, request, secret):
    """The same request, by a receiver's clock that is an hour ahead."""
    with time_machine.travel(time.time() + HOUR, tick=True):
        verify(request, secret)


class Library:
    """How a library verifies a request, and what it raises for one that does not; `stamp` moves the time in its headers."""

    def __init__(self, name, verify, verdict, stamp=None, later=in_an_hour):
        self.name, self.verify, self.verdict, self.stamp, self.later = name, verify, verdict, stamp, later


def python(name, verify, verdict, stamp=None):
    return Library(name, verify, verdict, stamp)


def in_node(node, check, stamp=None):
    def verify(request, secret, ahead=0):
        return node.ask(check, request, secret, ahead=ahead)
    return Library(f'{check} (Node)', verify, Refused, stamp, lambda verify, request, secret: verify(request, secret, HOUR))


def verified(library, one, secrets, two=None):
    """A good request, a changed byte, another secret, a changed and an old timestamp, and both secrets of a rotation."""
    first, second, other = secrets
    name, verify = library.name, library.verify

    def turned(*arguments):
        return refused(lambda: verify(*arguments), library.verdict)
    case(f'{name}: a good request', lambda: verify(one, first))
    body = one['body'].replace(b'event_type', b'event_typo', 1)
    assert body != one['body']
    case(f'{name}: a changed byte is refused', turned(changed(one, body=body), first))
    case(f'{name}: another secret is refused', turned(one, other))
    if library.stamp:
        case(f'{name}: a changed timestamp is refused', turned(changed(one, headers=library.stamp(one)), first))
        case(f'{name}: an old request is refused', refused(lambda: library.later(verify, one, first), library.verdict))
        case(f'{name}: it was good but for its age', lambda: verify(one, first))
    if two:
        case(f'{name}: the old secret of a rotation', lambda: verify(two, first))
        case(f'{name}: the new secret of a rotation', lambda: verify(two, second))
        case(f'{name}: a secret that is none of a rotation is refused', turned(two, other))


def earlier(header, pattern=r'\d+'):
    """The header with its time a second earlier: still new enough, so only the signature is wrong."""
    return lambda request: {header: re.sub(pattern, lambda found: str(int(found[0]) - 1), request['headers'][header], count=1)}


class Keys(HTTPSignatureKeyResolver):
    def __init__(self, key):
        self.key = key

    def resolve_public_key(self, key_id):
        equal(key_id, 'k1')
        return self.key

    resolve_private_key = resolve_public_key


def message_of(request, base):
    return requests.Request(request['method'], base + request['path'], headers=request['headers'], data=request['body']).prepare()


COVERED = '@method', '@target-uri', 'content-type', 'content-digest'


def in_message(request, key, algorithm, base):
    verifier = HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=Keys(key))
    verifier.verify(message_of(request, base), max_age=datetime.timedelta(minutes=5), require_components=COVERED, body=request['body'])


def in_ed25519(request, key):
    text = next(part[4:] for part in request['headers']['webhook-signature'].split(' ') if part.startswith('v1a,'))
    stamp = request['headers']['webhook-timestamp']
    key.verify(base64.b64decode(text), f"{request['headers']['webhook-id']}.{stamp}.".encode() + request['body'])
    assert abs(time.time() - int(stamp)) < 300, 'it is old'


def in_slack(request, secret):
    assert SignatureVerifier(secret).is_valid_request(request['body'], request['headers']), 'is_valid_request says False'


def in_stripe(request, secret):
    stripe.Webhook.construct_event(request['body'].decode(), request['headers']['stripe-signature'], secret)


def by_shopify(request, secret):
    equal(request['headers']['x-shopify-hmac-sha256'], base64.b64encode(hmac.digest(secret.encode(), request['body'], 'sha256')).decode())


def by_x_signature(request, secret):
    found = request['headers']['x-signature-algo'], request['headers']['x-signature']
    equal(found, ('sha256', hmac.new(secret.encode(), request['body'], hashlib.sha256).hexdigest()))


def run(sent, node, base):
    standard, texts = (WHSEC, NEXT, OTHER), (TEXT, TEXT_NEXT, TEXT_OTHER)
    stamp = earlier('webhook-timestamp')
    one, two = sent('standard'), sent('standard_two')
    for name, module in (('standardwebhooks', standardwebhooks), ('svix', svix)):
        def verify(request, secret, module=module):
            module.Webhook(secret).verify(request['body'].decode(), request['headers'])
        verified(python(f'{name} (Python)', verify, module.webhooks.WebhookVerificationError, stamp), one, standard, two)
    for check in ('standard', 'svix'):
        verified(in_node(node, check, stamp), one, standard, two)
    one, two, stamped = sent('stripe'), sent('stripe_two'), earlier('stripe-signature', r'(?<=t=)\d+')
    verified(python('stripe (Python)', in_stripe, stripe.SignatureVerificationError, stamped), one, texts, two)
    verified(in_node(node, 'stripe', stamped), one, texts, two)
    verified(python('slack_sdk', in_slack, AssertionError, earlier('x-slack-request-timestamp')), sent('slack'), texts)
    verified(in_node(node, 'octokit'), sent('github'), texts)
    verified(python('shopify, by hand', by_shopify, AssertionError), sent('shopify'), texts)
    verified(python('x-signature, by hand', by_x_signature, AssertionError), sent('xsignature'), texts)
    verified(python('Ed25519 (cryptography)', in_ed25519, (InvalidSignature, AssertionError), stamp), sent('ed25519'), (PUBLIC, None, ANOTHER))
    moving, both = sent('moving'), sent('both')
    case('moving from HMAC to Ed25519: the new way', lambda: in_ed25519(moving, PUBLIC))
    case('moving from HMAC to Ed25519: the old way (Python)', lambda: standardwebhooks.Webhook(WHSEC).verify(moving['body'].decode(), moving['headers']))
    case('moving from HMAC to Ed25519: the old way (Node)', lambda: node.ask('svix', moving, WHSEC))
    case('two schemes on one endpoint: standard', lambda: node.ask('standard', both, WHSEC))
    case('two schemes on one endpoint: github', lambda: node.ask('octokit', both, TEXT))
    for name, key, other, algorithm in (('hmac', TEXT.encode(), b'other', algorithms.HMAC_SHA256), ('ed25519', PUBLIC, ANOTHER, algorithms.ED25519)):
        request = sent('message_' + name)

        def verify(request, key, algorithm=algorithm):
            in_message(request, key, algorithm, base)
        created = earlier('signature-input', r'(?<=created=)\d+')
        verified(python(f'http-message-signatures, {name}', verify, BadMessage, created), request, (key, None, other))
        for what, moved in (('URL', changed(request, path=request['path'] + '?x=1')), ('method', changed(request, method='PUT')),
                            ('content type', changed(request, headers={'content-type': 'text/plain'}))):
            case(f'http-message-signatures, {name}: another {what} is refused', refused(lambda: verify(moved, key), BadMessage))


BODY = '{"type":"order.paid","data":{"text":"é 😀"}}'


def signed_by_libraries(node, at):
    """Requests that the libraries sign at the second `at`: name, what `sidehook verify` is told, headers."""
    when = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)

    def standard(signature):
        return {'webhook-id': 'msg_1', 'webhook-timestamp': str(at), 'webhook-signature': signature}
    to_verify = ['--scheme', 'standard', '--secret', WHSEC]
    yield 'standardwebhooks (Python)', to_verify, standard(standardwebhooks.Webhook(WHSEC).sign('msg_1', when, BODY))
    yield 'svix (Python)', to_verify, standard(svix.Webhook(WHSEC).sign('msg_1', when, BODY))
    yield 'standardwebhooks (Node)', to_verify, standard(node.ask('signStandard', secret=WHSEC, body=BODY, id='msg_1', at=at))
    yield 'svix (Node)', to_verify, standard(node.ask('signSvix', secret=WHSEC, body=BODY, id='msg_1', at=at))
    both = [standardwebhooks.Webhook(secret).sign('msg_1', when, BODY) for secret in (NEXT, WHSEC)]
    yield 'standardwebhooks (Python), both secrets of a rotation', to_verify, standard(' '.join(both))
    by_key = PRIVATE.sign(f'msg_1.{at}.{BODY}'.encode())
    for name, key in (('seed', WHSK), ('public key', 'whpk_' + base64.b64encode(PUBLIC.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode())):
        yield f'Ed25519 (cryptography), {name}', ['--scheme', 'standard', '--secret', key], standard('v1a,' + base64.b64encode(by_key).decode())
    yield 'stripe (Node)', ['--scheme', 'stripe', '--secret', TEXT], {'Stripe-Signature': node.ask('signStripe', secret=TEXT, body=BODY, at=at)}
    yield 'octokit (Node)', ['--scheme', 'github', '--secret', TEXT], {'X-Hub-Signature-256': node.ask('signOctokit', secret=TEXT, body=BODY)}
    slack = SignatureVerifier(TEXT).generate_signature(timestamp=str(at), body=BODY)
    yield 'slack_sdk', ['--scheme', 'slack', '--secret', TEXT], {'X-Slack-Request-Timestamp': str(at), 'X-Slack-Signature': slack}
    for name, secret, key, algorithm in (('hmac-sha256', TEXT, TEXT.encode(), algorithms.HMAC_SHA256), ('ed25519', WHSK, PRIVATE, algorithms.ED25519)):
        for label in ('sig1', None):
            headers = {'content-type': 'application/json'}
            message = requests.Request('POST', 'https://receiver.test/hooks?a=1', headers=headers, data=BODY.encode()).prepare()
            signer = HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=Keys(key))
            signer.sign(message, key_id='k1', created=when, label=label, covered_component_ids=COVERED[:3], body=BODY.encode())
            told = ['--scheme', 'http-message', '--secret', secret, '--algorithm', name, '--method', 'POST', '--url', 'https://receiver.test/hooks?a=1']
            yield f'http-message-signatures, {name}' + ('' if label else ', its own label'), told, dict(message.headers)


def verify_command(binary, folder, node):
    def verify(arguments, headers, body):
        paths = [os.path.join(folder, name) for name in ('verify.headers', 'verify.body')]
        for path, content in zip(paths, (''.join(f'{name}: {value}\n' for name, value in headers.items()), body)):
            with open(path, 'w', encoding='utf-8', newline='') as file:
                file.write(content)
        ended = subprocess.run([binary, 'verify', *arguments, '--headers', paths[0], '--body', paths[1]], capture_output=True, timeout=20)
        # 2 is wrong usage, which is no verdict.
        assert ended.returncode in (0, 1), (ended.returncode, ended.stderr.decode())
        return ended.returncode == 0, ended.stderr.decode() + ended.stdout.decode()

    now = int(time.time())
    for name, arguments, headers in signed_by_libraries(node, now - HOUR):
        if 'X-Hub-Signature-256' not in headers:
            holds, _ = verify(arguments, headers, BODY)
            case(f'sidehook verify, {name}: an old request holds without --tolerance', lambda: equal(holds, True))
            holds, said = verify([*arguments, '--tolerance', '5m'], headers, BODY)
            case(f'sidehook verify, {name}: with it, it does not', lambda: equal(holds, False))
    for name, arguments, headers in signed_by_libraries(node, now):
        def taken(expected, headers=headers, body=BODY, arguments=arguments):
            holds, said = verify(arguments, headers, body)
            assert holds is expected, said
        case(f'sidehook verify, {name}: a good request', lambda: taken(True, arguments=[*arguments, *tolerance(headers)]))
        case(f'sidehook verify, {name}: a changed byte is refused', lambda: taken(False, body=BODY.replace('paid', 'said')))
        other = {WHSEC: NEXT if 'both' not in name else OTHER, TEXT: TEXT_OTHER}.get(arguments[3], 'whsk_' + base64.b64encode(bytes(32)).decode())
        case(f'sidehook verify, {name}: another secret is refused', lambda: taken(False, arguments=[*arguments[:3], other, *arguments[4:]]))


def tolerance(headers):
    """Schemes that sign the time are held to it."""
    return [] if 'X-Hub-Signature-256' in headers else ['--tolerance', '5m']
