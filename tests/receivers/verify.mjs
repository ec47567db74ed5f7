// Receivers in Node: one JSON question a line on stdin, one JSON answer a line on stdout.
import readline from 'node:readline';
import { Webhook as Standard } from 'standardwebhooks';
import { Webhook as Svix } from 'svix';
import Stripe from 'stripe';
import { sign, verify as octokit } from '@octokit/webhooks-methods';
import { CloudEvent, HTTP } from 'cloudevents';
import express from 'express';
import qs from 'qs';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { servers } from './servers.mjs';

const app = express();
app.use(express.urlencoded({ extended: true, limit: '1mb', depth: 200, parameterLimit: 10_000 }));
app.use(express.json({ limit: '1mb' }));
app.post('/', (request, response) => response.json(request.body));
const server = app.listen(0, '127.0.0.1');
await new Promise((listening) => server.on('listening', listening));
const url = `http://127.0.0.1:${server.address().port}/`;

const throughExpress = async (body, type) => {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': type }, body });
  if (!answer.ok) throw new Error(`express says ${answer.status}: ${await answer.text()}`);
  return answer.json();
};

class NoMatch extends Error {}

const stripe = new Stripe('sk_test_x');
const attributes = (event) => {
  event.validate();
  return { ...event, data: event.data };
};

const checks = {
  standard: ({ headers, body, secret }) => new Standard(secret).verify(body, headers),
  svix: ({ headers, body, secret }) => new Svix(secret).verify(body, headers),
  stripe: ({ headers, body, secret }) => stripe.webhooks.constructEvent(body, headers['stripe-signature'], secret),
  octokit: async ({ headers, body, secret }) => {
    if (!(await octokit(secret, body, headers['x-hub-signature-256']))) throw new NoMatch('verify() says false');
  },
  signStandard: ({ id, at, body, secret }) => new Standard(secret).sign(id, new Date(at * 1000), body),
  signSvix: ({ id, at, body, secret }) => new Svix(secret).sign(id, new Date(at * 1000), body),
  signStripe: ({ at, body, secret }) => stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: at }),
  signOctokit: ({ body, secret }) => sign(secret, body),
  cloudevents: ({ headers, body }) => {
    const event = HTTP.toEvent({ headers, body });
    return Array.isArray(event) ? event.map(attributes) : attributes(event);
  },
  emit: ({ mode, event }) => {
    const { headers, body } = HTTP[mode](new CloudEvent(event));
    return { headers, body };
  },
  express: ({ headers, body }) => throughExpress(body, headers['content-type']),
  form: ({ body }) => [[...new URLSearchParams(body)], new URLSearchParams([...new URLSearchParams(body)]).toString()],
  qs: ({ body }) => qs.parse(body, { depth: 20, arrayLimit: 100 }),
  validXml: ({ body }) => XMLValidator.validate(body),
  xml: ({ body }) => {
    const options = { preserveOrder: true, parseTagValue: false, trimValues: false, ignoreAttributes: false, htmlEntities: true, maxNestedTags: 1000 };
    return new XMLParser(options).parse(body);
  },
  ...servers,
};

const { now } = Date;
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { check, ahead = 0, ...question } = JSON.parse(line);
  let answer;
  Date.now = () => now() + ahead * 1000;
  try {
    answer = { ok: true, value: (await checks[check](question)) ?? null };
  } catch (error) {
    answer = { ok: false, kind: error.constructor.name, error: String(error) };
  }
  Date.now = now;
  console.log(JSON.stringify(answer));
}
process.exit();
