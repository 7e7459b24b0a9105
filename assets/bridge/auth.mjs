/**
 * The session folder: credentials and Signal keys in the file layout of Baileys' useMultiFileAuthState, so that an existing
 * folder keeps working and may be taken back. That function itself truncates files in place, and a kill while 812 keys
 * are generated leaves an empty creds.json, which it later takes for "no credentials" and registers a new device over.
 *
 * Here every file is replaced atomically, `creds.json.bak` holds the last good copy, and new credentials are made only
 * when the folder has none at all.
 *
 * A key that is there and cannot be read (another user's file, a folder of that name, a failing disk) ends the process:
 * the library would take it for a missing one, refuse the message, and the server would forget it.
 */
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { log } from './console.mjs';
import { pairingState, parseCreds, reviver } from './creds.mjs';
import { Exit } from './exits.mjs';
import { privateFolder, readText, replaceFiles, sweepTemporary } from './files.mjs';

const CREDS = 'creds.json';
const BACKUP = 'creds.json.bak';
/** Another program may be writing in place just now; this is how long an unreadable file is given. */
const SETTLE_MS = [50, 100, 200, 300, 300];

const isObject = value => typeof value === 'object' && value !== null && !Array.isArray(value);
const isBytes = value => value instanceof Uint8Array;
/** What a key of each kind is. The library fails on anything else, each time; as a missing key it heals. */
const SHAPES = {
  session: value => isObject(value) && isObject(value._sessions ?? {}),
  'sender-key': value => isBytes(value) && Array.isArray(JSON.parse(Buffer.from(value).toString())),
  'sender-key-memory': isObject,
  'pre-key': value => isBytes(value?.private) && isBytes(value.public),
  'identity-key': isBytes,
  'lid-mapping': value => typeof value === 'string',
  'device-list': Array.isArray,
  'app-state-sync-key': isObject,
  'app-state-sync-version': isObject,
  tctoken: isObject,
};

