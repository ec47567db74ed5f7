#!/usr/bin/env python3
"""Memory while every endpoint is dead: posts 1 KiB events at a rate for a while and watches the sidecar's RSS.

    benches/dead_endpoints.py [--seconds 120] [--rate 2000] [--endpoints 10] [--queue 32] [--kind refused|silent]

`refused` endpoints refuse connections, `silent` ones accept them and never answer. Needs target/release/sidehook.
Ends with 1 if RSS went over the configured bound plus 10 % plus 16 MiB, or if a delivery that was accepted is not in the
state files at the end.
"""
import argparse, http.client, os, signal, socket, subprocess, sys, tempfile, threading, time

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def rss(pid):
    for line in open(f'/proc/{pid}/status'):
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) / 1024

def silent():
    s = socket.socket()
    s.bind(('127.0.0.1', 0))
    s.listen(1024)
    held = []
    def take():
        while True:
            held.append(s.accept())
    threading.Thread(target=take, daemon=True).start()
    return s.getsockname()[1]

def post(port, end, rate, counts):
    connection, body = None, b'{"note":"' + b'lorem ipsum ' * 84 + b'"}'
    started, sent = time.time(), 0
    while time.time() < end:
        ahead = sent / rate - (time.time() - started)
        if ahead > 0:
            time.sleep(ahead)
        sent += 1
        try:
            connection = connection or http.client.HTTPConnection('127.0.0.1', port, timeout=10)
            connection.request('POST', '/events/order.paid', body, {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            answer.read()
            counts[answer.status] = counts.get(answer.status, 0) + 1
        except OSError as error:
            connection = None
            counts[str(error)] = counts.get(str(error), 0) + 1

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=int, default=120)
    parser.add_argument('--rate', type=int, default=2000)
    parser.add_argument('--endpoints', type=int, default=10)
    parser.add_argument('--queue', type=int, default=32, help='queue.bytes in MiB')
    parser.add_argument('--kind', choices=['refused', 'silent'], default='refused')
    parser.add_argument('--sidehook', default='target/release/sidehook')
    a = parser.parse_args()
    folder, port = tempfile.TemporaryDirectory(prefix='sidehook-dead-'), free_port()
    names = [f'dead{n}' for n in range(a.endpoints)]
    config = (f'[listen]\naddress = "127.0.0.1:{port}"\n[log]\ndeliveries = "deliveries.jsonl"\n'
              f'[queue]\nbytes = "{a.queue}MiB"\n[shutdown]\ngrace = "100ms"\n[state]\nmax_bytes = "8GiB"\n')
    for name in names:
        dead = free_port() if a.kind == 'refused' else silent()
        config += f'[endpoints.{name}]\nurl = "http://127.0.0.1:{dead}/"\n'
    config += '[[routes]]\nevents = ["**"]\nto = [' + ', '.join(f'"{name}"' for name in names) + ']\n'
    path = os.path.join(folder.name, 'sidehook.toml')
    open(path, 'w').write(config)
    sidecar = subprocess.Popen([a.sidehook, 'run', '--config', path], stderr=subprocess.DEVNULL)
    while True:
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            break
        except OSError:
            time.sleep(0.02)
    counts, end, posters = {}, time.time() + a.seconds, 8
    threads = [threading.Thread(target=post, args=(port, end, a.rate / posters, counts)) for _ in range(posters)]
    for thread in threads:
        thread.start()
    bound, peak, samples = a.queue * 1.1 + 16, 0, []
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.25)
        peak = max(peak, rss(sidecar.pid))
        samples.append(peak)
    sidecar.send_signal(signal.SIGTERM)
    code = sidecar.wait(60)
    state = os.path.join(folder.name, 'state')
    files = [name for name in os.listdir(state) if name.endswith('.jsonl')]
    lines = {name: sum(1 for _ in open(os.path.join(state, name), 'rb')) for name in files}
    print(f'answers {counts}; lines in the state files {lines}; exit {code}')
    print(f'RSS after a quarter {samples[len(samples) // 4]:.1f} MiB, peak {peak:.1f} MiB, allowed {bound:.1f} MiB')
    accepted, kept = counts.get(202, 0) * a.endpoints, sum(lines.values())
    print(f'deliveries accepted {accepted}, in the state files {kept}')
    return 0 if peak <= bound and accepted == kept and code == 0 else 1

if __name__ == '__main__':
    sys.exit(main())
