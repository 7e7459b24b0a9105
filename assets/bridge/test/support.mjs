/** What the tests share: waiting with a deadline, scratch folders, the bridge and the fake service as child processes. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const root = resolve(here, '..');
export const fake = resolve(root, '../../tests/fakes/whatsapp');
const DEADLINE_MS = 15_000;

export function scratch(t) {
  const path = mkdtempSync(join(tmpdir(), 'hermes-bridge-'));
  t.after(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

/** Polls a condition that no event announces. */
export async function until(condition, what = condition.toString(), deadline = DEADLINE_MS) {
  const end = Date.now() + deadline;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`did not come true: ${what}`);
    await new Promise(done => setTimeout(done, 5));
  }
}

/** Events in the order they came, which can be waited on. Each is handed out once. */
class Events {
  #left = [];
  #waiters = new Set();
  all = [];

  push(entry) {
    this.all.push(entry);
    this.#left.push(entry);
    for (const waiter of this.#waiters) waiter();
  }

  take(match) {
    const at = this.#left.findIndex(match);
    return at < 0 ? null : this.#left.splice(at, 1)[0];
  }

  next(match, what, deadline = DEADLINE_MS) {
    const now = this.take(match);
    if (now) return Promise.resolve(now);
    return new Promise((done, failed) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        failed(new Error(`no ${what} within ${deadline} ms; last: ${JSON.stringify(this.all.slice(-8))}`));
      }, deadline);
      const waiter = () => {
        const entry = this.take(match);
        if (!entry) return;
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        done(entry);
      };
      this.#waiters.add(waiter);
    });
  }
}

const matching = (name, fields) => entry =>
  entry.event === name && Object.entries(fields).every(([key, value]) => entry[key] === value);

class Child {
  events = new Events();
  stderr = '';
  bad = [];

  constructor(args, options) {
    this.process = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
    createInterface({ input: this.process.stdout }).on('line', line => {
      try {
        this.events.push(JSON.parse(line));
      } catch {
        this.bad.push(line);
      }
    });
    this.process.stderr.on('data', chunk => { this.stderr += chunk; });
    this.process.stdin.on('error', () => {});
    this.exited = new Promise(done => {
      this.process.once('close', (code, signal) => done(code ?? signal));
    });
  }

  event(name, fields = {}, deadline) {
    return this.events.next(matching(name, fields), `${name} ${JSON.stringify(fields)}`, deadline);
  }

  seen(name, fields = {}) {
    return this.events.all.filter(matching(name, fields));
  }

  write(object) {
    this.process.stdin.write(`${JSON.stringify(object)}\n`);
  }
}

/** The fake WhatsApp service. */
export class Service extends Child {
  #id = 0;

  static async start(t, ...options) {
    const service = new Service([join(fake, 'main.mjs'), '--modules', root, ...options]);
    t.after(() => service.stop());
    const { url, media_url } = await service.event('listening');
    return Object.assign(service, { url, media_url });
  }

  async command(cmd, fields = {}) {
    const id = (this.#id += 1);
    this.write({ cmd, id, ...fields });
    const answer = await this.events.next(entry => entry.id === id && /^(ok|failed)$/.test(entry.event), cmd);
    if (answer.event === 'failed') throw new Error(`${cmd}: ${answer.message}`);
    return answer;
  }

  stop() {
    this.process.stdin.end();
    return this.exited;
  }
}

/** One bridge process over a folder with `session`, `spool` and `media` in it. */
export class Bridge extends Child {
  constructor(mode, { folder, env = {}, flags = [] }) {
    super([...flags, '--import', join(fake, 'trust.mjs'), join(root, 'bridge.mjs'), mode], {
      env: { ...withoutProxies(process.env), ...env },
    });
    this.folder = folder;
  }

  static start(t, mode, { folder, url, env, flags, ...fields }) {
    const bridge = new Bridge(mode, { folder, env, flags });
    t.after(() => bridge.kill());
    bridge.command('start', {
      session_dir: join(folder, 'session'),
      spool_dir: join(folder, 'spool'),
      media_dir: join(folder, 'media'),
      web_socket_url: url,
      ...fields,
    });
    return bridge;
  }

  command(cmd, fields = {}) {
    this.write({ v: 1, cmd, ...fields });
  }

  message(fields = {}, deadline) {
    return this.event('message', fields, deadline);
  }

  kill() {
    this.process.kill('SIGKILL');
    return this.exited;
  }

  async stop() {
    this.command('stop');
    return this.exited;
  }
}

/** A proxy of the machine must not see the tests, and version pages must not be asked for on the network. */
function withoutProxies(env) {
  const clean = { ...env, https_proxy: 'http://127.0.0.1:9' };
  for (const name of ['HTTPS_PROXY', 'ALL_PROXY', 'all_proxy', 'NO_PROXY', 'no_proxy', 'WHATSAPP_WA_VERSION']) {
    delete clean[name];
  }
  return clean;
}

/** Pairs a folder with the service by a scan and waits until the pairing process is done. */
export async function pairFolder(t, service, folder) {
  const bridge = Bridge.start(t, 'pair', { folder, url: service.url });
  const { payload } = await bridge.event('qr');
  await service.command('scan', { payload });
  const status = await bridge.exited;
  if (status !== 0) throw new Error(`pairing ended with ${status}: ${bridge.stderr}`);
  return bridge;
}

/** A bridge that is logged in and drained. */
export async function runFolder(t, service, folder, fields = {}) {
  const bridge = Bridge.start(t, 'run', { folder, url: service.url, ...fields });
  await bridge.event('synced');
  return bridge;
}

export const haveFake = existsSync(join(fake, 'main.mjs'));

/** For what several tests of a suite share: the same shape as a test's own context, cleaned up by `end`. */
export function lifetime() {
  const work = [];
  return {
    after: task => work.push(task),
    async end() {
      for (const task of work.reverse()) await task();
    },
  };
}
