import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { lidUser } from '../nodes.mjs';
import { Client, FakeService, scratch } from './harness.mjs';

const ALICE = '15550002222';
const CHAT = `${lidUser(ALICE)}@lid`;

const ping = () => ({
  tag: 'iq', attrs: { to: '@s.whatsapp.net', type: 'get', xmlns: 'w:p' }, content: [{ tag: 'ping', attrs: {} }],
});

let service;
let client;
const folders = [];
const fresh = () => {
  const folder = scratch();
  folders.push(folder);
  return new Client(service.url, folder.path);
};

before(async () => {
  service = await FakeService.start();
  client = fresh();
  await client.pair(service);
  await client.end();
});
after(async () => {
  await service.stop();
  folders.forEach(folder => folder.remove());
});

async function login(options) {
  await client.connect(options);
  await client.open();
  await client.synced();
}

const outcome = async () => {
  const { code, message } = await client.closed();
  return [code, message];
};

// The table of close codes: what the service does while the session is open, and what the client then says.
const LIVE = [
  [{ name: 'reset' }, 428, 'Connection Terminated'],
  [{ name: 'close' }, 428, 'Connection Terminated'],
  [{ name: 'stream_end' }, 428, 'Connection Terminated by Server'],
  [{ name: 'stream_error', code: 503 }, 503, 'Stream Errored (unknown)'],
  [{ name: 'stream_error', code: 515 }, 515, 'Stream Errored (restart required)'],
  [{ name: 'stream_error', conflict: 'replaced' }, 440, 'Stream Errored (conflict)'],
  [{ name: 'stream_error', code: 401, conflict: 'device_removed' }, 401, 'Stream Errored (conflict)'],
];

for (const [fault, code, message] of LIVE) {
  test(`an open session: ${JSON.stringify(fault)} closes with ${code}`, async () => {
    await login();
    await service.command('fault', fault);
    assert.deepEqual(await outcome(), [code, message]);
  });
}

for (const when of ['login', 'ready']) {
  test(`a fault can wait for the moment "${when}"`, async () => {
    await service.command('fault', { name: 'reset', when });
    await client.connect();
    assert.equal((await outcome())[0], 428);
    await service.event('struck', { name: 'reset' });
    await login();
    await client.end();
  });
}

for (const reason of [401, 403, 405, 411, 503]) {
  test(`a login refused with ${reason} leaves the credentials alone`, async () => {
    await service.command('fault', { name: 'failure', reason });
    await client.connect();
    assert.deepEqual(await outcome(), [reason, 'Connection Failure']);
    assert.ok(client.creds.account);
    await service.command('heal');
  });
}

test('a refused version is taken again when it is the one wanted', async () => {
  await service.command('fault', { name: 'failure', reason: 405, accept_version: [2, 3000, 99] });
  await client.connect();
  assert.equal((await outcome())[0], 405);
  await login({ version: [2, 3000, 99] });
  assert.deepEqual((await service.state()).connections.map(({ version }) => version), [[2, 3000, 99]]);
  await client.end();
  await service.command('heal');
});

test('before the upgrade: refused, reset, muted', async () => {
  await service.command('fault', { name: 'refuse' });
  await client.connect();
  assert.equal((await outcome())[0], 408);
  await service.command('heal');
  await service.command('fault', { name: 'reset', when: 'connect' });
  await client.connect();
  assert.equal((await outcome())[0], 408);
  await service.command('fault', { name: 'mute' });
  await client.connect({ connectTimeoutMs: 300 });
  assert.equal((await outcome())[0], 408);
  await service.command('heal');
  await login();
  await client.end();
});

test('an upgrade answered with 503 hangs the client when closed, and times out when kept open', async () => {
  await service.command('fault', { name: 'http_status', times: 1 });
  const sock = await client.connect({ connectTimeoutMs: 300 });
  const answered = new Promise(done => sock.ws.on('unexpected-response', (request, response) => {
    response.on('close', () => done(response.statusCode)).resume();
  }));
  assert.equal(await answered, 503);
  assert.equal(sock.ws.isConnecting, true);
  assert.equal(client.updates.left.some(({ connection }) => connection === 'close'), false);
  await service.command('fault', { name: 'http_status', status: 503, keep_open: true });
  await client.connect({ connectTimeoutMs: 300 });
  assert.equal((await outcome())[0], 408);
  await service.command('heal');
});

test('a half-open connection answers nothing, not even a query, until it is healed', async () => {
  await login();
  await service.command('fault', { name: 'silence' });
  await assert.rejects(client.sock.query(ping(), 200), /Timed Out/);
  assert.equal((await service.state()).connections[0].silent, true);
  await service.command('heal');
  assert.deepEqual(await outcome(), [428, 'Connection Terminated']);
});

