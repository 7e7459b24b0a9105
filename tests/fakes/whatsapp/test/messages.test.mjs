import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { lidUser } from '../nodes.mjs';
import { baileys, Client, FakeService, scratch } from './harness.mjs';

const ALICE = '15550002222';
const BOB = '15550003333';
const lid = number => `${lidUser(number)}@lid`;
const pn = number => `${number}@s.whatsapp.net`;

let service;
let client;
let folder;

before(async () => {
  service = await FakeService.start();
  folder = scratch();
  client = new Client(service.url, folder.path);
  await client.pair(service);
});
after(async () => {
  await client.end();
  await service.stop();
  folder.remove();
});

const send = (chat, content, options) => client.sock.sendMessage(chat, content, options);

async function reconnect(options) {
  await client.connect(options);
  await client.open();
  await client.synced();
}

test('a LID has nothing of the number in it and can be computed', async () => {
  const contact = await service.command('contact', { number: ALICE });
  assert.deepEqual([contact.jid, contact.lid], [pn(ALICE), lid(ALICE)]);
  assert.ok(!lid(ALICE).includes(ALICE.slice(1)));
});

test('text arrives in both addressing modes, with the other identifier beside it', async () => {
  const sent = await service.command('message', { from: ALICE, text: 'by lid' });
  const first = await client.text(text => text === 'by lid');
  assert.equal(first.type, 'notify');
  assert.deepEqual([first.key.remoteJid, first.key.remoteJidAlt, first.key.id], [lid(ALICE), pn(ALICE), sent.message_id]);
  assert.equal(first.pushName, 'Contact 2222');
  await service.command('message', { from: BOB, text: 'by number', addressing: 'pn', message_id: '3A00000000000000B0B0' });
  const second = await client.text(text => text === 'by number');
  assert.deepEqual([second.key.remoteJid, second.key.remoteJidAlt], [pn(BOB), lid(BOB)]);
  assert.equal(second.key.id, '3A00000000000000B0B0');
  await service.event('ack', { message_id: sent.message_id, by: 'receipt' });
  await service.event('ack', { message_id: '3A00000000000000B0B0', by: 'receipt' });
});

test('a contact reads what the client sends, and its receipts come back', async () => {
  const { key } = await send(lid(ALICE), { text: 'to a lid' });
  const received = await service.event('received', { message_id: key.id });
  assert.deepEqual(
    [received.to, received.text, received.kind, received.duplicate, received.from_device],
    [ALICE, 'to a lid', 'text', false, client.creds.me.id],
  );
  await service.event('phone_copy', { message_id: key.id });
  await client.statuses.next(each => each.key.id === key.id && each.update.status === 3);
  await service.command('read', { from: ALICE, message_id: key.id });
  await client.statuses.next(each => each.key.id === key.id && each.update.status === 4);
  const other = await send(pn(BOB), { text: 'to a number' });
  await service.event('received', { message_id: other.key.id, to: BOB });
});

test('the same message id sent twice is reported as a duplicate', async () => {
  await send(lid(ALICE), { text: 'twice' }, { messageId: '3EB0000000000000000001' });
  await service.event('received', { message_id: '3EB0000000000000000001', duplicate: false });
  await send(lid(ALICE), { text: 'twice' }, { messageId: '3EB0000000000000000001' });
  await service.event('received', { message_id: '3EB0000000000000000001', duplicate: true });
});

test('a quoted reply is told apart in both directions', async () => {
  const { message_id } = await service.command('message', { from: ALICE, text: 'question' });
  const question = await client.text(text => text === 'question');
  const { key } = await send(lid(ALICE), { text: 'answer' }, { quoted: question });
  const received = await service.event('received', { message_id: key.id });
  assert.deepEqual([received.quoted.id, received.quoted.text], [message_id, 'question']);
  const quoted = { id: key.id, participant: client.creds.me.lid, text: 'answer' };
  await service.command('message', { from: ALICE, text: 'thanks', quoted });
  const thanks = await client.text(text => text === 'thanks');
  assert.equal(thanks.message.extendedTextMessage.contextInfo.stanzaId, key.id);
});

