import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT_PUBLIC } from '../root.mjs';
import { baileys, Client, FakeService, fixture, modules, scratch } from './harness.mjs';

let service;
const folders = [];
const client = () => {
  const folder = scratch();
  folders.push(folder);
  return new Client(service.url, folder.path);
};

before(async () => (service = await FakeService.start()));
after(async () => {
  await service.stop();
  folders.forEach(folder => folder.remove());
});

test('the preload makes a program trust the root of the service', () => {
  assert.deepEqual(Buffer.from(baileys.WA_CERT_DETAILS.PUBLIC_KEY), ROOT_PUBLIC);
  // A program whose node_modules is a symbolic link, and no hint in the environment.
  const folder = scratch();
  folders.push(folder);
  symlinkSync(realpathSync(join(modules, 'node_modules')), join(folder.path, 'node_modules'));
  const program = join(folder.path, 'program.mjs');
  const text = "import { WA_CERT_DETAILS as d } from 'baileys'; process.stdout.write(d.PUBLIC_KEY.toString('hex'));";
  writeFileSync(program, text);
  const { HERMES_FAKE_MODULES: unset, ...env } = process.env;
  const args = ['--import', join(fixture, 'trust.mjs'), program];
  const printed = execFileSync(process.execPath, args, { env, encoding: 'utf8' });
  assert.equal(printed, ROOT_PUBLIC.toString('hex'));
});

test('a QR pairing ends with 515, and the next login opens', async () => {
  const phone = client();
  await phone.connect();
  const payload = await phone.qr();
  const [url, fields] = payload.split('#');
  assert.equal(url, 'https://wa.me/settings/linked_devices');
  assert.equal(fields.split(',').length, 5);
  assert.equal((await service.event('refs_sent')).count, 6);
  const { jid } = await service.command('scan', { payload });
  assert.equal((await phone.closed()).code, 515);
  assert.equal((await service.event('paired', { jid })).device, 1);
  assert.ok(phone.creds.account.accountSignature.length && phone.creds.account.deviceSignature.length);
  assert.equal(phone.creds.me.id, jid);
  await phone.connect();
  await phone.open();
  await phone.synced();
  assert.equal((await service.event('login')).jid, jid);
  const { devices } = await service.state();
  assert.deepEqual(devices.map(each => [each.jid, each.connected, each.logins]), [[jid, true, 1]]);
  assert.ok(devices[0].pre_keys > 800);
  await phone.end();
});

test('a code from an earlier connection cannot be scanned any more', async () => {
  const phone = client();
  await phone.connect();
  const payload = await phone.qr();
  const { n } = await service.event('refs_sent');
  await phone.end();
  await service.event('disconnected', { n });
  await assert.rejects(service.command('scan', { payload }), /expired/);
  await assert.rejects(service.command('scan', { payload: 'https://example.invalid/' }), /not the content/);
});

test('a wrong HMAC is refused by the client and leaves no device', async () => {
  const phone = client();
  const before = (await service.state()).devices.length;
  await phone.connect();
  await service.command('scan', { payload: await phone.qr(), tamper_hmac: true });
  const { code, message } = await phone.closed();
  assert.deepEqual([code, message], [500, 'Invalid account signature']);
  assert.equal((await service.state()).devices.length, before);
});

test('losing the socket between pair-success and the restart is harmless', async () => {
  const phone = client();
  await service.command('fault', { name: 'drop_before_restart' });
  await phone.connect();
  const { jid } = await service.command('scan', { payload: await phone.qr() });
  assert.equal((await phone.closed()).code, 428);
  await phone.connect();
  await phone.open();
  assert.equal(phone.creds.me.id, jid);
  await phone.end();
});

test('references can be rotated, void, or exhausted', async () => {
  const phone = client();
  await phone.connect({ qrTimeout: 60_000 });
  const first = await phone.qr();
  await service.command('fault', { name: 'rotate_refs', every_ms: 10, times: 2 });
  const second = await phone.qr();
  const third = await phone.qr();
  assert.equal(new Set([first, second, third]).size, 3);
  await assert.rejects(service.command('scan', { payload: first }), /expired/);
  await service.command('fault', { name: 'expire_refs' });
  await assert.rejects(service.command('scan', { payload: third }), /expired/);
  await service.command('fault', { name: 'exhaust_refs' });
  const { code, message } = await phone.closed();
  assert.deepEqual([code, message], [408, 'QR refs attempts ended']);
  await service.command('fault', { name: 'refs', count: 1 });
  await phone.connect({ qrTimeout: 20 });
  await phone.qr();
  assert.deepEqual((await phone.closed()).code, 408);
  await service.command('heal');
});

test('a pairing code completes; a wrong code does not', async () => {
  const wrong = client();
  await wrong.connect();
  await wrong.qr();
  await wrong.sock.requestPairingCode('15550001111');
  await service.event('code_offered');
  await assert.rejects(service.command('link', { code: 'ABCD-2345' }), /wrong code/);
  await wrong.end();

  const phone = client();
  await phone.connect();
  await phone.qr();
  const code = await phone.sock.requestPairingCode('15550001111');
  assert.match(code, /^[0-9A-Z]{8}$/);
  await service.event('code_offered', { number: '15550001111' });
  const { jid } = await service.command('link', { code: `${code.slice(0, 4)}-${code.slice(4)}` });
  assert.equal((await phone.closed()).code, 515);
  assert.equal(phone.creds.registered, true);
  await phone.connect();
  await phone.open();
  await phone.synced();
  assert.equal(phone.creds.me.id, jid);
  await service.command('message', { from: '15550002222', text: 'after linking', device: jid });
  await phone.text(text => text === 'after linking');
  await phone.end();
});

test('the process ends with its input', async () => {
  const other = await FakeService.start('--owner', '15550007777');
  assert.equal((await other.state()).owner.jid, '15550007777@s.whatsapp.net');
  await assert.rejects(other.command('no_such'), /unknown command/);
  assert.equal(await other.stop(), 0);
});
