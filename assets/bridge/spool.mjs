/**
 * Inbound events on disk until the gateway has acknowledged them.
 *
 * `events.log` is append-only, one JSON object a line: `h` (header: next number, remembered ids and chats), `e` (event), `a`
 * (acknowledged numbers). A torn last line, left by a crash, is cut off at the next start: its message was not acknowledged
 * to the server and comes again. Numbers never repeat, not even over restarts.
 *
 * Ids of the last events are remembered past their acknowledgement, so that a message the server delivers again after a
 * crash is not told twice. Memory holds positions, not events; at `limit` waiting events the spool refuses new ones.
 */
import { createHash } from 'node:crypto';
import { constants, createReadStream, promises as fs } from 'node:fs';
import { join } from 'node:path';
import { log } from './console.mjs';
import { Exit } from './exits.mjs';
import { located, privateFolder, replaceFiles, sweepTemporary } from './files.mjs';

export const SPOOL_LIMIT = 10_000;
const REMEMBERED = 16_384;
const HEARD = 4_096;
const COMPACT_AT = 512 * 1024;
const FILE = 'events.log';

export function digestOf(chat, participant, id) {
  return createHash('sha256').update(`${chat}\0${participant ?? ''}\0${id}`).digest('base64').slice(0, 16);
}

/** Keeps the newest entries, up to a limit. */
export class Newest {
  #limit;
  #entries = new Set();

  constructor(limit) {
    this.#limit = limit;
  }

  add(entry) {
    this.#entries.delete(entry);
    this.#entries.add(entry);
    if (this.#entries.size > this.#limit) this.#entries.delete(this.#entries.values().next().value);
  }

  has(entry) {
    return this.#entries.has(entry);
  }

  get all() {
    return [...this.#entries];
  }
}

export class Spool {
  #folder;
  #limit;
  #committer = null;
  #handle = null;
  #size = 0;
  #live = 0;
  #header = 0;
  #next = 1;
  #places = new Map();
  #remembered = new Newest(REMEMBERED);
  #heard = new Newest(HEARD);
  #lines = [];
  #acks = [];
  #durableListener = () => {};
  #roomListeners = [];

  constructor(folder, { limit = SPOOL_LIMIT } = {}) {
    this.#folder = folder;
    this.#limit = limit;
  }

  attach(committer) {
    this.#committer = committer;
  }

  /** Called after each commit that brought new events to the disk. */
  onDurable(listener) {
    this.#durableListener = listener;
  }

  async open() {
    await privateFolder(this.#folder);
    await sweepTemporary(this.#folder);
    const path = join(this.#folder, FILE);
    this.#handle = await fs.open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    this.#size = await this.#replay(path);
    await this.#handle.truncate(this.#size);
  }

  close() {
    return this.#handle?.close();
  }

  /** Reads the log once, line by line, and returns the length of its whole part. */
  async #replay(path) {
    let rest = Buffer.alloc(0);
    let offset = 0;
    let unreadable = 0;
    for await (const chunk of createReadStream(path)) {
      rest = rest.length ? Buffer.concat([rest, chunk]) : chunk;
      let from = 0;
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10, from)) {
        const length = end - from + 1;
        try {
          this.#apply(JSON.parse(rest.toString('utf8', from, end)), offset, length);
        } catch {
          unreadable += 1;
        }
        offset += length;
        from = end + 1;
      }
      rest = rest.subarray(from);
    }
    if (unreadable) log('error', 'lines of the spool that cannot be read:', unreadable);
    return offset;
  }

  #apply(record, offset, length) {
    if (record.t === 'h') {
      this.#next = Math.max(this.#next, record.next);
      this.#header = length;
      for (const key of record.seen) this.#remembered.add(key);
      for (const chat of record.heard ?? []) this.#heard.add(chat);
    } else if (record.t === 'e') {
      this.#next = Math.max(this.#next, record.seq + 1);
      this.#places.set(record.seq, { offset, length });
      this.#live += length;
      this.#remembered.add(record.k);
      this.#hear(record.e);
    } else if (record.t === 'a') {
      for (const seq of record.s) this.#forget(seq);
    }
  }

  #hear({ chat, chat_alt }) {
    for (const jid of [chat, chat_alt]) if (jid) this.#heard.add(jid);
  }