test('media can be downloaded and decrypted', async () => {
  const body = Buffer.from('the very bytes of the file');
  for (const kind of ['image', 'audio', 'voice', 'video', 'document', 'sticker']) {
    const data_base64 = body.toString('base64');
    const { message_id } = await service.command('message', { from: ALICE, kind, text: `a ${kind}`, data_base64 });
    const message = await client.messages.next(each => each.key.id === message_id);
    assert.deepEqual(await baileys.downloadMediaMessage(message, 'buffer', {}), body, kind);
  }
  const { message_id } = await service.command('message', { from: ALICE, kind: 'image', bytes: 300_000 });
  const image = await client.messages.next(each => each.key.id === message_id);
  assert.equal((await baileys.downloadMediaMessage(image, 'buffer', {})).length, 300_000);
  await service.command('fault', { name: 'media', status: 410, times: 1 });
  await assert.rejects(baileys.downloadMediaMessage(image, 'buffer', {}), error => error.output.statusCode === 410);
});

test('locations, contacts and reactions arrive as such', async () => {
  await service.command('message', { from: ALICE, kind: 'location', name: 'Here', latitude: 1.5, longitude: 2.5 });
  const place = await client.messages.next(each => each.message?.locationMessage);
  assert.deepEqual([place.message.locationMessage.degreesLatitude, place.message.locationMessage.name], [1.5, 'Here']);
  await service.command('message', { from: ALICE, kind: 'contact', name: 'Carol', number: '15550004444' });
  const card = await client.messages.next(each => each.message?.contactMessage);
  assert.match(card.message.contactMessage.vcard, /waid=15550004444/);
  const { key } = await send(lid(ALICE), { text: 'react to this' });
  await service.command('message', { from: ALICE, kind: 'reaction', target_id: key.id, emoji: '🎉' });
  const reaction = await client.messages.next(each => each.message?.reactionMessage);
  assert.deepEqual([reaction.message.reactionMessage.text, reaction.message.reactionMessage.key.id], ['🎉', key.id]);
});

test('what the owner types on the phone arrives as fromMe, and a note to self can be answered', async () => {
  await service.command('own_message', { to: ALICE, text: 'typed on the phone' });
  const typed = await client.text(text => text === 'typed on the phone');
  assert.deepEqual([typed.key.fromMe, typed.key.remoteJid, typed.key.remoteJidAlt], [true, lid(ALICE), pn(ALICE)]);
  await service.command('own_message', { self: true, text: 'note' });
  const note = await client.text(text => text === 'note');
  assert.deepEqual([note.key.fromMe, note.key.remoteJid], [true, lid('15550001111')]);
  const { key } = await send(note.key.remoteJid, { text: 'noted' });
  assert.equal((await service.event('received', { message_id: key.id })).to, '15550001111');
});

test('groups carry messages both ways', async () => {
  const { group } = await service.command('group', { group: '120363000000000001', subject: 'Team', members: [ALICE, BOB] });
  await service.command('group_message', { group, from: ALICE, text: 'hello group' });
  const first = await client.text(text => text === 'hello group');
  assert.deepEqual([first.key.remoteJid, first.key.participant, first.key.participantAlt], [group, lid(ALICE), pn(ALICE)]);
  await service.command('group_message', { group, from: ALICE, text: 'again' });
  await client.text(text => text === 'again');
  const { key } = await send(group, { text: 'hello members' });
  for (const to of [ALICE, BOB]) {
    const received = await service.event('received', { message_id: key.id, to });
    assert.deepEqual([received.group, received.text], [group, 'hello members']);
  }
  const next = await send(group, { text: 'second' });
  await service.event('received', { message_id: next.key.id, to: BOB });
  assert.deepEqual(service.seen('undecryptable'), []);
});

