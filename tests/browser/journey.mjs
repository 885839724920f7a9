// The main job in a real browser: a customer connects a fintech app to their bank, uses it, and withdraws the
// access again. Three times: in the light scheme, in the dark one, and without JavaScript.
//
// Environment: ISSUER and APP (addresses); CUSTOMERS, a JSON list of { username, password, secret? }, used in turn (one
// is enough; with three, each pass shows enrolment and none waits for its next code); SCREENSHOTS, a directory
// (absent: none are taken); PASSES, some of `light,dark,no-javascript`; CHROMIUM, its path.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { TOTP, Secret } from 'otpauth';
import { Profile, launch } from './chromium.mjs';

const { ISSUER, APP } = process.env;
const customers = JSON.parse(process.env.CUSTOMERS);
const passes = {
  light: { scheme: 'light', javaScript: true },
  dark: { scheme: 'dark', javaScript: true },
  'no-javascript': { scheme: 'light', javaScript: false },
};

/** The next code that was not used yet; at most the one after the current, which servers accept. */
async function nextCode(customer) {
  assert.ok(customer.secret, `${customer.username} enrolled before this run: give the secret in CUSTOMERS`);
  const period = 30;
  const current = () => Math.floor(Date.now() / 1000 / period);
  const step = Math.max(current(), (customer.lastStep ?? 0) + 1);
  while (step > current() + 1) await sleep(500);
  customer.lastStep = step;
  const secret = Secret.fromBase32(customer.secret.replace(/\s/g, ''));
  return new TOTP({ secret, period }).generate({ timestamp: step * period * 1000 });
}

/** The bank's pages by the button that sends each, and what the customer does there first. */
const pages = {
  'login-submit': {
    title: 'sign-in',
    answer: async (page, customer) => {
      await page.fill('[name=username]', customer.username);
      await page.fill('[name=password]', customer.password);
    },
  },
  'enrol-submit': {
    title: 'enrol',
    answer: async (page, customer) => {
      customer.secret = await page.locator('#secret').innerText();
      await page.fill('[name=otp]', await nextCode(customer));
    },
  },
  'otp-submit': {
    title: 'second-factor',
    answer: async (page, customer) => page.fill('[name=otp]', await nextCode(customer)),
  },
  'codes-saved': {
    title: 'recovery-codes',
    answer: async (page) => assert.ok((await page.locator('#recovery-codes li').count()) >= 8),
  },
  'consent-allow': { title: 'consent', answer: async () => {} },
};

/** Goes through the bank's pages until the browser is back at the app. */
async function throughTheBank(profile, customer, consent = 'consent') {
  const { page } = profile;
  for (let count = 0; !page.url().startsWith(APP); count += 1) {
    const ids = await page.locator('button[id]').evaluateAll((buttons) => buttons.map((b) => b.id));
    const id = Object.keys(pages).find((known) => ids.includes(known));
    assert.ok(id && count < 8, `nothing to do at ${page.url()}:\n${await page.innerText('body')}`);
    await profile.look(id === 'consent-allow' ? consent : pages[id].title);
    await pages[id].answer(page, customer);
    await press(page, `#${id}`);
  }
}

/** Presses a button and waits for the page it leads to. */
async function press(page, selector) {
  const left = page.waitForEvent('domcontentloaded');
  await page.click(selector);
  await left;
  await page.waitForLoadState();
}

/** Uses the write access, where the customer's roles allowed it to be granted. */
async function pay(profile, customer) {
  const { page } = profile;
  if ((await page.locator('#pay').count()) === 0) return;
  await page.fill('#creditor', 'Landlord');
  await page.fill('#amount', '12.50');
  await press(page, '#pay');
  await profile.look('app-paid');
  assert.equal(await page.locator('#notice.bad').count(), 0, 'the payment was made');
  await payMore(profile, customer);
}

