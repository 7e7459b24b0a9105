import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { causeOf } from '../exits.mjs';
import { Bridge, Service, lifetime, pairFolder, runFolder, scratch } from './support.mjs';

/** Ends of a login or of a live connection: what is done to the bridge, and what it has to say. */
const ENDS = [
  ['401 while open', 'live', { name: 'stream_error', code: 401, conflict: 'device_removed' }, 401, 'logged_out', 11],
  ['440 while open', 'live', { name: 'stream_error', code: 440, conflict: 'replaced' }, 440, 'replaced', 13],
  ['503 while open', 'live', { name: 'stream_error', code: 503 }, 503, 'connection_lost', 18],
  ['500 while open', 'live', { name: 'stream_error', code: 500 }, 500, 'connection_lost', 18],
  ['a reset', 'live', { name: 'reset' }, 428, 'connection_lost', 18],
  ['a clean close', 'live', { name: 'close' }, 428, 'connection_lost', 18],
  ['the end of the stream', 'live', { name: 'stream_end' }, 428, 'connection_lost', 18],
  ['401 at login', 'login', { name: 'failure', reason: 401 }, 401, 'logged_out', 11],
  ['403 at login', 'login', { name: 'failure', reason: 403 }, 403, 'forbidden', 12],
  ['405 at login', 'login', { name: 'failure', reason: 405 }, 405, 'version_rejected', 17],
  ['411 at login', 'login', { name: 'failure', reason: 411 }, 411, 'multidevice_mismatch', 20],
  ['503 at login', 'login', { name: 'failure', reason: 503 }, 503, 'connection_lost', 18],
  ['HTTP 503, closed', 'login', { name: 'http_status', status: 503 }, 503, 'connection_lost', 18],
  ['HTTP 503, kept open', 'login', { name: 'http_status', status: 503, keep_open: true }, 503, 'connection_lost', 18],
  ['a reset while connecting', 'login', { name: 'reset', when: 'connect' }, 408, 'connection_lost', 18],
  ['no answer to the upgrade', 'login', { name: 'mute' }, 408, 'connection_lost', 18],
  ['a silent server after login', 'live', { name: 'silence' }, 408, 'stale_connection', 21],
];

describe('ends of a connection', () => {
  let service;
  let folder;
  const shared = lifetime();
  after(() => shared.end());
  before(async () => {
    service = await Service.start(shared);
    folder = scratch(shared);
    await pairFolder(shared, service, folder);
  });

  for (const [name, moment, fault, code, error, status] of ENDS) {
    test(name, async t => {
      const creds = readFileSync(join(folder, 'session', 'creds.json'), 'utf8');
      if (moment === 'login') await service.command('fault', fault);
      const bridge = Bridge.start(t, 'run', {
        folder, url: service.url, limits: fault.name === 'mute' ? { connect_ms: 700 }
          : fault.name === 'silence' ? { probe_every_ms: 200, probe_ms: 500 } : {},
      });
      if (moment === 'live') {
        await bridge.event('alive');
        await service.command('fault', fault);
      }
      const closed = await bridge.event('closed');
      assert.equal(closed.code, code, closed.reason);
      assert.equal(closed.was_open, moment === 'live');
      assert.equal(closed.cause, fault.name === 'mute' ? 'timeout' : null, closed.reason);
      assert.equal((await bridge.event('error')).code, error);
      assert.equal(await bridge.exited, status);
      assert.deepEqual(bridge.bad, []);
      await service.command('heal');
      if (moment === 'login') assert.equal(readFileSync(join(folder, 'session', 'creds.json'), 'utf8'), creds);
    });
  }

  test('a refused TCP connection', async t => {
    const bridge = Bridge.start(t, 'run', { folder, url: 'ws://127.0.0.1:9/ws/chat' });
    const closed = await bridge.event('closed');
    assert.equal(closed.code, 408);
    assert.equal(closed.cause, 'refused');
    assert.equal(await bridge.exited, 18);
  });

  test('515 opens the same session again at once', async t => {
    const bridge = await runFolder(t, service, folder);
    await service.command('fault', { name: 'stream_error', code: 515 });
    const begun = performance.now();
    await bridge.event('restart');
    await bridge.event('open');
    assert.ok(performance.now() - begun < 3_000);
    assert.equal(bridge.seen('closed').length, 0);
    await service.command('message', { from: '15550003333', text: 'after the restart' });
    const { seq } = await bridge.message({ text: 'after the restart' });
    bridge.command('ack', { seq });
    assert.equal(await bridge.stop(), 0);
  });

  test('405 tries another known version, which is remembered only when it works', async t => {
    const remembered = join(folder, 'spool', 'wa_version.json');
    writeFileSync(remembered, '{"version":[2,3000,9999999999]}');
    await service.command('fault', { name: 'failure', reason: 405, accept_version: [2, 3000, 1043857760] });
    const bridge = Bridge.start(t, 'run', { folder, url: service.url, limits: { version_fetch_ms: 500 } });
    assert.deepEqual((await bridge.event('connecting')).version, [2, 3000, 9999999999]);
    assert.deepEqual((await bridge.event('open')).version, [2, 3000, 1043857760]);
    assert.equal(bridge.seen('closed').length, 0);
    assert.equal(await bridge.stop(), 0);
    await service.command('heal');
    writeFileSync(remembered, '{}');
  });

  test('a version set by hand is used and never replaced', async t => {
    await service.command('fault', { name: 'failure', reason: 405, accept_version: [2, 3000, 7] });
    const wrong = Bridge.start(t, 'run', { folder, url: service.url, env: { WHATSAPP_WA_VERSION: '2.3000.6' } });
    assert.equal(await wrong.exited, 17);
    const right = Bridge.start(t, 'run', { folder, url: service.url, version: [2, 3000, 7] });
    assert.deepEqual((await right.event('open')).version, [2, 3000, 7]);
    assert.equal(await right.stop(), 0);
    await service.command('heal');
  });

  test('the account does not count as online', async t => {
    const bridge = await runFolder(t, service, folder);
    await service.event('presence', { type: 'unavailable' });
    assert.equal(service.seen('presence', { type: 'available' }).length, 0);
    assert.equal(await bridge.stop(), 0);
  });
});

