/**
 * Sending. Baileys' promise resolves when the stanza was written, which says nothing about its fate; here a message is
 * `sent` when the server's ack has come, refused when the ack carries an error, and otherwise its fate is unknown.
 *
 * One message per chat is in flight at a time, in the order the gateway gave them.
 */
import { log } from './console.mjs';
import { Locks } from './signal.mjs';
import { plainJid } from './translate.mjs';

const MAX_TEXT = 65_536;
const MAX_QUEUE = 1_000;
/** Errors of an ack that another try cannot mend: 463 account restricted or no privacy token, 479 malformed, 4xx. */
const isPermanent = code => code >= 400 && code < 500 && code !== 429;

class SendFailure extends Error {
  constructor(code, message, { certainty = 'not_sent', permanent = false } = {}) {
    super(message);
    Object.assign(this, { code, certainty, permanent });
  }
}

function notConnected(error) {
  throw new SendFailure('not_connected', error.message);
}

/** The JID for what the gateway calls a chat. Digits are a phone number and never a LID. */
export function chatJid(chat) {
  if (/^\d{5,15}$/.test(chat)) return `${chat}@s.whatsapp.net`;
  const jid = plainJid(chat);
  if (jid && /^(\d{5,20}@(s\.whatsapp\.net|lid)|[\d-]{5,60}@g\.us)$/.test(jid)) return jid;
  throw new SendFailure('bad_request', 'the chat is neither a phone number nor a chat identifier', { permanent: true });
}

export class Sender {
  #bridge;
  #locks = new Locks();
  #waiting = new Map();
  #queued = 0;
  #closed = false;
  #running = new Set();

  /** `bridge` gives `writer`, `limits`, `sent`, `spool`, `timers`, `baileys` and `whenOpen()`, which resolves with the open socket. */
  constructor(bridge) {
    this.#bridge = bridge;
  }

  /** Takes a `send` command; the answer is an event. */
  submit(command) {
    const task = this.#submit(command);
    this.#running.add(task);
    task.finally(() => this.#running.delete(task));
  }

  async #submit({ id, chat, message_id, text, quoted }) {
    const { writer } = this.#bridge;
    this.#queued += 1;
    try {
      if (this.#queued > MAX_QUEUE) throw new SendFailure('busy', 'too many messages are waiting');
      if (this.#closed) throw new SendFailure('not_connected', 'the bridge is stopping');
      if (typeof text !== 'string' || !text.length || text.length > MAX_TEXT) {
        throw new SendFailure('bad_request', 'the text is empty or too long', { permanent: true });
      }
      if (!/^[A-Za-z0-9]{8,64}$/.test(message_id ?? '')) {
        throw new SendFailure('bad_request', 'message_id has to be 8 to 64 letters and digits', { permanent: true });
      }
      const jid = chatJid(String(chat));
      const timestamp = await this.#locks.run(jid, () => this.#deliver({ jid, message_id, text, quoted }));
      writer.event('sent', { id, message_id, timestamp_s: timestamp });
    } catch (error) {
      const known = error instanceof SendFailure ? error : new SendFailure('internal', error.message);
      const { code, message, certainty, permanent } = known;
      writer.event('send_failed', { id, message_id, code, message, certainty, permanent });
    } finally {
      this.#queued -= 1;
    }
  }

  async #deliver({ jid, message_id, text, quoted }) {
    if (this.#closed) throw new SendFailure('not_connected', 'the bridge is stopping');
    if (this.#waiting.has(message_id)) throw new SendFailure('bad_request', 'this message_id is being sent already');
    let stage = 'not_sent';
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => {
        const reason = stage === 'not_sent' ? 'not_connected' : 'timeout';
        reject(new SendFailure(reason, 'no answer within the limit', { certainty: stage }));
      }, this.#bridge.limits.send_ms);
    });
    const acknowledged = new Promise((resolve, reject) => {
      this.#waiting.set(message_id, { resolve, reject, stage: () => stage });
    });
    acknowledged.catch(() => {});
    const attempt = async () => {
      const socket = await this.#bridge.whenOpen();
      const to = await this.#known(socket, jid);
      const message = this.#compose(to, { message_id, text, quoted }, socket.user);
      if (stage === 'given_up') return;
      this.#bridge.sent.add(message_id, to, this.#bridge.baileys.proto.Message.encode(message).finish());
      stage = 'maybe_sent';
      await socket.relayMessage(to, message, { messageId: message_id }).catch(error => {
        stage = 'not_sent';
        throw new SendFailure('connection_closed', error.message);
      });
    };
    try {
      return await Promise.race([attempt().then(() => acknowledged), acknowledged, late]);
    } finally {
      stage = 'given_up';
      clearTimeout(timer);
      this.#waiting.delete(message_id);
    }
  }

  /**
   * The chat, when it is a real one: a LID somebody guessed reaches a stranger, and for a number without WhatsApp Baileys
   * would write a stanza that only our own phone can read. A number as it is dialled (with Brazil's ninth digit, say) may be
   * registered in another form, which WhatsApp knows.
   */
  async #known(socket, jid) {
    if (jid.endsWith('@g.us')) return jid;
    const own = [plainJid(socket.user?.id), plainJid(socket.user?.lid)].includes(jid);
    if (own) return jid;
    const { lidMapping, validateSession } = socket.signalRepository;
    const isGuess = async () => jid.endsWith('@lid') && !this.#bridge.spool.heard(jid)
      && !(await lidMapping.getPNForLID(jid)) && !(await validateSession(jid)).exists;
    if (await isGuess()) {
      throw new SendFailure('unknown_recipient', 'nothing was ever received from this LID', { permanent: true });
    }
    if (await this.#hasDevices(socket, jid)) return jid;
    const accounts = jid.endsWith('@lid') ? [] : await socket.onWhatsApp(jid).catch(notConnected);
    if (!accounts) notConnected(new Error('WhatsApp did not tell whose number it is'));
    const [account] = accounts;
    const registered = account?.exists ? plainJid(account.jid) : null;
    if (registered && registered !== jid && await this.#hasDevices(socket, registered)) return registered;
    throw new SendFailure('not_on_whatsapp', 'the number has no WhatsApp account', { permanent: true });
  }

  async #hasDevices(socket, jid) {
    const begun = Date.now();
    const devices = await socket.getUSyncDevices([jid], true, false).catch(notConnected);
    // A query that got no answer looks the same as an empty one.
    if (!devices.length && Date.now() - begun > 5_000) notConnected(new Error('WhatsApp did not tell the devices'));
    return devices.length > 0;
  }

  #compose(jid, { message_id, text, quoted }, me) {
    const { generateWAMessageFromContent, proto } = this.#bridge.baileys;
    const quotedMessage = quoted?.id && {
      key: {
        remoteJid: jid,
        id: String(quoted.id),
        fromMe: Boolean(quoted.from_me),
        participant: plainJid(quoted.participant) ?? undefined,
      },
      message: { conversation: String(quoted.text ?? '') },
    };
    const content = { extendedTextMessage: { text } };
    const options = {
      userJid: me.id,
      messageId: message_id,
      quoted: quotedMessage || undefined,
      // The chat's own timer, without which the answer would stay when all else disappears.
      ephemeralExpiration: this.#bridge.timers.of(jid) || undefined,
    };
    return proto.Message.fromObject(generateWAMessageFromContent(jid, content, options).message);
  }

