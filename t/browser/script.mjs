// script.mjs CHROMIUM PROFILE URL
//
// Opens a page whose script is one of t/stompjs, and prints what that prints
// until it exits.

import { createRequire } from 'node:module';

const require = createRequire(`${process.env.NODE_PATH}/`);
const { chromium } = require('playwright-core');

const [browserPath, profile, url] = process.argv.slice(2);

const RUN = 90000;                      // longer than the page's own limit


const context = await chromium.launchPersistentContext(profile, {
  executablePath: browserPath,
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update',
    '--disable-sync'],
});

const page = await context.newPage();
let timer;

const code = await new Promise((done) => {
  timer = setTimeout(() => {
    console.log('not ok - the page came to its end');
    done(1);
  }, RUN);

  page.on('pageerror', (error) => {
    console.log(`not ok - error on the page: ${error.message}`);
    done(1);
  });

  page.on('console', (message) => {
    const exit = /^exit (\d+)$/.exec(message.text());

    if (exit) {
      done(Number(exit[1]));
    } else if (message.type() === 'log') {
      console.log(message.text());
    }
  });

  page.goto(url).catch((error) => {
    console.log(`not ok - ${error.message.split('\n')[0]}`);
    done(1);
  });
});

clearTimeout(timer);
await context.close();
process.exitCode = code;
