import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Bridge, Service, pairFolder, runFolder, scratch } from './support.mjs';

const credsOf = folder => JSON.parse(readFileSync(join(folder, 'session', 'creds.json'), 'utf8'));

test('a scan pairs, survives the restart and leaves a complete private session', async t => {
  const service = await Service.start(t);
  const folder = scratch(t);
  const bridge = await pairFolder(t, service, folder);

  const names = bridge.events.all.map(({ event }) => event).filter(name => name !== 'alive');
  assert.deepEqual(names, ['ready', 'connecting', 'qr', 'pair_success', 'restart', 'connecting', 'open', 'synced']);
  assert.deepEqual(bridge.bad, []);
  assert.match(bridge.seen('pair_success')[0].me.id, /^15550001111:\d+@s\.whatsapp\.net$/);
  assert.ok(credsOf(folder).account.deviceSignature);
  assert.equal(readFileSync(join(folder, 'session', 'creds.json.bak'), 'utf8'),
    readFileSync(join(folder, 'session', 'creds.json'), 'utf8'));
  assert.equal(statSync(join(folder, 'session')).mode & 0o777, 0o700);
  for (const name of readdirSync(join(folder, 'session'))) {
    assert.equal(statSync(join(folder, 'session', name)).mode & 0o777, 0o600, name);
    assert.doesNotMatch(name, /\.tmp$/);
  }
  assert.doesNotMatch(bridge.stderr, /1555000/);

  const again = Bridge.start(t, 'pair', { folder, url: service.url });
  assert.equal(await again.exited, 0, 'a paired folder is only proved');
  assert.deepEqual(again.events.all.map(({ event }) => event).filter(name => name !== 'alive'),
    ['ready', 'connecting', 'open', 'synced']);
});

test('nothing is on disk before the phone accepts, and the codes count up', async t => {
  const service = await Service.start(t);
  const folder = scratch(t);
  const bridge = Bridge.start(t, 'pair', {
    folder, url: service.url, limits: { qr_first_ms: 700, qr_next_ms: 150 },
  });
  const first = await bridge.event('qr', { seq: 1 });
  const shown = performance.now();
  assert.equal(first.expires_in_s, 1);
  assert.equal(first.total, 6);
  const second = await bridge.event('qr', { seq: 2 });
  assert.ok(performance.now() - shown > 500, 'the first code lives longer');
  assert.notEqual(first.payload, second.payload);
  const closed = await bridge.event('closed');
  assert.equal(closed.code, 408);
  assert.equal((await bridge.event('error')).code, 'qr_expired');
  assert.equal(await bridge.exited, 16);
  assert.equal(bridge.seen('qr').length, 6);
  assert.deepEqual(readdirSync(join(folder, 'session')), []);
});

test('a pairing code is asked for after the first QR code and links', async t => {
  const service = await Service.start(t);
  const folder = scratch(t);
  const bridge = Bridge.start(t, 'pair', { folder, url: service.url, pairing_code_for: '15550001111' });
  const { code } = await bridge.event('pairing_code');
  assert.match(code, /^[0-9A-Z]{8}$/);
  const names = bridge.events.all.map(({ event }) => event);
  assert.ok(names.indexOf('qr') < names.indexOf('pairing_code'));
  assert.ok(!existsSync(join(folder, 'session', 'creds.json')), 'an unentered code leaves no credentials');
  await service.event('code_offered');
  await service.command('link', { code });
  assert.equal(await bridge.exited, 0, bridge.stderr);
  assert.equal(bridge.seen('synced').length, 1);
  assert.ok(credsOf(folder).account);
});

test('a forged acceptance is refused and writes nothing', async t => {
  const service = await Service.start(t);
  const folder = scratch(t);
  const bridge = Bridge.start(t, 'pair', { folder, url: service.url });
  const { payload } = await bridge.event('qr');
  await service.command('scan', { payload, tamper_hmac: true });
  assert.equal((await bridge.event('closed')).code, 500);
  assert.equal(await bridge.exited, 18);
  assert.equal(bridge.seen('pair_success').length, 0);
  assert.deepEqual(readdirSync(join(folder, 'session')), []);
});

test('losing the socket between the acceptance and the restart is mended', async t => {
  const service = await Service.start(t);
  const folder = scratch(t);
  await service.command('fault', { name: 'drop_before_restart' });
  const bridge = await pairFolder(t, service, folder);
  assert.equal(bridge.seen('restart').length, 1);
});

test('an abandoned pairing of another program has to be moved aside', async t => {
  const service = await Service.start(t);
  const folder = scratch(t);
  await pairFolder(t, service, folder);
  const creds = credsOf(folder);
  delete creds.account;
  creds.me = { id: '15550001111@s.whatsapp.net', name: '~' };
  const text = JSON.stringify(creds);
  writeFileSync(join(folder, 'session', 'creds.json'), text);

  const pairing = Bridge.start(t, 'pair', { folder, url: service.url });
  assert.equal((await pairing.event('error')).code, 'half_paired');
  assert.equal(await pairing.exited, 23);
  const running = Bridge.start(t, 'run', { folder, url: service.url });
  assert.equal((await running.event('error')).code, 'not_paired');
  assert.equal(await running.exited, 10);
  assert.equal(readFileSync(join(folder, 'session', 'creds.json'), 'utf8'), text);
});

test('messages that arrive while pairing is finished are kept for the gateway', async t => {
  const service = await Service.start(t);
  const folder = scratch(t);
  const bridge = Bridge.start(t, 'pair', { folder, url: service.url });
  const { payload } = await bridge.event('qr');
  await service.command('scan', { payload });
  await service.event('paired');
  await service.command('message', { from: '15550002222', text: 'are you there yet?' });
  assert.equal(await bridge.exited, 0, bridge.stderr);
  assert.equal(bridge.seen('message').length, 0);
  const running = await runFolder(t, service, folder);
  const { text, seq } = await running.message();
  assert.equal(text, 'are you there yet?');
  running.command('ack', { seq });
  assert.equal(await running.stop(), 0);
});

test('a killed pairing never leaves a folder that cannot be used', async t => {
  const service = await Service.start(t);
  const outcomes = new Set();
  for (let turn = 0; turn < 4; turn += 1) {
    const folder = scratch(t);
    mkdirSync(join(folder, 'session'), { recursive: true });
    const bridge = Bridge.start(t, 'pair', { folder, url: service.url });
    const { payload } = await bridge.event('qr');
    await service.command('scan', { payload });
    if (turn % 4 === 1) await bridge.event('pair_success');
    if (turn % 4 === 2) await bridge.event('connecting', { attempt: 2 });
    if (turn % 4 === 3) await bridge.event('open');
    await bridge.kill();
    const path = join(folder, 'session', 'creds.json');
    if (!existsSync(path)) {
      outcomes.add('nothing');
      continue;
    }
    outcomes.add('paired');
    assert.ok(credsOf(folder).account, 'creds.json is whole whenever it exists');
    const running = await runFolder(t, service, folder);
    await running.kill();
  }
  assert.ok(outcomes.has('paired'));
});
