import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import vm from 'node:vm';
import { AnswerError, readAnswer, readRequest, snippetFor } from '../assertion.mjs';
import { Authenticator, verifyAssertion } from '../../../tests/fakes/whatsapp/authenticator.mjs';
import { Bridge, Service, pairFolder, runFolder, scratch } from './support.mjs';

const asked = (more = {}) => ({
  challenge: randomBytes(32).toString('base64url'), timeout: 600_000, rpId: 'whatsapp.com', allowCredentials: [],
  userVerification: 'required', extensions: { uvm: true }, ...more,
});
const requestOf = options => readRequest(Buffer.from(JSON.stringify(options)));

/** What a browser's console prints when the line is run in it. */
async function runInBrowser(snippet, authenticator) {
  const printed = [];
  await vm.runInNewContext(snippet, {
    console: { log: line => printed.push(line) },
    PublicKeyCredential: { parseRequestOptionsFromJSON: options => options },
    navigator: { credentials: { get: async ({ publicKey }) => ({ toJSON: () => authenticator.get(publicKey) }) } },
  });
  return printed;
}

test('the line for the browser makes an answer that the service accepts', async () => {
  const authenticator = new Authenticator();
  const options = asked();
  const request = requestOf(options);
  const snippet = snippetFor(request);
  assert.match(snippet, /^[\x20-\x7e]+$/);
  const [line] = await runInBrowser(snippet, authenticator);
  for (const pasted of [line, ` > "${line}"\n`, `VM:1 ${line}`]) {
    const { credentialId, json } = readAnswer(pasted, request);
    assert.deepEqual(credentialId, authenticator.credentialId);
    verifyAssertion(json, { ...options, credentialId, publicKey: authenticator.publicKey });
    assert.deepEqual(Object.keys(JSON.parse(json)), ['id', 'rawId', 'type', 'response'], 'the shape of the web page');
  }
});

test('a request with odd characters stays one line of plain ASCII', () => {
  const request = requestOf(asked({ extensions: { note: 'é\u2028\u001b[31m' } }));
  assert.match(snippetFor(request), /^[\x20-\x7e]+$/);
  assert.ok(snippetFor(request).includes('\\u2028'));
});

test('a request that no browser could serve here is refused', () => {
  for (const bad of [{ rpId: 'example.org' }, { challenge: 'a+b' }, { challenge: 'AAAA' }, { challenge: 7 }, { allowCredentials: [{}] }]) {
    assert.throws(() => requestOf(asked(bad)), { code: 'passkey_required' }, JSON.stringify(bad));
  }
  assert.throws(() => readRequest(Buffer.from('{')), { code: 'passkey_required' });
});

test('nothing passes that a passkey did not make for this request', () => {
  const authenticator = new Authenticator();
  const options = asked();
  const request = requestOf(options);
  const good = authenticator.get(options);
  const changed = change => {
    const answer = structuredClone(good);
    change(answer);
    return JSON.stringify(answer);
  };
  const reject = (text, pattern) => assert.throws(() => readAnswer(text, request), error => {
    assert.ok(error instanceof AnswerError, error.stack);
    assert.match(error.message, pattern);
    return true;
  });
  const spoilt = (how, pattern) => reject(JSON.stringify(authenticator.get(options, how)), pattern);
  readAnswer(JSON.stringify(good), request);
  spoilt({ challenge: randomBytes(32).toString('base64url') }, /another request/);
  spoilt({ origin: 'https://web.whatsapp.com.example.org' }, /page https:\/\/web\.whatsapp\.com/);
  spoilt({ origin: 'http://web.whatsapp.com' }, /page/);
  spoilt({ rp_id: 'example.org' }, /another site/);
  spoilt({ verified: false }, /fingerprint, face or PIN/);
  spoilt({ type: 'webauthn.create' }, /not an answer/);
  reject('', /whole answer/);
  reject('hello', /whole answer/);
  reject(JSON.stringify(good).slice(0, -20), /whole answer/);
  reject(JSON.stringify(good).slice(20), /whole answer/);
  reject('[]', /whole answer/);
  reject('{}', /not the answer of a passkey/);
  reject('NotAllowedError: The operation timed out.', /did not use a passkey \(NotAllowedError\)/);
  reject(`{${'x'.repeat(40_000)}}`, /longer than/);
  reject(changed(answer => { answer.type = 'password'; }), /not the answer of a passkey/);
  reject(changed(answer => { answer.id = 'AAAA'; }), /differ/);
  reject(changed(answer => { delete answer.rawId; }), /rawId/);
  reject(changed(answer => { answer.response.signature = ''; }), /signature/);
  reject(changed(answer => { answer.response.signature += '='; }), /signature/);
  reject(changed(answer => { answer.response.authenticatorData = answer.response.authenticatorData.slice(0, -4); }), /authenticatorData/);
  reject(changed(answer => { answer.response.authenticatorData += 'AAAA'; }), /authenticatorData/);
  reject(changed(answer => { answer.response.clientDataJSON = Buffer.from('{').toString('base64url'); }), /clientDataJSON/);
  reject(changed(answer => { answer.response.userHandle = 7; }), /userHandle/);
  const other = requestOf(asked({ challenge: options.challenge, allowCredentials: [{ type: 'public-key', id: 'AAAA' }] }));
  assert.throws(() => readAnswer(JSON.stringify(good), other), /not one of the passkeys/);
});

