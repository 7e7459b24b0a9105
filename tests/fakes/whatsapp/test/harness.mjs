// A service process and a minimal client: the real Baileys, unmodified, with its own multi-file auth state.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';

// libsignal prints whole session records; test output must not hold them.
for (const method of ['log', 'info', 'warn', 'error']) console[method] = () => {};

// Baileys leaves timers of 30 to 60 s behind when a socket ends; they must not keep the test process alive. While a
// service runs, its pipes do.
const { setTimeout: startTimer } = globalThis;
globalThis.setTimeout = (...args) => startTimer(...args).unref();

const here = dirname(fileURLToPath(import.meta.url));
export const fixture = resolve(here, '..');
export const modules = process.env.HERMES_FAKE_MODULES ?? resolve(fixture, '../../../assets/bridge');
process.env.HERMES_FAKE_MODULES = modules;
await import('../trust.mjs');
const requireModule = createRequire(join(resolve(modules), 'any.js'));
export const baileys = await import(pathToFileURL(requireModule.resolve('baileys')).href);

const silent = { level: 'silent', child: () => silent, trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const DEADLINE_MS = 8000;

/** A list that one can wait on: `next(match)` takes the first entry that matches, present or to come. */
export class Inbox {
  #entries = [];
  #waiters = [];

  push(entry) {
    const at = this.#waiters.findIndex(({ match }) => match(entry));
    if (at < 0) this.#entries.push(entry);
    else this.#waiters.splice(at, 1)[0].done(entry);
  }

  next(match, what = match.toString(), deadline = DEADLINE_MS) {
    const at = this.#entries.findIndex(match);
    if (at >= 0) return Promise.resolve(this.#entries.splice(at, 1)[0]);
    return new Promise((done, failed) => {
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter(each => each !== waiter);
        const seen = JSON.stringify(this.#entries.slice(-12)).slice(0, 2000);
        failed(new Error(`did not happen in ${deadline} ms: ${what}\nseen: ${seen}`));
      }, deadline);
      const waiter = { match, done: entry => (clearTimeout(timer), done(entry)) };
      this.#waiters.push(waiter);
    });
  }

  /** Entries nobody has asked for. */
  get left() {
    return this.#entries;
  }
}

export class FakeService {
  #child;
  #events = new Inbox();
  #id = 0;

  static async start(...options) {
    const service = new FakeService();
    service.#child = spawn(process.execPath, [join(fixture, 'main.mjs'), '--modules', modules, ...options], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    createInterface({ input: service.#child.stdout }).on('line', line => service.#events.push(JSON.parse(line)));
    service.ended = new Promise(done => service.#child.once('exit', done));
    const { url, media_url } = await service.event('listening');
    return Object.assign(service, { url, media_url });
  }

  /** The first event of that name whose fields have these values, seen before or still to come. */
  event(name, fields = {}, deadline) {
    const match = entry => entry.event === name && Object.entries(fields).every(([key, value]) => entry[key] === value);
    return this.#events.next(match, `${name} ${JSON.stringify(fields)}`, deadline);
  }

  seen(name) {
    return this.#events.left.filter(({ event }) => event === name);
  }

  async command(cmd, fields = {}) {
    const id = ++this.#id;
    this.#child.stdin.write(`${JSON.stringify({ cmd, id, ...fields })}\n`);
    const answer = await this.#events.next(entry => entry.id === id && ['ok', 'failed'].includes(entry.event), cmd);
    if (answer.event === 'failed') throw new Error(answer.message);
    return answer;
  }

  async state() {
    return (await this.command('state')).state;
  }

  stop() {
    this.#child.stdin.end();
    return this.ended;
  }
}

export const scratch = () => {
  const path = mkdtempSync(join(tmpdir(), 'fake-whatsapp-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
};

/** One client over one session folder; each `connect` is a new socket, as Baileys demands. */
export class Client {
  constructor(url, folder) {
    Object.assign(this, { url, folder });
  }

  async connect(options = {}) {
    const { state, saveCreds } = await baileys.useMultiFileAuthState(this.folder);
    this.updates = new Inbox();
    this.messages = new Inbox();
    this.statuses = new Inbox();
    this.creds = state.creds;
    const saves = [];
    const sock = baileys.makeWASocket({
      auth: state, logger: silent, waWebSocketUrl: this.url, version: [2, 3000, 1043857760], markOnlineOnConnect: false,
      shouldSyncHistoryMessage: () => false, syncFullHistory: false, ...options,
    });
    this.sock = sock;
    sock.ev.on('creds.update', () => saves.push(saveCreds()));
    sock.ev.on('connection.update', update => this.updates.push(update));
    sock.ev.on('messages.upsert', ({ messages, type }) => {
      for (const each of messages) {
        this.messages.push({ type, ...each });
        // A receipt that came while events were buffered shows only in the echo of the message.
        if (each.key.fromMe && each.status >= 3) this.statuses.push({ key: each.key, update: { status: each.status } });
      }
    });
    sock.ev.on('messages.update', list => list.forEach(each => this.statuses.push(each)));
    this.saved = () => Promise.all(saves);
    return sock;
  }

  async closed() {
    const update = await this.updates.next(each => each.connection === 'close', 'close');
    await this.saved();
    const error = update.lastDisconnect.error;
    return { code: error?.output?.statusCode, message: error?.message, data: error?.data };
  }

  open() {
    return this.updates.next(each => each.connection === 'open', 'open');
  }

  synced() {
    return this.updates.next(each => each.receivedPendingNotifications, 'pending notifications drained');
  }

  qr() {
    return this.updates.next(each => each.qr, 'qr').then(({ qr }) => qr);
  }

  /** Pairs by QR and leaves the session open. */
  async pair(service) {
    await this.connect();
    const { jid } = await service.command('scan', { payload: await this.qr() });
    const { code } = await this.closed();
    if (code !== 515) throw new Error(`closed with ${code} instead of 515`);
    await this.connect();
    await this.open();
    await this.synced();
    return jid;
  }

  async end() {
    this.sock.end(undefined);
    await this.closed();
  }

  text(match) {
    return this.messages.next(({ message }) => match(message?.conversation ?? message?.extendedTextMessage?.text ?? ''));
  }
}
