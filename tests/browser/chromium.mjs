// Debian's Chromium, and what every page is checked for.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// Nothing a test needs is on any network, so nothing that Chromium does by itself may look for one.
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGUMENTS });
}

/** A browser with one profile whose preferences are these; gives its context. */
export async function launchWith(preferences) {
  const directory = mkdtempSync(join(tmpdir(), 'chromium-'));
  mkdirSync(join(directory, 'Default'));
  writeFileSync(join(directory, 'Default', 'Preferences'), JSON.stringify(preferences));
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const context = await chromium.launchPersistentContext(directory, { executablePath, args: ARGUMENTS });
  // Not when the context closes: Chromium still writes to its profile then, and waiting here would keep it alive.
  process.once('exit', () => {
    try {
      rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    } catch (error) {
      console.error(`left behind: ${directory} (${error.code})`);
    }
  });
  return context;
}

const SIZES = { desktop: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } };

/** One browser profile, which remembers what went wrong on its pages. */
export class Profile {
  static async open(browser, { name, scheme, javaScript }) {
    const profile = new Profile();
    profile.name = name;
    profile.javaScript = javaScript;
    profile.problems = [];
    profile.seen = [];
    const context = await browser.newContext({
      colorScheme: scheme,
      javaScriptEnabled: javaScript,
      viewport: SIZES.desktop,
      locale: 'en-GB',
    });
    context.setDefaultTimeout(15_000);
    profile.context = context;
    profile.page = await context.newPage();
    const note = (what) => profile.problems.push(`${profile.page.url()}: ${what}`);
    profile.page.on('pageerror', (error) => note(`script error: ${error}`));
    profile.page.on('console', (message) => {
      // The pages' own policy forbids what they do: a policy or a page is wrong.
      if (/Content Security Policy|Refused to/i.test(message.text())) note(message.text());
    });
    profile.page.on('response', (response) => {
      if (response.status() >= 500) note(`${response.status()} from ${response.url()}`);
    });
    return profile;
  }

  /** Screenshots of the current page in both sizes, and the checks that every page must pass. */
  async look(title) {
    await this.page.waitForLoadState();
    this.seen.push(title);
    for (const [size, viewport] of Object.entries(SIZES)) {
      await this.page.setViewportSize(viewport);
      if (process.env.SCREENSHOTS) {
        mkdirSync(process.env.SCREENSHOTS, { recursive: true });
        const path = join(process.env.SCREENSHOTS, `${title}-${this.name}-${size}.png`);
        await this.page.screenshot({ path, fullPage: true });
      }
      if (this.javaScript) await this.#check(`${title} (${this.name}, ${size})`);
    }
    await this.page.setViewportSize(SIZES.desktop);
  }

  async #check(where) {
    // Through the debugger's own channel, so that the page's Content Security Policy stays in force.
    const session = await this.context.newCDPSession(this.page);
    const evaluate = async (expression) => {
      const answer = await session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
      if (answer.exceptionDetails) throw new Error(`${where}: ${JSON.stringify(answer.exceptionDetails)}`);
      return answer.result.value;
    };
    await evaluate(`${axe}; 0`);
    const violations = await evaluate(`axe.run().then(({ violations }) => violations.map(({ id, help, nodes }) =>
      ({ id, help, nodes: nodes.map(({ html, failureSummary }) => html + ' ' + failureSummary) })))`);
    for (const violation of violations) this.problems.push(`${where}: axe ${JSON.stringify(violation, null, 2)}`);
    const broken = await evaluate(`[...document.images].filter((i) => !i.naturalWidth).map((i) => i.src.slice(0, 80))`);
    for (const image of broken) this.problems.push(`${where}: the image ${image} does not show`);
    const overflow = await evaluate(
      'document.documentElement.scrollWidth - document.documentElement.clientWidth',
    );
    if (overflow > 0) this.problems.push(`${where}: the page is ${overflow} px wider than the window`);
    await session.detach();
  }

  async close() {
    await this.context.close();
    if (this.problems.length > 0) throw new Error(`${this.name}:\n${this.problems.join('\n')}`);
  }
}