/** Names must match the other implementation: a JID holds characters a file name may not have. */
function fileOf(type, id) {
  return `${type}-${id}.json`.replace(/\//g, '__').replace(/:/g, '-');
}

export class AuthState {
  #folder;
  #tools;
  #committer = null;
  #fatal = error => { throw error; };
  #pending = new Map();
  #credsDirty = false;
  #savedCreds = null;
  creds = null;

  /** `tools` are BufferJSON, initAuthCreds and proto of Baileys. */
  constructor(folder, tools) {
    this.#folder = folder;
    this.#tools = tools;
  }

  /** `fatal` ends the process. */
  attach(committer, fatal) {
    this.#committer = committer;
    if (fatal) this.#fatal = fatal;
  }

  /** Reads the credentials. With `create`, an empty folder gets new ones, in memory until the phone has accepted them. */
  async load({ create }) {
    if (create) await privateFolder(this.#folder);
    else if (!await fs.stat(this.#folder).catch(() => null)) return 'unpaired';
    await fs.chmod(this.#folder, 0o700).catch(() => {});
    await sweepTemporary(this.#folder);
    this.creds = await this.#readCreds();
    if (!this.creds && create) this.creds = this.#tools.initAuthCreds();
    return this.creds ? pairingState(this.creds) : 'unpaired';
  }

  async #readCreds() {
    const path = join(this.#folder, CREDS);
    const backup = join(this.#folder, BACKUP);
    let text = await readText(path);
    let creds = parseCreds(text);
    for (const pause of SETTLE_MS) {
      if (creds || text === null) break;
      await sleep(pause);
      text = await readText(path);
      creds = parseCreds(text);
    }
    if (creds) {
      this.#savedCreds = text;
      return this.#completed(creds);
    }
    const copy = await readText(backup);
    if (text === null && copy === null) return null;
    const restored = parseCreds(copy);
    if (!restored) throw new Exit('creds_corrupt', 'creds.json cannot be read and there is no good copy of it');
    log('warn', 'creds.json could not be read and was restored from its copy');
    if (text !== null) await fs.copyFile(path, join(this.#folder, `${CREDS}.corrupt`));
    await replaceFiles(this.#folder, new Map([[CREDS, copy]]));
    this.#savedCreds = copy;
    return this.#completed(restored);
  }

  /** Counters and the like, which another program may have left out, begin as in a new session. */
  #completed(creds) {
    return { ...this.#tools.initAuthCreds(), ...creds };
  }

  /** Reads the credentials from the disk anew, for the proof that a pairing is complete. */
  async stateOnDisk() {
    return pairingState(parseCreds(await readText(join(this.#folder, CREDS))));
  }

  /** Marks the credentials as changed; they are on disk after the next commit. */
  saveCreds() {
    this.#credsDirty = true;
    this.#committer.touch();
  }

  /** The key store in the shape Baileys expects. Reads see what is not written yet. */
  get keys() {
    return {
      get: async (type, ids) => {
        const found = {};
        await Promise.all(ids.map(async id => {
          found[id] = await this.#readKey(type, id);
        }));
        return found;
      },
      set: async data => this.#setKeys(data),
    };
  }

  #setKeys(data) {
    for (const type in data) {
      for (const id in data[type]) {
        const value = data[type][id];
        // Serialised now: the caller may change the object while the write is waiting.
        const text = value ? JSON.stringify(value, this.#tools.BufferJSON.replacer) : null;
        this.#pending.set(fileOf(type, id), { text });
      }
    }
    this.#committer.touch();
  }

  async #readKey(type, id) {
    const name = fileOf(type, id);
    const waiting = this.#pending.get(name);
    const text = waiting ? waiting.text : await this.#readFile(name);
    if (text === null) return null;
    try {
      const value = JSON.parse(text, reviver);
      if (value !== null && SHAPES[type]?.(value) === false) throw new SyntaxError(type);
      return type === 'app-state-sync-key' && value
        ? this.#tools.proto.Message.AppStateSyncKeyData.fromObject(value)
        : value;
    } catch {
      // Signal heals a missing key by a retry. The bytes are kept aside for whoever wants to look.
      log('warn', 'an unreadable key file was set aside:', type);
      await fs.rename(join(this.#folder, name), join(this.#folder, `${name}.corrupt`)).catch(() => {});
      return null;
    }
  }

  /** Does not come back when the file cannot be read: nothing that follows from a missing key may happen then. */
  async #readFile(name) {
    try {
      return await readText(join(this.#folder, name));
    } catch (error) {
      this.#fatal(error);
      return new Promise(() => {});
    }
  }

  /** The key files as a participant of the committer. */
  keyFiles() {
    return {
      take: () => {
        if (!this.#pending.size) return null;
        const snapshot = [...this.#pending];
        return async () => {
          const texts = snapshot.filter(([, entry]) => entry.text !== null).map(([name, entry]) => [name, entry.text]);
          const removals = snapshot.filter(([, entry]) => entry.text === null).map(([name]) => name);
          await replaceFiles(this.#folder, texts, removals);
          for (const [name, entry] of snapshot) {
            if (this.#pending.get(name) === entry) this.#pending.delete(name);
          }
        };
      },
    };
  }

  /**
   * The credentials as a participant, after the keys they count. They are not written before the phone has accepted: a
   * pairing that was given up leaves no file that a later start would mistake for a login.
   */
  credsFile() {
    return {
      take: () => {
        if (!this.#credsDirty || !this.creds.account) return null;
        this.#credsDirty = false;
        const text = JSON.stringify(this.creds, this.#tools.BufferJSON.replacer);
        if (text === this.#savedCreds) return null;
        return async () => {
          await replaceFiles(this.#folder, new Map([[CREDS, text]]));
          await replaceFiles(this.#folder, new Map([[BACKUP, text]]));
          this.#savedCreds = text;
        };
      },
    };
  }
}
