// A resource server on jose: verifies every token that it is handed, with copies of the published keys that
// are as old as Cache-Control allows. It never asks early for a kid that it does not know, as if it had been
// told off for that; so it fails whenever a token is signed with a key that was not published long enough.
//
// Each line of standard input is `{"token", "use": "access" | "id", "node", "phase"}`, or `{"revoked": kid}`.
// A token is verified when it comes and once more shortly before it expires; every fifth also four times a
// second in between. A second copy of the keys, that of the node that issued the token, asks for unknown kids.
// After the end of the input, and once the last token has expired, one line of JSON tells what happened.
//
// Environment: ISSUER; JWKS (one URL for each node, separated by commas); ID_AUDIENCE, ACCESS_AUDIENCE.

import { webcrypto } from 'node:crypto';
import { createInterface } from 'node:readline';

globalThis.crypto ??= webcrypto; // Node.js 18 has it, but not as a global
const { createRemoteJWKSet, customFetch, decodeJwt, decodeProtectedHeader, jwtVerify } = await import('jose');

const { ISSUER, JWKS, ID_AUDIENCE, ACCESS_AUDIENCE } = process.env;
const LAST_LOOK = 600; // ms before it expires

const report = {
  verified: 0, // verifications that succeeded
  failures: {}, // by phase, of the copies that never ask early
  eager_failures: {}, // by phase, of the copy that asks for unknown kids
  first_failures: [],
  revoked_accepted: 0, // tokens of a revoked key: by a copy from before
  revoked_refused: 0,
  last_looks: 0, // tokens that were seen to verify shortly before they expired
  tokens: {}, // by phase and node
  kids: {}, // by phase and algorithm
  fetches: 0,
  max_age: 0,
};

async function counted(url, options) {
  report.fetches += 1;
  return fetch(url, options);
}

/** The keys at a URL, kept as long as its Cache-Control says. */
async function keys(url, eager) {
  const answer = await fetch(url);
  const maxAge = Number(/(?:^|[,\s])max-age=(\d+)/.exec(answer.headers.get('cache-control'))[1]);
  report.max_age = maxAge;
  const cooldownDuration = eager ? 0 : maxAge * 1000;
  return createRemoteJWKSet(new URL(url), { cacheMaxAge: maxAge * 1000, cooldownDuration, [customFetch]: counted });
}

const urls = JWKS.split(',');
const patient = await Promise.all(urls.map((url) => keys(url, false)));
const eager = await Promise.all(urls.map((url) => keys(url, true)));
console.log('READY');

const revoked = new Set();
const pending = new Set();
let handed = 0;

function add(object, key, number = 1) {
  object[key] = (object[key] ?? 0) + number;
}

async function verify(set, item, failures) {
  const { token, use, exp, kid, phase } = item;
  if (Date.now() >= exp * 1000) return false;
  const options = {
    issuer: ISSUER,
    audience: use === 'id' ? ID_AUDIENCE : ACCESS_AUDIENCE,
    typ: use === 'id' ? undefined : 'at+jwt',
  };
  // Whether it was revoked before: in the middle either answer is right.
  const [was, began] = [revoked.has(kid), Date.now()];
  try {
    await jwtVerify(token, set, options);
    if (was) report.revoked_accepted += 1;
    else report.verified += 1;
    return true;
  } catch (error) {
    if (revoked.has(kid)) {
      report.revoked_refused += 1;
    } else if (error.code === 'ERR_JWT_EXPIRED' && Date.now() >= exp * 1000) {
      return false; // it took too long to get here
    } else {
      add(failures, phase);
      if (report.first_failures.length < 5) {
        const age = began - item.came;
        report.first_failures.push({ phase, node: item.node, use, kid, age, code: error.code, message: error.message });
      }
    }
    return false;
  }
}

async function look(item) {
  const answers = await Promise.all(patient.map((set) => verify(set, item, report.failures)));
  return answers.every(Boolean);
}

async function follow(item, every) {
  if (every) {
    while (Date.now() < item.exp * 1000 - LAST_LOOK - 250) {
      await new Promise((done) => setTimeout(done, 250));
      await look(item);
    }
  }
  const wait = item.exp * 1000 - LAST_LOOK - Date.now();
  if (wait > 0) await new Promise((done) => setTimeout(done, wait));
  if (await look(item)) report.last_looks += 1;
}

async function take({ token, use, node, phase }) {
  const { kid, alg } = decodeProtectedHeader(token);
  const item = { token, use, node, phase, kid, exp: decodeJwt(token).exp, came: Date.now() };
  report.tokens[phase] ??= {};
  add(report.tokens[phase], node);
  const seen = ((report.kids[phase] ??= {})[alg] ??= {});
  add(seen, kid);
  handed += 1;
  const every = handed % 5 === 0;
  await Promise.all([look(item), verify(eager[node], item, report.eager_failures)]);
  await follow(item, every);
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.revoked) {
    revoked.add(message.revoked);
  } else {
    const work = take(message);
    pending.add(work);
    work.finally(() => pending.delete(work));
  }
}
await Promise.all(pending);
console.log(JSON.stringify(report));
