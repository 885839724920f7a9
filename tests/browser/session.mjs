// Session management in a real browser: a client on another site frames the bank's page and asks it about its
// session_state, before and after the customer signs out.
//
// Environment: ISSUER, CLIENT and STRANGER (addresses of three sites), AUTHORIZE (an authorization request of the
// client), CLIENT_ID; CHROMIUM, its path. Prints one line of JSON.

import { launch, launchWith } from './chromium.mjs';

const { ISSUER, CLIENT, STRANGER, AUTHORIZE, CLIENT_ID } = process.env;

/** Frames the bank's page in a page of that site. */
async function watch(context, site) {
  const page = await context.newPage();
  await page.goto(`${site}/`);
  await page.evaluate(async (source) => {
    window.heard = [];
    addEventListener('message', (event) => window.heard.push([event.origin, event.data]));
    const frame = document.createElement('iframe');
    frame.src = source;
    const loaded = new Promise((done) => frame.addEventListener('load', done));
    document.body.append(frame);
    await loaded;
  }, `${ISSUER}/check-session`);
  return page;
}

/** What the frame says to a message. */
function ask(page, message) {
  return page.evaluate(
    ({ message, issuer }) =>
      new Promise((done, failed) => {
        setTimeout(() => failed(new Error('no answer')), 5000);
        const listener = (event) => {
          if (event.origin !== issuer) return;
          removeEventListener('message', listener);
          done(event.data);
        };
        addEventListener('message', listener);
        document.querySelector('iframe').contentWindow.postMessage(message, issuer);
      }),
    { message, issuer: ISSUER },
  );
}

// By default Chromium keeps cookies from the frames of other sites.
const withholding = await launch();
const context = await launchWith({ profile: { cookie_controls_mode: 0, block_third_party_cookies: false } });
try {
  context.setDefaultTimeout(15_000);
  const bank = await context.newPage();
  await bank.goto(AUTHORIZE);
  await bank.fill('[name=username]', 'bob');
  await bank.fill('[name=password]', 'granite-teapot-orbit');
  await bank.click('#login-submit');
  await bank.click('#consent-allow');
  await bank.waitForURL(`${CLIENT}/**`);
  const state = new URL(bank.url()).searchParams.get('session_state');

  const [client, stranger] = [await watch(context, CLIENT), await watch(context, STRANGER)];
  const asked = `${CLIENT_ID} ${state}`;
  const found = {
    signedIn: await ask(client, asked),
    again: await ask(client, asked),
    otherClient: await ask(client, `another ${state}`),
    otherOrigin: await ask(stranger, asked),
    otherSalt: await ask(client, `${CLIENT_ID} ${state}x`),
    malformed: [],
  };
  for (const message of ['', 'one', `${asked} more`, { client: CLIENT_ID, state }]) {
    found.malformed.push(await ask(client, message));
  }
  // The stranger heard one answer, to its own question.
  const heard = await stranger.evaluate(() => window.heard);
  found.overheard = heard.slice(1);

  await bank.goto(`${ISSUER}/account`);
  await bank.click('#sign-out');
  await bank.waitForURL(`${ISSUER}/signed-out`);
  found.signedOut = await ask(client, asked);
  found.withheld = await ask(await watch(await withholding.newContext(), CLIENT), asked);
  console.log(JSON.stringify(found));
} finally {
  await context.close();
  await withholding.close();
}
