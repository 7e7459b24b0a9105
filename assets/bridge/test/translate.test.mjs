import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proto } from 'baileys';
import { mediaPart } from '../content.mjs';
import { cleanAlt, expirationOf, isChat, isMutedChat, mentionsOf, plainJid, translate } from '../translate.mjs';

const LID = '100000000000002@lid';
const PN = '15550002222@s.whatsapp.net';
const me = { id: '15550001111:3@s.whatsapp.net', lid: '100000000000001:3@lid' };
const key = { remoteJid: LID, remoteJidAlt: PN, fromMe: false, id: 'ABC' };
/** Through the wire format, so that numbers come as Long and absent fields as they do in life. */
const decoded = message => proto.Message.decode(proto.Message.encode(proto.Message.fromObject(message)).finish());
const event = (message, fields = {}) => translate({ key, message: decoded(message), timestamp: 1_700_000_000, me, ...fields });

const media = { mimetype: 'image/jpeg', fileLength: 1234, mediaKey: Buffer.alloc(32), url: 'https://mmg.whatsapp.net/x' };
const KINDS = [
  ['a plain text', { conversation: 'hi' }, { kind: 'text', text: 'hi' }],
  ['an extended text', { extendedTextMessage: { text: 'hi' } }, { kind: 'text', text: 'hi' }],
  ['a picture', { imageMessage: { ...media, caption: 'look' } },
    { kind: 'image', text: 'look', media: { mime: 'image/jpeg', bytes: 1234, file_name: null, seconds: null } }],
  ['a video', { videoMessage: { ...media, mimetype: 'video/mp4', seconds: 9 } }, { kind: 'video', text: '' }],
  ['a round video', { ptvMessage: { ...media, seconds: 9 } }, { kind: 'video' }],
  ['audio', { audioMessage: { ...media, seconds: 7 } }, { kind: 'audio' }],
  ['a voice note', { audioMessage: { ...media, ptt: true, seconds: 7 } }, { kind: 'voice' }],
  ['a document', { documentMessage: { ...media, fileName: '../../etc/passwd' } },
    { kind: 'document', media: { mime: 'image/jpeg', bytes: 1234, file_name: '../../etc/passwd', seconds: null } }],
  ['a document with a caption', { documentWithCaptionMessage: { message: { documentMessage: { ...media, caption: 'c' } } } },
    { kind: 'document', text: 'c' }],
  ['a sticker', { stickerMessage: media }, { kind: 'sticker' }],
  ['a place', { locationMessage: { degreesLatitude: 1.5, degreesLongitude: -2, name: 'Here', address: 'There' } },
    { kind: 'location', location: { latitude: 1.5, longitude: -2, name: 'Here', address: 'There', live: false } }],
  ['a moving place', { liveLocationMessage: { degreesLatitude: 1, degreesLongitude: 2, caption: 'on my way' } },
    { kind: 'location', text: 'on my way', location: { latitude: 1, longitude: 2, name: null, address: null, live: true } }],
  ['a contact', { contactMessage: { displayName: 'Ada', vcard: 'BEGIN:VCARD' } },
    { kind: 'contact', contacts: [{ name: 'Ada', vcard: 'BEGIN:VCARD' }] }],
  ['contacts', { contactsArrayMessage: { contacts: [{ displayName: 'A', vcard: 'a' }, { displayName: 'B', vcard: 'b' }] } },
    { kind: 'contact', contacts: [{ name: 'A', vcard: 'a' }, { name: 'B', vcard: 'b' }] }],
  ['a reaction', { reactionMessage: { key: { id: 'XYZ' }, text: '👍' } },
    { kind: 'reaction', reaction: { id: 'XYZ', emoji: '👍' } }],
  ['a reaction taken back', { reactionMessage: { key: { id: 'XYZ' }, text: '' } },
    { kind: 'reaction', reaction: { id: 'XYZ', emoji: '' } }],
  ['a disappearing text', { ephemeralMessage: { message: { conversation: 'soon gone' } } }, { kind: 'text', text: 'soon gone' }],
  ['a view-once picture', { viewOnceMessageV2: { message: { imageMessage: media } } }, { kind: 'image' }],
  ['a pressed button', { buttonsResponseMessage: { selectedDisplayText: 'Yes' } }, { kind: 'text', text: 'Yes' }],
  ['a list choice', { listResponseMessage: { title: 'Second' } }, { kind: 'text', text: 'Second' }],
  ['a poll', { pollCreationMessage: { name: 'Lunch?' } }, { kind: 'text', text: '[poll Lunch?]' }],
];

