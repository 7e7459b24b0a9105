/**
 * The line protocol: one JSON object a line, at most 1 MiB, each with `"v": 1`.
 *
 * Reading is bounded: a line that never ends is refused before it fills the memory. Writing is bounded too: a gateway that
 * stops reading makes `ready()` wait, which holds inbound messages in the spool on disk, and `alive` lines are left out.
 */
import { writeProtocol } from './console.mjs';
import { Exit } from './exits.mjs';

export const VERSION = 1;
export const MAX_LINE = 1024 * 1024;
const MAX_BACKLOG = 16 * MAX_LINE;

/** Splits a stream of chunks into command objects. Throws an Exit `protocol` on anything unusable. */
export class LineReader {
  #parts = [];
  #length = 0;

  /** Returns the complete commands the chunk finished. */
  push(chunk) {
    const commands = [];
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(10, from);
      const piece = chunk.subarray(from, end < 0 ? undefined : end);
      this.#length += piece.length;
      if (this.#length > MAX_LINE) throw new Exit('protocol', 'a line on stdin is longer than 1 MiB');
      this.#parts.push(piece);
      if (end < 0) return commands;
      const line = Buffer.concat(this.#parts, this.#length).toString('utf8').trim();
      this.#parts = [];
      this.#length = 0;
      from = end + 1;
      if (line) commands.push(parse(line));
    }
  }
}

function parse(line) {
  let command;
  try {
    command = JSON.parse(line);
  } catch {
    throw new Exit('protocol', 'a line on stdin is not JSON');
  }
  if (typeof command !== 'object' || command === null || Array.isArray(command)) {
    throw new Exit('protocol', 'a line on stdin is not a JSON object');
  }
  if (command.v !== VERSION) throw new Exit('protocol', `protocol version ${command.v} is not understood`);
  return command;
}

/** Writes events to stdout in order. */
export class LineWriter {
  #write;
  #waiting = [];
  #backlog = 0;
  #blocked = false;
  #onOverflow;

  constructor({ write = writeProtocol, onOverflow = () => {} } = {}) {
    this.#write = write;
    this.#onOverflow = onOverflow;
  }

  get blocked() {
    return this.#blocked;
  }

  /** Resolves once the gateway has read what was written so far, or at once when nothing is held up. */
  ready() {
    return this.#blocked ? new Promise(resolve => this.#waiting.push(resolve)) : Promise.resolve();
  }

  /** Resolves once everything has been handed to the pipe. */
  drained() {
    return this.#backlog ? new Promise(resolve => this.#waiting.push(resolve)) : Promise.resolve();
  }

  event(name, fields = {}) {
    if (name === 'alive' && this.#blocked) return;
    this.line(JSON.stringify({ v: VERSION, event: name, ...fields }));
  }

  /** Takes a line that is already serialised, without its newline. */
  line(text) {
    const bytes = Buffer.byteLength(text) + 1;
    this.#backlog += bytes;
    if (this.#backlog > MAX_BACKLOG) {
      this.#onOverflow(new Exit('protocol', 'the gateway does not read its events'));
      return;
    }
    const flowing = this.#write(`${text}\n`, () => {
      this.#backlog -= bytes;
      if (this.#backlog === 0) this.#release();
    });
    if (!flowing) this.#blocked = true;
  }

  #release() {
    this.#blocked = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

const LIMITS = Object.freeze({
  connect_ms: 30_000,
  qr_first_ms: 60_000,
  qr_next_ms: 20_000,
  send_ms: 60_000,
  probe_every_ms: 30_000,
  probe_ms: 10_000,
  drain_ms: 20_000,
  media_file_bytes: 20 * 1024 * 1024,
  media_total_bytes: 1024 * 1024 * 1024,
  version_fetch_ms: 10_000,
  passkey_ms: 600_000,
  passkey_step_ms: 120_000,
  passkey_handoff_ms: 300_000,
});

/** Checks the `start` command and fills in the defaults. */
export function parseStart(command) {
  const bad = what => new Exit('protocol', `start: ${what}`);
  if (command.cmd !== 'start') throw bad('the first command has to be start');
  const start = { limits: { ...LIMITS } };
  for (const field of ['session_dir', 'spool_dir', 'media_dir']) {
    const value = command[field];
    if (typeof value !== 'string' || !/^(\/|[A-Za-z]:[\\/])/.test(value)) throw bad(`${field} is not an absolute path`);
    start[field] = value;
  }
  start.web_socket_url = command.web_socket_url ?? null;
  if (start.web_socket_url !== null && !/^wss?:\/\/\S+$/.test(String(start.web_socket_url))) {
    throw bad('web_socket_url is not a WebSocket address');
  }
  start.version = command.version ?? null;
  if (start.version !== null && !isVersion(start.version)) throw bad('version is not three numbers');
  start.pairing_code_for = command.pairing_code_for ?? null;
  if (start.pairing_code_for !== null && !/^\d{6,15}$/.test(String(start.pairing_code_for))) {
    throw bad('pairing_code_for is not a phone number in digits');
  }
  for (const [name, value] of Object.entries(command.limits ?? {})) {
    if (!(name in LIMITS) || value === null) continue;
    if (!Number.isFinite(value) || value < 0) throw bad(`limits.${name} is not a positive number`);
    start.limits[name] = value;
  }
  return start;
}

export function isVersion(value) {
  return Array.isArray(value) && value.length === 3 && value.every(n => Number.isInteger(n) && n >= 0);
}
