// queues.mjs PORT
//
// Queues, acknowledgement, transactions and resuming with @stomp/stompjs, in
// Node and in a browser.

import {
  Versions, ask, becomes, connect, is, make, ok, pause, push, receipt, run,
  slot, subscribe,
} from './common.mjs';

const KINDS = [
  ['1.2', {}],
  ['1.1', { stompVersions: new Versions([Versions.V1_1]) }],
  ['1.0', { stompVersions: new Versions([Versions.V1_0]) }],
];

const bodiesOf = async (messages, n) => {
  const bodies = [];

  while (bodies.length < n) {
    bodies.push((await messages.next(`message ${bodies.length}`)).body);
  }
  return bodies;
};


async function until(what) {
  const end = Date.now() + 10000;

  while (!what() && Date.now() < end) {
    await pause(20);
  }
}


// forceDisconnect() then is without a close frame, where the platform can

const ABRUPT = { reconnectDelay: 100, discardWebsocketOnCommFailure: true };


// All consumers have credit for their share, and acknowledge at the end.

async function compete() {
  const clients = [await connect(), await connect()];
  const messages = [[], []];

  for (const [i, client] of clients.entries()) {
    await receipt(client, (more) => client.subscribe('/queue/work',
      (message) => messages[i].push(message),
      { ack: 'client-individual', 'prefetch-count': '60', ...more }));
  }

  for (let i = 0; i < 100; i += 1) {
    clients[0].publish({ destination: '/queue/work', body: `${i}` });
  }
  await until(() => messages.flat().length >= 100);

  is(messages.map((list) => list.length), [50, 50], 'fair shares');
  is(messages.flat().map((m) => Number(m.body)).sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, i) => i),
    'each message goes to one of two consumers, once');

  await becomes({ unacknowledged: 100 }, 'they wait for ACK');
  messages.flat().forEach((message) => message.ack());
  await becomes({ unacknowledged: 0, queued: 0 }, 'ACK');
  await Promise.all(clients.map((client) => client.deactivate()));
}


async function acknowledge(version, config) {
  const name = `/queue/ack-${version}`;
  const client = await connect(config);
  const mode = version === '1.0' ? 'client' : 'client-individual';

  for (let i = 0; i < 4; i += 1) {
    await push(name, `${i}`);
  }

  const first = await subscribe(client, name,
    { id: 'a', ack: mode, 'prefetch-count': '4' });
  const got = [];

  for (let i = 0; i < 4; i += 1) {
    got.push(await first.next('MESSAGE'));
  }
  is(got.map((m) => m.body), ['0', '1', '2', '3'],
    `${version}: what was there before, in its order`);

  got[0].ack();
  if (version !== '1.0') {
    got[1].nack();
    const again = await first.next('the message that was refused');
    is([again.body, again.headers.redelivered], ['1', 'true'],
      `${version}: NACK: it comes again`);
    again.ack();
  } else {
    got[1].ack();
  }
  await receipt(client, (more) => first.subscription.unsubscribe(more));

  const second = await subscribe(client, name, { id: 'b', ack: mode });
  const rest = [await second.next('given back'),
    await second.next('given back')];
  is(rest.map((m) => [m.body, m.headers.redelivered]),
    [['2', 'true'], ['3', 'true']],
    `${version}: what was not acknowledged comes again`);

  if (version === '1.0') {
    rest[1].ack();                      // of both
  } else {
    rest.forEach((message) => message.ack());
  }

  await receipt(client, (more) => second.subscription.unsubscribe(more));
  const third = await subscribe(client, name, { id: 'c' });
  await push(name, 'end');
  is((await third.next('end')).body, 'end', `${version}: all is done`);
  await client.deactivate();
}


// An application that subscribes at each connect; it acknowledges what comes
// again.

function worker(name, config, path) {
  const client = make({ ...ABRUPT, ...config }, path);

  client.bodies = [];
  client.onconnect = () => client.subscribe(name, (message) => {
    const again = message.headers.redelivered === 'true';

    client.bodies.push(again ? `${message.body} again` : message.body);
    if (again) {
      message.ack();
    }
  }, { ack: 'client', 'prefetch-count': '1' });
  client.activate();

  return client;
}


