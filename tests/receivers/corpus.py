"""Documents that are hard to carry, always the same ones, and what the interface makes of them in XML and forms."""
import json, random, re


class Number(str):
    """A number as it is written."""


class Object(list):
    """Members in their order, doubled ones included."""


def read(text):
    return json.loads(text, object_pairs_hook=Object, parse_int=Number, parse_float=Number)


def text_of(scalar):
    return {None: '', True: 'true', False: 'false'}[scalar] if scalar is None or isinstance(scalar, bool) else str(scalar)


KEYS = ['', 'a', 'b', 'item', 'entry', 'key', 'nil', 'xml', 'XMLfoo', 'Xml', 'xm', 'xmlns', 'a b', '1a', '-a', '.a', 'a:b', 'a.b-c_1', '_', 'é', '😀',
        'a[b]', '[]', '[', ']', '[0]', 'a&b=c', '+', '%41', '~*-._', '\0', '\t\n\r', '"<>\'&', ']]>', '__proto__', 'constructor', 'payload', 'md5',
        'data', 'notification', '\ufffe', '\u0085', '\u2028', '\x7f', 'ключ', 'K' * 300]
TEXTS = ['', ' ', '  a  ', 'a', 'true', 'null', '\0', '\x01\x08\x0b\x0c\x0e\x1f', '\x7f\x80\x85\x9f', '\ufffe\uffff', '\ufffd', '\r', '\n', '\r\n', '\t', ' \n ',
         '😀', '\U0001fffe', '\U0010ffff', '\u2028\u2029', '\ufeff', 'e\u0301', '\u202e', ']]>', '<![CDATA[x]]>', '<!-- -->', '<?xml?>', '&amp;', '&#0;', '<>&"\'',
         '%00', '%', '+', 'a=b&c=d', ';', '\\', '/', '\\u0041', '</payload>', '</notification>', '","md5":"', 'x' * 20_000, 'é' * 3000]
NUMBERS = ['0', '-0', '-0.0', '1.0', '1.10', '1e400', '-1E-400', '1E+2', '12345678901234567890123', '0.1', '-0.5', '9007199254740993', '1e0', '3.' + '14159' * 20]
SCALARS = ['true', 'false', 'null', '""', *NUMBERS]


def quoted(rng, text):
    """A JSON string: some characters as they are, some escaped, and some escaped though they need not be."""
    def written(character):
        if character in '"\\' or character < ' ' or rng.random() < 0.1:
            short = {'"': '\\"', '\\': '\\\\', '\n': '\\n', '\t': '\\t', '\r': '\\r', '\b': '\\b', '\f': '\\f', '/': '\\/'}.get(character)
            if short and rng.random() < 0.5:
                return short
            units = character.encode('utf-16-be').hex()
            return ''.join('\\u' + (units[i:i + 4].upper() if rng.random() < 0.5 else units[i:i + 4]) for i in range(0, len(units), 4))
        return character
    return '"' + ''.join(map(written, text)) + '"'


def space(rng):
    return rng.choice(['', '', '', ' ', '\n', '\t ', '\r\n'])


def document(rng, depth):
    """Any value, containers inside one another up to `depth` of them."""
    kind = rng.random() if depth else rng.uniform(0.6, 1)
    if kind < 0.35:
        members = [f'{space(rng)}{quoted(rng, rng.choice(KEYS))}{space(rng)}:{space(rng)}{document(rng, depth - 1)}{space(rng)}' for _ in range(rng.randrange(6))]
        return '{' + (','.join(members) or space(rng)) + '}'
    if kind < 0.6:
        return '[' + (','.join(space(rng) + document(rng, depth - 1) + space(rng) for _ in range(rng.randrange(5))) or space(rng)) + ']'
    return quoted(rng, rng.choice(TEXTS)) if kind < 0.85 else rng.choice(SCALARS)