  /**
   * Whether somebody has written in this chat. After a crash this may be known here before the keys say so: the spool is
   * written first.
   */
  heard(jid) {
    return this.#heard.has(jid);
  }

  #forget(seq) {
    const place = this.#places.get(seq);
    if (!place) return false;
    this.#places.delete(seq);
    this.#live -= place.length;
    return true;
  }

  get waiting() {
    return this.#places.size;
  }

  /** Numbers of all events that are on disk and not acknowledged, above `after`. */
  pendingAfter(after) {
    return [...this.#places].filter(([seq, place]) => seq > after && !place.line).map(([seq]) => seq);
  }

  /** Takes an event; false when it is known. It is durable when the commit that follows has ended. */
  add(key, event, raw) {
    if (this.#remembered.has(key)) return false;
    if (this.#places.size >= this.#limit) {
      throw new Exit('storage', `${this.#limit} events wait for the gateway; no more are taken`);
    }
    const seq = this.#next++;
    const line = Buffer.from(`${JSON.stringify({ t: 'e', seq, k: key, e: event, r: raw ?? undefined })}\n`);
    this.#remembered.add(key);
    this.#hear(event);
    this.#places.set(seq, { line, length: line.length });
    this.#live += line.length;
    this.#lines.push(seq);
    this.#committer.touch();
    return true;
  }

  ack(seq) {
    if (!this.#forget(seq)) return;
    this.#acks.push(seq);
    this.#committer.touch();
    if (this.#places.size < this.#limit) for (const resolve of this.#roomListeners.splice(0)) resolve();
  }

  /** Resolves when there is room for new events. */
  async room() {
    while (this.#places.size >= this.#limit) await new Promise(resolve => this.#roomListeners.push(resolve));
  }

  /** The record of one event, `{ e, r }`, or null when it is acknowledged or unknown. */
  async read(seq) {
    const place = this.#places.get(seq);
    if (!place) return null;
    if (place.line) return JSON.parse(place.line.toString('utf8'));
    const buffer = Buffer.alloc(place.length);
    await this.#handle.read(buffer, 0, place.length, place.offset);
    return JSON.parse(buffer.toString('utf8'));
  }

  take() {
    if (!this.#lines.length && !this.#acks.length) return null;
    const events = this.#lines.splice(0).map(seq => [seq, this.#places.get(seq)]).filter(([, place]) => place);
    const acks = this.#acks.splice(0);
    return async () => {
      await this.#append(events, acks).catch(error => { throw located(error, join(this.#folder, FILE)); });
      if (this.#size > COMPACT_AT && this.#size > 2 * (this.#live + this.#header)) await this.#compact();
      if (events.length) this.#durableListener();
    };
  }

  async #append(events, acks) {
    const parts = events.map(([, place]) => place.line);
    if (acks.length) parts.push(Buffer.from(`${JSON.stringify({ t: 'a', s: acks })}\n`));
    const block = Buffer.concat(parts);
    for (let done = 0; done < block.length;) {
      const { bytesWritten } = await this.#handle.write(block, done, block.length - done, this.#size + done);
      done += bytesWritten;
    }
    await this.#handle.datasync();
    let offset = this.#size;
    for (const [, place] of events) {
      place.offset = offset;
      place.line = null;
      offset += place.length;
    }
    this.#size += block.length;
  }

  /** Rewrites the log without what is acknowledged. Runs inside a commit, so nothing is appended meanwhile. */
  async #compact() {
    const known = { next: this.#next, seen: this.#remembered.all, heard: this.#heard.all };
    const header = Buffer.from(`${JSON.stringify({ t: 'h', ...known })}\n`);
    const kept = [...this.#places.values()].filter(place => !place.line);
    const parts = [header];
    let offset = header.length;
    const moves = [];
    for (const place of kept) {
      const buffer = Buffer.alloc(place.length);
      await this.#handle.read(buffer, 0, place.length, place.offset);
      parts.push(buffer);
      moves.push([place, offset]);
      offset += place.length;
    }
    await replaceFiles(this.#folder, new Map([[FILE, Buffer.concat(parts)]]));
    const old = this.#handle;
    this.#handle = await fs.open(join(this.#folder, FILE), 'r+');
    for (const [place, where] of moves) place.offset = where;
    this.#header = header.length;
    this.#size = offset;
    await old.close();
  }
}
