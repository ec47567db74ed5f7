"""Makes reports of delivery logs as `sidehook logs --format pdf` does, and reads them with what others read PDFs with.

    report.py SIDEHOOK

Every case is a line; the last one says how many passed. Needs poppler's tools (pdfinfo, pdffonts, pdftotext), qpdf and
DejaVu Sans.
"""
import collections, datetime, json, os, random, re, subprocess, sys, tempfile, traceback

SIDEHOOK = os.path.abspath(sys.argv[1])
FONTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'fonts')
DEJAVU = '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf'
OUTCOMES = ['delivered', 'retrying', 'failed', 'dead_lettered', 'dropped', 'filtered', 'skipped', 'pending']
ROWS, SECONDS, KIBIBYTES = 100_000, 10, 256 * 1024  # a report of so many lines may take so much CPU and memory
counts = {'ok': 0, 'FAILED': 0}


def logged(number, endpoints=5):
    """Lines of a log, the same each time."""
    chance, time = random.Random(number), datetime.datetime(2026, 11, 20, 22, 0, 0)
    for place in range(number):
        time += datetime.timedelta(seconds=chance.uniform(0, 60), microseconds=chance.randrange(1_000_000))
        outcome = chance.choices(OUTCOMES, [900, 30, 8, 7, 1, 2, 2, 1])[0]
        line = {'timestamp': time.isoformat(timespec='microseconds') + 'Z', 'level': 'info', 'message': 'a sentence',
                'kind': 'delivery', 'outcome': outcome, 'event_id': f'evt_{place:032x}', 'event_type': 'purchase.completed',
                'endpoint': f'endpoint-{chance.randrange(endpoints)}', 'method': 'POST', 'url': 'https://b.example/hooks',
                'attempt': 1, 'max_attempts': 4}
        if outcome in ('delivered', 'retrying', 'failed'):
            line |= {'http_status': 200 if outcome == 'delivered' else 503, 'duration_ms': round(chance.expovariate(1 / 40), 3)}
        if outcome in ('retrying', 'failed'):
            line |= {'error': 'the receiver answered 503', 'error_code': 'status_503'}
        yield line


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Report:
    """What `sidehook logs` makes of `lines` with `arguments`, as others read it."""
    def __init__(self, folder, lines, *arguments):
        log, self.file = os.path.join(folder, 'log.jsonl'), os.path.join(folder, 'report.pdf')
        with open(log, 'w') as file:
            file.writelines(json.dumps(line, separators=(',', ':')) + '\n' for line in lines)
        command = [SIDEHOOK, 'logs', log, '--format', 'pdf', '--output', self.file, *arguments]
        with tempfile.TemporaryFile('w+') as stderr:
            process = subprocess.Popen(command, stderr=stderr)
            _, status, self.used = os.wait4(process.pid, 0)
            process.returncode = self.code = os.waitstatus_to_exitcode(status)
            stderr.seek(0)
            self.said = stderr.read()

    def read(self):
        assert self.code == 0, self.said
        checked = output_of('qpdf', '--check', self.file)
        assert 'No syntax or stream encoding errors' in checked, checked
        self.properties = dict(re.findall(r'^(.+?): +(.*)$', output_of('pdfinfo', self.file), re.M))
        self.pages = output_of('pdftotext', '-layout', self.file, '-').split('\f')[:-1]
        assert len(self.pages) == int(self.properties['Pages'])
        for number, page in enumerate(self.pages, 1):
            assert page.rstrip().endswith(f'Page {number} of {len(self.pages)}'), page[-200:]
        self.text = '\n'.join(self.pages)
        return self

    def table(self):
        """The pages of the table of lines."""
        start = next((place for place, page in enumerate(self.pages) if page.lstrip().startswith('Log lines')), None)
        return [] if start is None else self.pages[start:]

    def totals(self):
        """By endpoint, its counts in the order of OUTCOMES."""
        rows = re.findall(r'^ *(endpoint-\d+|All endpoints) +((?:[\d,]+ +){8})', self.text, re.M)
        return {name: [int(count.replace(',', '')) for count in figures.split()] for name, figures in rows}

    def fonts(self):
        """By name, whether it is embedded, a subset, and can be copied from."""
        rows = [line.split() for line in output_of('pdffonts', self.file).splitlines()[2:]]
        return {row[0]: row[-5:-2] for row in rows}


def counted(lines):
    totals = collections.defaultdict(lambda: [0] * len(OUTCOMES))
    for line in lines:
        for name in (line['endpoint'], 'All endpoints'):
            totals[name][OUTCOMES.index(line['outcome'])] += 1
    return totals


