/**
 * How long messages stay in each chat, as its last message said: an answer without the chat's timer would stay when all
 * else disappears. Kept over restarts, and only for chats that have a timer.
 */
import { join } from 'node:path';
import { log } from './console.mjs';
import { readText, replaceFiles } from './files.mjs';

const FILE = 'timers.json';
const KEPT = 4_096;

export class Timers {
  #folder;
  #committer = null;
  #seconds = new Map();
  #changed = false;

  constructor(folder) {
    this.#folder = folder;
  }

  attach(committer) {
    this.#committer = committer;
  }

  async open() {
    try {
      this.#seconds = new Map(Object.entries(JSON.parse(await readText(join(this.#folder, FILE)) ?? '{}')));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      log('warn', 'the timers of chats cannot be read; their next messages tell them again');
    }
  }

  /** The timer of a chat in seconds, or 0. */
  of(jid) {
    const seconds = this.#seconds.get(jid);
    return Number.isInteger(seconds) && seconds > 0 ? seconds : 0;
  }

  /** A chat, under all its identities, has this timer now. */
  set(jids, seconds) {
    for (const jid of jids) {
      if (!jid || this.of(jid) === seconds) continue;
      this.#seconds.delete(jid);
      if (seconds) this.#seconds.set(jid, seconds);
      if (this.#seconds.size > KEPT) this.#seconds.delete(this.#seconds.keys().next().value);
      this.#changed = true;
    }
    if (this.#changed) this.#committer.touch();
  }

  take() {
    if (!this.#changed) return null;
    this.#changed = false;
    const text = JSON.stringify(Object.fromEntries(this.#seconds));
    return () => replaceFiles(this.#folder, new Map([[FILE, text]]));
  }
}
