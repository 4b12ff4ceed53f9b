// Both pages.  stomp.umd.min.js is @stomp/stompjs as it comes from npm.

'use strict';

const ENDPOINT = '/endpoint-websocket';
const TOPIC = '/topic/game_chat';
const KEEP = 500;                       // messages on the page

const at = (id) => document.getElementById(id);

const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';

const client = new StompJs.Client({
  brokerURL: `${scheme}//${location.host}${ENDPOINT}`,
  connectionTimeout: 10000,
  reconnectDelay: 500,
  maxReconnectDelay: 10000,
  reconnectTimeMode: StompJs.ReconnectionTimeMode.EXPONENTIAL,
});


function setState(state, text) {
  document.body.dataset.state = state;
  at('status').textContent = text;
  at('send').disabled = state !== 'connected';
}


// {"content": "...", "from": "..."} is what these pages send; a backend may
// push anything.

function read(body) {
  try {
    const value = JSON.parse(body);

    if (value !== null && typeof value === 'object' && 'content' in value) {
      return { content: text(value.content), from: text(value.from ?? '') };
    }
  } catch {
    // not JSON
  }

  return { content: body, from: '' };
}


function text(value) {
  return typeof value === 'string' ? value : JSON.stringify(value);
}


function element(name, className, content) {
  const node = document.createElement(name);

  node.className = className;
  node.textContent = content;
  return node;
}


function show(message) {
  const { content, from } = read(message.body);
  const log = at('messages').parentElement;
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const now = new Date();
  const time = element('time', 'time', now.toLocaleTimeString([],
    { hour: '2-digit', minute: '2-digit' }));
  const item = document.createElement('li');

  time.dateTime = now.toISOString();
  item.append(element('span', 'from', from), element('span', 'body', content),
    time);

  at('empty').hidden = true;
  at('messages').append(item);

  while (at('messages').children.length > KEEP) {
    at('messages').firstElementChild.remove();
  }

  // who reads older messages is not pulled away from them
  if (atEnd) {
    log.scrollTop = log.scrollHeight;
  }
}


client.onConnect = (frame) => {
  at('session').textContent = frame.headers.session ?? 'unknown';
  client.subscribe(TOPIC, show);
  setState('connected', 'connected');
};

client.onStompError = (frame) => {
  setState('error', `refused: ${frame.headers.message ?? 'no reason given'}`);
};

client.onWebSocketClose = () => {
  at('session').textContent = 'none';

  if (document.body.dataset.state !== 'error') {
    setState('waiting', 'connection lost, trying again');
  }
};

at('form').addEventListener('submit', (event) => {
  event.preventDefault();

  const content = at('content').value.trim();
  const from = at('from').value.trim();

  if (content === '' || !client.connected) {
    return;
  }

  client.publish({
    destination: TOPIC,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(from === '' ? { content } : { content, from }),
  });

  at('content').value = '';
  at('content').focus();
});

setState('waiting', 'connecting');
client.activate();
