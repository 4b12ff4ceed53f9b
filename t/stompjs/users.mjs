// users.mjs PORT
//
// Logins and messages for one user, as a page uses them: of the users in
// conf-examples/users/.

import {
  connect, is, make, ok, push, run, subscribe,
} from './common.mjs';

const path = '/users';
const alice = { login: 'alice', passcode: 'wonderland' };
const bob = { login: 'bob', passcode: 'builder' };


async function logins() {
  const client = await connect({ connectHeaders: alice }, path);
  is(client.connected1.headers['user-name'], 'alice', 'CONNECTED has the user');
  await client.deactivate();

  for (const headers of [{ ...alice, passcode: 'x' }, { ...bob, login: 'x' }]) {
    const refused = make({ connectHeaders: headers, reconnectDelay: 0 }, path);

    refused.activate();
    const error = await refused.errors.next('ERROR');
    is(error.headers.message, 'login refused', `refused as ${headers.login}`);
    is((await refused.closes.next('close')).code, 1008, 'closed with 1008');
    await refused.deactivate();
  }
}


async function messages() {
  const pages = [];
  for (const headers of [alice, alice, bob]) {
    const page = await connect({ connectHeaders: headers }, path);
    page.notices = await subscribe(page, '/user/queue/notice');
    page.whispers = await subscribe(page, '/user/whisper');
    pages.push(page);
  }

  const told = await push('/user/alice/queue/notice', 'for alice');
  is(told.subscribers, 2, 'a push to a user has her two pages');

  for (const page of pages.slice(0, 2)) {
    const message = await page.notices.next('MESSAGE');
    is([message.body, message.headers.destination],
      ['for alice', '/user/queue/notice'], 'each page of hers has it');
  }

  pages[0].publish({ destination: '/user/bob/whisper', body: 'psst' });
  is((await pages[2].whispers.next('MESSAGE')).body, 'psst',
    'from user to user');
  ok(pages[2].notices.queue.length === 0, 'bob has nothing of hers');

  await Promise.all(pages.map((page) => page.deactivate()));
}


run(async () => {
  await logins();
  await messages();
});
