import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXITS, Exit, asExit, reactionTo, statusOf } from '../exits.mjs';
import { LineReader, LineWriter, MAX_LINE, parseStart } from '../protocol.mjs';

const bytes = text => Buffer.from(text);

test('lines are put together from pieces of any size', () => {
  const text = '{"v":1,"cmd":"ack","seq":1}\n\n{"v":1,"cmd":"send","text":"grüße 🙂"}\r\n{"v":1,"cmd":"stop"}\n';
  for (let size = 1; size < 40; size += 1) {
    const reader = new LineReader();
    const commands = [];
    const whole = bytes(text);
    for (let at = 0; at < whole.length; at += size) commands.push(...reader.push(whole.subarray(at, at + size)));
    assert.deepEqual(commands.map(({ cmd }) => cmd), ['ack', 'send', 'stop']);
    assert.equal(commands[1].text, 'grüße 🙂');
  }
});

test('a line may have 1 MiB and not one byte more', () => {
  const frame = fill => `{"v":1,"x":"${'x'.repeat(fill)}"}`;
  const overhead = frame(0).length;
  assert.equal(new LineReader().push(bytes(`${frame(MAX_LINE - overhead)}\n`)).length, 1);
  assert.throws(() => new LineReader().push(bytes(frame(MAX_LINE - overhead + 1))), { code: 'protocol' });
  const reader = new LineReader();
  assert.throws(() => {
    for (let i = 0; i < 2000; i += 1) reader.push(Buffer.alloc(1024, 120));
  }, { code: 'protocol' });
});

test('anything but an object of version 1 is refused', () => {
  for (const line of ['{', 'null', '7', '"x"', '[]', '{}', '{"v":"1"}', '{"v":2}']) {
    assert.throws(() => new LineReader().push(bytes(`${line}\n`)), { code: 'protocol', status: 19 });
  }
});

test('start is checked and completed', () => {
  const command = { v: 1, cmd: 'start', session_dir: '/s', spool_dir: '/p', media_dir: '/m' };
  const start = parseStart({ ...command, version: null, web_socket_url: null, limits: { send_ms: 5, unknown: 1 } });
  assert.equal(start.limits.send_ms, 5);
  assert.equal(start.limits.probe_ms, 10_000);
  assert.equal(start.limits.unknown, undefined);
  const wrong = [
    { cmd: 'ack' }, { session_dir: 's' }, { spool_dir: 7 }, { media_dir: undefined }, { version: [1, 2] },
    { version: '2.3000.1' }, { web_socket_url: 'http://x' }, { pairing_code_for: '+1555' }, { limits: { send_ms: 'x' } },
    { limits: { send_ms: -1 } },
  ];
  for (const fields of wrong) assert.throws(() => parseStart({ ...command, ...fields }), { code: 'protocol' });
});

test('the writer holds back, leaves out what is stale, and gives up on a gateway that never reads', async () => {
  const pending = [];
  const lines = [];
  let overflow = null;
  const writer = new LineWriter({
    write: (line, done) => {
      lines.push(line);
      pending.push(done);
      return lines.length < 2;
    },
    onOverflow: exit => { overflow = exit; },
  });
  writer.event('open');
  await writer.ready();
  writer.event('synced');
  assert.ok(writer.blocked);
  writer.event('alive', { rtt_ms: 1 });
  assert.equal(lines.length, 2);
  let free = false;
  const ready = writer.ready().then(() => { free = true; });
  await Promise.resolve();
  assert.equal(free, false);
  for (const done of pending.splice(0)) done();
  await ready;
  assert.deepEqual(lines.map(line => JSON.parse(line)), [{ v: 1, event: 'open' }, { v: 1, event: 'synced' }]);
  for (let i = 0; i < 20 && !overflow; i += 1) writer.line('x'.repeat(MAX_LINE - 1));
  assert.equal(overflow.code, 'protocol');
});

test('every exit of the table has its number, and file system trouble is storage', () => {
  assert.equal(new Exit('stale_connection', '').status, 21);
  assert.equal(new Set(Object.values(EXITS)).size, Object.keys(EXITS).length);
  assert.equal(asExit(Object.assign(new Error('x'), { code: 'ENOSPC', syscall: 'write' })).status, 22);
  assert.equal(asExit(new TypeError('x')).status, 70);
  const exit = new Exit('replaced', '');
  assert.equal(asExit(exit), exit);
});

test('the status code is read inside the Boom, and each has its reaction', () => {
  assert.equal(statusOf({ output: { statusCode: 515 } }), 515);
  assert.equal(statusOf(new Error('x')), 500);
  assert.equal(statusOf(undefined), 500);
  const table = [
    [515, '', 'restart'], [405, '', 'version'], [401, '', 'logged_out'], [419, '', 'logged_out'], [403, '', 'forbidden'],
    [411, '', 'multidevice_mismatch'], [440, '', 'replaced'], [408, 'QR refs attempts ended', 'qr_expired'],
    [408, 'Connection was lost', 'connection_lost'], [428, '', 'connection_lost'], [500, '', 'connection_lost'],
    [503, '', 'connection_lost'], [407, '', 'connection_lost'], [429, '', 'connection_lost'],
  ];
  for (const [status, reason, reaction] of table) assert.equal(reactionTo(status, reason), reaction, String(status));
});
