"""Saves a config with the editors and tools that people have, while the sidecar runs, and looks at what it makes of it.

    saving.py SIDEHOOK

Every case is a line; the last one says how many passed. A program that is not here, or a namespace that may not be made, is
skipped, and said so. The ways of saving that need no program are in tests/it/saving.rs.
"""
import json, os, pty, select, shutil, signal, subprocess, sys, tempfile, time, traceback

PATIENCE = 20  # seconds, for what has to happen
BACKSTOP = 3  # seconds between two looks where no file events come
SIDEHOOK = os.path.abspath(sys.argv[1])
counts = {'ok': 0, 'FAILED': 0, 'skipped': 0}


def say(what, name, why=''):
    counts[what] += 1
    print(f'{what:8}{name}{" - " if why else ""}{why}', flush=True)


def until(look, what):
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(what() if callable(what) else what)
        time.sleep(0.01)
    return found


class Sidecar:
    """One whose config is `conf/sidehook.toml` and names a secret; `wrap` is a command that it is started by."""
    def __init__(self, folder, wrap=()):
        self.folder = folder
        os.makedirs(self.path('conf'))
        self.config, self.key = self.path('conf/sidehook.toml'), self.path('conf/key')
        write(self.key, 'secret-first\n')
        write(self.config, self.text('first'))
        self.process = subprocess.Popen([*wrap, SIDEHOOK, 'run', '--config', self.config], stderr=open(self.path('stderr'), 'w'))
        until(lambda: self.ended() or self.lines('process'), self.said)

    def text(self, version):
        log, state = json.dumps(self.path('log.jsonl')), json.dumps(self.path('state'))
        return (f'[listen]\naddress = "127.0.0.1:0"\n[log]\ndeliveries = {log}\n[state]\ndirectory = {state}\n\n[endpoints.hook]\n'
                f'url = "http://127.0.0.1:9/"\nheaders = {{ X-Version = "{version}" }}\n'
                'signature = { scheme = "github", secrets = [{ file = "key" }] }\n\n[[routes]]\nevents = ["**"]\nto = ["hook"]\n')

    def path(self, name):
        return os.path.join(self.folder, name)

    def said(self):
        return f'stderr: {open(self.path("stderr")).read()}\nlog: {self.lines("config")}'

    def ended(self):
        if self.process.poll() is not None:
            raise RuntimeError(self.said())

    def lines(self, kind):
        if not os.path.exists(self.path('log.jsonl')):
            return []
        lines = map(json.loads, open(self.path('log.jsonl')).read().split('\n')[:-1])
        return [line for line in lines if line['kind'] == kind]

    def await_reloads(self, count):
        return until(lambda: len(self.lines('config')) >= count and self.lines('config'), self.said)

    def reloads(self):
        """What came of all so far, once one more has been seen: what came late would have come by then."""
        before = len(self.lines('config'))
        write(self.config, self.text('sentinel'))
        lines = self.await_reloads(before + 1)
        assert lines[-1]['outcome'] == 'loaded', lines
        return [(line['outcome'], line.get('changed')) for line in lines[:-1]]

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()


def write(path, text):
    with open(path, 'w') as file:
        file.write(text)


def case(name, run, wrap=(), needs=()):
    """`run` changes what the sidecar has and says what its log has to tell of it, line by line."""
    missing = [program for program in needs if not shutil.which(program)]
    if missing:
        return say('skipped', name, f'{", ".join(missing)} is not installed here')
    with tempfile.TemporaryDirectory(prefix='saving-') as folder:
        try:
            sidecar = Sidecar(folder, wrap)
            try:
                expected = run(sidecar)
                found = sidecar.reloads()
                assert found == expected, f'{found} is not {expected}'
            finally:
                sidecar.end()
            say('ok', name)
        except Exception as error:
            traceback.print_exc()
            say('FAILED', name, f'{type(error).__name__}: {error}')


HEADERS = ('loaded', ['endpoints.hook (headers)'])
SIGNATURE = ('loaded', ['endpoints.hook (signature)'])


