/**
 * From a decrypted stanza to the spool.
 *
 * Baileys tells of a message only after its receipt was sent, and sometimes up to 30 s later (its event buffer). So the
 * message is taken at the decryption: the bytes of the stanza's `enc` part are the very object that reaches the cipher,
 * which finds the stanza again. `messages.upsert` stays as a second way for what never passes the cipher, above all
 * messages the phone sends again on request; the spool knows what it has.
 */
import { log } from './console.mjs';
import { VIEW_ONCE, mediaPart, sealedIn } from './content.mjs';
import { Newest, digestOf } from './spool.mjs';
import { cleanAlt, expirationOf, isChat, mentionsOf, plainJid, translate } from './translate.mjs';

const NAMES = 4_096;
const NAME = 60;
const ELSEWHERE = 1_024;

export class Inbox {
  #stanzas = new WeakMap();
  /** What people call themselves, by JID; a group's text mentions them by digits only. */
  #names = new Map();
  /** Ids of the owner's messages whose chat the library takes for the owner's own. */
  #elsewhere = new Newest(ELSEWHERE);
  #session;

  /** `session` gives `baileys`, `auth`, `spool`, `sent` and `fatal`. */
  constructor(session) {
    this.#session = session;
  }

  /** Has to run before Baileys' own listener for the stanza. */
  remember(stanza) {
    if (!Array.isArray(stanza.content)) return;
    for (const child of stanza.content) {
      if (child.tag === 'enc' && child.content instanceof Uint8Array) this.#stanzas.set(child.content, stanza);
    }
  }

  /**
   * Stands in front of the library for stanzas that it does not handle as they are meant. `pass` gives it a stanza.
   *
   * The owner's message to a bot names the bot as its recipient, and the library takes it for a note to self: it is
   * answered here, with the receipt of any message of the owner's. A view-once message comes without content, which the
   * library acknowledges without a word.
   */
  intercept(stanza, socket, pass) {
    if (isUnavailable(stanza)) {
      this.#unavailable(stanza).then(() => pass(stanza));
    } else if (this.#isToBot(stanza)) {
      this.#settle(stanza, socket).catch(error => log('warn', 'a message to a bot was not acknowledged:', error.message));
    } else {
      pass(stanza);
    }
  }