for (const [name, message, expected] of KINDS) {
  test(`${name} becomes ${expected.kind}`, () => {
    const result = event(message);
    for (const [field, value] of Object.entries(expected)) assert.deepEqual(result[field], value, field);
    assert.deepEqual(Object.keys(result).sort(), ['chat', 'chat_alt', 'contacts', 'cut_from', 'edits', 'forwarded',
      'from_me', 'id', 'is_group', 'kind',
      'location', 'media', 'mentions', 'offline', 'push_name', 'quoted', 'reaction', 'sender', 'sender_alt', 'text',
      'timestamp_s']);
  });
}

test('what says nothing to a reader is nothing', () => {
  const silent = [
    {}, { messageContextInfo: { messageSecret: Buffer.alloc(32) } }, { protocolMessage: { type: 0 } },
    { senderKeyDistributionMessage: { groupId: 'g' } }, { pollUpdateMessage: {} }, { pinInChatMessage: {} },
    { protocolMessage: { type: 14 } }, { lottieStickerMessage: {} },
    { ephemeralMessage: { message: { protocolMessage: { type: 0 } } } },
  ];
  for (const message of silent) assert.equal(event(message), null, JSON.stringify(message));
  for (const remoteJid of ['status@broadcast', '123@broadcast', '123@newsletter', '0@s.whatsapp.net', '', undefined, 'x',
    '867051314767696@bot', '13135550002@s.whatsapp.net', '13135550002@c.us', '1@call', '1@msgr', '1@interop']) {
    assert.equal(event({ conversation: 'x' }, { key: { ...key, remoteJid } }), null, String(remoteJid));
  }
  assert.equal(event({ conversation: 'x' }, { key: { ...key, id: '' } }), null);
});

test('a text beside a sender key is still a text', () => {
  const result = event({ senderKeyDistributionMessage: { groupId: 'g' }, conversation: 'hi' });
  assert.equal(result.text, 'hi');
});

test('who wrote it, in every addressing', () => {
  const group = '120363000000000001@g.us';
  const rows = [
    [{ ...key }, [LID, PN, LID, PN, false]],
    [{ ...key, remoteJid: PN, remoteJidAlt: LID }, [PN, LID, PN, LID, false]],
    [{ ...key, remoteJid: '15550002222:7@s.whatsapp.net', remoteJidAlt: undefined }, [PN, null, PN, null, false]],
    [{ ...key, fromMe: true }, [LID, PN, '100000000000001@lid', '15550001111@s.whatsapp.net', false]],
    [{ ...key, remoteJid: PN, remoteJidAlt: LID, fromMe: true },
      [PN, LID, '15550001111@s.whatsapp.net', '100000000000001@lid', false]],
    [{ ...key, remoteJid: group, remoteJidAlt: undefined, participant: '100000000000002:4@lid', participantAlt: PN },
      [group, null, LID, PN, true]],
    [{ ...key, remoteJid: group, participant: '100000000000001@lid', fromMe: true },
      [group, null, '100000000000001@lid', '15550001111@s.whatsapp.net', true]],
    [{ ...key, remoteJid: group, participant: PN, participantAlt: undefined }, [group, null, PN, null, true]],
  ];
  for (const [from, expected] of rows) {
    const result = event({ conversation: 'x' }, { key: from });
    assert.deepEqual([result.chat, result.chat_alt, result.sender, result.sender_alt, result.is_group], expected);
    assert.equal(result.from_me, from.fromMe);
  }
  assert.equal(cleanAlt(LID, '15550001111@s.whatsapp.net', me), null);
  assert.equal(cleanAlt('100000000000001@lid', '15550001111@s.whatsapp.net', me), '15550001111@s.whatsapp.net');
  assert.equal(cleanAlt(LID, PN, me), PN);
});

test('quotes and mentions', () => {
  const contextInfo = {
    stanzaId: 'Q1', participant: '100000000000001:3@lid', quotedMessage: { imageMessage: { caption: 'before' } },
    mentionedJid: ['15550001111:2@s.whatsapp.net', 'rubbish', '100000000000001@lid'],
  };
  for (const message of [{ extendedTextMessage: { text: 'x', contextInfo } }, { imageMessage: { ...media, contextInfo } }]) {
    const result = event(message);
    assert.deepEqual(result.quoted, { id: 'Q1', participant: '100000000000001@lid', text: '[image]\nbefore' });
    assert.deepEqual(result.mentions, ['15550001111@s.whatsapp.net', '100000000000001@lid']);
  }
});

