#!/usr/bin/env python3
"""Filtering a large delivery log: `sidehook logs --format jsonl` beside `grep -F` for the same string and `jq` for the same filter.

The log is made in --folder (10 million lines are 4.0 GB, the same ones at every run) and kept there for the next run. Every command
reads it from the page cache and writes to a pipe; they take turns, and what they find is counted and compared. Compared are seconds
of CPU, for each is one thread: beside others the clock says more of them. `jq` has the first tenth of the log.
"""
import argparse, datetime, os, random, re, subprocess, tempfile, time

from stand import end, median, verdict

def lines(count, seed=7):
    """The log's lines: 20 endpoints, half of all is for the first; 96 % are delivered, 0.9 % failed."""
    rng = random.Random(seed)
    names = ['billing', 'crm'] + [f'{word}-{n}' for n in range(6) for word in ('mail', 'stock', 'audit')]
    weights = [50, 15] + [35 / 18] * 18
    types = ['purchase.completed', 'purchase.refunded', 'order.created', 'order.item.added', 'user.signed_up', 'invoice.paid']
    kinds = rng.choices(range(1000), k=8192)
    whom = rng.choices(names, weights, k=8192)
    what = rng.choices(types, k=8192)
    took = [f'{rng.lognormvariate(2.5, 0.8):.3f}'.rstrip('0').rstrip('.') for _ in range(4096)]
    start = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
    second, stamp = -1, ''
    for n in range(count):
        micros = n * 193_000
        if micros // 1_000_000 != second:
            second = micros // 1_000_000
            stamp = (start + datetime.timedelta(seconds=second)).strftime('%Y-%m-%dT%H:%M:%S')
        name, event, kind = whom[n & 8191 ^ n >> 13 & 31], what[n * 31 & 8191], kinds[n * 17 & 8191]
        head = f'{{"timestamp":"{stamp}.{micros % 1_000_000:06}Z","level":'
        ids = f'"event_id":"order-{n * 0x9E3779B97F4A7C15 & (1 << 40) - 1:x}","event_type":"{event}","endpoint":"{name}","endpoint_id":"app_{name}"'
        where = f'"method":"POST","url":"https://{name}.example.com/hooks"'
        end = f'"duration_ms":{took[n * 7 & 4095]},"bytes":{300 + kind}'
        if kind < 960:
            yield (f'{head}"info","message":"{event} delivered to {name}","kind":"delivery","outcome":"delivered",{ids},{where},'
                   f'"attempt":1,"max_attempts":4,"http_status":200,{end}}}\n')
        elif kind < 990:
            yield (f'{head}"warn","message":"{event} not delivered to {name} (status_503), trying again","kind":"delivery","outcome":"retrying",{ids},{where},'
                   f'"attempt":1,"max_attempts":4,"http_status":503,{end},"error":"the receiver answered 503","error_code":"status_503",'
                   f'"next_attempt":"{stamp}.999999Z","response":"{{\\"error\\": \\"busy\\"}}\\n"}}\n')
        elif kind < 999:
            yield (f'{head}"error","message":"{event} not delivered to {name} (timeout)","kind":"delivery","outcome":"failed",{ids},{where},'
                   f'"attempt":4,"max_attempts":4,{end},"error":"no answer within 10s","error_code":"timeout","class":"transient"}}\n')
        else:
            yield (f'{head}"info","message":"{event} goes to no endpoint","kind":"event","outcome":"unrouted",'
                   f'"event_id":"order-{n:x}","event_type":"{event}"}}\n')

def make(path, count):
    if not os.path.exists(path):
        print(f'making {path}', flush=True)
        with open(path + '.new', 'w', buffering=1 << 20) as file:
            file.writelines(lines(count))
        os.rename(path + '.new', path)
    return path

