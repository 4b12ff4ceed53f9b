// life.mjs PORT
//
// How connections of @stomp/stompjs begin, last, break, come back and end.

import {
  ask, becomes, connect, is, make, ok, pause, push, run, slot,
} from './common.mjs';


// A client that subscribes at each connect, as applications do.

function subscriber(config) {
  const client = make({ reconnectDelay: 100, ...config });

  client.bodies = [];
  client.onconnect = () => {
    client.subscribe('/topic/life', (m) => client.bodies.push(m.body));
  };

  return client;
}


async function reaches(client, body, name) {
  const end = Date.now() + 5000;

  while (!client.bodies.includes(body) && Date.now() < end) {
    await push('/topic/life', body);
    await pause(50);
  }

  ok(client.bodies.includes(body), name);
}


async function back(client, what, codes) {
  const before = client.session;
  const close = await client.closes.next(`close by ${what}`, 10000);

  ok(codes.includes(close.code), `${what}: closed with ${close.code}`);
  await client.connects.next(`CONNECTED after ${what}`, 10000);
  ok(client.session !== before, `${what}: it is back in a new session`);
  await reaches(client, what, `${what}: it gets messages again`);
}


async function reconnects() {
  const client = subscriber();

  client.activate();
  await client.connects.next('CONNECTED');
  await reaches(client, 'start', 'it gets messages');

  ask(`kill ${slot(client)}`);
  await back(client, 'a killed worker', [1006]);

  ask('reload');
  await back(client, 'a reload', [1001]);

  client.publish({ destination: '/chat/closed', body: 'x',
    headers: { receipt: 'unheard' } });
  const error = await client.errors.next('ERROR');
  is(error.headers.message, 'SEND not allowed', 'ERROR says why');
  is(error.headers['receipt-id'], 'unheard', 'ERROR says for what');
  ok(error.body.includes('/chat/closed'), 'ERROR has details');
  await back(client, 'an ERROR', [1008]);

  const dead = client.webSocket;
  dead.terminate();
  await back(client, 'a cut connection', [1006]);

  await client.deactivate();
}


async function beats() {
  const clients = await Promise.all([
    connect({ heartbeatIncoming: 1000, heartbeatOutgoing: 1000,
      reconnectDelay: 100 }, '/beating'),
    connect({ heartbeatIncoming: 1000, heartbeatOutgoing: 0 }, '/beating'),
    connect({ heartbeatIncoming: 0, heartbeatOutgoing: 1000 }, '/beating'),
    connect({}, '/beating'),
  ]);
  const counts = clients.map(() => 0);

  clients.forEach((client, i) => {
    client.onHeartbeatReceived = () => { counts[i] += 1; };
    client.onHeartbeatLost = () => ok(false, `client ${i} heard no beats`);
  });

  is(clients.map((client) => client.connected1.headers['heart-beat']),
    clients.map(() => '1000,1000'), 'CONNECTED offers beats');

  await pause(4500);

  ok(counts[0] >= 3 && counts[0] <= 6, `${counts[0]} beats in 4.5 s`);
  ok(counts[1] >= 3 && counts[1] <= 6, `${counts[1]}, one way only`);
  is(counts[2], 0, 'none for a client that wants none');
  is(clients.map((client) => client.connected), clients.map(() => true),
    'all are connected still');
  is(clients.map((client) => client.closes.queue.length),
    clients.map(() => 0), 'and have been all the time');

  // a client that stops to beat is given up, and comes back
  clients[0].webSocket.send = () => {};
  const close = await clients[0].closes.next('close without beats', 10000);
  is(close.code, 1008, 'a client that does not beat is closed');
  await clients[0].connects.next('CONNECTED after that');

  await Promise.all(clients.map((client) => client.deactivate()));
}


async function ends() {
  const client = subscriber();

  client.activate();
  await client.connects.next('CONNECTED');
  await becomes({ sessions: 1, subscriptions: 1 }, 'one session');

  const done = client.deactivate();
  const frame = await client.disconnects.next('RECEIPT of DISCONNECT');
  const close = await client.closes.next('close');
  await done;

  is(frame.command, 'RECEIPT', 'DISCONNECT is answered with RECEIPT');
  ok(close.wasClean, 'the close is clean');
  ok([1000, 1005].includes(close.code), `with code ${close.code}`);
  is(client.active, false, 'the client is not active');
  is(client.errors.queue.length, 0, 'no ERROR');
  await becomes({ sessions: 0, subscriptions: 0 }, 'no session is left');

  client.activate();
  await client.connects.next('CONNECTED');
  await reaches(client, 'twice', 'it can be activated again');

  await client.deactivate({ force: true });
  await becomes({ sessions: 0, subscriptions: 0 },
    'no session is left of one that is discarded');
}


run(async () => {
  await ends();
  await reconnects();
  await beats();
});
