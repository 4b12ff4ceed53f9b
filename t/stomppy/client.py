"""client.py PORT

stomp.py, which carries its frames over TCP, with a WebSocket below it: what
is tested is its reading and writing of frames, its receipts and heart-beats.
Each check prints "ok - ..." or "not ok - ...".
"""

import json
import os
import queue
import socket
import sys
import threading
import time
import urllib.request

import stomp
import stomp.exception
import stomp.transport
import websocket

WAIT = 5                            # seconds, for anything that should happen
RUN = 60                            # for the whole script

port = int(sys.argv[1])
output = threading.Lock()
failed = []


def say(line):
    with output:
        print(line, flush=True)


def ok(good, name):
    if not good:
        failed.append(name)
    say(('ok - ' if good else 'not ok - ') + name)
    return good


def eq(have, want, name):
    if not ok(have == want, name):
        say('  have %r' % (have,))
        say('  want %r' % (want,))


class Transport(stomp.transport.BaseTransport):
    """One WebSocket; a STOMP frame is a binary message, a beat as well."""

    def __init__(self, path, is_eol):
        super().__init__(auto_decode=False, is_eol_fc=is_eol)
        self.path = path
        self.vhost = 'localhost'
        self.socket = None

    def attempt_connection(self):
        self.socket = websocket.create_connection(
            'ws://127.0.0.1:%d%s' % (port, self.path), timeout=RUN,
            subprotocols=['v12.stomp', 'v11.stomp', 'v10.stomp'])
        self.current_host_and_port = ('127.0.0.1', port)

    def send(self, encoded_frame):
        try:
            self.socket.send_binary(encoded_frame)
        except (OSError, websocket.WebSocketException) as error:
            raise stomp.exception.NotConnectedException() from error

    def receive(self):
        try:
            data = self.socket.recv()
        except (OSError, websocket.WebSocketException):
            data = b''                  # the end, as of a plain socket
        return data.encode() if isinstance(data, str) else data

    def disconnect_socket(self):
        self.running = False
        self.cleanup()

    def cleanup(self):
        # wakes the thread that reads
        if self.socket is not None and self.socket.sock is not None:
            self.socket.shutdown()


def connection(version, path, beats):
    """A connection of stomp.py with our transport in the place of its own."""

    base, protocol = {
        '1.0': (stomp.StompConnection10, stomp.protocol.Protocol10),
        '1.1': (stomp.StompConnection11, stomp.protocol.Protocol11),
        '1.2': (stomp.StompConnection12, stomp.protocol.Protocol12),
    }[version]

    made = base.__new__(base)
    is_eol = getattr(base, 'is_eol', stomp.transport.is_eol_default)
    transport = Transport(path, is_eol)

    stomp.connect.BaseConnection.__init__(made, transport)
    if version == '1.0':
        protocol.__init__(made, transport)
    else:
        protocol.__init__(made, transport, beats)
    return made


class Client(stomp.ConnectionListener):
    def __init__(self, version, path='/endpoint-websocket', beats=(0, 0)):
        self.version = version
        self.frames = {kind: queue.Queue() for kind in (
            'CONNECTED', 'MESSAGE', 'RECEIPT', 'ERROR', 'SILENCE', 'END')}
        self.receipts = 0

        self.stomp = connection(version, path, beats)
        self.transport = self.stomp.transport
        self.stomp.set_listener('test', self)
        self.stomp.connect(wait=True)
        self.connected = self.next('CONNECTED')

    def next(self, kind, seconds=WAIT):
        try:
            return self.frames[kind].get(timeout=seconds)
        except queue.Empty:
            raise AssertionError('no %s within %s seconds'
                                 % (kind, seconds)) from None

    def on_connected(self, frame):
        self.frames['CONNECTED'].put(frame)

    def on_message(self, frame):
        self.frames['MESSAGE'].put(frame)

    def on_receipt(self, frame):
        self.frames['RECEIPT'].put(frame)

    def on_error(self, frame):
        self.frames['ERROR'].put(frame)

    def on_heartbeat_timeout(self):
        self.frames['SILENCE'].put(None)

    def on_disconnected(self):
        self.frames['END'].put(None)

    def receipt(self):
        self.receipts += 1
        return 'r-%d' % self.receipts

    def confirm(self, receipt, name):
        eq(self.next('RECEIPT').headers['receipt-id'], receipt,
           '%s: %s: its receipt' % (self.version, name))

    def subscribe(self, destination, ident, **more):
        receipt = self.receipt()
        self.stomp.subscribe(destination, id=ident, receipt=receipt, **more)
        self.confirm(receipt, 'SUBSCRIBE')

    def unsubscribe(self, destination, ident):
        receipt = self.receipt()
        if self.version == '1.0':
            self.stomp.unsubscribe(id=ident, receipt=receipt)
        else:
            self.stomp.unsubscribe(ident, receipt=receipt)
        self.confirm(receipt, 'UNSUBSCRIBE')

    def disconnect(self):
        self.stomp.disconnect(receipt=self.receipt())
        self.next('END')
        ok(not self.stomp.is_connected(), '%s: disconnected' % self.version)


