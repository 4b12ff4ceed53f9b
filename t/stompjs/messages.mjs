// messages.mjs PORT
//
// What goes through @stomp/stompjs: both ways, unharmed.

import {
  Versions, connect, is, ok, push, receipt, run, subscribe,
} from './common.mjs';

const octets = Uint8Array.from({ length: 256 }, (_, i) => i);

const headersOf = (message, names) => Object.fromEntries(
  names.map((name) => [name, message.headers[name]]));


async function plain() {
  const client = await connect();

  is(client.connectedVersion, '1.2', 'STOMP 1.2');
  is(client.webSocket.protocol, 'v12.stomp', 'sub-protocol v12.stomp');
  ok(/^[0-9a-f]+-[0-9a-f]{16}$/.test(client.connected1.headers.session),
    'CONNECTED has a session');
  ok(/^ngx_stomp_module\//.test(client.connected1.headers.server),
    'CONNECTED has the server');

  const a = await subscribe(client, '/topic/a');
  const b = await subscribe(client, '/topic/a', { id: 'my:id\\' });

  client.publish({ destination: '/topic/a', body: 'hello' });

  for (const [messages, id] of [[a, a.subscription.id], [b, 'my:id\\']]) {
    const message = await messages.next('MESSAGE');
    is([message.body, message.headers.destination,
      message.headers.subscription], ['hello', '/topic/a', id],
    `a message for subscription ${id}`);
  }

  const told = await push('/topic/a', 'pushed 哇哈哈', { 'X-Stomp-K': 'v' });
  const message = await a.next('MESSAGE');
  is(told.subscribers, 2, 'a push tells two subscribers');
  is([message.body, message.headers['message-id'], message.headers.k,
    message.headers['content-type']],
  ['pushed 哇哈哈', told['message-id'], 'v', 'text/plain;charset=UTF-8'],
  'a push comes');
  await b.next('MESSAGE');

  await receipt(client, (headers) => b.subscription.unsubscribe(headers));
  client.publish({ destination: '/topic/a', body: 'one only' });
  is((await a.next('MESSAGE')).body, 'one only', 'one has unsubscribed');

  for (let i = 0; i < 500; i += 1) {
    client.publish({ destination: '/topic/a', body: `${i}` });
  }

  const bodies = [];
  while (bodies.length < 500) {
    bodies.push((await a.next('MESSAGE')).body);
  }
  is(bodies, Array.from({ length: 500 }, (_, i) => `${i}`),
    '500 messages in their order');

  is(b.queue.length, 0, 'nothing came to the one that has unsubscribed');
  await client.deactivate();
}


// The same through each kind of client.

async function bodies(name, config, version = '1.2') {
  const client = await connect(config);
  const messages = await subscribe(client, '/topic/bodies');

  is(client.connectedVersion, version, `${name}: STOMP ${version}`);

  for (const [what, body] of [
    ['empty', ''], ['unicode', 'grüße 哇哈哈 😀\u2028'],
    ['control characters', 'a\n\r\n\tb\u0001\n\n'],
    ['NULs', '\0a\0\0b\0'], ['a frame', 'SEND\ndestination:/x\n\nx\0'],
    ['60,000 octets', '哇'.repeat(20000)],
  ]) {
    client.publish({ destination: '/topic/bodies', body });
    const message = await messages.next(`${name}: ${what}`);
    is(message.body, body, `${name}: body with ${what}`);
  }

  if (version === '1.2') {
    client.publish({ destination: '/topic/bodies', body: 'no length',
      skipContentLengthHeader: true });
    is((await messages.next('no length')).body, 'no length',
      `${name}: a body without content-length`);
  }

  for (const [what, body] of [
    ['all octets', octets], ['NULs', new Uint8Array(1000)],
    ['half a character', Uint8Array.of(0x61, 0xe5, 0x93)],
    ['60,000 octets', Uint8Array.from({ length: 60000 },
      (_, i) => (i * 2654435761) >>> 13)],
  ]) {
    client.publish({ destination: '/topic/bodies', binaryBody: body,
      headers: { 'content-type': 'application/octet-stream' } });
    const message = await messages.next(`${name}: binary ${what}`);
    ok(Buffer.compare(Buffer.from(message.binaryBody), Buffer.from(body))
      === 0, `${name}: binary body of ${what}`);
    is(message.headers['content-type'], 'application/octet-stream',
      `${name}: its type`);
  }

  await push('/topic/bodies', octets, {});
  ok(Buffer.compare(
    Buffer.from((await messages.next('pushed octets')).binaryBody),
    Buffer.from(octets)) === 0, `${name}: a binary body that was pushed`);

  await client.deactivate();
}


async function headers() {
  const client = await connect();
  const messages = await subscribe(client, '/topic/headers');
  const sent = {
    plain: 'value', 'grüße': '哇哈哈 😀', colon: 'a:b::c', line: 'a\nb',
    return: 'a\rb', back: 'a\\ \\\\', only: ':', empty: '',
    'content-type': 'text/plain;charset=utf-8', priority: '9',
  };

  client.publish({ destination: '/topic/headers', headers: sent, body: 'h' });

  const message = await messages.next('MESSAGE');
  is(headersOf(message, Object.keys(sent)), sent,
    'headers of all kinds come as they were sent');

  const name = '/topic/名字:with colon';
  const other = await subscribe(client, name);
  client.publish({ destination: name, body: 'there' });
  is((await other.next('MESSAGE')).headers.destination, name,
    'a destination that has to be escaped');

  await push('/topic/%E5%90%8D%E5%AD%97%3Awith%20colon', 'there, too');
  is((await other.next('MESSAGE')).body, 'there, too', 'and pushed to');

  await client.deactivate();
}


run(async () => {
  await plain();
  await bodies('as it is', {});
  await bodies('forceBinaryWSFrames', { forceBinaryWSFrames: true });
  await bodies('splitLargeFrames', { splitLargeFrames: true });
  await bodies('splitLargeFrames of 100', {
    splitLargeFrames: true, maxWebSocketChunkSize: 100,
  });
  await bodies('1.1', { stompVersions: new Versions(['1.1']) }, '1.1');
  await headers();
});
