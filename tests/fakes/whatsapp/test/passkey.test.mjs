import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Authenticator, verifyAssertion } from '../authenticator.mjs';
import { baileys, Client, FakeService, scratch } from './harness.mjs';

let service;
const folder = scratch();

before(async () => (service = await FakeService.start()));
after(async () => {
  await service.stop();
  folder.remove();
});

/** What the client sends: the answer without what only browsers need. */
const asSent = ({ id, rawId, type, response }) => {
  const { clientDataJSON, authenticatorData, signature, userHandle } = response;
  return Buffer.from(JSON.stringify({ id, rawId, type, response: { clientDataJSON, authenticatorData, signature, userHandle } }));
};

test('only an assertion of this passkey for this request is accepted', () => {
  const passkey = new Authenticator();
  const { credentialId, publicKey } = passkey;
  const options = { challenge: randomBytes(32).toString('base64url'), rpId: 'whatsapp.com' };
  const wanted = { ...options, credentialId, publicKey };
  verifyAssertion(asSent(passkey.get(options)), wanted);
  for (const [how, why] of [
    [{ origin: 'https://example.org' }, /another origin/],
    [{ challenge: 'AAAA' }, /another challenge/],
    [{ rp_id: 'example.org' }, /another site/],
    [{ verified: false }, /user who was verified/],
    [{ type: 'webauthn.create' }, /another type/],
  ]) {
    assert.throws(() => verifyAssertion(asSent(passkey.get(options, how)), wanted), why);
  }
  const other = new Authenticator();
  assert.throws(() => verifyAssertion(asSent(other.get(options)), wanted), /another passkey/);
  assert.throws(() => verifyAssertion(asSent(other.get(options)), { ...wanted, credentialId: other.credentialId }), /wrong signature/);
  assert.throws(() => verifyAssertion(Buffer.from(JSON.stringify(passkey.get(options))), wanted), /another shape/);
});

test('the client is asked after the scan, and is not linked by an answer to nothing', async () => {
  const client = new Client(service.url, folder.path);
  await service.command('fault', { name: 'passkey', times: 1 });
  const sock = await client.connect();
  const asked = new Promise(done => sock.ws.on('CB:notification,type:passkey_prologue_request', done));
  assert.equal((await service.command('scan', { payload: await client.qr() })).passkey, true);
  const { options } = await service.event('passkey_asked');
  const [{ tag, content }] = (await asked).content;
  assert.equal(tag, 'passkey_request_options');
  assert.deepEqual(JSON.parse(content.toString()), options);
  const query = (type, child) => sock.query({ tag: 'iq', attrs: { to: baileys.S_WHATSAPP_NET, type, xmlns: 'md' }, content: [child] });
  const { content: [ref] } = await query('get', { tag: 'ref', attrs: {} });
  assert.match(ref.content.toString(), /^2@/);
  const { answer } = await service.command('assert', { verified: false });
  const part = (name, bytes) => ({ tag: name, attrs: {}, content: bytes });
  await assert.rejects(query('set', { tag: 'passkey_prologue', attrs: {}, content: [
    part('credential_id', Buffer.from(answer.rawId, 'base64url')), part('webauthn_assertion', asSent(answer)),
    part('prologue_payload', Buffer.alloc(0)),
  ] }), { data: 400 });
  assert.match((await service.event('passkey_refused')).message, /user who was verified/);
  await assert.rejects(query('set', part('encrypted_pairing_request', Buffer.alloc(8))), { data: 400 });
  assert.equal((await service.state()).devices.length, 0);
  await client.end();
});