def post(path, body):
    request = urllib.request.Request(
        'http://127.0.0.1:%d%s' % (port, path), data=body, method='POST')
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        return json.load(answer)


def status():
    with urllib.request.urlopen('http://127.0.0.1:%d/stomp_status' % port,
                                timeout=WAIT) as answer:
        return json.load(answer)


def messages(version):
    client = Client(version)
    eq(client.connected.headers.get('version', '1.0'), version,
       '%s: the version' % version)
    ok(client.connected.headers.get('session'), '%s: a session' % version)

    client.subscribe('/topic/py', 's-1')
    bodies = [b'hello', b'', 'grüße 哇'.encode(), bytes(range(256)) * 200,
              b'a\0b\n\n\0']
    for body in bodies:
        receipt = client.receipt()
        client.stomp.send('/topic/py', body, receipt=receipt, x='y')
        frame = client.next('MESSAGE')
        got = frame.body if isinstance(frame.body, bytes) \
            else (frame.body or '').encode()
        eq(got, body, '%s: a body of %d octets' % (version, len(body)))
        eq([frame.headers.get(name) for name in
            ('destination', 'subscription', 'x')],
           ['/topic/py', 's-1', 'y'], '%s: its headers' % version)
        client.confirm(receipt, 'SEND')

    if version != '1.0':
        odd = {'colon': 'a:b::c', 'line': 'a\nb', 'back': 'a\\b'}
        client.stomp.send('/topic/py', 'odd', headers=odd)
        frame = client.next('MESSAGE')
        eq({name: frame.headers.get(name) for name in odd}, odd,
           '%s: headers that are escaped' % version)

    eq(post('/push/topic/py', b'pushed')['subscribers'], 1,
       '%s: a push' % version)
    eq(client.next('MESSAGE').body, b'pushed', '%s: comes' % version)

    client.stomp.begin(transaction='t-1')
    client.stomp.send('/topic/py', 'held', transaction='t-1')
    client.stomp.send('/topic/py', 'before')
    receipt = client.receipt()
    client.stomp.commit('t-1', receipt=receipt)
    client.confirm(receipt, 'COMMIT')
    client.stomp.begin(transaction='t-1')
    client.stomp.send('/topic/py', 'never', transaction='t-1')
    client.stomp.abort('t-1')
    client.stomp.send('/topic/py', 'after')
    eq([client.next('MESSAGE').body for _ in range(3)],
       [b'before', b'held', b'after'], '%s: transactions' % version)

    client.unsubscribe('/topic/py', 's-1')
    eq(post('/push/topic/py', b'pushed')['subscribers'], 0,
       '%s: unsubscribed' % version)
    client.disconnect()


def settle(client, frame, good=True, **more):
    """ACK or NACK, as the version has it."""

    command = client.stomp.ack if good else client.stomp.nack
    if client.version == '1.2':
        command(frame.headers['ack'], **more)
    elif client.version == '1.1':
        command(frame.headers['message-id'], frame.headers['subscription'],
                **more)
    else:
        command(frame.headers['message-id'], **more)


