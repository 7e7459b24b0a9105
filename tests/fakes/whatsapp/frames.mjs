// Framing: an optional routing intro ("ED", two version bytes, a 3-byte length, a body), the 4-byte prologue, then frames
// with a 3-byte big-endian length. WebSocket message boundaries mean nothing.

import { inflateSync } from 'node:zlib';
import { decodeNode, encodeNode } from './modules.mjs';

export const PROLOGUE = Buffer.from([0x57, 0x41, 6, 3]);

export class FrameReader {
  #bytes = Buffer.alloc(0);
  #opened = false;
  /** The routing bytes the client presented, when it has been routed before. */
  routing = null;

  #open() {
    if (this.#bytes.length < 4) return false;
    if (this.#bytes.toString('latin1', 0, 2) === 'ED') {
      if (this.#bytes.length < 7) return false;
      const end = 7 + this.#bytes.readUIntBE(4, 3);
      if (this.#bytes.length < end + 4) return false;
      this.routing = this.#bytes.subarray(7, end);
      this.#bytes = this.#bytes.subarray(end);
    }
    if (!this.#bytes.subarray(0, 4).equals(PROLOGUE)) throw new Error('the stream does not begin with the prologue');
    this.#bytes = this.#bytes.subarray(4);
    this.#opened = true;
    return true;
  }

  /** Adds received bytes and gives the frames that are complete now. */
  push(chunk) {
    this.#bytes = this.#bytes.length ? Buffer.concat([this.#bytes, chunk]) : Buffer.from(chunk);
    const frames = [];
    if (!this.#opened && !this.#open()) return frames;
    while (this.#bytes.length >= 3) {
      const end = 3 + this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < end) break;
      frames.push(this.#bytes.subarray(3, end));
      this.#bytes = this.#bytes.subarray(end);
    }
    return frames;
  }
}

export function frame(body) {
  const out = Buffer.allocUnsafe(3 + body.length);
  out.writeUIntBE(body.length, 0, 3);
  out.set(body, 3);
  return out;
}

/** The first byte of a packed node is a set of flags; flag 2 means that the rest is deflated. */
export function unpackNode(packed) {
  const body = packed[0] & 2 ? inflateSync(packed.subarray(1)) : packed.subarray(1);
  return decodeNode(body);
}

export const packNode = encodeNode;