def tame(rng, depth):
    """What every reader of forms can tell apart: names of letters, no empty containers, arrays of one kind."""
    if depth <= 0 or rng.random() < 0.2:
        return quoted(rng, rng.choice(TEXTS[:-2])) if rng.random() < 0.6 else rng.choice(SCALARS)
    return tame_object(rng, depth) if rng.random() < 0.6 else tame_array(rng, depth)


def tame_object(rng, depth):
    names = rng.sample(['alpha', 'Beta', 'gamma_1', 'd', 'e2'], rng.randrange(1, 5))
    return '{' + ','.join(f'"{name}": {tame(rng, depth - 1)}' for name in names) + '}'


def tame_array(rng, depth):
    of = rng.choice([lambda: tame(rng, 0), lambda: tame_object(rng, depth - 1), lambda: tame_array(rng, depth - 1) if depth > 1 else tame(rng, 0)])
    return '[' + ','.join(of() for _ in range(rng.randrange(1, 4))) + ']'


def documents():
    """All documents, and the indices of the tame ones."""
    rng = random.Random('sidehook')
    hostile = [*SCALARS, *(quoted(rng, text) for text in TEXTS), '{}', '[]', '[[]]', '[[],[]]', '[{}]', '[[[]],{},[null],null]', '{"a":[]}', '{"a":[[]]}', '{"a":{}}',
               '{"a":1,"a":2,"a":[3]}', '{"a":[1,[2,[3,[]]],{"b":[{}]}]}', '[1,[2],{"a":3},[[4]],null,""]', '[[1,2],[3]]', '{"a":[[1,2],[[3]]]}',
               '[' * 127 + ']' * 127, '[' * 126 + '1' + ']' * 126, '{"a":' * 127 + '1e400' + '}' * 127, '[{"xml":' * 60 + 'null' + '}]' * 60, '[' + '0,' * 2000 + '0]',
               '{' + ','.join(f'{quoted(rng, key)}:{quoted(rng, key)}' for key in KEYS) + '}', '{' + ','.join(f'{quoted(rng, key)}:[]' for key in KEYS) + '}',
               '{' + ','.join(f'{quoted(rng, key)}:[1,[2]]' for key in KEYS) + '}', '[' + ','.join(NUMBERS) + ']', '[' + ' , '.join(quoted(rng, text) for text in TEXTS) + ']']
    hostile += [document(rng, rng.choice([2, 4, 7])) for _ in range(60)]
    quiet = [tame_object(rng, 4) for _ in range(25)]
    return hostile + quiet, range(len(hostile), len(hostile) + len(quiet))


def carried(text):
    """The text with the characters that XML 1.0 has no place for (2.2) replaced."""
    return re.sub('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]', '\ufffd', text)


def element(name, value):
    """A value as an element: (tag, key, nil, text, children)."""
    plain = re.fullmatch('[A-Za-z_][A-Za-z0-9._-]*', name) and not name.lower().startswith('xml')
    tag, key = (name, None) if plain else ('entry', carried(name))
    if isinstance(value, Object):
        return tag, key, None, '', [child for member in value for child in elements(*member)]
    if isinstance(value, list):
        return tag, key, None, '', elements('item', value)
    return tag, key, 'true' if value is None else None, carried(text_of(value)), []


def elements(name, value):
    """An object's member: an array is its element repeated."""
    if isinstance(value, list) and not isinstance(value, Object):
        return [element(name, one) for one in value]
    return [element(name, value)]


def pairs(name, value):
    """A value as the pairs of a form; the members of what has no name have theirs alone."""
    if isinstance(value, Object):
        return [pair for key, member in value for pair in pairs(key if name is None else f'{name}[{key}]', member)]
    if isinstance(value, list):
        return [pair for index, one in enumerate(value) for pair in pairs(f'{name}[{index}]' if isinstance(one, list) else f'{name}[]', one)]
    return [(name, text_of(value))]


def plain(value):
    """A tame value as a reader of forms gives it: texts in lists and dictionaries."""
    if isinstance(value, Object):
        return {key: plain(member) for key, member in value}
    return [plain(one) for one in value] if isinstance(value, list) else text_of(value)