def queues(version):
    name = '/queue/py-' + version
    client = Client(version)

    for body in ('1', '2', '3'):
        client.stomp.send(name, body)
    client.subscribe(name, 'q', ack='client')
    got = [client.next('MESSAGE') for _ in range(3)]
    eq([frame.body for frame in got], [b'1', b'2', b'3'],
       '%s: a queue, in its order' % version)

    settle(client, got[1])
    client.unsubscribe(name, 'q')
    client.subscribe(name, 'q', ack='client')
    frame = client.next('MESSAGE')
    eq([frame.body, frame.headers['redelivered']], [b'3', 'true'],
       '%s: ack:client is of all before, the others come again' % version)

    if version != '1.0':
        settle(client, frame, good=False)
        frame = client.next('MESSAGE')
        eq(frame.body, b'3', '%s: NACK: it comes again' % version)

    client.stomp.begin(transaction='t')
    settle(client, frame, transaction='t')
    client.stomp.send(name, 'done', transaction='t')
    client.stomp.abort('t')
    client.stomp.begin(transaction='u')
    settle(client, frame, transaction='u')
    client.stomp.send(name, 'done', transaction='u')
    receipt = client.receipt()
    client.stomp.commit('u', receipt=receipt)
    client.confirm(receipt, 'COMMIT')
    frame = client.next('MESSAGE')
    eq(frame.body, b'done', '%s: SEND and ACK in a transaction' % version)
    settle(client, frame)

    client.unsubscribe(name, 'q')
    client.disconnect()
    eq([status()[key] for key in ('queued', 'unacknowledged')], [0, 0],
       '%s: nothing is left' % version)


def resume():
    client = Client('1.2')
    client.subscribe('/topic/kept/py', 'k', headers={'replay': 'all'})
    post('/push/topic/kept/py', b'1')
    last = client.next('MESSAGE').headers['message-id']
    client.transport.socket.sock.shutdown(socket.SHUT_RDWR)
    client.next('END')
    for body in (b'2', b'3'):
        post('/push/topic/kept/py', body)

    client = Client('1.2')
    client.subscribe('/topic/kept/py', 'k', headers={'since': last})
    post('/push/topic/kept/py', b'4')
    got = [client.next('MESSAGE') for _ in range(3)]
    eq([frame.body for frame in got], [b'2', b'3', b'4'],
       'since: what was missed, once and in order')
    eq([frame for frame in got if 'replay-gap' in frame.headers], [],
       'without a gap')
    client.disconnect()


def error():
    client = Client('1.2')
    client.stomp.send('/nowhere/x', 'x', receipt='r')
    frame = client.next('ERROR')
    eq(frame.headers.get('receipt-id'), 'r', 'ERROR names the receipt')
    client.next('END')
    ok(True, 'and is the end')


def beats():
    client = Client('1.2', '/beating', (1000, 1000))
    eq(client.connected.headers['heart-beat'], '1000,1000', 'beats agreed')

    # longer than its patience of 1.5 times the interval
    time.sleep(3)
    eq(client.frames['SILENCE'].qsize() + client.frames['END'].qsize(), 0,
       'beats come and are taken')

    slot = client.connected.headers['session'].split('-')[0]
    say('do stop ' + slot)
    client.next('SILENCE', 10)
    ok(True, 'it notices that they stay away')
    say('do continue')
    client.next('END', 10)

    again = Client('1.2')
    again.subscribe('/topic/py', 'again')
    again.stomp.send('/topic/py', 'there')
    eq(again.next('MESSAGE').body, b'there', 'and connects anew')
    again.disconnect()


def silent():
    """Who does not beat, or is on a worker that does not, is another one."""

    name = '/queue/py-beats'
    client = Client('1.2', '/beating', (1000, 1000))
    client.subscribe(name, 'q', ack='client-individual')
    client.stomp.send(name, 'job')
    eq(client.next('MESSAGE').headers.get('redelivered'), None, 'a job')
    client.transport.send = lambda encoded: None
    client.next('END', 10)

    client = Client('1.2', '/beating', (1000, 1000))
    client.subscribe(name, 'q', ack='client-individual')
    eq(client.next('MESSAGE').headers.get('redelivered'), 'true',
       'who does not beat has lost it')
    slot = client.connected.headers['session'].split('-')[0]
    say('do stop ' + slot)
    client.next('SILENCE', 10)

    again = Client('1.2')
    again.subscribe(name, 'q', ack='client-individual')
    say('do continue')
    frame = again.next('MESSAGE', 10)
    eq(frame.headers.get('redelivered'), 'true',
       'who does not hear beats, too')
    settle(again, frame)
    again.disconnect()


def late():
    ok(False, 'the script ended within %d seconds' % RUN)
    os._exit(1)


def main():
    timer = threading.Timer(RUN, late)
    timer.daemon = True
    timer.start()

    for version in ('1.0', '1.1', '1.2'):
        messages(version)
        queues(version)
    resume()
    error()
    beats()
    silent()

    ok(True, 'the script came to its end')
    sys.stdout.flush()
    os._exit(1 if failed else 0)


main()
