/**
 * The life of the socket: opening, watching, and what follows from its end.
 *
 * A closed Baileys socket is dead for good and Baileys never reconnects by itself. A new one is opened here in three
 * cases only: WhatsApp asked for it (515), another protocol version is worth a try (405, once), or the connection broke
 * between the acceptance of a pairing and the restart that follows it. Every other end ends the process.
 */
import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { log } from './console.mjs';
import { holdFrames } from './commit.mjs';
import { Exit, asExit, causeOf, isLocal, reactionTo, statusOf } from './exits.mjs';
import { agentFor } from './proxy.mjs';
import { signalRepository } from './signal.mjs';
import { isMutedChat } from './translate.mjs';

const MAX_RESTARTS = 5;
const RESTART_WINDOW_MS = 60_000;
const SERVER = 's.whatsapp.net';

/** Baileys' messages are constant; their objects may hold stanzas or keys and are left out. */
const quietLogger = {
  level: 'silent',
  trace() {},
  debug() {},
  info() {},
  warn(_, text) { if (typeof text === 'string') log('warn', text); },
  error(_, text) { if (typeof text === 'string') log('error', text); },
  child: () => quietLogger,
};

/**
 * Events: `socket` (a new one), `qr` (payload, number, life in ms, how many there are), `passkey` (a stanza about the passkey that the link needs),
 * `paired` (me), `open`, `synced` (timed out?), `interrupted` (the socket is gone), `end` (an Exit).
 */
export class Connection extends EventEmitter {
  #session;
  #current = null;
  #open = null;
  #attempt = 0;
  #restarts = [];
  #triedVersion = false;
  #paired = false;
  #ended = false;
  #opened = [];

  constructor(session) {
    super();
    this.#session = session;
  }

  /** The open socket, or null. */
  get socket() {
    return this.#open;
  }

  /** Resolves with the socket once it is open. */
  whenOpen() {
    return this.#open ? Promise.resolve(this.#open) : new Promise(resolve => this.#opened.push(resolve));
  }