def the_report_holds_what_the_log_says(folder):
    lines = list(logged(2_000))
    report = Report(folder, lines).read()
    assert report.totals() == counted(lines)
    table = report.table()
    assert len(table) > 20
    for page in table:
        assert re.search(r'Time \(UTC\) +Outcome +Endpoint +Event type +Event id +Attempt +Status +Duration +Detail', page), page
    assert re.findall(r'evt_[0-9a-f]{32}', ''.join(table)) == [line['event_id'] for line in lines]
    first = report.pages[0]
    for part in (lines[0]['timestamp'][:19].replace('T', ' '), lines[-1]['timestamp'][:19].replace('T', ' '), 'UTC', '2,000'):
        assert part in first, (part, first)
    assert report.properties['Title'] and report.properties['Producer'].startswith('sidehook ')
    assert report.properties['Page size'].endswith('(A4)')


def a_filter_is_obeyed_and_shown(folder):
    lines = list(logged(500))
    report = Report(folder, lines, '--endpoint', 'endpoint-3', '--outcome', 'delivered').read()
    wanted = [line for line in lines if (line['endpoint'], line['outcome']) == ('endpoint-3', 'delivered')]
    assert report.totals() == counted(wanted)
    assert 'endpoint-3' in report.pages[0].split('Success')[0] and 'delivered' in report.pages[0].split('Success')[0]


def no_match_is_a_report_that_says_so(folder):
    report = Report(folder, logged(10), '--endpoint', 'nobody').read()
    assert len(report.pages) == 1 and 'No line of the log matches' in report.text


def a_thousand_endpoints_are_a_table_over_pages(folder):
    lines = list(logged(6_000, 1_000))
    report = Report(folder, lines).read()
    assert report.totals() == counted(lines)
    totals = report.pages[:len(report.pages) - len(report.table())]
    assert len(totals) > 20 and all('Dead-lettered' in page for page in totals)


def what_strangers_wrote_does_no_harm(folder):
    errors = ['caf\u00e9 \u201cok\u201d \u20ac5', '(a\\(b)) Tj ET', '\x1b[2J\x00', '\u202eevil', '\u65e5\u672c \U0001f600', 'x\u200by']
    lines = [line | {'error': error, 'event_id': 'x' * 255} for line, error in zip(logged(6), errors)]
    text = re.sub(r'\s+', '', Report(folder, lines).read().text)
    for shown in ('café“ok”€5', '(a\\(b))TjET', 'U+001B[2JU+0000', 'U+202Eevil', 'U+65E5U+672CU+1F600', 'xU+200By', 'xxx…'):
        assert shown in text, (shown, text)


def a_given_font_has_what_the_built_in_ones_lack(folder):
    lines = [line | {'error': '\u041f\u0440\u0438\u0432\u0435\u0442 \u65e5 \u202e'} for line in logged(60)]
    report = Report(folder, lines, '--font', DEJAVU).read()
    assert 'Привет U+65E5 U+202E' in report.text
    assert report.totals() == counted(lines)
    assert any('DejaVuSans' in name and flags == ['yes', 'yes', 'yes'] for name, flags in report.fonts().items()), report.fonts()
    assert os.path.getsize(report.file) < 100_000
    for font in ('boxes.ttf', 'boxes.otf'):
        report = Report(folder, [line | {'error': '\u0416\u65e5 x'} for line in logged(3)], '--font', os.path.join(FONTS, font))
        assert 'Ж日 x' in report.read().text


def a_broken_font_is_named_and_there_is_no_report(folder):
    broken = os.path.join(folder, 'broken.ttf')
    for content in (b'no font at all', open(DEJAVU, 'rb').read()[:4_000]):
        with open(broken, 'wb') as file:
            file.write(content)
        report = Report(folder, logged(3), '--font', broken)
        assert report.code > 0 and 'broken.ttf' in report.said and 'panicked' not in report.said, (report.code, report.said)
        assert not os.path.exists(report.file)


def a_large_report_takes_little(folder):
    report = Report(folder, logged(ROWS))
    assert report.code == 0, report.said
    seconds, kibibytes = report.used.ru_utime + report.used.ru_stime, report.used.ru_maxrss
    print(f'        {ROWS} rows: {seconds:.2f} s of CPU, {kibibytes / 1024:.1f} MiB of memory, '
          f'{os.path.getsize(report.file) / 1e6:.1f} MB')
    assert seconds < SECONDS and kibibytes < KIBIBYTES
    assert int(re.search(r'^Pages: +(\d+)$', output_of('pdfinfo', report.file), re.M)[1]) > 2_000


for case in (
    the_report_holds_what_the_log_says,
    a_filter_is_obeyed_and_shown,
    no_match_is_a_report_that_says_so,
    a_thousand_endpoints_are_a_table_over_pages,
    what_strangers_wrote_does_no_harm,
    a_given_font_has_what_the_built_in_ones_lack,
    a_broken_font_is_named_and_there_is_no_report,
    a_large_report_takes_little,
):
    try:
        with tempfile.TemporaryDirectory() as folder:
            case(folder)
        what = 'ok'
    except Exception:
        traceback.print_exc()
        what = 'FAILED'
    counts[what] += 1
    print(f'{what:8}{case.__name__.replace("_", " ")}', flush=True)
print(f'report: {counts["ok"]} passed, {counts["FAILED"]} failed')
sys.exit(1 if counts['FAILED'] else 0)
