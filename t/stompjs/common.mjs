// What the scripts here share: an unconfigured client, checks, deadlines.
// Each check prints "ok - ..." or "not ok - ..."; stompjs.t counts them.

import {
  address, equal, exit, stompjs,
} from './platform.mjs';

export const { Client, Versions } = stompjs;

const WAIT = 5000;                      // for anything that should happen
const RUN = 60000;                      // for the whole script

const url = `ws://${address}`;
const http = `http://${address}`;


export const ok = (good, name) => {
  console.log(`${good ? 'ok' : 'not ok'} - ${name}`);
  return good;
};

export const is = (have, want, name) => {
  if (!ok(equal(have, want), name)) {
    console.log(`  have ${JSON.stringify(have)}`);
    console.log(`  want ${JSON.stringify(want)}`);
  }
};

// stompjs.t does that to nginx
export const ask = (what) => console.log(`do ${what}`);

export const slot = (client) => client.session.split('-')[0];

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));


export function within(promise, what, ms = WAIT) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`too late: ${what}`)), ms);
  });

  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}


// What happens, in its order: put() and next().

export class Events {
  queue = [];
  waiting = [];

  put(event) {
    const taker = this.waiting.shift();

    if (taker) {
      taker(event);
    } else {
      this.queue.push(event);
    }
  }

  next(what = 'event', ms = WAIT) {
    if (this.queue.length) {
      return Promise.resolve(this.queue.shift());
    }

    return within(new Promise((take) => this.waiting.push(take)), what, ms);
  }
}


// A client with nothing set but what is given.  connects, errors, closes and
// disconnects are Events; onconnect() is called at each connect.

export function make(config = {}, path = '/endpoint-websocket') {
  const client = new Client({ brokerURL: url + path, ...config });

  client.connects = new Events();
  client.errors = new Events();
  client.closes = new Events();
  client.disconnects = new Events();

  client.onConnect = (frame) => {
    client.session = frame.headers.session;
    client.onconnect?.();
    client.connects.put(frame);
  };
  client.onStompError = (frame) => client.errors.put(frame);
  client.onWebSocketClose = (event) => client.closes.put(event);
  client.onDisconnect = (frame) => client.disconnects.put(frame);

  for (const kind of ['Message', 'Receipt', 'Frame']) {
    client[`onUnhandled${kind}`] = (what) => {
      ok(false, `unhandled ${kind}: ${what.command} ${what.body}`);
    };
  }

  return client;
}


export async function connect(config, path) {
  const client = make(config, path);

  client.activate();
  client.connected1 = await client.connects.next('CONNECTED');
  return client;
}


let receipts = 0;

// Resolves when the RECEIPT of the frame that action(headers) sends is there.

export function receipt(client, action) {
  const id = `r-${receipts += 1}`;
  const come = new Promise((done) => client.watchForReceipt(id, done));

  action({ receipt: id });
  return within(come, `RECEIPT ${id}`);
}


// Events with a subscription's messages; it is in force when this is back.

export async function subscribe(client, destination, headers = {}) {
  const messages = new Events();

  await receipt(client, (more) => {
    messages.subscription = client.subscribe(destination,
      (message) => messages.put(message), { ...headers, ...more });
  });

  return messages;
}


export async function push(destination, body, headers = {}) {
  const answer = await fetch(`${http}/push${destination}`,
    { method: 'POST', body, headers });

  return answer.json();
}


export async function status() {
  return (await fetch(`${http}/stomp_status`)).json();
}


export async function becomes(want, name) {
  const end = Date.now() + WAIT;
  let have;

  do {
    const all = await status();
    have = Object.fromEntries(Object.keys(want).map((k) => [k, all[k]]));
  } while (!equal(have, want)
           && Date.now() < end && (await pause(50), true));

  is(have, want, name);
}


export function run(main) {
  setTimeout(() => {
    ok(false, `the script ended within ${RUN / 1000} seconds`);
    exit(1);
  }, RUN);

  main().then(() => {
    ok(true, 'the script came to its end');
    exit(0);
  }, (error) => {
    ok(false, error.stack.replace(/\n\s*/g, ' | '));
    exit(1);
  });
}
