"""Bodies: a corpus of documents in every format and envelope, read back by the parsers that receivers have."""
import base64, hashlib, json, os, re, shutil, subprocess, urllib.parse
from xml.etree import ElementTree

from lxml import etree

import corpus
from corpus import Number, Object
from sidecar import case, equal, until

FORMATS, ENVELOPES = ('json', 'xml', 'form'), ('none', 'event', 'standard', 'md5')
ENDPOINTS = {f'{form}_{envelope}': f'format = "{form}"\nenvelope = "{envelope}"\n' for form in FORMATS for envelope in ENVELOPES}
ENDPOINTS |= {'jq': 'envelope = "none"\n'}
ROUTES = f'''[[routes]]
events = ["corpus"]
to = {json.dumps([name for name in ENDPOINTS if name != 'jq'])}
[[routes]]
events = ["**", "!corpus"]
transform = '{{n: .data.n, list: [.data.m]}}'
to = ["jq"]
'''
TIME, SECONDS = '2016-06-21T04:33:30.999+02:00', 1466476410
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
PHP = '''while (($line = fgets(STDIN)) !== false) { parse_str(base64_decode($line), $read); echo json_encode($read, JSON_THROW_ON_ERROR | JSON_FORCE_OBJECT * !$read), "\\n"; }'''


class Body:
    """A document as it arrived at an endpoint."""

    def __init__(self, number, document, context, envelope, request):
        self.number, self.document, self.context, self.envelope, self.request = number, document, context, envelope, request
        self.bytes = request['body']
        self.text = self.bytes.decode()

    def shape(self):
        """What the format had to write."""
        data = corpus.read(self.document)
        if self.envelope == 'none':
            return data
        if self.envelope == 'event':
            return Object([('event_time', TIME), ('event_type', 'corpus'), ('current_context', corpus.read(self.context)), ('data', data)])
        if self.envelope == 'standard':
            return Object([('type', 'corpus'), ('timestamp', TIME), ('data', data)])
        return Object([('payload', Object([('type', 'corpus'), ('epoch_timestamp', Number(SECONDS)), ('data', data)])), ('md5', self.md5())])

    def json(self):
        if self.envelope == 'none':
            return self.document
        if self.envelope == 'event':
            return f'{{"event_time":"{TIME}","event_type":"corpus","current_context":{self.context},"data":{self.document}}}'
        if self.envelope == 'standard':
            return f'{{"type":"corpus","timestamp":"{TIME}","data":{self.document}}}'
        return f'{{"payload":{{"type":"corpus","epoch_timestamp":{SECONDS},"data":{self.document}}},"md5":"{self.md5()}"}}'

    def pairs(self):
        shape = self.shape()
        return corpus.pairs(None if isinstance(shape, Object) else 'data', shape)

    def md5(self):
        """The hash that the body names."""
        return re.search('([0-9a-f]{32})("}|</md5></notification>)?$', self.text)[1]

    def hashed(self):
        """The part that it is of."""
        if self.text.startswith('{'):
            return self.text[len('{"payload":'):self.text.rindex(',"md5":"')]
        if self.text.startswith('<'):
            return self.text[self.text.index('<payload>'):self.text.rindex('</payload>') + len('</payload>')]
        return self.text[:self.text.rindex('&md5=')]


def run(sidecar, receiver, sent, node):
    documents, tame = corpus.documents()
    # Every third has the one before it as its context, but for the first tame one.
    contexts = [documents[number - 1] if number % 3 == 1 and number != tame.start else 'null' for number in range(len(documents))]

    def posted():
        for number, document in enumerate(documents):
            event = f'{{"type":"corpus","id":"doc-{number}","time":"{TIME}","context": {contexts[number]},"data":\n{document} }}'
            try:
                equal(sidecar.post_to('/events', event)['id'], f'doc-{number}')
            except Exception as error:
                raise AssertionError(f'document {number}: {error}: {document[:200]}') from error
    case(f'bodies: {len(documents)} documents are taken', posted)
    case('bodies: all arrive at the first attempt', lambda: all_at_once(sidecar, len(documents) * len(FORMATS) * len(ENVELOPES)))
    arrived = {name: bodies_at(name, receiver, documents, contexts) for name in ENDPOINTS if name != 'jq'}

    def over(name, endpoint, check, only=None):
        """One case for all bodies of an endpoint; says which document fails."""
        def each():
            for body in arrived[endpoint]:
                if only is None or body.number in only:
                    try:
                        check(body)
                    except Exception as error:
                        raise AssertionError(f'document {body.number}, {body.document[:100]}: {type(error).__name__}: {str(error)[:300]}') from error
        case(f'bodies, {endpoint}: {name}', each)

    for envelope in ENVELOPES:
        over('byte for byte', f'json_{envelope}', lambda body: equal(body.text, body.json()))
        for name, check in (('only the escapes that the interface names', in_writing), ('lxml reads every element', by_lxml), ('expat reads every element', by_expat),
                            ('fast-xml-parser reads every element', lambda body: by_fast_xml_parser(node, body))):
            over(name, f'xml_{envelope}', check)
        for name, check in (('urllib reads every pair', by_urllib), ('URLSearchParams reads every pair and writes the same', lambda body: by_search_params(node, body)),
                            ('qs takes it', lambda body: node.ask('qs', body.request)), ('express takes it', lambda body: node.ask('express', body.request))):
            over(name, f'form_{envelope}', check)
        for library in ('qs', 'express'):
            over(f'{library} reads the tame ones', f'form_{envelope}', lambda body: equal(node.ask(library, body.request), corpus.plain(body.shape())), tame)
        by_php(envelope, arrived, tame)
    for form in FORMATS:
        over('the MD5 is that of the payload as it arrived', f'{form}_md5', lambda body: equal(hashlib.md5(body.hashed().encode()).hexdigest(), body.md5()))
    over('express reads the tame ones', 'json_none', lambda body: equal(node.ask('express', body.request), in_javascript(body.document)), tame)

    def transformed():
        sent('jq', '{"type":"t","data":{"n":1.0,"m":12345678901234567890123}}')
        equal(receiver.wait('/jq')['body'], b'{"n":1.0,"list":[12345678901234567890123]}')
        equal(sent('jq', '{"type":"t","data":{"n":2.50}}', count=2)['body'], b'{"n":2.50,"list":[null]}')
    case('a transform keeps the text of numbers', transformed)


