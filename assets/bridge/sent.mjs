/**
 * What was really sent, kept over restarts: a recipient who could not decrypt a message asks for it again, and Baileys
 * remembers only five minutes and only in memory. Bounded to the newest texts; written before the stanza leaves.
 */
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { located, readText, replaceFiles } from './files.mjs';

const FILE = 'sent.log';
const KEPT = 1000;
const KEPT_BYTES = 4 * 1024 * 1024;

export class SentStore {
  #folder;
  #committer = null;
  #messages = new Map();
  #lines = [];
  #bytes = 0;
  #written = 0;
  #handle = null;

  constructor(folder) {
    this.#folder = folder;
  }

  attach(committer) {
    this.#committer = committer;
  }

  async open() {
    const text = await readText(join(this.#folder, FILE)) ?? '';
    for (const line of text.split('\n')) {
      try {
        const { id, to, m } = JSON.parse(line);
        this.#keep(id, { to, m });
      } catch {
        // A torn last line belongs to a message that never left.
      }
    }
    await this.#rewrite();
  }

  close() {
    return this.#handle?.close();
  }

  async #rewrite() {
    const lines = [...this.#messages].map(([id, { to, m }]) => `${JSON.stringify({ id, to, m })}\n`).join('');
    await this.#handle?.close();
    await replaceFiles(this.#folder, new Map([[FILE, lines]]));
    this.#handle = await fs.open(join(this.#folder, FILE), 'a', 0o600);
    this.#written = this.#messages.size;
  }

  #keep(id, entry) {
    this.#drop(id);
    this.#messages.set(id, entry);
    this.#bytes += entry.m.length;
    while (this.#messages.size > KEPT || (this.#bytes > KEPT_BYTES && this.#messages.size > 1)) {
      this.#drop(this.#messages.keys().next().value);
    }
  }

  #drop(id) {
    this.#bytes -= this.#messages.get(id)?.m.length ?? 0;
    this.#messages.delete(id);
  }

  has(id) {
    return this.#messages.has(id);
  }

  /** The encoded message with this id, or undefined. */
  get(id) {
    const entry = this.#messages.get(id);
    return entry && Buffer.from(entry.m, 'base64');
  }

  /** Remembers an encoded message; durable before any later frame leaves. */
  add(id, to, bytes) {
    const entry = { to, m: Buffer.from(bytes).toString('base64') };
    this.#keep(id, entry);
    this.#lines.push(`${JSON.stringify({ id, ...entry })}\n`);
    this.#committer.touch();
  }

  take() {
    if (!this.#lines.length) return null;
    const lines = this.#lines.splice(0);
    return async () => {
      if (this.#written + lines.length > 2 * KEPT) {
        await this.#rewrite();
        return;
      }
      try {
        await this.#handle.appendFile(lines.join(''));
        await this.#handle.datasync();
      } catch (error) {
        throw located(error, join(this.#folder, FILE));
      }
      this.#written += lines.length;
    };
  }
}
