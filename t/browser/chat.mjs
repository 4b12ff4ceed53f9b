// chat.mjs CHROMIUM URL SCREENSHOTS PROFILE
//
// Drives the pages of the chat example; prints "ok - ..." or "not ok - ..."
// for each check.  Started by chat_browser.t.

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.NODE_PATH}/`);
const { chromium } = require('playwright-core');

const [browserPath, url, shots, profile] = process.argv.slice(2);

const WAIT = 15000;                     // for anything that should happen
const RELOADS = 60;                     // until a page is on another worker

const ok = (good, name) => {
  console.log(`${good ? 'ok' : 'not ok'} - ${name}`);
  return good;
};

const slot = (session) => session.split('-')[0];


async function open(context, path) {
  const page = await context.newPage();

  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(error.message));
  await page.goto(url + path);
  await connected(page);
  return page;
}


// The session id stands on the page once CONNECTED has come.

async function connected(page) {
  await page.waitForFunction(
    () => document.getElementById('status').textContent === 'connected',
    null, { timeout: WAIT });
  return page.textContent('#session');
}


// Which worker accepts a connection is the kernel's choice.

async function onAnotherWorker(page, other) {
  let session = await page.textContent('#session');

  for (let i = 0; i < RELOADS && slot(session) === other; i++) {
    await page.reload();
    session = await connected(page);
  }

  return slot(session);
}


const bodies = (page) => page.locator('#messages li .body').allTextContents();

async function expectBodies(page, expected, name) {
  const want = JSON.stringify(expected);

  await page.waitForFunction(
    (count) => document.querySelectorAll('#messages li').length >= count,
    expected.length, { timeout: WAIT }).catch(() => {});

  const have = JSON.stringify(await bodies(page));

  if (!ok(have === want, name)) {
    console.log(`  have ${have}`);
    console.log(`  want ${want}`);
  }
}


async function say(page, text, from) {
  if (from !== undefined) {
    await page.fill('#from', from);
  }
  await page.fill('#content', text);
  await page.click('#send');
}


function curl(path, ...options) {
  return execFileSync('curl', ['-s', '-S', '-m', '10', '-o', '/dev/null',
    '-w', '%{http_code}', ...options, url + path], { encoding: 'utf8' });
}

// The pages ask for a subscription without a receipt, so that the first
// message tells whether it is there; it is sent until both have shown it.

async function warmUp(pages) {
  const deadline = Date.now() + WAIT;
  let quiet = pages;

  while (quiet.length > 0 && Date.now() < deadline) {
    curl('/push/topic/game_chat', '-d', '{"content":"warm-up"}');
    await pages[0].waitForTimeout(200);

    const counts = await Promise.all(quiet.map((page) => bodies(page)));
    quiet = quiet.filter((page, i) => counts[i].length === 0);
  }

  ok(quiet.length === 0, 'every page is subscribed');

  await settle(pages);
  await Promise.all(pages.map((page) => page.evaluate(
    () => document.getElementById('messages').replaceChildren())));
}


// A message published now comes after all the others on each page.

async function settle(pages) {
  const mark = `mark-${Date.now()}`;

  curl('/push/topic/game_chat', '-d', JSON.stringify({ content: mark }));

  for (const page of pages) {
    await page.locator('#messages li', { hasText: mark })
      .first().waitFor({ timeout: WAIT });
  }
}


async function run(context) {
  const first = await open(context, '/');
  const second = await open(context, '/index.html');
  const admin = await open(context, '/admin.html');
  const pages = [first, second, admin];

  ok(true, 'three pages connected with @stomp/stompjs');

  const session = await first.textContent('#session');
  const here = slot(session);

  ok(/^[0-9a-f]+-./.test(session), `the session id shows its slot: ${session}`);

  const there = await onAnotherWorker(second, here);

  if (!ok(there !== here, 'two pages are on different workers')) {
    console.log(`  both on ${here} after ${RELOADS} reloads`);
  }

  await warmUp(pages);

  const expected = [];
  const all = async (name, text) => {
    expected.push(text);
    for (const [i, page] of pages.entries()) {
      await expectBodies(page, expected, `${name}: page ${i + 1}`);
    }
  };

  await say(first, 'hello from the first page', 'Ada');
  await all('sent by the first page', 'hello from the first page');

  await say(second, 'gr\u00fc\u00dfe \u54c7\u54c8\u54c8 \u{1f389}', 'Grace');
  await all('sent by the second page',
    'gr\u00fc\u00dfe \u54c7\u54c8\u54c8 \u{1f389}');

  const code = curl('/push/topic/game_chat', '-d', '{"content":"pushed"}');
  ok(/^2..$/.test(code), `a push is accepted: ${code}`);
  await all('pushed over HTTP', 'pushed');

  await say(admin, 'the round starts in a minute');
  await all("announced on the game master's page",
    'the round starts in a minute');

  const made = curl('/v1/chat/http?content='
    + encodeURIComponent('a "b" \u54c7'));
  ok(/^2..$/.test(made), `GET with a body made by nginx is accepted: ${made}`);
  await all('made from an argument', 'a "b" \u54c7');

  const foreign = curl('/v1/chat/http?content=evil', '-H',
    'Sec-Fetch-Site: cross-site');
  ok(foreign === '403', `a request of another site is refused: ${foreign}`);

  curl('/push/topic/game_chat', '-d', 'plain <b>text</b>');
  await all('a body that is not JSON', 'plain <b>text</b>');

  // What comes twice, or late, would come before this one.
  const last = 'the end';
  curl('/push/topic/game_chat', '-d', JSON.stringify({ content: last }));
  await all('nothing twice, nothing lost', last);

  const from = await first.locator('#messages li .from').allTextContents();
  ok(from[0] === 'Ada' && from[1] === 'Grace', 'the names show');

  const errors = pages.flatMap((page) => page.errors);
  if (!ok(errors.length === 0, 'no script error on any page')) {
    errors.forEach((error) => console.log(`  ${error}`));
  }

  await shoot(pages);
}


async function shoot([first, second, admin]) {
  const path = (name) => `${shots}/${name}.png`;

  await first.screenshot({ path: path('chat') });
  await admin.screenshot({ path: path('admin') });

  await second.emulateMedia({ colorScheme: 'dark' });
  await second.setViewportSize({ width: 390, height: 700 });
  await second.screenshot({ path: path('chat-dark-phone') });
}


mkdirSync(shots, { recursive: true });

const context = await chromium.launchPersistentContext(profile, {
  executablePath: browserPath,
  headless: true,
  viewport: { width: 900, height: 700 },
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update',
    '--disable-sync'],
});

try {
  await run(context);
} catch (error) {
  ok(false, `unexpected: ${error.message.split('\n')[0]}`);
  for (const [i, page] of context.pages().entries()) {
    await page.screenshot({ path: `${shots}/failed-${i}.png` })
      .catch(() => {});
  }
  process.exitCode = 1;
} finally {
  await context.close();
}
