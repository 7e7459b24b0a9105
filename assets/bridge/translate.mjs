/**
 * From a decrypted WhatsApp message to the `message` event of the protocol. Pure: no clock, no network, no state.
 *
 * Everything in a message was written by a stranger. Texts are cut to bounds that keep the event well below the longest
 * line, numbers are made finite, and a kind we do not know becomes `unsupported` rather than nothing.
 */

import { MEDIA, bodyOf, contentOf, inBrackets, innermost, number, orNull, text, unwrap } from './content.mjs';

const SHORT = 1_000;
const QUOTED = 4_000;
const MENTIONS = 256;
const EPHEMERAL_SETTING = 3;
/** What a person types. The words of anything else (a template, a button, a list) are its maker's, so they are not a command. */
const TYPED = new Set(['conversation', 'extendedTextMessage', ...Object.keys(MEDIA)]);
/** Meta's bots also have numbers, all of this form. */
const BOT_NUMBER = /^(1313555\d{4}|131655500\d{2})(:\d+)?@/;

/** A JID without its device or agent part; null when it is not one. */
export function plainJid(jid) {
  const match = /^([^@:_]+)(?:_\d+)?(?::\d+)?@(.+)$/.exec(jid ?? '');
  if (!match) return null;
  const server = { 'c.us': 's.whatsapp.net', hosted: 's.whatsapp.net', 'hosted.lid': 'lid' }[match[2]] ?? match[2];
  return `${match[1]}@${server}`;
}

const sameUser = (a, b) => Boolean(a) && plainJid(a) === plainJid(b);

/** Whose messages the library need not even decrypt: status, broadcast lists, channels, WhatsApp's own announcements. */
export function isMutedChat(jid) {
  return /@(broadcast|newsletter)$/.test(jid ?? '') || /^0@/.test(jid ?? '');
}

/** People and groups are chats; what else the owner writes to (bots, calls, a server of a later WhatsApp) is never an event. */
export function isChat(jid) {
  return /@(s\.whatsapp\.net|lid|g\.us)$/.test(jid) && !isMutedChat(jid) && !BOT_NUMBER.test(jid);
}

/** What is quoted, named where it is no text. */
function quotedOf(context, named) {
  if (!context?.stanzaId) return null;
  const found = contentOf(unwrap(context.quotedMessage));
  return {
    id: text(context.stanzaId, SHORT),
    participant: plainJid(context.participant),
    text: found ? named(inBrackets(bodyOf(found))).slice(0, QUOTED).toWellFormed() : '',
  };
}

/** Text, mentions and quote come with what the message is about; a forward is not its sender's own words. */
function contextOf(found) {
  const { content } = innermost(found);
  return (typeof content === 'object' && content.contextInfo) || null;
}

/** How long messages stay in the chat, in seconds; 0 for ever; null when the message does not say. */
export function expirationOf(message) {
  const inner = unwrap(message);
  const { protocolMessage: setting } = inner;
  if (setting?.type === EPHEMERAL_SETTING) return number(setting.ephemeralExpiration) ?? 0;
  const found = contentOf(inner);
  if (!found || found.name === 'protocolMessage' || found.name === 'reactionMessage') return null;
  return number(contextOf(found)?.expiration) ?? 0;
}

/** The accounts that a message or what it quotes may mention in its text. */
export function mentionsOf(message) {
  const found = contentOf(unwrap(message));
  const context = found && contextOf(found);
  const quoted = context?.quotedMessage && contentOf(unwrap(context.quotedMessage));
  const jids = [...context?.mentionedJid ?? [], ...(quoted && contextOf(quoted)?.mentionedJid) ?? []];
  return [...new Set(jids.slice(0, MENTIONS).map(plainJid).filter(Boolean))];
}

/** Puts names where a text mentions people by what is before the `@` of their JID. */
function naming(names) {
  return written => written.replace(/@(\d{5,20})(?!\d)/g, (whole, user) => (names?.has(user) ? `@${names.get(user)}` : whole));
}

/**
 * The event, or null when the message holds nothing for a reader.
 *
 * `message` is a decoded proto.Message; `key` has remoteJid, remoteJidAlt, participant, participantAlt, fromMe and id;
 * `me` has id and lid; `names` says who is mentioned by which digits. The answer has neither `seq` nor the envelope.
 */
export function translate({ key, message, timestamp, pushName, offline, me, names }) {
  const chat = plainJid(key.remoteJid);
  if (!chat || !key.id || !isChat(chat)) return null;
  const found = contentOf(unwrap(message));
  if (!found) return null;

  const isGroup = chat.endsWith('@g.us');
  const context = contextOf(found);
  const named = naming(names);
  const body = bodyOf(found);
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
    ...body,
    text: named(body.text),
    forwarded: isForwarded(message, context)
      || (!TYPED.has(innermost(found).name) && body.text.trimStart().startsWith('/')),
    // Of contents of this name only corrections come so far.
    edits: found.name === 'protocolMessage' ? text(found.content.key?.id || key.id, SHORT) : null,
    quoted: quotedOf(context, named),
  };
}

/** Somebody else's words: forwarded from another chat, from a channel, or from an answer of a bot. */
function isForwarded(message, context) {
  return Boolean(context?.isForwarded || number(context?.forwardingScore) > 0 || context?.forwardedNewsletterMessageInfo
    || context?.forwardedAiBotMessageInfo || message?.botForwardedMessage);
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