def command(*words):
    """Runs a command on the config, of which `NEW` is another version, beside it; it puts that in force."""
    def run(sidecar):
        write(sidecar.path('conf/new.toml'), sidecar.text('second'))
        places = {'CONFIG': sidecar.config, 'NEW': sidecar.path('conf/new.toml'), 'CONF': sidecar.path('conf')}
        subprocess.run([places.get(word, word) for word in words], check=True, timeout=PATIENCE, cwd=sidecar.path('conf'))
        sidecar.await_reloads(1)
        assert open(sidecar.config).read() == sidecar.text('second')
        return [HEADERS]
    return run


class Terminal:
    """An editor in a terminal of its own."""
    def __init__(self, *words):
        self.screen = b''
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM='xterm', HOME='/nonexistent', LANG='C.UTF-8')
            os.execvp(words[0], words)

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                got = os.read(self.fd, 65536)
            except OSError:  # the editor has gone
                got = b''
            if not got:
                return
            self.screen += got

    def await_screen(self, text):
        """Until the editor has shown `text` since it was asked last."""
        until(lambda: self.read() or text in self.screen, lambda: f'{text} is not in {self.screen[-2000:]}')
        self.screen = b''

    def type(self, keys):
        os.write(self.fd, keys)

    def end(self):
        def ended():
            self.read()
            return os.waitpid(self.pid, os.WNOHANG)[0]
        try:
            until(ended, lambda: f'it does not end: {self.screen[-2000:]}')
        except TimeoutError:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise
        finally:
            os.close(self.fd)


def vim(*settings, name='conf/sidehook.toml', told=HEADERS):
    def run(sidecar):
        words = [word for setting in settings for word in ('--cmd', f'set {setting}')]
        editor = Terminal('vim', '-Nu', 'NONE', *words, sidecar.path(name))
        editor.await_screen(b'first')
        for count, (old, new) in enumerate([('first', 'second'), ('second', 'third')], 1):
            editor.type(f':%s/{old}/{new}/\r:w\r'.encode())
            editor.await_screen(b'written')
            # While it is open: a swap file is there.
            sidecar.await_reloads(count)
        editor.type(b':q\r')
        editor.end()
        assert 'third' in open(sidecar.path(name)).read()
        return [told, told]
    return run


def nano(*options):
    def run(sidecar):
        editor = Terminal('nano', '--ignorercfiles', *options, sidecar.config)
        editor.await_screen(b'first')
        editor.type(b'\x1c')  # replace
        editor.await_screen(b'Search')
        editor.type(b'first\r')
        editor.await_screen(b'Replace with')
        editor.type(b'second\r')
        editor.await_screen(b'this instance?')
        editor.type(b'a')
        editor.await_screen(b'Replaced 1')
        editor.type(b'\x0f')  # write
        editor.await_screen(b'File Name to Write')
        editor.type(b'\r')
        sidecar.await_reloads(1)
        editor.type(b'\x18')  # leave
        editor.end()
        assert 'second' in open(sidecar.config).read()
        return [HEADERS]
    return run


def secret(sidecar):
    subprocess.run(['sed', '-i', 's/first/second/', sidecar.key], check=True)
    sidecar.await_reloads(1)
    return [SIGNATURE]


def checked_out(sidecar):
    """A config that is a checkout, and pulled."""
    git = ['git', '-c', 'user.name=a', '-c', 'user.email=a@a.example', '-C', sidecar.path('conf')]
    for words in (['init', '-q'], ['add', '.'], ['commit', '-qm', 'first']):
        subprocess.run(git + words, check=True)
    write(sidecar.config, sidecar.text('second'))
    subprocess.run(git + ['commit', '-qam', 'second'], check=True)
    sidecar.await_reloads(1)
    subprocess.run(git + ['checkout', '-q', 'HEAD~1'], check=True)
    sidecar.await_reloads(2)
    return [HEADERS, HEADERS]


