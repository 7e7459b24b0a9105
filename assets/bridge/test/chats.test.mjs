import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Service, lifetime, pairFolder, runFolder, scratch } from './support.mjs';

const CONTACT = '15550002222';
const OWN = '15550001111';
const BOT = '867051314767696@bot';
const DAY = 86_400;
let count = 0;
const freshId = () => `3EB0${createHash('sha256').update(`chats ${process.pid} ${(count += 1)}`).digest('hex').slice(0, 18).toUpperCase()}`;

describe('chats', () => {
  let service;
  let folder;
  let bridge;
  const shared = lifetime();
  before(async () => {
    service = await Service.start(shared);
    folder = scratch(shared);
    await pairFolder(shared, service, folder);
    bridge = await runFolder(shared, service, folder);
  });
  after(() => shared.end());

  const take = async match => {
    const event = await bridge.message(match);
    bridge.command('ack', { seq: event.seq });
    return event;
  };
  const answer = async (chat, text) => {
    const message_id = freshId();
    bridge.command('send', { id: message_id, message_id, chat, text });
    await bridge.event('sent', { id: message_id });
    return service.event('received', { message_id });
  };

  test('what the owner writes to others is never a note to self', async () => {
    const elsewhere = [BOT, '13135550002@s.whatsapp.net', '120363000000000009@newsletter', '1700000000@broadcast', 'status@broadcast'];
    for (const recipient of elsewhere) {
      const text = `/platform pause ${recipient}`;
      for (const addressing of ['lid', 'pn']) {
        const { message_id } = await service.command('own_message', { recipient, text, addressing });
        await service.event('ack', { message_id });
        const [receipt] = service.seen('receipt', { message_id });
        if (receipt) assert.deepEqual([receipt.type, receipt.recipient ?? receipt.to], ['sender', recipient]);
        assert.ok(receipt || recipient.endsWith('@newsletter'), recipient);
      }
    }
    await service.command('own_message', { self: true, text: 'a real note' });
    await take({ text: 'a real note' });
    assert.deepEqual(bridge.seen('message').filter(({ text }) => text.startsWith('/platform')), []);
    await answer(OWN, 'and the session is still in step');
  });

  test('what is forwarded says so, and texts of businesses are read', async () => {
    await service.command('message', { from: CONTACT, text: 'not mine', forwarded: true });
    assert.equal((await take({ text: 'not mine' })).forwarded, true);
    const message = { listMessage: { title: 'Menu', sections: [{ rows: [{ title: 'Tea' }] }] } };
    await service.command('message', { from: CONTACT, kind: 'proto', message });
    const list = await take({ text: 'Menu\n- Tea' });
    assert.deepEqual([list.kind, list.forwarded], ['text', false]);
  });

  test('a view-once message is told although it has no content for us', async () => {
    const { message_id } = await service.command('message', { from: CONTACT, unavailable: 'view_once' });
    const event = await take({ id: message_id });
    assert.deepEqual([event.kind, event.text], ['text', '[a view-once message, which opens only on the phone]']);
    await service.event('ack', { message_id });
  });

  test('a correction is a message of its own', async () => {
    const editedMessage = { extendedTextMessage: { text: 'what I meant' } };
    const message = { protocolMessage: { type: 14, key: { id: 'ABC' }, editedMessage } };
    await service.command('message', { from: CONTACT, kind: 'proto', message });
    assert.equal((await take({ text: 'what I meant' })).edits, 'ABC');
  });

  test('a vote, which only the phone can read, is said in the log and is no message', async () => {
    const vote = { pollUpdateMessage: { pollCreationMessageKey: { id: 'ABC' }, vote: { encPayload: Buffer.alloc(16).toString('base64') } } };
    await service.command('message', { from: CONTACT, kind: 'proto', message: vote });
    await service.command('message', { from: CONTACT, text: 'after the vote' });
    await take({ text: 'after the vote' });
    assert.match(bridge.stderr, /info a vote in a poll came, which only the phone can read/);
  });

  test('people in a text are called by name, else by number', async () => {
    const { lid } = await service.command('contact', { number: CONTACT, name: 'Ann' });
    const other = await service.command('contact', { number: '15550003333', name: '' });
    const group = '120363000000000005@g.us';
    await service.command('group_message', { group, from: CONTACT, text: 'I am Ann' });
    await take({ text: 'I am Ann' });
    await service.command('message', { from: '15550003333', text: 'hello from a number' });
    await take({ text: 'hello from a number' });
    const digits = jid => jid.split('@')[0];
    const mentions = [lid, other.lid, '199999999999999@lid'];
    const text = `ask @${digits(lid)}, @${digits(other.lid)} and @199999999999999`;
    await service.command('group_message', { group, from: '15550003333', text, mentions });
    const event = await bridge.message({ chat: group });
    bridge.command('ack', { seq: event.seq });
    assert.equal(event.text, 'ask @Ann, @+15550003333 and @199999999999999');
    assert.deepEqual(event.mentions, mentions);
  });

  test('a number as it is dialled reaches the form in which it is registered', async () => {
    await service.command('contact', { number: '5511912345678', absent: true });
    await service.command('contact', { number: '551112345678', dialled: '5511912345678' });
    assert.equal((await answer('5511912345678', 'ola')).to, '551112345678');
  });

  test('an answer keeps the timer of its chat, also after a restart, and loses it with the chat', async t => {
    await service.command('message', { from: CONTACT, text: 'gone tomorrow', expiration: DAY });
    const { chat, chat_alt } = await take({ text: 'gone tomorrow' });
    assert.equal((await answer(chat, 'mine too')).expiration, DAY);
    assert.equal((await answer(chat_alt, 'by number, too')).expiration, DAY);
    assert.equal(await bridge.stop(), 0);
    bridge = await runFolder(t, service, folder);
    assert.equal((await answer(chat, 'still')).expiration, DAY);
    const off = { protocolMessage: { type: 3, ephemeralExpiration: 0 } };
    await service.command('message', { from: CONTACT, kind: 'proto', message: off });
    await service.command('message', { from: CONTACT, text: 'it stays' });
    await take({ text: 'it stays' });
    assert.equal((await answer(chat, 'for good')).expiration, undefined);
    assert.equal(await bridge.stop(), 0);
  });

  test('a key that cannot be read ends the process before the message is acknowledged, and names the file', async t => {
    bridge = await runFolder(t, service, folder);
    const { lid } = await service.command('contact', { number: '15550004444' });
    const mapping = join(folder, 'session', 'lid-mapping-15550004444.json');
    mkdirSync(mapping);
    const { message_id } = await service.command('message', { from: '15550004444', text: 'do not lose me' });
    const error = await bridge.event('error');
    assert.equal(error.code, 'storage');
    assert.equal(error.message, `${mapping} cannot be read: it is a directory (EISDIR)`);
    assert.equal(await bridge.exited, 22);
    assert.deepEqual(service.seen('ack', { message_id }), []);
    assert.deepEqual(service.seen('receipt', { message_id }), []);
    rmdirSync(mapping);
    bridge = await runFolder(t, service, folder);
    assert.equal((await take({ text: 'do not lose me' })).chat, lid);
    assert.equal(await bridge.stop(), 0);
  });

  test('a key file with rubbish in it heals: the message comes again', async t => {
    const session = join(folder, 'session');
    for (const name of readdirSync(session)) {
      if (/^(session|lid-mapping|device-list)-/.test(name)) writeFileSync(join(session, name), '{"half":');
    }
    bridge = await runFolder(t, service, folder);
    await service.command('message', { from: CONTACT, text: 'all the same' });
    await take({ text: 'all the same' });
    for (const name of readdirSync(session)) {
      if (/^session-.*\.json$/.test(name)) writeFileSync(join(session, name), '{"version":"v1","_sessions":7}');
    }
    await service.command('message', { from: CONTACT, text: 'and of another shape' });
    await take({ text: 'and of another shape' });
    const group = '120363000000000006@g.us';
    await service.command('group_message', { group, from: CONTACT, text: 'first in the group' });
    await take({ text: 'first in the group' });
    for (const name of readdirSync(session)) {
      if (/^sender-key-1.*\.json$/.test(name)) writeFileSync(join(session, name), '{"type":"Buffer","data":""}');
    }
    await service.command('group_message', { group, from: CONTACT, text: 'and in a group' });
    await take({ text: 'and in a group' });
    assert.equal(await bridge.stop(), 0);
  });

  test('credentials whose bytes are lists log in', async t => {
    const path = join(folder, 'session', 'creds.json');
    const whole = readFileSync(path, 'utf8');
    const base64 = (_, value) => (value?.type === 'Buffer' && typeof value.data === 'string' ? Buffer.from(value.data, 'base64') : value);
    const bytes = JSON.parse(whole, (key, value) => {
      const read = base64(key, value);
      return Buffer.isBuffer(read) ? [...read] : read;
    });
    for (const form of [JSON.stringify(JSON.parse(whole, base64)), JSON.stringify(bytes)]) {
      assert.notEqual(form, whole);
      writeFileSync(path, form);
      bridge = await runFolder(t, service, folder);
      await service.command('message', { from: CONTACT, text: form.slice(-9) });
      await take({ text: form.slice(-9) });
      assert.equal(await bridge.stop(), 0);
    }
  });
});
