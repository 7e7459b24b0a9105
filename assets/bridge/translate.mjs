/**
 * From a decrypted WhatsApp message to the `message` event of the protocol. Pure: no clock, no network, no state.
 *
 * Everything in a message was written by a stranger. Texts are cut to bounds that keep the event well below the longest
 * line, numbers are made finite, and a kind we do not know becomes `unsupported` rather than nothing.
 */

const TEXT = 100_000;
const SHORT = 1_000;
const QUOTED = 4_000;
const VCARD = 32_000;
const CONTACTS = 8;
const MENTIONS = 256;
/** Wrappers that only carry another message; five deep is more than any client makes. */
const WRAPPERS = ['ephemeralMessage', 'viewOnceMessage', 'viewOnceMessageV2', 'viewOnceMessageV2Extension',
  'documentWithCaptionMessage', 'associatedChildMessage', 'groupStatusMessage', 'groupStatusMessageV2'];
/** Parts of a message that carry no content for a reader. */
const SILENT = new Set(['senderKeyDistributionMessage', 'fastRatchetKeySenderKeyDistributionMessage',
  'messageContextInfo', 'protocolMessage', 'editedMessage', 'keepInChatMessage', 'pinInChatMessage',
  'pollUpdateMessage', 'encReactionMessage', 'encCommentMessage', 'encEventResponseMessage', 'secretEncryptedMessage',
  'deviceSentMessage', 'stickerSyncRmrMessage', 'call', 'chat', 'botInvokeMessage', 'placeholderMessage',
  'statusMentionMessage', 'messageHistoryBundle', 'messageHistoryNotice', 'albumMessage']);
const MEDIA = { imageMessage: 'image', videoMessage: 'video', ptvMessage: 'video', audioMessage: 'audio',
  documentMessage: 'document', stickerMessage: 'sticker' };

const text = (value, limit = TEXT) => (typeof value === 'string' ? value.slice(0, limit).toWellFormed() : '');
/** A text that people wrote, and how many bytes it had when that is only its beginning. */
const written = value => {
  const cut = typeof value === 'string' && value.length > TEXT;
  return { text: text(value), ...(cut && { cut_from: Buffer.byteLength(value) }) };
};
const orNull = (value, limit = SHORT) => text(value, limit) || null;

/** Numbers arrive as numbers, strings or Long objects. */
export function number(value) {
  const result = typeof value === 'object' && value !== null ? Number(value.toString()) : Number(value ?? NaN);
  return Number.isFinite(result) ? result : null;
}

/** Takes off the wrappers of disappearing, view-once and captioned messages. */
export function unwrap(message) {
  let inner = message;
  for (let depth = 0; depth < 5 && inner; depth += 1) {
    const wrapper = WRAPPERS.find(name => inner[name]?.message);
    if (!wrapper) break;
    inner = inner[wrapper].message;
  }
  return inner ?? {};
}

/** The name and content of the part that matters, or null when there is nothing for a reader. */
function contentOf(message) {
  for (const [name, content] of Object.entries(message)) {
    if (content !== null && content !== undefined && !SILENT.has(name)) return { name, content };
  }
  return null;
}

/** The media part of a message, with the key WhatsApp derives for its kind, or null. */
export function mediaPart(message) {
  const found = contentOf(unwrap(message));
  if (!found || !(found.name in MEDIA)) return null;
  return { kind: MEDIA[found.name], content: found.content };
}

/** A JID without its device or agent part; null when it is not one. */
export function plainJid(jid) {
  const match = /^([^@:_]+)(?:_\d+)?(?::\d+)?@(.+)$/.exec(jid ?? '');
  if (!match) return null;
  const server = { 'c.us': 's.whatsapp.net', hosted: 's.whatsapp.net', 'hosted.lid': 'lid' }[match[2]] ?? match[2];
  return `${match[1]}@${server}`;
}

const sameUser = (a, b) => Boolean(a) && plainJid(a) === plainJid(b);

/** Chats that are never events: status, broadcast lists, channels and WhatsApp's own announcements. */
export function isMutedChat(jid) {
  return /@(broadcast|newsletter)$/.test(jid ?? '') || /^0@/.test(jid ?? '');
}

