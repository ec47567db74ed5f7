"""What editors make of the schema of the config file: taplo, which most of them use for TOML, and a second validator.

    schema.py SIDEHOOK EXAMPLE

Each check is a line, the first that fails the last. taplo comes from the same place as this Python.
"""
import json, os, pathlib, subprocess, sys, tempfile, tomllib

import jsonschema

TAPLO = os.path.join(os.path.dirname(sys.executable), 'taplo')
# What is wrong in each: a text of the example with all switched on, what stands in its place, and what taplo must name.
BROKEN = [
    ('max_body = "1MiB"', 'max_bdoy = "1MiB"', "'max_bdoy' was unexpected"),
    ('max_batch = 1000', 'max_batch = 0', '0 is less than the minimum of 1'),
    ('keep_alive = "75s"', 'keep_alive = 75', '75 is not of type "string"'),
    ('body_timeout = "10s"', 'body_timeout = "10"', '"10" does not match'),
    ('method = "POST"', 'method = "post"', '"post" is not one of ["POST","PUT"]'),
    ('retry = { attempts = 12', 'retry = { atempts = 12', "'atempts' was unexpected"),
    ('attempts = 21', 'attempts = 210', '210 is greater than the maximum of 100'),
    ('X-Event = "{type}"', 'X-Event = "{typ}"', '"{typ}" does not match'),
    ('type = "bearer", token', 'type = "basic", token', '"basic" is not one of ["bearer"]'),
    ('type = "basic", username = "shop"', 'type = "basic", user = "shop"', "'user' was unexpected"),
    ('scheme = "x-signature"', 'scheme = "x-signatur"', '"x-signatur" is not one of'),
    ('batch = false', 'batch = true', 'true is not valid'),
    ('url = "https://support.example.com/hook"\n', '', '"url" is a required property'),
    ('[endpoints.support]', '[endpoints."support desk"]', "'support desk' was unexpected"),
]


def main():
    binary, example = sys.argv[1], pathlib.Path(sys.argv[2]).read_text()
    schema = json.loads(subprocess.run([binary, 'schema'], check=True, capture_output=True).stdout)
    jsonschema.Draft4Validator.check_schema(schema)
    print('ok: a schema of draft-04')
    everything = '\n'.join(line.removeprefix('#: ') for line in example.splitlines())
    with tempfile.TemporaryDirectory(prefix='editors-') as folder:
        folder = pathlib.Path(folder)
        (folder / 'sidehook.schema.json').write_text(json.dumps(schema))
        for name, text in ('the example', example), ('the example with everything switched on', everything):
            said = lint(folder, text)
            expect(said is None and not objections(schema, text), f'{name} is right', said)
        for right, wrong, word in BROKEN:
            assert right in everything, right
            text = everything.replace(right, wrong, 1)
            said = lint(folder, text)
            expect(said and word in said and objections(schema, text), f'{wrong or "nothing"} in place of {right}'.replace('\n', ''), said)
    return 0


def expect(holds, what, said):
    if not holds:
        sys.exit(f'not so: {what}\n{said}')
    print(f'ok: {what}')


def objections(schema, text):
    return list(jsonschema.Draft4Validator(schema).iter_errors(tomllib.loads(text)))


def lint(folder, text):
    """What taplo has against a config, which names its schema itself; None: nothing."""
    (folder / 'sidehook.toml').write_text(text)
    done = subprocess.run([TAPLO, 'lint', 'sidehook.toml'], cwd=folder, capture_output=True, text=True, timeout=60)
    return None if done.returncode == 0 else done.stderr


if __name__ == '__main__':
    sys.exit(main())