  #isToBot({ attrs }) {
    const { me } = this.#session.auth.creds;
    const own = [plainJid(me?.id), plainJid(me?.lid)];
    return /@bot$/.test(attrs.recipient ?? '') && own.includes(plainJid(attrs.from));
  }

  /** Decrypts, to keep the session in step, and says that it has come. Nothing in it is for us. */
  async #settle(stanza, socket) {
    const { from, id, recipient } = stanza.attrs;
    for (const child of Array.isArray(stanza.content) ? stanza.content : []) {
      if (child.tag !== 'enc' || !['msg', 'pkmsg'].includes(child.attrs.type)) continue;
      const jid = /@lid$/.test(from) ? from : await socket.signalRepository.lidMapping.getLIDForPN(from).catch(() => null);
      await socket.signalRepository
        .decryptMessage({ jid: jid ?? from, type: child.attrs.type, ciphertext: child.content })
        .catch(error => log('debug', 'a message to a bot cannot be decrypted:', error.message));
    }
    await socket.sendNode({ tag: 'receipt', attrs: { id, to: from, recipient, type: 'sender' } });
  }

  async #unavailable(stanza) {
    const { baileys, auth: { creds: { me } } } = this.#session;
    let info;
    try {
      info = baileys.decodeMessageNode(stanza, me.id, me.lid ?? '').fullMessage;
    } catch {
      return;
    }
    info.message = { conversation: VIEW_ONCE };
    await this.#guarded(info, Boolean(stanza.attrs.offline));
  }

  /**
   * Takes a decrypted message. Throws nothing: when the spool cannot take it, the process ends and this never resolves, so
   * that neither the key is stored nor a receipt sent.
   */
  async capture(ciphertext, plaintext) {
    const stanza = this.#stanzas.get(ciphertext);
    if (!stanza) return;
    const { baileys, auth: { creds: { me } } } = this.#session;
    let info;
    try {
      info = baileys.decodeMessageNode(stanza, me.id, me.lid ?? '').fullMessage;
      const decoded = baileys.proto.Message.decode(baileys.unpadRandomMax16(plaintext));
      info.message = decoded.deviceSentMessage?.message ?? decoded;
      baileys.cleanMessage(info, me.id, me.lid ?? '');
      this.#place(info, stanza, decoded.deviceSentMessage?.destinationJid, me);
    } catch (error) {
      log('warn', 'a decrypted message cannot be decoded:', error.message);
      return;
    }
    await this.#guarded(info, Boolean(stanza.attrs.offline));
  }

  /** The owner's messages stand in the chat that the stanza names, and else the copy: a note to self names the owner. */
  #place({ key }, { attrs }, destination, me) {
    const own = [plainJid(me.id), plainJid(me.lid)];
    if (!key.fromMe || !own.includes(plainJid(key.remoteJid))) return;
    const chat = plainJid(attrs.recipient) ?? plainJid(destination);
    if (!chat || own.includes(chat)) return;
    key.remoteJid = chat;
    key.remoteJidAlt = undefined;
    this.#elsewhere.add(key.id);
  }

  /** The second way; see above. */
  async upsert({ messages, type }) {
    for (const info of messages ?? []) {
      if (!info?.message || !info.key || (info.key.fromMe && this.#elsewhere.has(info.key.id))) continue;
      await this.#guarded(info, type === 'append');
    }
  }

  async #guarded(info, offline) {
    try {
      await this.#take(info, offline);
    } catch (error) {
      this.#session.fatal(error);
      await new Promise(() => {});
    }
  }

  async #take(info, offline) {
    const { auth: { creds: { me } }, sent, spool, timers } = this.#session;
    const { key } = info;
    if (key.fromMe && sent.has(key.id)) return;
    if (!isChat(plainJid(key.remoteJid) ?? '')) return;
    const [remoteJidAlt, participantAlt] = await Promise.all([
      this.#otherForm(key.remoteJid, cleanAlt(key.remoteJid, key.remoteJidAlt, me), me),
      this.#otherForm(key.participant, cleanAlt(key.participant, key.participantAlt, me), me),
    ]);
    this.#learn(key, participantAlt ?? remoteJidAlt, info.pushName);
    const event = await this.#translated({
      key: { ...key, remoteJidAlt, participantAlt },
      message: info.message,
      timestamp: info.messageTimestamp,
      pushName: info.pushName,
      offline,
      me,
    });
    const expiration = expirationOf(info.message);
    if (expiration !== null) timers.set([plainJid(key.remoteJid), remoteJidAlt], expiration);
    if (!event) {
      const sealed = sealedIn(info.message);
      if (sealed) log('info', `${sealed} came, which only the phone can read: it is not passed on`);
      return;
    }
    const chat = lidOf(event.chat, event.chat_alt);
    const participant = event.is_group ? lidOf(event.sender, event.sender_alt) : null;
    const digest = digestOf(chat, participant, event.id);
    spool.add(digest, event, this.#mediaBytes(info.message));
  }

  /** A message that our own reading of it fails on is told as one that cannot be shown; it must not come again for ever. */
  async #translated(parts) {
    try {
      return translate({ ...parts, names: await this.#namesIn(parts.message, parts.me) });
    } catch (error) {
      log('error', 'a message could not be translated:', error.name);
      return translate({ ...parts, message: { unreadable: {} } });
    }
  }

  /** Remembers what the writer of a message calls themselves. */
  #learn(key, alt, pushName) {
    const name = String(pushName ?? '').replace(/[\p{C}\p{Z}]+/gu, ' ').trim().slice(0, NAME).toWellFormed();
    if (!name || key.fromMe) return;
    for (const jid of [plainJid(key.participant ?? key.remoteJid), plainJid(alt)]) {
      if (!jid) continue;
      this.#names.delete(jid);
      this.#names.set(jid, name);
      if (this.#names.size > NAMES) this.#names.delete(this.#names.keys().next().value);
    }
  }

  /** How those are called whom a text mentions: by name, else by number. */
  async #namesIn(message, me) {
    const names = new Map();
    const own = [plainJid(me.id), plainJid(me.lid)];
    for (const jid of mentionsOf(message)) {
      const [user, server] = jid.split('@');
      if (own.includes(jid)) {
        names.set(user, me.name || `+${plainJid(me.id).split('@')[0]}`);
        continue;
      }
      const other = await this.#otherForm(jid, null, me);
      const number = server === 'lid' ? other?.split('@')[0] : user;
      const name = this.#names.get(jid) ?? this.#names.get(other) ?? (number && `+${number}`);
      if (name) names.set(user, name);
    }
    return names;
  }

  /** The LID of a number, or the number of a LID, when the message itself does not say but it is known. */
  async #otherForm(jid, alt, me) {
    if (alt || !jid) return plainJid(alt);
    const [, user, server] = /^([^@]+)@(.+)$/.exec(plainJid(jid) ?? '') ?? [];
    const { keys } = this.#session.auth;
    let other = null;
    if (server === 'lid') {
      const number = (await keys.get('lid-mapping', [`${user}_reverse`]))[`${user}_reverse`];
      other = typeof number === 'string' ? `${number}@s.whatsapp.net` : null;
    } else if (server === 's.whatsapp.net') {
      const lid = (await keys.get('lid-mapping', [user]))[user];
      other = typeof lid === 'string' ? `${lid}@lid` : null;
    }
    return cleanAlt(jid, other, me);
  }

  /** What a later download needs, without the thumbnail. */
  #mediaBytes(message) {
    const part = mediaPart(message);
    if (!part?.content.mediaKey?.length) return null;
    const { proto } = this.#session.baileys;
    const { jpegThumbnail, contextInfo, waveform, ...content } = part.content;
    return Buffer.from(proto.Message.encode({ [part.field]: content }).finish()).toString('base64');
  }
}

/** The phone alone gets the content of these. */
function isUnavailable({ content }) {
  const children = Array.isArray(content) ? content : [];
  return !children.some(({ tag }) => tag === 'enc' || tag === 'plaintext')
    && children.some(({ tag, attrs }) => tag === 'unavailable' && /^view_once/.test(attrs.type ?? ''));
}

function lidOf(jid, alt) {
  return alt?.endsWith('@lid') ? alt : jid;
}
