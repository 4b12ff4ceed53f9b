// transactions.mjs PORT
//
// Transactions with @stomp/stompjs: seen by a subscriber elsewhere.

import {
  Versions, connect, is, receipt, run, subscribe,
} from './common.mjs';

const KINDS = [
  ['1.2', {}],
  ['1.1', { stompVersions: new Versions([Versions.V1_1]) }],
  ['1.0', { stompVersions: new Versions([Versions.V1_0]) }],
];


async function transactions(version, config) {
  const client = await connect(config);
  const other = await connect();
  const name = `/topic/tx-${version}`;
  const messages = await subscribe(other, name);
  const bodies = [];

  const aborted = client.begin();
  client.publish({ destination: name, body: 'never',
    headers: { transaction: aborted.id } });
  aborted.abort();

  const one = client.begin();
  const two = client.begin('my:id');
  for (const body of ['a', 'b', 'c']) {
    client.publish({ destination: name, body,
      headers: { transaction: one.id } });
    client.publish({ destination: name, body: `${body}${body}`,
      headers: { transaction: two.id } });
  }

  await receipt(client, (more) => client.publish({
    destination: name, body: 'before', headers: more }));
  two.commit();
  one.commit();

  while (bodies.length < 7) {
    bodies.push((await messages.next(`message ${bodies.length}`)).body);
  }
  is(bodies, ['before', 'aa', 'bb', 'cc', 'a', 'b', 'c'],
    `${version}: COMMIT: all of it, in its order; nothing of ABORT`);

  const left = client.begin();
  client.publish({ destination: name, body: 'left',
    headers: { transaction: left.id } });
  await client.deactivate();

  other.publish({ destination: name, body: 'end' });
  is((await messages.next('end')).body, 'end',
    `${version}: what is open at the end is aborted`);
  await other.deactivate();
}


run(async () => {
  for (const [version, config] of KINDS) {
    await transactions(version, config);
  }
});
