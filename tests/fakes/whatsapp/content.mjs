// What messages say: building the kinds a contact can send, and reading what a client sent.

import { randomBytes } from 'node:crypto';
import { proto } from './modules.mjs';
import { userJid } from './nodes.mjs';

/** First bytes of real files, so that anything that sniffs types is content. */
const SAMPLES = {
  image: ['image/jpeg', 'ffd8ffe000104a46494600010100000100010000'],
  sticker: ['image/webp', '524946460c000000574542505650384c'],
  video: ['video/mp4', '000000186674797069736f6d0000020069736f6d'],
  audio: ['audio/mpeg', '494433040000000000fffb9064'],
  voice: ['audio/ogg; codecs=opus', '4f67675300020000000000000000'],
  document: ['application/pdf', '255044462d312e340a25'],
};

function file(kind, { data_base64, bytes = 4096 }) {
  if (data_base64 !== undefined) return Buffer.from(data_base64, 'base64');
  const head = Buffer.from(SAMPLES[kind][1], 'hex');
  return bytes <= head.length ? head.subarray(0, bytes) : Buffer.concat([head, randomBytes(bytes - head.length)]);
}

const vcard = ({ name, number }) =>
  `BEGIN:VCARD\nVERSION:3.0\nFN:${name}\nTEL;type=CELL;waid=${number}:+${number}\nEND:VCARD`;

/** Quotes, mentions, a forward and the chat's timer, which every kind but a reaction can carry. */
function context({ quoted, mentions, forwarded, expiration }) {
  if (!quoted && !mentions && !forwarded && !expiration) return undefined;
  return {
    ...(forwarded && { isForwarded: true, forwardingScore: 1 }),
    ...(expiration && { expiration }),
    ...(quoted && {
      stanzaId: quoted.id, participant: quoted.participant, quotedMessage: { conversation: quoted.text ?? '' },
    }),
    ...(mentions && { mentionedJid: mentions }),
  };
}

/**
 * A message of the asked kind: the stanza type, the media type of its encryption, and the protobuf content.
 * `chat` is the chat's identifier as the recipient knows it, for the key inside a reaction.
 */
export function build(fields, media, chat) {
  const { kind = 'text', text = '', mime, file_name, seconds, name } = fields;
  const contextInfo = context(fields);
  const stored = type => ({ mimetype: mime ?? SAMPLES[type][0], contextInfo, ...media.put(type, file(type, fields)) });
  switch (kind) {
    case 'text':
      return {
        type: 'text', message: contextInfo ? { extendedTextMessage: { text, contextInfo } } : { conversation: text },
      };
    case 'image':
      return { type: 'media', mediatype: 'image', message: { imageMessage: { caption: text, ...stored('image') } } };
    case 'video':
      return {
        type: 'media', mediatype: 'video',
        message: { videoMessage: { caption: text, seconds: seconds ?? 3, ...stored('video') } },
      };
    case 'sticker':
      return { type: 'media', mediatype: 'sticker', message: { stickerMessage: stored('sticker') } };
    case 'audio':
    case 'voice':
      return {
        type: 'media', mediatype: kind === 'voice' ? 'ptt' : 'audio',
        message: { audioMessage: { ptt: kind === 'voice', seconds: seconds ?? 3, ...stored(kind) } },
      };
    case 'document': {
      const fileName = file_name ?? 'file.pdf';
      return {
        type: 'media', mediatype: 'document',
        message: { documentMessage: { caption: text, fileName, title: fileName, ...stored('document') } },
      };
    }
    case 'location':
    case 'live_location': {
      const { latitude = 52.52, longitude = 13.405 } = fields;
      const place = { degreesLatitude: latitude, degreesLongitude: longitude, contextInfo };
      const message = kind === 'location'
        ? { locationMessage: { ...place, name, address: fields.address } }
        : { liveLocationMessage: { ...place, caption: text, sequenceNumber: 1 } };
      return { type: 'media', mediatype: kind === 'location' ? 'location' : 'livelocation', message };
    }
    case 'contact': {
      const card = { name: name ?? 'A Contact', number: fields.number ?? '15550009999' };
      return {
        type: 'media', mediatype: 'vcard',
        message: { contactMessage: { displayName: card.name, vcard: vcard(card), contextInfo } },
      };
    }
    case 'reaction': {
      const key = { remoteJid: chat, fromMe: fields.target_from_me ?? true, id: fields.target_id };
      return {
        type: 'reaction',
        message: { reactionMessage: { key, text: fields.emoji ?? '👍', senderTimestampMs: Date.now() } },
      };
    }
    case 'proto':
      return { type: fields.type ?? 'text', message: proto.Message.fromObject(fields.message) };
    default:
      throw new Error(`unknown kind ${kind}`);
  }
}

const READERS = [
  ['conversation', 'text', value => value],
  ['extendedTextMessage', 'text', value => value.text],
  ['imageMessage', 'image', value => value.caption],
  ['videoMessage', 'video', value => value.caption],
  ['audioMessage', 'audio', () => ''],
  ['documentMessage', 'document', value => value.caption],
  ['stickerMessage', 'sticker', () => ''],
  ['locationMessage', 'location', value => value.name],
  ['contactMessage', 'contact', value => value.displayName],
  ['reactionMessage', 'reaction', value => value.text],
  ['protocolMessage', 'protocol', () => ''],
];

/** What a client's message says, or null for one that only carries a sender key. */
export function describe(message) {
  for (const [field, kind, text] of READERS) {
    const value = message[field];
    if (value === undefined || value === null || value === '') continue;
    const info = value.contextInfo;
    return {
      kind, text: text(value) ?? '',
      ...(info?.expiration && { expiration: info.expiration }),
      ...(info?.stanzaId && {
        quoted: {
          id: info.stanzaId, participant: info.participant ?? null,
          text: info.quotedMessage?.conversation ?? info.quotedMessage?.extendedTextMessage?.text ?? '',
        },
      }),
      ...(kind === 'reaction' && { target_id: value.key?.id }),
    };
  }
  return message.senderKeyDistributionMessage ? null : { kind: 'unknown', text: '' };
}

export const chatJid = (peer, addressing) =>
  addressing === 'pn' ? userJid(peer.number, 's.whatsapp.net') : userJid(peer.lid, 'lid');
