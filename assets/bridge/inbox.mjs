/**
 * From a decrypted stanza to the spool.
 *
 * Baileys tells of a message only after its receipt was sent, and sometimes up to 30 s later (its event buffer). So the
 * message is taken at the decryption: the bytes of the stanza's `enc` part are the very object that reaches the cipher,
 * which finds the stanza again. `messages.upsert` stays as a second way for what never passes the cipher, above all
 * messages the phone sends again on request; the spool knows what it has.
 */
import { log } from './console.mjs';
import { digestOf } from './spool.mjs';
import { cleanAlt, mediaPart, plainJid, translate, unwrap } from './translate.mjs';

export class Inbox {
  #stanzas = new WeakMap();
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
    } catch (error) {
      log('warn', 'a decrypted message cannot be decoded:', error.message);
      return;
    }
    await this.#guarded(info, Boolean(stanza.attrs.offline));
  }

  /** The second way; see above. */
  async upsert({ messages, type }) {
    for (const info of messages ?? []) {
      if (info?.message && info.key) await this.#guarded(info, type === 'append');
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
    const { auth: { creds: { me } }, sent, spool } = this.#session;
    const { key } = info;
    if (key.fromMe && sent.has(key.id)) return;
    const [remoteJidAlt, participantAlt] = await Promise.all([
      this.#otherForm(key.remoteJid, cleanAlt(key.remoteJid, key.remoteJidAlt, me), me),
      this.#otherForm(key.participant, cleanAlt(key.participant, key.participantAlt, me), me),
    ]);
    const event = translate({
      key: { ...key, remoteJidAlt, participantAlt },
      message: info.message,
      timestamp: info.messageTimestamp,
      pushName: info.pushName,
      offline,
      me,
    });
    if (!event) return;
    const chat = lidOf(event.chat, event.chat_alt);
    const participant = event.is_group ? lidOf(event.sender, event.sender_alt) : null;
    const digest = digestOf(chat, participant, event.id);
    spool.add(digest, event, this.#mediaBytes(info.message));
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
    const inner = unwrap(message);
    const name = Object.keys(inner).find(field => inner[field] === part.content);
    const { jpegThumbnail, contextInfo, waveform, ...content } = part.content;
    return Buffer.from(proto.Message.encode({ [name]: content }).finish()).toString('base64');
  }
}

function lidOf(jid, alt) {
  return alt?.endsWith('@lid') ? alt : jid;
}