test('what is quoted is named, and people in it are', () => {
  const quoting = (quotedMessage, fields) => event({ extendedTextMessage: { text: 'x @5550002222', contextInfo: {
    stanzaId: 'Q', quotedMessage, mentionedJid: ['5550002222@lid'] } } }, fields);
  const rows = [
    [{ imageMessage: media }, '[image]'],
    [{ audioMessage: { ...media, ptt: true } }, '[voice]'],
    [{ documentMessage: { ...media, fileName: 'a.pdf', caption: 'read it' } }, '[document a.pdf]\nread it'],
    [{ viewOnceMessageV2: { message: { videoMessage: media } } }, '[video]'],
    [{ stickerMessage: media }, '[sticker]'],
    [{ locationMessage: { degreesLatitude: 1, degreesLongitude: 2, name: 'Here' } }, '[location 1,2, Here]'],
    [{ contactMessage: { displayName: 'Ada' } }, '[contact Ada]'],
    [{ pollCreationMessageV3: { name: 'Lunch?', options: [{ optionName: 'Yes' }] } }, '[poll Lunch? / Yes]'],
    [{ conversation: 'ask @100000000000003 or @15550003333' }, 'ask @Ann or @15550003333'],
  ];
  const names = new Map([['100000000000003', 'Ann'], ['5550002222', '+15550002222']]);
  for (const [quoted, expected] of rows) assert.equal(quoting(quoted, { names }).quoted.text, expected);
  assert.equal(quoting({ conversation: 'x' }, { names }).text, 'x @+15550002222');
  assert.equal(quoting({ conversation: 'x' }).text, 'x @5550002222', 'who is not known stays as it is');
  assert.deepEqual(mentionsOf(decoded({ extendedTextMessage: { text: 'x', contextInfo: { mentionedJid: ['1555000:2@lid'],
    quotedMessage: { extendedTextMessage: { text: 'y', contextInfo: { mentionedJid: [PN, PN] } } } } } })), ['1555000@lid', PN]);
});

test('what is forwarded is marked', () => {
  const forwarded = contextInfo => event({ extendedTextMessage: { text: '/stop', contextInfo } }).forwarded;
  assert.equal(forwarded({ isForwarded: true, forwardingScore: 1 }), true);
  assert.equal(forwarded({ forwardingScore: 127 }), true);
  assert.equal(forwarded({ forwardedNewsletterMessageInfo: { newsletterName: 'News' } }), true);
  assert.equal(forwarded({}), false);
  assert.equal(event({ imageMessage: { ...media, contextInfo: { isForwarded: true } } }).forwarded, true);
  assert.equal(event({ botForwardedMessage: { message: { conversation: 'x' } } }).forwarded, true);
  assert.equal(event({ ephemeralMessage: { message: { extendedTextMessage: { text: 'x', contextInfo: { isForwarded: true } } } } })
    .forwarded, true);
  assert.equal(event({ conversation: '/stop' }).forwarded, false);
  assert.equal(event({ buttonsResponseMessage: { selectedDisplayText: '/stop' } }).forwarded, true, 'words of whoever made the button');
  assert.equal(event({ listResponseMessage: { title: 'Tea' } }).forwarded, false);
});

test('a command in words that somebody else composed is theirs', () => {
  const composed = [
    { templateMessage: { hydratedTemplate: { hydratedContentText: '/new' } } },
    { highlyStructuredMessage: { hydratedHsm: { hydratedTemplate: { hydratedContentText: '/new' } } } },
    { listMessage: { title: ' /new', sections: [] } },
    { buttonsMessage: { contentText: '/new', buttons: [{ buttonText: { displayText: 'A' } }] } },
    { interactiveMessage: { body: { text: '/new' } } },
    { interactiveMessage: { header: { imageMessage: media }, body: { text: '/new' } } },
    { richResponseMessage: { submessages: [{ messageText: '/new' }] } },
    { ephemeralMessage: { message: { templateMessage: { hydratedTemplate: { hydratedContentText: '/new' } } } } },
  ];
  for (const message of composed) {
    const { text, forwarded } = event(message);
    assert.deepEqual([text.trimStart().split('\n')[0], forwarded], ['/new', true], JSON.stringify(message));
  }
  for (const message of [{ conversation: '/new' }, { extendedTextMessage: { text: '/new' } }, { imageMessage: { ...media, caption: '/new' } },
    { botInvokeMessage: { message: { conversation: '/new' } } }]) {
    assert.equal(event(message).forwarded, false, JSON.stringify(message));
  }
});

