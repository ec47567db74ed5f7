"""CloudEvents, in and out, by the SDKs."""
import datetime, json

from cloudevents.core.bindings import http as ce
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from sidecar import case, equal

ENDPOINTS = {
    'ce': 'envelope = "cloudevents"\n', 'cebin': 'envelope = "cloudevents-binary"\n',
    'cebatch': 'envelope = "cloudevents"\nbatch = { max_events = 3, max_wait = "5s" }\n',
}
ATTRIBUTES = {'source': '/shop', 'type': 'com.example.sold', 'subject': 'Straße 😀 "1"', 'comexampleext': 'ä b', 'comexampleint': 42,
              'comexamplebool': True, 'time': datetime.datetime(2018, 4, 5, 17, 31, tzinfo=datetime.timezone.utc)}
DATA = {'n': 1, 'text': 'é'}


def own(name):
    return CloudEvent({**ATTRIBUTES, 'id': name}, DATA)


def written(value):
    """A header has only text for a value that JSON has a type for."""
    return str(value).lower() if isinstance(value, (bool, int)) else value


def run(sent, receiver, node):
    counts = dict.fromkeys(ENDPOINTS, 0)

    def through(mode, endpoint):
        counts[endpoint] += 1
        event = own(f'{mode}-{endpoint}')
        message = ce.to_structured_event(event) if mode == 'structured' else ce.to_binary_event(event)
        return message.headers, sent(endpoint, message.body, dict(message.headers), counts[endpoint])

    for mode in ('structured', 'binary'):
        for endpoint in ('ce', 'cebin'):
            headers, request = through(mode, endpoint)
            typed = mode == 'structured' and endpoint == 'ce'
            expected = {name: value if typed else written(value) for name, value in ATTRIBUTES.items()}
            if mode == 'binary':  # In a header it has no type, so it is to arrive as it was written, which for this SDK is `True`.
                expected['comexamplebool'] = headers['ce-comexamplebool']

            def python(request=request, expected=expected, name=f'{mode}-{endpoint}'):
                got = ce.from_http_event(ce.HTTPMessage(request['headers'], request['body']))
                equal({key: got.get_attributes().get(key) for key in expected}, expected)
                equal((got.get_attributes()['id'], got.get_data()), (name, DATA))
            case(f'CloudEvents SDK (Python): {mode} in, {endpoint} out', python)

            def in_node(request=request, expected=expected, name=f'{mode}-{endpoint}'):
                got = node.ask('cloudevents', request)
                texts = {key: value for key, value in expected.items() if key not in ('time', 'subject', 'comexampleext')}
                equal({key: got.get(key) for key in texts}, texts)
                # Header values are percent-encoded (binding, 3.1.3.2), and this SDK hands them out as they came.
                if endpoint == 'ce':
                    equal((got['subject'], got['comexampleext']), (ATTRIBUTES['subject'], ATTRIBUTES['comexampleext']))
                equal((got['id'], got['data'], got['time']), (name, DATA, '2018-04-05T17:31:00.000Z'))
            case(f'CloudEvents SDK (Node): {mode} in, {endpoint} out', in_node)

    for mode in ('structured', 'binary'):
        def emitted(mode=mode):
            event = {'id': f'node-{mode}', 'source': '/shop', 'type': 'com.example.sold', 'comexampleint': 42, 'comexamplebool': True, 'data': DATA}
            message = node.ask('emit', mode=mode, event=event)
            counts['ce'] += 1
            request = sent('ce', message['body'], {name: written(value) for name, value in message['headers'].items()}, counts['ce'])
            expected = event if mode == 'structured' else {name: written(value) for name, value in event.items()}
            equal({name: json.loads(request['body'])[name] for name in event}, expected)
        case(f'CloudEvents SDK (Node): {mode} in, from Node', emitted)

    batches(sent, receiver, node, counts)


def batches(sent, receiver, node, counts):
    def batch_of(count):
        return json.dumps([json.loads(ce.to_structured_event(own(f'b{n}')).body) for n in range(count)])

    def batched():
        counts['ce'] += 2
        sent('ce', batch_of(2), {'content-type': 'application/cloudevents-batch+json'}, counts['ce'])
        equal(sorted(json.loads(request['body'])['id'] for request in receiver.seen['/ce'][-2:]), ['b0', 'b1'])
    case('CloudEvents: a batch in', batched)
    batch = sent('cebatch', batch_of(3), {'content-type': 'application/cloudevents-batch+json'})

    def batch_in_node():
        got = node.ask('cloudevents', batch)
        equal([event['id'] for event in got], ['b0', 'b1', 'b2'])
        for event in got:
            equal({name: event[name] for name in ATTRIBUTES if name != 'time'}, {name: value for name, value in ATTRIBUTES.items() if name != 'time'})
            equal(event['data'], DATA)
    case('CloudEvents SDK (Node): a batch out', batch_in_node)

    def batch_in_python():
        # This SDK knows no batches, only their events.
        equal(batch['headers']['content-type'], 'application/cloudevents-batch+json')
        got = [JSONFormat().read(CloudEvent, json.dumps(event)) for event in json.loads(batch['body'])]
        for n, event in enumerate(got):
            equal({name: event.get_attributes()[name] for name in own('any').get_attributes()}, own(f'b{n}').get_attributes())
            equal(event.get_data(), DATA)
    case('CloudEvents SDK (Python): each event of a batch out', batch_in_python)