  async connect() {
    const { baileys, auth, inbox, versions, limits, start, writer, sent } = this.#session;
    const url = start.web_socket_url ?? baileys.DEFAULT_CONNECTION_CONFIG.waWebSocketUrl;
    const agent = await agentFor(url);
    if (this.#ended) return;
    this.#attempt += 1;
    writer.event('connecting', { attempt: this.#attempt, version: versions.current });
    const life = { closed: false, timers: new Set(), qr: 0, codes: 0, passkey: false, wasOpen: false, socket: null };
    this.#current = life;

    const socket = baileys.makeWASocket({
      waWebSocketUrl: url,
      agent,
      version: versions.current,
      auth: { creds: auth.creds, keys: auth.keys },
      logger: quietLogger,
      connectTimeoutMs: limits.connect_ms,
      qrTimeout: qrLives(limits, life),
      markOnlineOnConnect: false,
      syncFullHistory: false,
      shouldSyncHistoryMessage: () => false,
      emitOwnEvents: false,
      enableRecentMessageCache: true,
      generateHighQualityLinkPreview: false,
      shouldIgnoreJid: isMutedChat,
      getMessage: async ({ id }) => {
        const bytes = sent.get(id);
        return bytes && baileys.proto.Message.decode(bytes);
      },
      makeSignalRepository: signalRepository({
        makeRepository: baileys.DEFAULT_CONNECTION_CONFIG.makeSignalRepository,
        keys: auth.keys,
        capture: (ciphertext, plaintext) => inbox.capture(ciphertext, plaintext),
      }),
    });
    life.socket = socket;
    if (typeof socket.ws?.socket?.send !== 'function') throw new Error('this Baileys hides its WebSocket');
    holdFrames(socket.ws.socket, this.#session.committer);
    this.emit('socket', socket);
    this.#listen(life);
    this.#watch(life, limits.connect_ms, 'the connection did not come about in time');
  }

  #listen(life) {
    const { socket } = life;
    const { inbox } = this.#session;
    const emit = socket.ws.emit.bind(socket.ws);
    socket.ws.emit = (name, ...args) => {
      if (name !== 'CB:message') return emit(name, ...args);
      inbox.remember(args[0]);
      inbox.intercept(args[0], socket, stanza => emit(name, stanza));
      return true;
    };
    socket.ws.prependListener('CB:iq,type:set,pair-device', stanza => {
      life.codes = keepCodesOpen(stanza);
    });
    for (const type of ['passkey_prologue_request', 'crsc_continuation']) {
      socket.ws.on(`CB:notification,type:${type}`, node => {
        // The code that was scanned is the last one: another would be scanned in vain.
        life.passkey = true;
        this.emit('passkey', node);
      });
    }
    socket.ws.on('CB:ack,class:message', node => this.emit('ack', node));
    socket.ws.on('CB:receipt', node => this.emit('receipt', node));
    // ws leaves the connection open when anybody listens to this event, as Baileys does: it would wait for ever.
    socket.ws.on('unexpected-response', (_, response) => {
      this.#close(life, response.statusCode, `the WebSocket was refused with HTTP ${response.statusCode}`);
    });
    socket.ev.on('messages.upsert', batch => inbox.upsert(batch));
    socket.ev.on('creds.update', () => {
      this.#session.auth.saveCreds();
      if (life.wasOpen) this.#stayUnavailable(life);
    });
    socket.ev.on('connection.update', update => {
      this.#onUpdate(life, update).catch(error => this.#session.fatal(error));
    });
  }

  async #onUpdate(life, update) {
    if (life.closed) return;
    const { limits } = this.#session;
    if (update.qr && !life.passkey) {
      this.#unwatch(life);
      if (update.qr.includes(`#${NO_REF},`)) {
        this.#close(life, 408, 'QR refs attempts ended', { cause: 'timeout' });
        return;
      }
      life.qr += 1;
      this.emit('qr', update.qr, life.qr, life.qr === 1 ? limits.qr_first_ms : limits.qr_next_ms, life.codes);
    }
    if (update.isNewLogin) {
      this.#paired = true;
      this.#watch(life, limits.connect_ms, 'WhatsApp did not ask for the restart');
      await this.#session.committer.flush();
      this.emit('paired', this.#session.auth.creds.me);
    }
    if (update.connection === 'open') await this.#onOpen(life);
    if (update.receivedPendingNotifications && life.wasOpen) this.#synced(life, false);
    if (update.receivedPendingNotifications) life.drained = true;
    if (update.connection === 'close') {
      const error = update.lastDisconnect?.error;
      const detail = error?.data?.attrs?.type;
      const reason = `${error?.message ?? 'closed'}${detail ? ` (${detail})` : ''}`;
      this.#close(life, statusOf(error), reason, { cause: causeOf(error, life.wasOpen), local: isLocal(error) ? error : null });
    }
  }

  async #onOpen(life) {
    const { versions, limits } = this.#session;
    this.#unwatch(life);
    life.wasOpen = true;
    this.#paired = false;
    this.#open = life.socket;
    this.emit('open', life.socket);
    for (const resolve of this.#opened.splice(0)) resolve(life.socket);
    this.#stayUnavailable(life);
    if (life.drained) this.#synced(life, false);
    else life.drain = this.#after(life, limits.drain_ms, () => this.#synced(life, true));
    this.#probe(life);
    await versions.confirm();
  }

  #synced(life, timedOut) {
    if (life.synced) return;
    life.synced = true;
    clearTimeout(life.drain);
    this.emit('synced', timedOut);
  }

  /**
   * The phone stays quiet while a linked device counts as online, and Baileys announces one with every update of the
   * credentials that has no name. Sent as a plain stanza, since its own function refuses without a name.
   */
  #stayUnavailable(life) {
    clearTimeout(life.presence);
    life.presence = this.#after(life, 100, () => {
      life.socket.sendNode({ tag: 'presence', attrs: { type: 'unavailable' } }).catch(() => {});
    });
  }

  /** A round trip that costs little, so that a half-open connection is seen long before Baileys' 89 s. */
  async #probe(life) {
    const { limits, writer } = this.#session;
    while (!life.closed) {
      const begun = performance.now();
      const answer = await Promise.race([
        life.socket.query({
          tag: 'iq',
          attrs: { to: SERVER, type: 'get', xmlns: 'w:p' },
          content: [{ tag: 'ping', attrs: {} }],
        }, limits.probe_ms).catch(error => (error.data?.tag ? error.data : null)),
        sleep(limits.probe_ms, null, { ref: false }),
      ]);
      if (life.closed) return;
      if (!answer) {
        this.#close(life, 408, 'the probe got no answer', { forced: 'stale_connection' });
        return;
      }
      writer.event('alive', { rtt_ms: Math.round(performance.now() - begun) });
      await sleep(limits.probe_every_ms, null, { ref: false });
    }
  }

  #after(life, ms, action) {
    const timer = setTimeout(() => {
      life.timers.delete(timer);
      if (!life.closed) action();
    }, ms);
    life.timers.add(timer);
    return timer;
  }

  #watch(life, ms, reason) {
    this.#unwatch(life);
    life.watchdog = this.#after(life, ms, () => this.#close(life, 408, reason, { cause: 'timeout' }));
  }

  #unwatch(life) {
    clearTimeout(life.watchdog);
  }

  /** The one place where a socket ends, whoever noticed it. */
  #close(life, status, reason, { cause = null, forced = null, local = null } = {}) {
    if (life.closed) return;
    life.closed = true;
    for (const timer of life.timers) clearTimeout(timer);
    this.#open = null;
    life.socket.ws.socket?.terminate();
    life.socket.end(undefined).catch?.(() => {});
    this.emit('interrupted');
    this.#react(life, status, reason, { cause, forced, local }).catch(error => this.#session.fatal(error));
  }

  async #react(life, status, reason, { cause, forced, local }) {
    if (this.#ended) return;
    if (local) {
      this.emit('end', asExit(local));
      return;
    }
    const { writer, committer, versions } = this.#session;
    const ended = forced ?? reactionTo(status, reason);
    // A link that waited for a passkey cannot go on in another connection.
    const linkBroke = life.passkey && !this.#paired && (ended === 'restart' || ended === 'version');
    const reaction = linkBroke ? 'connection_lost' : ended;
    const pairingBroke = this.#paired && reaction === 'connection_lost';
    if (reaction === 'restart' || pairingBroke) {
      await committer.flush();
      if (this.#mayRestart()) {
        writer.event('restart');
        await this.connect();
        return;
      }
    }
    if (reaction === 'version' && !this.#triedVersion) {
      this.#triedVersion = true;
      if (await versions.next()) {
        await this.connect();
        return;
      }
    }
    if (this.#ended) return;
    writer.event('closed', { code: status, reason: String(reason).slice(0, 200), cause, was_open: life.wasOpen });
    this.emit('end', exitFor(reaction, reason, versions));
  }

  #mayRestart() {
    const now = performance.now();
    this.#restarts = this.#restarts.filter(time => now - time < RESTART_WINDOW_MS);
    this.#restarts.push(now);
    return this.#restarts.length <= MAX_RESTARTS;
  }

  /** Closes for good; nothing follows from it. */
  shutdown() {
    this.#ended = true;
    const life = this.#current;
    if (!life || life.closed) return;
    life.closed = true;
    for (const timer of life.timers) clearTimeout(timer);
    life.socket?.end(undefined).catch?.(() => {});
  }
}