/** More than small change: whoever showed one factor only is sent back to the bank for the other (RFC 9470). */
async function payMore(profile, customer) {
  const { page } = profile;
  const send = async () => {
    await page.fill('#creditor', 'Landlord');
    await page.fill('#amount', '45.00');
    await press(page, '#pay');
  };
  await send();
  if (page.url().startsWith(ISSUER)) {
    await profile.look('step-up');
    await throughTheBank(profile, customer);
    await page.locator('#connected').waitFor();
    assert.match(await page.locator('#notice').innerText(), /send the payment again/i);
    await send();
  }
  assert.match(await page.locator('#notice').innerText(), /paid 45\.00/i);
}

/** A payment that the customer approves at the bank, exactly as it is (RFC 9396). */
async function approve(profile, customer) {
  const { page } = profile;
  if ((await page.locator('#approve').count()) === 0) return;
  await page.fill('#creditor', 'Bicycle shop');
  await page.fill('#amount', '60.00');
  await press(page, '#approve');
  assert.ok(page.url().startsWith(ISSUER), `the app sends the customer to the bank, not to ${page.url()}`);
  assert.match(await page.innerText('body'), /Bicycle shop/, 'the bank says whom the payment goes to');
  await throughTheBank(profile, customer, 'approval');
  await page.locator('#connected').waitFor();
  assert.match(await page.locator('#notice').innerText(), /paid 60\.00 EUR to Bicycle shop/i);
  await profile.look('app-approved');
}

async function journey(profile, customer) {
  const { page } = profile;

  await page.goto(APP);
  await profile.look('app-home');
  await page.goto(`${APP}/ledgerline`);
  await page.check('#payments');
  await profile.look('app-connect');
  await press(page, '#connect-ledgerline');
  assert.ok(page.url().startsWith(ISSUER), `the app sends the customer to the bank, not to ${page.url()}`);
  await throughTheBank(profile, customer);
  await page.locator('#connected').waitFor();
  assert.ok((await page.locator('#accounts li[id^="account-"]').count()) > 0, 'accounts are shown');
  await profile.look('app-connected');
  await pay(profile, customer);
  await approve(profile, customer);
  await press(page, '#refresh');
  assert.equal(await page.locator('#refreshed').innerText(), '1');

  await page.goto(`${ISSUER}/account`);
  await profile.look('account');
  const withdraw = page.locator('button[id^="withdraw-"]');
  assert.equal(await withdraw.count(), 1, 'one app is connected');
  await press(page, 'button[id^="withdraw-"]');
  await profile.look('account-withdrawn');
  assert.equal(await withdraw.count(), 0, 'no app is connected any more');

  await page.goto(`${APP}/ledgerline`);
  if ((await page.locator('#refresh').count()) > 0) await press(page, '#refresh');
  await profile.look('app-withdrawn');
  assert.match(await page.locator('#notice').innerText(), /withdrawn/i);
  assert.equal(await page.locator('#connected').count(), 0, 'the app holds no access any more');

  await page.goto(`${ISSUER}/account`);
  await press(page, '#sign-out');
  await profile.look('signed-out');
  await page.goto(`${ISSUER}/account`);
  assert.equal(await page.locator('[name=password]').count(), 1, 'a signed-out customer must sign in again');
}

const browser = await launch();
try {
  const names = (process.env.PASSES ?? Object.keys(passes).join()).split(',');
  for (const [index, name] of names.entries()) {
    const profile = await Profile.open(browser, { name, ...passes[name] });
    try {
      await journey(profile, customers[index % customers.length]);
    } catch (error) {
      await profile.look('failed').catch(() => {});
      const text = await profile.page.innerText('body');
      console.error([`${name} stopped at ${profile.page.url()}, which says:`, text, ...profile.problems].join('\n'));
      throw error;
    }
    console.log(`${name}: ${profile.seen.join(' → ')}`);
    await profile.close();
  }
} finally {
  await browser.close();
}
