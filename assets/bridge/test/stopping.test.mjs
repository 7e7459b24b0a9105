import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Bridge, Service, lifetime, pairFolder, runFolder, scratch } from './support.mjs';

const timed = async promise => {
  const begun = performance.now();
  return [await promise, performance.now() - begun];
};

describe('stopping', () => {
  let service;
  let folder;
  const shared = lifetime();
  after(() => shared.end());
  before(async () => {
    service = await Service.start(shared);
    folder = scratch(shared);
    await pairFolder(shared, service, folder);
  });

  test('the end of stdin, SIGTERM and stop end it with 0', async t => {
    for (const way of [b => b.process.stdin.end(), b => b.process.kill('SIGTERM'), b => b.command('stop')]) {
      const bridge = await runFolder(t, service, folder);
      way(bridge);
      const [status, took] = await timed(bridge.exited);
      assert.equal(status, 0);
      assert.ok(took < 2_000, `took ${took} ms`);
    }
  });

  test('a silent server and a flood of messages do not hold it up', async t => {
    const bridge = await runFolder(t, service, folder);
    await service.command('burst', { from: ['15550002222', '15550003333'], count: 60 });
    await bridge.message();
    await service.command('fault', { name: 'silence' });
    bridge.command('send', { id: 's', chat: '15550002222', message_id: '3EB0BBBBBBBBBBBB', text: 'lost?' });
    bridge.process.stdin.end();
    const [status, took] = await timed(bridge.exited);
    assert.equal(status, 0);
    assert.ok(took < 2_200, `took ${took} ms`);
    await service.command('heal');
  });

  test('what is being sent is finished first', async t => {
    await service.command('fault', { name: 'delay_ack', ms: 300, times: 1 });
    const bridge = await runFolder(t, service, folder);
    bridge.command('send', { id: 's', chat: '15550002222', message_id: '3EB0CCCCCCCCCCCC', text: 'one moment' });
    await service.event('accepted', { message_id: '3EB0CCCCCCCCCCCC' });
    bridge.command('stop');
    assert.equal(await bridge.exited, 0);
    assert.equal(bridge.seen('sent', { id: 's' }).length, 1);
    await service.command('heal');
  });
});

test('stopping before anything began', async t => {
  const folder = scratch(t);
  const waiting = new Bridge('run', { folder });
  waiting.process.stdin.end();
  assert.equal(await waiting.exited, 0);
});

test('unusable input ends it with 19', async t => {
  const lines = [
    'not json', '[]', '{"v":2,"cmd":"start"}', '{"v":1,"cmd":"start","session_dir":"relative"}', '{"v":1,"cmd":"ack"}',
    `{"v":1,"cmd":"start","x":"${'x'.repeat(1024 * 1024)}"}`,
  ];
  for (const line of lines) {
    const bridge = new Bridge('run', { folder: scratch(t) });
    bridge.process.stdin.write(`${line}\n`);
    assert.equal((await bridge.event('error')).code, 'protocol');
    assert.equal(await bridge.exited, 19);
  }
});