function exitFor(reaction, reason, versions) {
  switch (reaction) {
    case 'version': {
      const hint = versions.overridden ? 'the version is set by hand' : 'no other version is known';
      return new Exit('version_rejected', `WhatsApp refused version ${versions.current.join('.')}; ${hint}`);
    }
    case 'restart': return new Exit('connection_lost', 'WhatsApp keeps asking for a restart');
    default: return new Exit(reaction, String(reason));
  }
}

/** Long enough for every limit of ours, and the longest that a timer takes. */
const FOREVER_MS = 2 ** 31 - 1;

/**
 * The lives of the pairing codes. Baileys has one setting for all of them and hands it to setTimeout unread; an object
 * that becomes a number when it is used gives the first code its longer life, as WhatsApp has it. Once a passkey is asked
 * for, no further code is made.
 */
function qrLives({ qr_first_ms: first, qr_next_ms: next }, life) {
  let used = 0;
  return { [Symbol.toPrimitive]: () => (life.passkey ? FOREVER_MS : (used += 1) === 1 ? first : next) };
}

/** Stands where a reference of WhatsApp's would; no phone scans it. */
const NO_REF = 'none';

/**
 * Baileys ends the connection after the last code, whatever is under way. It is given one more than WhatsApp sent, whose turn
 * means that the codes have run out. Returns how many WhatsApp sent.
 */
function keepCodesOpen(stanza) {
  const list = Array.isArray(stanza.content) ? stanza.content.find(({ tag }) => tag === 'pair-device')?.content : null;
  if (!Array.isArray(list) || !list.length) return 0;
  return list.push({ tag: 'ref', attrs: {}, content: Buffer.from(NO_REF) }) - 1;
}