test('unreadable messages are healed by retry receipts in both directions', async () => {
  await service.command('fault', { name: 'garble', times: 1 });
  const { message_id } = await service.command('message', { from: ALICE, text: 'garbled at first' });
  await client.text(text => text === 'garbled at first');
  await service.event('retry_request', { message_id, known: true });
  await service.command('fault', { name: 'unreadable', to: ALICE, times: 1 });
  const { key } = await send(lid(ALICE), { text: 'unreadable at first' });
  await service.event('undecryptable', { message_id: key.id });
  await service.event('received', { message_id: key.id, duplicate: false });
});

test('typing and presence are reported', async () => {
  await client.sock.sendPresenceUpdate('composing', lid(ALICE));
  await service.event('presence', { type: 'composing', to: lid(ALICE) });
  await client.sock.sendPresenceUpdate('paused', lid(ALICE));
  await service.event('presence', { type: 'paused' });
});

test('messages sent while the device is away come at the next login, in order', async () => {
  const [{ n }] = (await service.state()).connections;
  await client.end();
  await service.event('disconnected', { n });
  for (const text of ['first', 'second', 'third']) await service.command('message', { from: ALICE, text: `away ${text}` });
  const { queued } = (await service.state()).devices[0];
  assert.equal(queued.filter(({ tag }) => tag === 'message').length, 3);
  await client.connect();
  await client.open();
  const seen = [];
  for (let n = 0; n < 3; n++) seen.push(await client.text(text => text.startsWith('away ')));
  assert.deepEqual(seen.map(each => each.message.conversation), ['away first', 'away second', 'away third']);
  assert.deepEqual(seen.map(each => each.type), ['append', 'append', 'append']);
  for (const { key } of seen) await service.event('ack', { message_id: key.id, deliveries: 1 });
});

test('an unacknowledged message is delivered again, and counted', async () => {
  const before = (await service.state()).devices[0].redeliveries;
  // A client that goes down with the message in its hands: the stanza is sent, nothing is acknowledged.
  await service.command('fault', { name: 'silence' });
  const { message_id } = await service.command('message', { from: ALICE, text: 'into the void' });
  await service.command('heal');
  await client.closed();
  await reconnect();
  const late = await client.text(text => text === 'into the void');
  assert.equal(late.type, 'append');
  await service.event('ack', { message_id, deliveries: 2 });
  const [device] = (await service.state()).devices;
  assert.deepEqual([device.redeliveries - before, device.queued.length], [1, 0]);
});

test('a message whose receipt was lost comes again, and the client shows it a second time', async () => {
  await service.command('fault', { name: 'lose_receipts' });
  const { message_id } = await service.command('message', { from: ALICE, text: 'receipt lost' });
  await client.text(text => text === 'receipt lost');
  const [{ n }] = (await service.state()).connections;
  await client.end();
  await service.event('disconnected', { n });
  await service.command('heal');
  await reconnect();
  // The session has moved on, so the same ciphertext is unreadable: a retry receipt brings the text once more.
  await service.event('retry_request', { message_id, known: true });
  const again = await client.text(text => text === 'receipt lost');
  assert.deepEqual([again.key.id, again.type], [message_id, 'notify']);
  await service.event('ack', { message_id, by: 'receipt' });
});

test('a burst of 200 messages is served in one go', async () => {
  const start = performance.now();
  const { message_ids } = await service.command('burst', { from: [ALICE, BOB], count: 200, prefix: 'flood' });
  const served = performance.now() - start;
  assert.equal(new Set(message_ids).size, 200);
  for (let n = 1; n <= 200; n++) await client.text(text => text === `flood ${n}`);
  assert.ok(served < 4000, `the service took ${served} ms`);
});

test('state tells everything that was received', async () => {
  const { contacts, queries } = await service.state();
  const alice = contacts.find(({ number }) => number === ALICE);
  assert.ok(alice.received.some(({ text }) => text === 'to a lid'));
  assert.ok(queries.usync > 0);
  assert.equal(alice.received.filter(({ duplicate }) => duplicate).length, 1);
});