const credsOf = folder => JSON.parse(readFileSync(join(folder, 'session', 'creds.json'), 'utf8'));

test('a scan that needs a passkey stops the codes, waits for the answer, and links', async t => {
  const service = await Service.start(t);
  const folder = scratch(t);
  await service.command('fault', { name: 'passkey' });
  // The phone takes the very last code, which Baileys would end the connection after.
  await service.command('fault', { name: 'refs', count: 1 });
  const bridge = Bridge.start(t, 'pair', { folder, url: service.url, limits: { qr_first_ms: 600, qr_next_ms: 50 } });
  const { payload } = await bridge.event('qr');
  await service.command('scan', { payload });
  const { options, snippet, expires_in_s } = await bridge.event('passkey_required');
  assert.ok(snippet.includes(options.challenge));
  assert.equal(expires_in_s, 600);
  // Until well past the life of the code.
  const shown = performance.now();
  do {
    bridge.command('passkey_answer', { answer: 'oops' });
    assert.match((await bridge.event('passkey_rejected')).message, /whole answer/);
  } while (performance.now() - shown < 1_500);
  assert.equal(bridge.seen('closed').length, 0, bridge.stderr);
  assert.equal(bridge.seen('qr').length, 1);

  const careless = (await service.command('assert', { verified: false })).answer;
  bridge.command('passkey_answer', { answer: JSON.stringify(careless) });
  assert.match((await bridge.event('passkey_rejected')).message, /fingerprint/);
  assert.equal(service.seen('passkey_refused').length, 0, 'nothing unchecked was sent');
  assert.ok(!existsSync(join(folder, 'session', 'creds.json')), 'nothing is on disk while the answer is waited for');

  const { answer } = await service.command('assert');
  bridge.command('passkey_answer', { answer: JSON.stringify(answer) });
  await bridge.event('passkey_sent');
  const code = await bridge.event('passkey_code');
  const phone = await service.event('passkey_code');
  assert.deepEqual([code.code, code.confirm], [phone.code, false]);
  assert.equal(phone.compared, false, 'the phone knows the client by the code it scanned');
  await bridge.event('pair_success');
  assert.equal(await bridge.exited, 0, bridge.stderr);
  assert.ok(credsOf(folder).account);
  assert.ok(!bridge.stderr.includes(answer.response.signature), 'answers are in no log');
  const running = await runFolder(t, service, folder);
  assert.equal(await running.stop(), 0);
});

test('without the proof of the scan the codes are compared, and another code ends it', async t => {
  const service = await Service.start(t);
  for (const [matches, status] of [[true, 0], [false, 24]]) {
    const folder = scratch(t);
    await service.command('fault', { name: 'passkey', times: 1 });
    const bridge = Bridge.start(t, 'pair', { folder, url: service.url, limits: { passkey_handoff_ms: 0 } });
    await service.command('scan', { payload: (await bridge.event('qr')).payload });
    await bridge.event('passkey_required');
    bridge.command('passkey_answer', { answer: JSON.stringify((await service.command('assert')).answer) });
    const code = await bridge.event('passkey_code', { confirm: true });
    assert.equal((await service.event('passkey_code', { compared: true })).code, code.code);
    assert.equal(bridge.seen('pair_success').length, 0);
    bridge.command('passkey_confirm', { matches });
    assert.equal(await bridge.exited, status, bridge.stderr);
    if (matches) assert.ok(credsOf(folder).account);
    else assert.deepEqual(readdirSync(join(folder, 'session')), []);
  }
});