function bodyOf({ name, content }) {
  switch (name) {
    case 'conversation':
      return { kind: 'text', ...written(content) };
    case 'extendedTextMessage':
      return { kind: 'text', ...written(content.text) };
    case 'imageMessage': case 'videoMessage': case 'ptvMessage': case 'audioMessage': case 'documentMessage':
    case 'stickerMessage':
      return mediaBody(MEDIA[name], content);
    case 'locationMessage': case 'liveLocationMessage':
      return locationBody(content, name === 'liveLocationMessage' || content.isLive === true);
    case 'contactMessage':
      return { kind: 'contact', text: text(content.displayName, SHORT), contacts: [contact(content)] };
    case 'contactsArrayMessage':
      return { kind: 'contact', text: text(content.displayName, SHORT),
        contacts: (content.contacts ?? []).slice(0, CONTACTS).map(contact) };
    case 'reactionMessage':
      return { kind: 'reaction', text: '',
        reaction: { id: text(content.key?.id, SHORT), emoji: text(content.text, 64) } };
    case 'buttonsResponseMessage':
      return { kind: 'text', text: text(content.selectedDisplayText) };
    case 'templateButtonReplyMessage':
      return { kind: 'text', text: text(content.selectedDisplayText) };
    case 'listResponseMessage':
      return { kind: 'text', text: text(content.title) };
    case 'interactiveResponseMessage':
      return { kind: 'text', text: text(content.body?.text) };
    default:
      return { kind: 'unsupported', text: '' };
  }
}

function mediaBody(kind, content) {
  return {
    kind: kind === 'audio' && content.ptt ? 'voice' : kind,
    ...written(content.caption),
    media: {
      mime: orNull(content.mimetype, 200),
      bytes: number(content.fileLength),
      file_name: orNull(content.fileName ?? content.title, 255),
      seconds: number(content.seconds),
    },
  };
}

function locationBody(content, live) {
  return {
    kind: 'location',
    text: text(content.caption ?? content.comment),
    location: {
      latitude: number(content.degreesLatitude),
      longitude: number(content.degreesLongitude),
      name: orNull(content.name),
      address: orNull(content.address),
      live,
    },
  };
}

const contact = entry => ({ name: text(entry.displayName, SHORT), vcard: text(entry.vcard, VCARD) });

function contextOf(content) {
  return typeof content === 'object' ? content.contextInfo ?? null : null;
}

function quotedOf(context) {
  if (!context?.stanzaId) return null;
  const found = contentOf(unwrap(context.quotedMessage));
  return {
    id: text(context.stanzaId, SHORT),
    participant: plainJid(context.participant),
    text: found ? bodyOf(found).text.slice(0, QUOTED) : '',
  };
}

/**
 * The event, or null when the message holds nothing for a reader.
 *
 * `message` is a decoded proto.Message; `key` has remoteJid, remoteJidAlt, participant, participantAlt, fromMe and id;
 * `me` has id and lid. The answer has neither `seq` nor the envelope.
 */
export function translate({ key, message, timestamp, pushName, offline, me }) {
  const chat = plainJid(key.remoteJid);
  if (!chat || !key.id || isMutedChat(chat)) return null;
  const found = contentOf(unwrap(message));
  if (!found) return null;

  const isGroup = chat.endsWith('@g.us');
  const context = contextOf(found.content);
  const chatAlt = isGroup ? null : plainJid(key.remoteJidAlt);
  const senders = sendersOf({ key, chat, chatAlt, isGroup, me });
  return {
    id: text(key.id, SHORT),
    chat,
    chat_alt: chatAlt,
    ...senders,
    from_me: Boolean(key.fromMe),
    is_group: isGroup,
    push_name: orNull(pushName, 200),
    timestamp_s: number(timestamp),
    offline: Boolean(offline),
    mentions: (context?.mentionedJid ?? []).slice(0, MENTIONS).map(plainJid).filter(Boolean),
    text: '',
    cut_from: null,
    media: null,
    location: null,
    contacts: null,
    reaction: null,
    ...bodyOf(found),
    quoted: quotedOf(context),
  };
}

function sendersOf({ key, chat, chatAlt, isGroup, me }) {
  if (key.fromMe) {
    const own = [plainJid(me.lid), plainJid(me.id)];
    const lidFirst = isGroup ? /@lid$/.test(key.participant ?? '') : chat.endsWith('@lid');
    const [sender, alt] = lidFirst ? own : own.reverse();
    return { sender: sender ?? alt, sender_alt: sender ? alt : null };
  }
  if (isGroup) return { sender: plainJid(key.participant), sender_alt: plainJid(key.participantAlt) };
  return { sender: chat, sender_alt: chatAlt };
}

/** The account's own JIDs are never the other form of somebody else's chat; the stanza of an own message may claim so. */
export function cleanAlt(jid, alt, me) {
  const ownAlt = sameUser(alt, me.id) || sameUser(alt, me.lid);
  const ownChat = sameUser(jid, me.id) || sameUser(jid, me.lid);
  return ownAlt && !ownChat ? null : alt ?? null;
}