def without_events(sidecar):
    said = open(sidecar.path('stderr')).read()
    assert 'no file events' in said and f'every {BACKSTOP}s' in said, said
    write(sidecar.config, sidecar.text('second'))
    began = time.monotonic()
    sidecar.await_reloads(1)
    took = time.monotonic() - began
    assert took < BACKSTOP + 2, f'it took {took:.1f} s'
    write(sidecar.path('conf/new'), sidecar.text('third'))
    os.rename(sidecar.path('conf/new'), sidecar.config)
    sidecar.await_reloads(2)
    return [HEADERS, HEADERS]


def mounted(sidecar):
    """A file that is mounted is that one for ever: who edits it in place is heard, at the latest by the next look."""
    write(sidecar.path('real.toml'), sidecar.text('second'))
    began = time.monotonic()
    sidecar.await_reloads(1)
    took = time.monotonic() - began
    assert took < BACKSTOP + 2, f'it took {took:.1f} s'
    # What the sidecar does not see is not what it is to tell of afterwards.
    sidecar.config = sidecar.path('real.toml')
    return [HEADERS]


def namespaces():
    """Cases that need one of their own; the sidecar is started inside."""
    cases = [
        ('no inotify instances: found by looking', ['-Ur'], 'echo 0 > /proc/sys/user/max_inotify_instances', without_events),
        ('a single file that is bind-mounted, edited in place', ['-Urm'], 'cp $0 $1 && mount --bind $1 $0', mounted),
    ]
    for name, flags, prepare, run in cases:
        trial = 'echo 0 > /proc/sys/user/max_inotify_instances' if flags == ['-Ur'] else 'mount --bind /tmp /tmp'
        if not shutil.which('unshare') or subprocess.run(['unshare', *flags, 'sh', '-c', trial], capture_output=True).returncode:
            say('skipped', name, f'NOT ALLOWED HERE: `unshare {flags[0]}`')
            continue
        # The config's name is only known inside.
        inside = 'config=$(eval echo \\${$#}); real=$(dirname $(dirname $config))/real.toml; set -e; '
        inside += prepare.replace('$0', '$config').replace('$1', '$real') + '; exec "$@"'
        case(name, run, ['unshare', *flags, 'sh', '-c', inside, 'sh'])


def main():
    for copy in ('yes', 'no', 'auto'):
        for backup in ('nobackup', 'backup'):
            settings = f'backupcopy={copy}', backup, 'writebackup', 'swapfile', 'updatecount=1'
            case(f'vim, backupcopy={copy}, {backup}', vim(*settings), needs=['vim'])
    case('vim, a secret file', vim('backupcopy=auto', name='conf/key', told=SIGNATURE), needs=['vim'])
    case('nano', nano(), needs=['nano'])
    case('nano, with backups', nano('--backup'), needs=['nano'])
    case('sed -i', command('sed', '-i', 's/first/second/', 'CONFIG'))
    case('sed -i, a secret file', secret)
    case('cp', command('cp', 'NEW', 'CONFIG'))
    case('cp --remove-destination', command('cp', '--remove-destination', 'NEW', 'CONFIG'))
    case('mv', command('mv', 'NEW', 'CONFIG'))
    case('install', command('install', '-m', '644', 'NEW', 'CONFIG'))
    case('ln -sfn', command('ln', '-sfn', 'new.toml', 'CONFIG'))
    case('ln -f', command('ln', '-f', 'NEW', 'CONFIG'))
    case('dd', command('dd', 'if=new.toml', 'of=sidehook.toml', 'bs=64', 'status=none'))
    case('a shell', command('sh', '-c', 'cat new.toml > sidehook.toml'))
    case('tar', command('sh', '-c', 'mkdir x && cp new.toml x/sidehook.toml && tar -C x -cf - sidehook.toml | tar -xf -'), needs=['tar'])
    case('rsync', command('rsync', '-a', 'NEW', 'CONFIG'), needs=['rsync'])
    case('git checkout', checked_out, needs=['git'])
    namespaces()
    print(f'{counts["ok"]} passed, {counts["FAILED"]} failed, {counts["skipped"]} skipped')
    return 1 if counts['FAILED'] else 0


if __name__ == '__main__':
    sys.exit(main())