test('a correction names the message that it corrects', () => {
  const edit = (key, editedMessage = { conversation: 'now' }) => event({ protocolMessage: { type: 14, key, editedMessage } });
  assert.deepEqual([edit({ id: 'XYZ' }).edits, edit({ id: 'XYZ' }).text], ['XYZ', 'now']);
  assert.equal(edit(undefined).edits, 'ABC', 'itself, where it names none');
  assert.equal(edit({ id: 'XYZ' }, { conversation: '/new' }).forwarded, false);
  assert.equal(event({ editedMessage: { message: { protocolMessage: { type: 14, key: { id: 'XYZ' }, editedMessage: { conversation: 'now' } } } } }).edits, 'XYZ');
  assert.equal(event({ conversation: 'x' }).edits, null);
});

test('a chat tells its timer', () => {
  const of = message => expirationOf(decoded(message));
  assert.equal(of({ extendedTextMessage: { text: 'x', contextInfo: { expiration: 86_400 } } }), 86_400);
  assert.equal(of({ ephemeralMessage: { message: { imageMessage: { ...media, contextInfo: { expiration: 604_800 } } } } }), 604_800);
  assert.equal(of({ protocolMessage: { type: 3, ephemeralExpiration: 7_776_000 } }), 7_776_000);
  assert.equal(of({ protocolMessage: { type: 3, ephemeralExpiration: 0 } }), 0);
  assert.equal(of({ conversation: 'x' }), 0, 'where all stays');
  for (const message of [{ reactionMessage: { text: 'x' } }, { protocolMessage: { type: 0 } }, {}]) assert.equal(of(message), null);
});

test('a hostile message stays within bounds', () => {
  const nested = Array.from({ length: 20 }).reduce(inner => ({ ephemeralMessage: { message: inner } }), { conversation: 'deep' });
  const results = [
    event({ conversation: '\u0000"\\'.repeat(400_000) }),
    event({ contactsArrayMessage: { contacts: Array.from({ length: 5_000 }, () => ({ displayName: 'n'.repeat(5_000), vcard: 'v'.repeat(100_000) })) } }),
    event({ extendedTextMessage: { text: 'x', contextInfo: { mentionedJid: Array.from({ length: 9_000 }, (_, i) => `1555${i}@s.whatsapp.net`), stanzaId: 'q'.repeat(99_999), quotedMessage: { conversation: 'z'.repeat(500_000) } } } }),
    event({ documentMessage: { ...media, fileName: 'f'.repeat(99_999), mimetype: 'm'.repeat(99_999) } }, { pushName: 'p'.repeat(99_999) }),
    event(nested),
    event({ interactiveMessage: { body: { text: 'b'.repeat(400_000) }, nativeFlowMessage: { buttons: Array.from({ length: 5_000 }, () => ({ name: 'x'.repeat(2_000), buttonParamsJson: '{"display_text":7' })) } } }),
    event({ pollCreationMessage: { name: 'n'.repeat(99_999), options: Array.from({ length: 5_000 }, () => ({ optionName: 'o'.repeat(5_000) })) } }),
  ].filter(Boolean);
  assert.deepEqual(results.map(result => result.cut_from > 100_000), [true, false, false, false, true, false]);
  const edits = Array.from({ length: 40 }).reduce(inner => ({ protocolMessage: { type: 14, editedMessage: inner } }), { conversation: 'deep' });
  assert.equal(event(edits), null);
  for (const result of results) assert.ok(Buffer.byteLength(JSON.stringify(result)) < 1024 * 1024 - 100);
  const odd = event({ locationMessage: { degreesLatitude: NaN, degreesLongitude: Infinity } });
  assert.deepEqual([odd.location.latitude, odd.location.longitude], [null, null]);
  assert.equal(event({ conversation: 'half \ud83d' }).text.isWellFormed(), true);
});

test('identifiers', () => {
  const table = { '15550002222:7@s.whatsapp.net': PN, '15550002222@c.us': PN, '15550002222_1:2@hosted': PN,
    '100000000000002:9@hosted.lid': LID, '120363-1@g.us': '120363-1@g.us', 'x': null, '': null };
  for (const [jid, plain] of Object.entries(table)) assert.equal(plainJid(jid), plain, jid);
  assert.ok(isMutedChat('status@broadcast') && isMutedChat('1@newsletter') && !isMutedChat(PN));
  assert.ok(isChat(LID) && isChat(PN) && isChat('120363-1@g.us') && !isChat('1@bot') && !isChat('1@newsletter'));
  assert.equal(mediaPart(decoded({ conversation: 'x' })), null);
  assert.equal(mediaPart(decoded({ viewOnceMessage: { message: { audioMessage: media } } })).kind, 'audio');
});
