// Receivers in Node: one JSON question a line on stdin, one JSON answer a line on stdout.
import readline from 'node:readline';
import { Webhook as Standard } from 'standardwebhooks';
import { Webhook as Svix } from 'svix';
import Stripe from 'stripe';
import { verify as octokit } from '@octokit/webhooks-methods';
import { HTTP } from 'cloudevents';
import express from 'express';
import qs from 'qs';
import { XMLParser, XMLValidator } from 'fast-xml-parser';

const app = express();
app.use(express.urlencoded({ extended: true, limit: '1mb' }));
app.use(express.json({ limit: '1mb' }));
app.post('/', (request, response) => response.json(request.body));
const server = app.listen(0, '127.0.0.1');
await new Promise((listening) => server.on('listening', listening));
const url = `http://127.0.0.1:${server.address().port}/`;

const throughExpress = async (body, type) =>
  (await fetch(url, { method: 'POST', headers: { 'content-type': type }, body })).json();

const checks = {
  standard: ({ headers, body, secret }) => new Standard(secret).verify(body, headers),
  svix: ({ headers, body, secret }) => new Svix(secret).verify(body, headers),
  stripe: ({ headers, body, secret }) => new Stripe('sk_test_x').webhooks.constructEvent(body, headers['stripe-signature'], secret),
  octokit: async ({ headers, body, secret }) => {
    if (!(await octokit(secret, body, headers['x-hub-signature-256']))) throw new Error('no match');
  },
  cloudevents: ({ headers, body }) => {
    const event = HTTP.toEvent({ headers, body });
    event.validate();
    return { ...event, data: event.data };
  },
  express: ({ headers, body }) => throughExpress(body, headers['content-type']),
  qs: ({ body }) => qs.parse(body, { depth: 20, arrayLimit: 100 }),
  xml: ({ body }) => {
    const valid = XMLValidator.validate(body);
    if (valid !== true) throw new Error(JSON.stringify(valid));
    return new XMLParser({ parseTagValue: false, ignoreAttributes: false }).parse(body);
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { check, ...question } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: true, value: (await checks[check](question)) ?? null };
  } catch (error) {
    answer = { ok: false, error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
server.close();
