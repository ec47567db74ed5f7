#!/usr/bin/env python3
"""Filtering a large delivery log: `sidehook logs` beside `grep -F` and `jq`, in turn, on the same generated file.

    benches/logs.py [--lines N] [--rounds N] [--jq-lines N] [--folder DIR] [--sidehook PATH] [--only NAME,…]

The log is made once in the folder (10 million lines are 3.4 GB, the same at every run) and read before it is measured: every
command finds it in the page cache. `jq` is too slow for all of it: it is timed on its first lines, and scaled. Ends with 1 where a
limit is not held.
"""
import argparse, datetime, gzip, os, random, shutil, statistics, subprocess, sys, tempfile, time

median = statistics.median

def lines(count, seed=7):
    """The log's lines: 20 endpoints of which some get much more than others, 96 % delivered, ECS nowhere."""
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
        ids = f'"event_id":"evt_{n * 0x9E3779B97F4A7C15 & (1 << 128) - 1:032x}","event_type":"{event}","endpoint":"{name}","endpoint_id":"app_{name}"'
        where = f'"method":"POST","url":"https://{name}.example.com/hooks/sidehook"'
        end = f'"duration_ms":{took[n * 7 & 4095]},"bytes":{300 + kind},"trace_id":"{n * 0xC2B2AE3D27D4EB4F + 1 & (1 << 128) - 1:032x}"'
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
                   f'"event_id":"evt_{n:032x}","event_type":"{event}"}}\n')

def make(path, count):
    if os.path.exists(path):
        return
    print(f'making {path}', flush=True)
    with open(path + '.new', 'w', buffering=1 << 20) as file:
        for line in lines(count):
            file.write(line)
    os.rename(path + '.new', path)

if __name__ == '__main__':
    make(sys.argv[1], int(sys.argv[2]))