def all_at_once(sidecar, count):
    def ended():
        lines = sidecar.lines(lambda line: line.get('event_type') == 'corpus')
        failing = [line for line in lines if line['outcome'] != 'delivered']
        assert not failing, failing[0]
        return len(lines) >= count
    until(ended, 'not all deliveries have ended')


def bodies_at(endpoint, receiver, documents, contexts):
    """What arrived there, by document; in parallel, so in any order."""
    requests = receiver.wait_ids('/' + endpoint, {f'doc-{n}' for n in range(len(documents))})
    envelope = endpoint.partition('_')[2]
    return [Body(n, document, contexts[n], envelope, requests[f'doc-{n}']) for n, document in enumerate(documents)]


def in_javascript(document):
    """What JSON.parse makes of it, written again: every number is a double, and one that is too large is null."""
    def number(text):
        return float(text) if abs(float(text)) != float('inf') else None
    return json.loads(document, parse_int=number, parse_float=number)


def in_writing(body):
    equal(body.request['headers']['content-type'], 'application/xml')
    assert body.text.startswith(DECLARATION + '<notification') and body.text.endswith('>'), body.text[:80]
    stray = set(re.findall('&[^;]*;?', body.text)) - {'&amp;', '&lt;', '&gt;', '&quot;', '&#9;', '&#10;', '&#13;'}
    assert not stray, stray
    assert not re.search('[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]', body.text), 'characters that have no place in XML'


def tree(node):
    """An element of lxml or ElementTree as the corpus has it."""
    children = [tree(child) for child in node]
    assert not (children and node.text) and not node.tail, 'text between elements'
    unknown = set(node.attrib) - {'key', 'nil'}
    assert not unknown, unknown
    return node.tag, node.get('key'), node.get('nil'), node.text or '', children


def by_lxml(body):
    equal(tree(etree.fromstring(body.bytes, etree.XMLParser(huge_tree=True, resolve_entities=False))), corpus.element('notification', body.shape()))


def by_expat(body):
    equal(tree(ElementTree.fromstring(body.bytes)), corpus.element('notification', body.shape()))


def by_fast_xml_parser(node, body):
    def read(entry):
        attributes = entry.get(':@', {})
        (tag, inside), = ((tag, inside) for tag, inside in entry.items() if tag != ':@')
        text = ''.join(one['#text'] for one in inside if '#text' in one)
        return tag, attributes.get('@_key'), attributes.get('@_nil'), text, [read(one) for one in inside if '#text' not in one]
    equal(node.ask('validXml', body.request), True)
    if re.search('<(__proto__|constructor)>', body.text):  # Names that it reads for nobody.
        return
    declaration, root = node.ask('xml', body.request)
    assert '?xml' in declaration
    equal(read(root), corpus.element('notification', body.shape()))


def by_urllib(body):
    equal(body.request['headers']['content-type'], 'application/x-www-form-urlencoded')
    assert re.fullmatch('[A-Za-z0-9*._+%&=-]*', body.text), 'characters that a form has encoded'
    read = urllib.parse.parse_qsl(body.text, keep_blank_values=True, strict_parsing=True, errors='strict') if body.text else []
    equal(read, body.pairs())


def by_search_params(node, body):
    pairs, written = node.ask('form', body.request)
    equal([tuple(pair) for pair in pairs], body.pairs())
    equal(written, body.text)


def by_php(envelope, arrived, tame):
    php = shutil.which('php')
    if not php:
        return print('skipped', f'bodies, form_{envelope}: PHP is not installed here')

    def read():
        bodies = [body for body in arrived[f'form_{envelope}'] if body.number in tame]
        lines = b'\n'.join(base64.b64encode(body.bytes) for body in bodies) + b'\n'
        command = [php, '-d', 'max_input_vars=100000', '-d', 'max_input_nesting_level=300', '-r', PHP]
        ended = subprocess.run(command, input=lines, capture_output=True, timeout=60, check=True)
        for body, line in zip(bodies, ended.stdout.decode().splitlines(), strict=True):
            equal(json.loads(line), corpus.plain(body.shape()))
    case(f'bodies, form_{envelope}: PHP reads the tame ones', read)