test('what stands between here and WhatsApp is told by the code of the socket', () => {
  const boom = (code, statusCode = 500) => ({ output: { statusCode }, data: code && { code } });
  for (const [code, cause] of [
    ['ENOTFOUND', 'dns'], ['EAI_AGAIN', 'dns'], ['ECONNREFUSED', 'refused'], ['EHOSTUNREACH', 'refused'],
    ['ENETUNREACH', 'refused'], ['ETIMEDOUT', 'timeout'], ['CERT_HAS_EXPIRED', 'tls'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls'], ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'tls'], ['ECONNRESET', null],
  ]) {
    assert.equal(causeOf(boom(code), false), cause, code);
  }
  assert.equal(causeOf(boom(undefined, 408), false), 'timeout');
  assert.equal(causeOf(boom(undefined, 408), true), null);
  assert.equal(causeOf(undefined, false), null);
});

test('run without a pairing says so and writes nothing', async t => {
  const folder = scratch(t);
  const bridge = Bridge.start(t, 'run', { folder, url: 'ws://127.0.0.1:9' });
  assert.equal((await bridge.event('error')).code, 'not_paired');
  assert.equal(await bridge.exited, 10);
  assert.deepEqual(readdirSync(folder), []);
});

test('folders that cannot be used are a matter of storage', async t => {
  const folder = scratch(t);
  const path = join(folder, 'a file');
  writeFileSync(path, '');
  for (const fields of [{ session_dir: path }, { spool_dir: path }, { session_dir: join(path, 'inside') }]) {
    const bridge = Bridge.start(t, 'pair', { folder, url: 'ws://127.0.0.1:9', ...fields });
    assert.equal((await bridge.event('error')).code, 'storage');
    assert.equal(await bridge.exited, 22);
  }
});

test('unreadable credentials are never replaced', async t => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'session'));
  for (const [content, ...modes] of [['', 'run', 'pair'], ['{"noiseKey":', 'pair']]) {
    writeFileSync(join(folder, 'session', 'creds.json'), content);
    for (const mode of modes) {
      const bridge = Bridge.start(t, mode, { folder, url: 'ws://127.0.0.1:9' });
      assert.equal((await bridge.event('error')).code, 'creds_corrupt');
      assert.equal(await bridge.exited, 14);
      assert.equal(readFileSync(join(folder, 'session', 'creds.json'), 'utf8'), content);
    }
  }
});