test('queries can be ignored while the stream stays alive', async () => {
  await login();
  await service.command('fault', { name: 'ignore_iq', xmlns: 'w:p' });
  await assert.rejects(client.sock.query(ping(), 200), /Timed Out/);
  await service.command('message', { from: ALICE, text: 'still here' });
  await client.text(text => text === 'still here');
  await service.command('heal');
  assert.equal((await client.sock.query(ping(), 2000)).attrs.type, 'result');
  await client.end();
});

test('acknowledgements: refused, withheld, delayed', async () => {
  await login();
  await service.command('fault', { name: 'ack_error', code: 463, times: 1 });
  const refused = await client.sock.sendMessage(CHAT, { text: 'refused' });
  const update = await client.statuses.next(each => each.key.id === refused.key.id);
  assert.deepEqual([update.update.status, update.update.messageStubParameters[0]], [0, '463']);
  await service.event('refused', { message_id: refused.key.id, code: 463 });

  await service.command('fault', { name: 'no_ack', times: 1 });
  const silent = await client.sock.sendMessage(CHAT, { text: 'never acknowledged' });
  await service.event('received', { message_id: silent.key.id });
  await service.command('fault', { name: 'no_ack', times: 1, deliver: false });
  const lost = await client.sock.sendMessage(CHAT, { text: 'lost' });
  await service.event('accepted', { message_id: lost.key.id, acked: false });

  const acks = [];
  client.sock.ws.on('CB:ack,class:message', ({ attrs }) => acks.push(attrs.id));
  await service.command('fault', { name: 'delay_ack', ms: 150, times: 1 });
  const late = await client.sock.sendMessage(CHAT, { text: 'late' });
  await client.statuses.next(each => each.key.id === late.key.id && each.update.status === 3);
  assert.deepEqual(acks, [late.key.id]);
  assert.equal(client.statuses.left.some(({ key }) => [silent.key.id, lost.key.id].includes(key.id)), false);
  assert.equal(service.seen('received').some(({ message_id }) => message_id === lost.key.id), false);
  await client.end();
});

test('routing information comes back in the intro of the next connection', async () => {
  await service.command('fault', { name: 'edge_routing', hex: '0a0b0c' });
  await login();
  await service.command('heal');
  await client.end();
  await login();
  assert.equal((await service.state()).connections[0].routing, '0a0b0c');
  await client.end();
});

test('a second process with the same session replaces the first', async () => {
  await login();
  const first = client;
  client = new Client(service.url, first.folder);
  await login();
  const { code } = await first.closed();
  assert.equal(code, 440);
  await client.end();
});

test('a number that is not on WhatsApp has no devices', async () => {
  await login();
  await service.command('contact', { number: '15550008888', absent: true });
  const [answer] = await client.sock.onWhatsApp('15550008888', ALICE).then(list => list.filter(({ exists }) => exists));
  assert.equal(answer.jid, `${ALICE}@s.whatsapp.net`);
  const { key } = await client.sock.sendMessage('15550008888@s.whatsapp.net', { text: 'nobody' });
  await service.event('phone_copy', { message_id: key.id });
  assert.equal(service.seen('received').some(({ message_id }) => message_id === key.id), false);
  await client.end();
});

test('a device removed on the phone is told so at once and at every later login', async () => {
  await login();
  await service.command('drop_device');
  const { code, data } = await client.closed();
  assert.deepEqual([code, data.attrs.type], [401, 'device_removed']);
  await service.event('removed', { by: 'phone' });
  await client.connect();
  assert.deepEqual(await outcome(), [401, 'Connection Failure']);
  await assert.rejects(service.command('message', { from: ALICE, text: 'to nobody' }), /no linked device/);
});

test('logging out removes the device, and forgotten devices cannot log in', async () => {
  client = fresh();
  await client.pair(service);
  await client.sock.logout();
  assert.deepEqual(await outcome(), [401, 'Intentional Logout']);
  await service.event('removed', { by: 'client' });
  client = fresh();
  await client.pair(service);
  await client.end();
  await service.command('forget');
  await client.connect();
  assert.deepEqual(await outcome(), [401, 'Connection Failure']);
});

test('unknown faults and moments are refused', async () => {
  await assert.rejects(service.command('fault', { name: 'gremlins' }), /unknown fault/);
  await assert.rejects(service.command('fault', { name: 'reset', when: 'later' }), /unknown moment/);
});