  /** The server's answer to a stanza: `<ack class="message" id=… [error=…]>`. */
  onAck({ attrs }) {
    const entry = this.#waiting.get(attrs.id);
    const error = attrs.error ? Number(attrs.error) : 0;
    if (entry && !error) {
      entry.resolve(Number(attrs.t) || Math.floor(Date.now() / 1000));
    } else if (entry) {
      entry.reject(new SendFailure(`refused_${error}`, `WhatsApp refused the message (${error})`,
        { permanent: isPermanent(error) }));
    } else if (error && this.#bridge.sent.has(attrs.id)) {
      this.#receipt(attrs.id, attrs.from, 'failed', error);
    }
  }

  /** A receipt of a recipient. One that arrives before the ack proves as much. */
  onReceipt({ attrs, content }) {
    const status = { undefined: 'delivered', read: 'read', played: 'read' }[attrs.type];
    if (!status) return;
    const list = Array.isArray(content) ? content.find(node => node.tag === 'list')?.content : null;
    const more = Array.isArray(list) ? list.map(item => item.attrs?.id) : [];
    for (const id of [attrs.id, ...more]) {
      if (!id || !this.#bridge.sent.has(id)) continue;
      this.#waiting.get(id)?.resolve(Number(attrs.t) || Math.floor(Date.now() / 1000));
      this.#receipt(id, attrs.recipient ?? attrs.from, status, null);
    }
  }

  #receipt(id, chat, status, code) {
    // In a microtask behind the waiting send, so that `sent` is told before its receipt.
    setImmediate(() => this.#bridge.writer.event('receipt', { message_id: id, chat: plainJid(chat), status, code }));
  }

  /** Shows or clears "typing…"; a hint nobody waits for. */
  async typing({ chat, on }) {
    try {
      const socket = this.#bridge.openSocket();
      await socket?.sendPresenceUpdate(on ? 'composing' : 'paused', chatJid(String(chat)));
    } catch (error) {
      log('debug', 'typing was not shown:', error.message);
    }
  }

  /** The socket is gone: whatever was on its way is in doubt. What has not begun waits for the next socket. */
  connectionLost() {
    for (const { reject, stage } of this.#waiting.values()) {
      if (stage() !== 'maybe_sent') continue;
      reject(new SendFailure('connection_closed', 'the connection ended first', { certainty: 'maybe_sent' }));
    }
  }

  /** The process is about to end: everything that waits is told so. */
  async abandon() {
    this.#closed = true;
    for (const { reject, stage } of this.#waiting.values()) {
      reject(new SendFailure('connection_closed', 'the bridge is stopping', { certainty: stage() }));
    }
    await Promise.race([Promise.allSettled([...this.#running]), new Promise(resolve => setTimeout(resolve, 200))]);
  }

  /** Takes no new messages and gives those on their way the time. */
  async finish(limit_ms) {
    this.#closed = true;
    const limit = new Promise(resolve => setTimeout(resolve, limit_ms));
    await Promise.race([Promise.allSettled([...this.#running]), limit]);
  }
}