async function cut() {
  const client = worker('/queue/cut');

  await client.connects.next('CONNECTED');
  await push('/queue/cut', 'one');
  await until(() => client.bodies.length >= 1);
  client.forceDisconnect();
  await client.connects.next('CONNECTED again');
  await until(() => client.bodies.length >= 2);
  is(client.bodies, ['one', 'one again'],
    'a lost connection gives the message back');
  await client.deactivate();
}


// Beats stay away, first those of the client, then those of the server.

async function beats() {
  const config = { heartbeatIncoming: 1000, heartbeatOutgoing: 1000 };
  const client = worker('/queue/beats', config, '/beating');

  await client.connects.next('CONNECTED');
  await push('/queue/beats', 'one');
  await until(() => client.bodies.length >= 1);
  client.webSocket.send = () => {};
  await client.closes.next('close without beats', 10000);
  await client.connects.next('CONNECTED again', 10000);
  await until(() => client.bodies.length >= 2);
  is(client.bodies, ['one', 'one again'],
    'who does not beat loses what it had, and gets it again');

  const lost = [];
  client.onHeartbeatLost = () => lost.push(slot(client));

  await push('/queue/beats', 'two');
  await until(() => client.bodies.length >= 3);
  const stopped = slot(client);
  ask(`stop ${stopped}`);
  await client.connects.next('CONNECTED to another worker', 20000);
  is(lost, [stopped], 'a worker that does not beat is noticed');
  ok(slot(client) !== stopped, 'another one takes the client');
  ask('continue');
  await until(() => client.bodies.length >= 4);
  is(client.bodies.slice(2), ['two', 'two again'],
    'and what it had is delivered again');
  await client.deactivate();
}


async function transactions() {
  const client = await connect();
  const other = await connect();
  const messages = await subscribe(other, '/topic/tx');

  const aborted = client.begin();
  client.publish({ destination: '/topic/tx', body: 'never',
    headers: { transaction: aborted.id } });
  aborted.abort();

  const tx = client.begin();
  for (const body of ['a', 'b', 'c']) {
    client.publish({ destination: '/topic/tx', body,
      headers: { transaction: tx.id } });
  }
  await receipt(client, (more) => client.publish({
    destination: '/topic/tx', body: 'before', headers: more }));
  tx.commit();

  is(await bodiesOf(messages, 4), ['before', 'a', 'b', 'c'],
    'COMMIT: all of it, in its order, and nothing of what was aborted');

  await push('/queue/tx', 'job');
  const jobs = await subscribe(client, '/queue/tx',
    { ack: 'client-individual' });
  const job = await jobs.next('job');
  const work = client.begin();
  client.publish({ destination: '/topic/tx', body: 'done',
    headers: { transaction: work.id } });
  job.ack({ transaction: work.id });
  work.commit();
  is(await bodiesOf(messages, 1), ['done'], 'SEND and ACK in one');
  await receipt(client, (more) => jobs.subscription.unsubscribe(more));
  const left = await subscribe(client, '/queue/tx', { ack: 'auto' });
  await push('/queue/tx', 'next');
  is(await bodiesOf(left, 1), ['next'], 'the acknowledged one is gone');

  await client.deactivate();
  await other.deactivate();
}


async function resume() {
  const name = `/topic/kept/${Date.now()}`;
  const client = make(ABRUPT);
  const bodies = [];
  const want = [];
  const gaps = [];
  let last;

  client.onconnect = () => client.subscribe(name, (message) => {
    bodies.push(message.body);
    last = message.headers['message-id'];
    gaps.push(...(message.headers['replay-gap'] ? [message.body] : []));
  }, last ? { since: last } : { replay: 'all' });
  client.activate();
  await client.connects.next('CONNECTED');

  for (let cuts = 0; cuts <= 5; cuts += 1) {
    for (let i = 0; i < 10; i += 1) {
      if (i === 5 && cuts) {
        client.forceDisconnect();
      }
      want.push(`${cuts}-${i}`);
      await push(name, `${cuts}-${i}`);
    }
    if (cuts) {
      await client.connects.next('CONNECTED again');
    }
    await until(() => bodies.length >= want.length);
  }
  is(bodies, want, 'what was missed comes when it is back, once, in order');
  is(gaps, [], 'without a gap');
  await client.deactivate();
}


run(async () => {
  await compete();
  for (const [version, config] of KINDS) {
    await acknowledge(version, config);
  }
  await cut();
  await transactions();
  await resume();
  await beats();
  await becomes({ sessions: 0, queues: 0, queued: 0, unacknowledged: 0 },
    'nothing is left');
});