for (const early of [false, true]) {
  test(`a typed code that needs a passkey links too${early ? ', where the phone exchanged no keys' : ''}`, async t => {
    const service = await Service.start(t);
    const folder = scratch(t);
    await service.command('fault', { name: 'passkey', early });
    const bridge = Bridge.start(t, 'pair', { folder, url: service.url, pairing_code_for: '15550001111' });
    const { code } = await bridge.event('pairing_code');
    await service.event('code_offered');
    await service.command('link', { code });
    await bridge.event('passkey_required');
    assert.deepEqual(readdirSync(join(folder, 'session')), [], 'an unfinished link leaves nothing');
    bridge.command('passkey_answer', { answer: JSON.stringify((await service.command('assert')).answer) });
    assert.equal(await bridge.exited, 0, bridge.stderr);
    assert.ok(credsOf(folder).account);
  });
}

test('what WhatsApp refuses, or nobody answers, ends with its own exit and leaves nothing', async t => {
  const service = await Service.start(t);
  for (const [fault, limits, said] of [
    [{ refuse: true }, {}, /refused the passkey.*400/],
    [{}, { passkey_ms: 200 }, /not used in time/],
    [{ timeout_ms: 200 }, {}, /not used in time/],
    [{ rp_id: 'example.org' }, {}, /another site/],
  ]) {
    const folder = scratch(t);
    await service.command('fault', { name: 'passkey', times: 1, ...fault });
    const bridge = Bridge.start(t, 'pair', { folder, url: service.url, limits });
    await service.command('scan', { payload: (await bridge.event('qr')).payload });
    if (fault.refuse) {
      await bridge.event('passkey_required');
      bridge.command('passkey_answer', { answer: JSON.stringify((await service.command('assert')).answer) });
    }
    const { code, message } = await bridge.event('error');
    assert.equal(code, 'passkey_required');
    assert.match(message, said);
    assert.equal(await bridge.exited, 24);
    assert.deepEqual(readdirSync(join(folder, 'session')), []);
  }
  await pairFolder(t, service, scratch(t));
});

test('options that the notification lacks are asked for', async t => {
  const service = await Service.start(t);
  await service.command('fault', { name: 'passkey', no_options: true });
  const bridge = Bridge.start(t, 'pair', { folder: scratch(t), url: service.url });
  await service.command('scan', { payload: (await bridge.event('qr')).payload });
  const { options } = await bridge.event('passkey_required');
  assert.equal(options.challenge, (await service.event('passkey_asked')).options.challenge);
});

test('a connection that ends while the passkey is waited for is not followed by another code', async t => {
  const service = await Service.start(t);
  for (const blow of [{ name: 'reset' }, { name: 'stream_error', code: 515 }]) {
    const folder = scratch(t);
    await service.command('fault', { name: 'passkey', times: 1 });
    const bridge = Bridge.start(t, 'pair', { folder, url: service.url });
    await service.command('scan', { payload: (await bridge.event('qr')).payload });
    await bridge.event('passkey_required');
    await service.command('fault', blow);
    assert.equal(await bridge.exited, 18, bridge.stderr);
    assert.equal(bridge.seen('qr').length, 1);
    assert.deepEqual(readdirSync(join(folder, 'session')), []);
  }
});

test('stopped at any moment of it, nothing is left behind', async t => {
  const service = await Service.start(t);
  for (const moment of ['passkey_required', 'passkey_rejected', 'passkey_code']) {
    const folder = scratch(t);
    await service.command('fault', { name: 'passkey', times: 1 });
    const bridge = Bridge.start(t, 'pair', { folder, url: service.url, limits: { passkey_handoff_ms: 0 } });
    await service.command('scan', { payload: (await bridge.event('qr')).payload });
    await bridge.event('passkey_required');
    const answer = moment === 'passkey_code' ? JSON.stringify((await service.command('assert')).answer) : 'oops';
    if (moment !== 'passkey_required') {
      bridge.command('passkey_answer', { answer });
      await bridge.event(moment);
    }
    assert.equal(await bridge.stop(), 0, bridge.stderr);
    assert.deepEqual(readdirSync(join(folder, 'session')), [], moment);
  }
});