def measured(command):
    """CPU seconds, seconds, peak RSS in MiB, and how many lines it wrote."""
    since = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, 'LC_ALL': 'C'})
    counting = subprocess.Popen(['wc', '-l'], stdin=process.stdout, stdout=subprocess.PIPE)
    process.stdout.close()
    peak = 0
    # What the system counts for a child includes this interpreter before it became the command.
    while (found := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        if line := re.search(r'VmHWM:\s*(\d+)', open(f'/proc/{process.pid}/status').read()):
            peak = max(peak, int(line[1]) / 1024)
        time.sleep(0.01)
    process.returncode = 0
    return found[2].ru_utime + found[2].ru_stime, time.perf_counter() - since, peak, int(counting.communicate()[0])

def logs(a, path, *arguments):
    return [a.sidehook, 'logs', path, '--format', 'jsonl', *arguments]

def grep(path, string):
    return ['grep', '-F', string, path]

def beside_grep(a, path):
    held = []
    with open(path) as log:
        log.seek(os.path.getsize(path) // 2)
        an_id = re.search('"event_id":"([^"]*)"', log.readline() + log.readline())[1]
    cases = [('an id', ['--event-id', an_id], f'"event_id":"{an_id}"'), ('nothing', ['--endpoint', 'nobody'], '"endpoint":"nobody"'),
             ('an outcome, 0.9 %', ['--outcome', 'failed'], '"outcome":"failed"'), ('an endpoint, 2 %', ['--endpoint', 'mail-3'], '"endpoint":"mail-3"'),
             ('an endpoint, half of all', ['--endpoint', 'billing'], '"endpoint":"billing"')]
    for name, filters, string in cases:
        pairs = [(measured(logs(a, path, *filters)), measured(grep(path, string))) for _ in range(a.rounds)]
        assert all(ours[3] == theirs[3] for ours, theirs in pairs), pairs
        cpu, clock = [[ours[at] / theirs[at] for ours, theirs in pairs] for at in (0, 1)]
        ours, theirs = [[median(pair[of][at] for pair in pairs) for at in (0, 1)] for of in (0, 1)]
        print(f'{name}: {pairs[0][0][3]} lines; CPU {ours[0]:.2f} s, grep {theirs[0]:.2f} s; {ours[1]:.2f} and {theirs[1]:.2f} s by the clock, ratio {median(clock):.2f}')
        held += [verdict('  CPU / grep', median(cpu), 2), verdict('  peak RSS', max(ours[2] for ours, _ in pairs), 64, ' MiB')]
    return held

def alone(a, path):
    """What no string can be looked for, and what is written whole; without a limit of time."""
    held = []
    for name, filters in [('a pattern without a literal', ['--event', '*.*']), ('a pattern, purchase.**', ['--event', 'purchase.**']),
                          ('the last half, by time', ['--since', '2026-11-12T04:00:00Z']), ('all', [])]:
        cpu, clock, peak, found = measured(logs(a, path, *filters))
        print(f'{name}: {found} lines; CPU {cpu:.2f} s, {clock:.2f} s by the clock')
        held.append(verdict('  peak RSS', peak, 64, ' MiB'))
    packed = path + '.gz'
    if not os.path.exists(packed):
        subprocess.run(f'gzip -1 < {path} > {packed}.new && mv {packed}.new {packed}', shell=True, check=True)
    ours = measured(logs(a, packed, '--endpoint', 'mail-3'))
    theirs = measured(['sh', '-c', f"zcat {packed} | grep -F '\"endpoint\":\"mail-3\"'"])
    print(f'gzipped, an endpoint: CPU {ours[0]:.2f} s, zcat | grep {theirs[0]:.2f} s; {ours[1]:.2f} and {theirs[1]:.2f} s by the clock')
    return held + [verdict('  peak RSS', ours[2], 64, ' MiB'), ours[3] == theirs[3]]

def beside_jq(a, path):
    ours = measured(logs(a, path, '--endpoint', 'billing'))
    theirs = measured(['jq', '-c', 'select(.endpoint=="billing")', path])
    print(f'jq, an endpoint, half of all: {ours[3]} lines; CPU {ours[0]:.2f} s, jq {theirs[0]:.2f} s')
    return [verdict('  CPU / jq', ours[0] / theirs[0], 0.1), ours[3] == theirs[3]]

def follow(a, folder):
    path = os.path.join(folder, 'followed.jsonl')
    some, rng, late = list(lines(200)), random.Random(7), []
    open(path, 'w').close()
    process = subprocess.Popen(logs(a, path, '--follow'), stdout=subprocess.PIPE)
    time.sleep(0.5)
    ticks = lambda: sum(map(int, open(f'/proc/{process.pid}/stat').read().rpartition(')')[2].split()[11:13]))
    before = ticks()
    time.sleep(10)
    idle = (ticks() - before) / os.sysconf('SC_CLK_TCK') / 10
    with open(path, 'a', buffering=1) as log:
        for line in some:
            time.sleep(rng.random() / 10)
            since = time.perf_counter()
            log.write(line)
            assert process.stdout.readline().decode() == line
            late.append((time.perf_counter() - since) * 1e3)
    process.terminate()
    ended = process.wait()
    print(f'follow: a line is told after {median(late):.0f} ms, {max(late):.0f} at most; idle it takes {idle * 1e3:.1f} ms of CPU a second; exit {ended}')
    return [max(late) < 1000, idle < 0.005, ended == 0]

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sidehook', default='target/release/sidehook')
    parser.add_argument('--folder', default=os.path.join(tempfile.gettempdir(), 'sidehook-logs'))
    parser.add_argument('--lines', type=int, default=10_000_000)
    parser.add_argument('--rounds', type=int, default=5)
    a = parser.parse_args()
    os.makedirs(a.folder, exist_ok=True)
    path = make(os.path.join(a.folder, f'{a.lines}.jsonl'), a.lines)
    tenth = make(os.path.join(a.folder, f'{a.lines // 10}.jsonl'), a.lines // 10)
    subprocess.run(['cat', path, tenth], stdout=subprocess.DEVNULL, check=True)
    end(*follow(a, a.folder), *beside_grep(a, path), *beside_jq(a, tenth), *alone(a, path))

if __name__ == '__main__':
    main()
