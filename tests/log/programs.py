"""The shippers: how each is started with README's own settings for it, and where it sends what it has parsed."""
import glob, os, re, shutil, socketserver, subprocess, threading, time

PATIENCE = 20  # seconds, for what has to happen


def until(look, what):
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(what() if callable(what) else what)
        time.sleep(0.01)
    return found


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def read(path):
    with open(path, encoding='utf-8', errors='replace') as file:
        return file.read()


def found(program, unpacked):
    """Where a program is: among what was unpacked, or on the path."""
    return shutil.which(program, path=os.pathsep.join([f'{unpacked}/usr/sbin', os.environ['PATH'], '/usr/sbin']))


def settings(readme, section):
    """The code below README's paragraph of that name."""
    return re.search(rf'^\*\*{re.escape(section)}\.\*\*.*?^```\w*\n(.*?)^```', readme, re.M | re.S)[1]


class Sink(socketserver.ThreadingTCPServer):
    """Where a shipper sends its lines."""
    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Connection)
        self.lines, self.open = [], 0
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.open += 1
        try:
            for line in self.rfile:
                self.server.lines.append(line)
        finally:
            self.server.open -= 1


class Shipper:
    """One that runs. `command` writes its config and says what words and environment start it."""
    def __init__(self, name, program, command, text, folder, logs):
        self.name, self.folder, self.sink = name, os.path.join(folder, re.sub(r'\W+', '-', name)), Sink()
        os.mkdir(self.folder)
        places = {'/var/log/sidehook': logs, 'logs.example.com': '127.0.0.1', '5140': str(self.sink.server_address[1]),
                  '/var/lib/fluent-bit': self.folder}
        for place, here in places.items():
            text = text.replace(place, here)
        words, environment = command(program, self.folder, text)
        with open(os.path.join(self.folder, 'said'), 'w') as said:
            self.process = subprocess.Popen(words, cwd=self.folder, env={**os.environ, **environment}, stdout=said, stderr=said)

    def stop(self):
        self.early = self.process.poll() is not None
        self.process.terminate()

    def end(self):
        """Only when it has ended, and its connection with it, is it known what it sends."""
        try:
            if self.early:
                raise RuntimeError('it has ended by itself: ' + read(os.path.join(self.folder, 'said'))[-2000:])
            self.process.wait(PATIENCE)
            until(lambda: not self.sink.open, 'its connection stays open')
        finally:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.sink.shutdown()
        self.sink.server_close()


def rsyslog(program, folder, text):
    write(f'{folder}/conf', f'global(workDirectory="{folder}")\n{text}')
    modules = program.replace('/sbin/rsyslogd', '/lib/x86_64-linux-gnu/rsyslog')
    return [program, '-n', '-f', f'{folder}/conf', '-i', f'{folder}/pid', '-M', modules], {}


def syslog_ng(program, folder, text):
    write(f'{folder}/conf', f'@version: 4.0\n{text}')
    libraries = program.replace('/sbin/syslog-ng', '/lib/syslog-ng')
    modules = glob.glob(f'{libraries}/[0-9]*')[0]
    files = [f'--persist-file={folder}/persist', f'--control={folder}/control', f'--pidfile={folder}/pid', f'--module-path={modules}']
    return [program, '--foreground', '--no-caps', '-f', f'{folder}/conf', *files], {'LD_LIBRARY_PATH': libraries}


def fluent_bit(program, folder, text):
    write(f'{folder}/conf.yaml', text)
    return [program, '--config', f'{folder}/conf.yaml'], {}


def as_written(text):
    return text


def polling(text):
    return text.replace('module(load="imfile"', 'module(load="imfile" mode="polling" pollingInterval="1"')


# What it is called, README's section, the program, what starts it, and what is done to the settings.
KINDS = [
    ('rsyslog', 'rsyslog', 'rsyslogd', rsyslog, as_written),
    ('rsyslog (polling)', 'rsyslog', 'rsyslogd', rsyslog, polling),
    ('syslog-ng', 'syslog-ng', 'syslog-ng', syslog_ng, as_written),
    ('Fluent Bit', 'Fluent Bit', 'fluent-bit', fluent_bit, as_written),
]
