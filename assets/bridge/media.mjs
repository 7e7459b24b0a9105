/**
 * Downloads the media of a waiting event when the gateway asks for it.
 *
 * The address and the name in a message are a stranger's: only WhatsApp's own hosts are contacted, the file gets a random
 * name, and the content has to carry the checksum the message promised (Baileys' own download checks neither that
 * nor the keyed hash). The limits hold while the bytes come in, whatever length was announced.
 */
import { createDecipheriv, createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { privateFolder } from './files.mjs';
import { Locks } from './signal.mjs';
import { mediaPart, number } from './content.mjs';
import { get } from './web.mjs';

const HOST = 'mmg.whatsapp.net';
const ORIGIN = 'https://web.whatsapp.com';
const MAC_BYTES = 10;
const EXTENSIONS = {
  'image/jpeg': 'jpg', 'image/png': 'png', 'image/webp': 'webp', 'image/gif': 'gif', 'video/mp4': 'mp4',
  'video/3gpp': '3gp', 'audio/ogg': 'ogg', 'audio/mpeg': 'mp3', 'audio/mp4': 'm4a', 'audio/aac': 'aac',
  'audio/amr': 'amr', 'application/pdf': 'pdf', 'text/plain': 'txt', 'text/csv': 'csv',
};

export class MediaError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * Where a media part may be fetched from: WhatsApp over https, or, when the socket was pointed at another service, the
 * host of that service.
 */
export function mediaUrl({ url, directPath }, webSocketUrl) {
  const own = webSocketUrl ? new URL(webSocketUrl) : null;
  const given = URL.canParse(url ?? '') ? new URL(url) : null;
  const allowed = given && ((given.protocol === 'https:' && /(^|\.)whatsapp\.net$/.test(given.hostname))
    || (own && given.hostname === own.hostname && /^https?:$/.test(given.protocol)));
  if (directPath?.startsWith('/')) {
    const base = allowed ? given.origin : own ? own.origin.replace(/^ws/, 'http') : `https://${HOST}`;
    return new URL(base + directPath).href;
  }
  if (!allowed) throw new MediaError('gone', 'the message names no usable address');
  return given.href;
}

export class Downloads {
  #folder;
  #limits;
  #webSocketUrl;
  #mediaKeys;
  #locks = new Locks();

  /** `mediaKeys(key, kind)` derives iv, cipherKey and macKey (Baileys' getMediaKeys). */
  constructor({ folder, limits, webSocketUrl, mediaKeys }) {
    this.#folder = folder;
    this.#limits = limits;
    this.#webSocketUrl = webSocketUrl;
    this.#mediaKeys = mediaKeys;
  }

  /** Removes what an interrupted download left. */
  async sweep() {
    await privateFolder(this.#folder);
    for (const name of await fs.readdir(this.#folder)) {
      if (/^[0-9a-f]{32}\.part$/.test(name)) await fs.unlink(join(this.#folder, name)).catch(() => {});
    }
  }

  /** Fetches the media of a decoded message; one at a time, so that the limit of the folder means something. */
  fetch(message) {
    return this.#locks.run('download', () => this.#fetch(message));
  }

  async #fetch(message) {
    const part = mediaPart(message);
    if (!part?.content.mediaKey?.length) throw new MediaError('no_media', 'the event has no media');
    const { kind, content } = part;
    const { media_file_bytes: most, media_total_bytes: total } = this.#limits;
    if ((number(content.fileLength) ?? 0) > most) throw new MediaError('too_large', `more than ${most} bytes`);
    const room = total - await this.#used();
    if (room < (number(content.fileLength) ?? 1)) throw new MediaError('folder_full', 'the media folder is full');

    const keys = await this.#mediaKeys(content.mediaKey, kind);
    const response = await this.#open(mediaUrl(content, this.#webSocketUrl));
    const name = randomBytes(16).toString('hex');
    const temporary = join(this.#folder, `${name}.part`);
    const handle = await fs.open(temporary, 'wx', 0o600);
    try {
      const bytes = await decrypt(response, keys, content, handle, { most, room });
      await handle.sync();
      const mime = String(content.mimetype ?? 'application/octet-stream').slice(0, 200);
      const path = join(this.#folder, `${name}.${EXTENSIONS[mime.split(';')[0].trim()] ?? 'bin'}`);
      await fs.rename(temporary, path);
      return { path, bytes, mime };
    } catch (error) {
      await fs.unlink(temporary).catch(() => {});
      throw error;
    } finally {
      response.destroy();
      await handle.close();
    }
  }

  async #open(url) {
    let response;
    try {
      response = await get(url, { headers: { origin: ORIGIN } });
    } catch (error) {
      throw new MediaError('network', error.message);
    }
    if (response.statusCode === 200) return response;
    response.destroy();
    const gone = [403, 404, 410].includes(response.statusCode);
    throw new MediaError(gone ? 'gone' : 'network', `HTTP ${response.statusCode}`);
  }

  async #used() {
    let sum = 0;
    for (const name of await fs.readdir(this.#folder)) {
      sum += await fs.stat(join(this.#folder, name)).then(info => info.size, () => 0);
    }
    return sum;
  }
}

/** Streams ciphertext (its last ten bytes are the keyed hash) through AES-256-CBC into the file. */
async function decrypt(response, { iv, cipherKey, macKey }, content, handle, { most, room }) {
  const cipher = createDecipheriv('aes-256-cbc', cipherKey, iv);
  const mac = createHmac('sha256', macKey).update(iv);
  const hash = createHash('sha256');
  let tail = Buffer.alloc(0);
  let bytes = 0;

  const store = async plain => {
    bytes += plain.length;
    if (bytes > most) throw new MediaError('too_large', `more than ${most} bytes`);
    if (bytes > room) throw new MediaError('folder_full', 'the media folder is full');
    hash.update(plain);
    if (plain.length) await handle.writeFile(plain);
  };

  try {
    for await (const chunk of response) {
      const data = Buffer.concat([tail, chunk]);
      const body = data.subarray(0, Math.max(0, data.length - MAC_BYTES));
      tail = data.subarray(body.length);
      mac.update(body);
      await store(cipher.update(body));
    }
  } catch (error) {
    if (error instanceof MediaError || error.syscall === 'write') throw error;
    throw new MediaError('network', error.message);
  }
  const expected = mac.digest().subarray(0, MAC_BYTES);
  if (tail.length !== MAC_BYTES || !timingSafeEqual(expected, tail)) {
    throw new MediaError('gone', 'the content does not belong to the message');
  }
  await store(cipher.final());
  const promised = content.fileSha256;
  if (promised?.length && !Buffer.from(promised).equals(hash.digest())) {
    throw new MediaError('gone', 'the content does not match its checksum');
  }
  return bytes;
}
