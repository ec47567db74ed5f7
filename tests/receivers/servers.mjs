// Node's own servers, a proxy and a token server, each on a port that the system gives.
import { webcrypto } from 'node:crypto';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { OAuth2Server } from 'oauth2-mock-server';
import { Server as Proxy } from 'proxy-chain';

globalThis.crypto ??= webcrypto; // jose wants it, and Debian 12's Node has it only here
const PATIENCE = 20_000;
const kept = new Map();

// What a server has seen, and who waits for more of it.
class Seen {
  requests = [];
  #waiting = new Set();

  add(request) {
    this.requests.push(request);
    for (const wake of [...this.#waiting]) wake();
  }

  async wait(count) {
    const end = Date.now() + PATIENCE;
    while (this.requests.length < count) {
      if (Date.now() > end) throw new Error(`${this.requests.length} of ${count} requests came`);
      await new Promise((go) => {
        const wake = () => (clearTimeout(timer), this.#waiting.delete(wake), go());
        const timer = setTimeout(wake, 100);
        this.#waiting.add(wake);
      });
    }
    return this.requests;
  }
}

const listening = (server) => new Promise((go) => server.listen(0, '127.0.0.1', () => go(server.address().port)));

const KINDS = {
  http: (options, answer) => http.createServer(answer),
  https: (options, answer) => https.createServer(options, answer),
  h2c: (options, answer) => http2.createServer(answer),
  both: (options, answer) => http2.createSecureServer({ ...options, allowHTTP1: true }, answer),
};

const answering = (seen, judge = () => 200) => async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const { socket } = request.stream?.session ?? request;
  const entry = {
    version: request.httpVersion, method: request.method, url: request.url, headers: { ...request.headers },
    body: Buffer.concat(parts).toString(), servername: socket.servername || null, client: socket.getPeerCertificate?.().subject?.CN ?? null,
  };
  const status = await judge(entry);
  seen.add({ ...entry, status });
  response.writeHead(status, { 'content-type': 'text/plain' }).end('thanks');
};

const serve = async ({ kind, ...options }) => {
  const seen = new Seen();
  const server = KINDS[kind](options, answering(seen));
  const port = await listening(server);
  const record = { seen, connections: 0 };
  server.on('connection', () => { record.connections += 1; });
  kept.set(port, record);
  return port;
};

const startProxy = async ({ user, password }) => {
  const seen = new Seen();
  const proxy = new Proxy({
    port: 0,
    host: '127.0.0.1',
    prepareRequestFunction: ({ request, username, password: given, hostname, isHttp }) => {
      const right = username === user && given === password;
      seen.add({ method: request.method, url: request.url, hostname, isHttp, right });
      return {
        requestAuthentication: !right,
        // Names that nobody has end on this machine.
        dnsLookup: (host, lookup, done) => (lookup.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)),
      };
    },
  });
  await proxy.listen();
  kept.set(proxy.port, { seen });
  return proxy.port;
};

// A token server, and a receiver that takes only what it has signed.
const startOAuth2 = async ({ refuses = false }) => {
  const issuer = new OAuth2Server();
  await issuer.issuer.keys.generate('RS256');
  await issuer.start(0, '127.0.0.1');
  const { port: tokenPort } = issuer.address();
  issuer.issuer.url = `http://127.0.0.1:${tokenPort}`;
  const asked = new Seen();
  // Two tokens of one second would be the same text.
  issuer.service.on('beforeTokenSigning', ({ payload }) => { payload.jti = `token-${asked.requests.length + 1}`; });
  issuer.service.on('beforeResponse', (response, request) => {
    asked.add({ headers: request.headers, body: request.body });
    if (refuses) Object.assign(response, { statusCode: 401, body: { error: 'invalid_client', error_description: 'who is that?' } });
  });
  kept.set(tokenPort, { seen: asked });

  const keys = createRemoteJWKSet(new URL(`http://127.0.0.1:${tokenPort}/jwks`));
  const receiver = { seen: new Seen(), revoked: new Set(), all: false };
  const judge = async (entry) => {
    try {
      const { payload } = await jwtVerify((entry.headers.authorization ?? '').replace(/^Bearer /, ''), keys, { issuer: issuer.issuer.url });
      Object.assign(entry, { token: payload });
      return receiver.all || receiver.revoked.has(payload.jti) ? 401 : 200;
    } catch (error) {
      Object.assign(entry, { error: String(error) });
      return 401;
    }
  };
  const port = await listening(http.createServer(answering(receiver.seen, judge)));
  kept.set(port, receiver);
  return { port, tokenPort };
};

export const servers = {
  serve,
  startProxy,
  startOAuth2,
  connections: ({ port }) => kept.get(port).connections,
  // Of a server that is not one of these: nothing.
  seen: ({ port, count }) => kept.get(port)?.seen.wait(count) ?? [],
  // Takes these tokens back, or every one.
  revoke: ({ port, tokens = [], all = false }) => {
    tokens.forEach((token) => kept.get(port).revoked.add(token));
    kept.get(port).all = all;
  },
};
