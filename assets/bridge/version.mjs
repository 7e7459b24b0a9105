/**
 * Which WhatsApp Web version to claim. The one built into Baileys is right until WhatsApp refuses it with 405; only then
 * are the two public sources asked, each with a limit, since both have been seen to hang for hours. A version that got
 * a connection open is remembered, so that the next start does not have to be refused first.
 */
import { join } from 'node:path';
import { log } from './console.mjs';
import { asExit } from './exits.mjs';
import { readText, replaceFiles } from './files.mjs';
import { isVersion } from './protocol.mjs';
import { getText } from './web.mjs';

const FILE = 'wa_version.json';
const WEB_APP = 'https://web.whatsapp.com/sw.js';
const BAILEYS = 'https://raw.githubusercontent.com/WhiskeySockets/Baileys/master/src/Defaults/index.ts';
/** The page is only served to something that looks like a browser tab (as Baileys found out). */
const BROWSER = {
  'sec-fetch-site': 'none',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
};

export const SOURCES = [
  {
    name: 'web.whatsapp.com',
    url: WEB_APP,
    headers: BROWSER,
    read: page => [2, 3000, Number(/\\?"client_revision\\?":\s*(\d{4,12})/.exec(page)?.[1])],
  },
  {
    name: 'Baileys',
    url: BAILEYS,
    headers: {},
    read: page => (/const version = \[\s*(\d+),\s*(\d+),\s*(\d+)\s*\]/.exec(page) ?? []).slice(1).map(Number),
  },
];

const same = (a, b) => String(a) === String(b);
const newer = (a, b) => a.some((part, i) => part > b[i] && a.slice(0, i).every((p, j) => p === b[j]));

/** `WHATSAPP_WA_VERSION` as 2.3000.1 or 2,3000,1 or [2,3000,1]. */
export function versionFromText(text) {
  const parts = (text ?? '').replace(/[[\]\s]/g, '').split(/[.,]/).map(part => (part === '' ? NaN : Number(part)));
  return isVersion(parts) ? parts : null;
}

export class Versions {
  #folder;
  #builtIn;
  #limit;
  #fetch;
  #refused = [];
  #saved = null;
  current;
  overridden = false;

  constructor({ folder, builtIn, override, limit_ms, env = process.env, fetch = getText }) {
    this.#folder = folder;
    this.#builtIn = builtIn;
    this.#limit = limit_ms;
    this.#fetch = fetch;
    const forced = override ?? versionFromText(env.WHATSAPP_WA_VERSION);
    this.overridden = forced !== null;
    this.current = forced ?? builtIn;
  }

  /** Reads the remembered version; it counts only while it is newer than the built-in one. */
  async load() {
    try {
      const { version } = JSON.parse(await readText(join(this.#folder, FILE)) ?? '{}');
      if (isVersion(version) && newer(version, this.#builtIn)) this.#saved = version;
    } catch {
      log('warn', 'the remembered WhatsApp version cannot be read and is ignored');
    }
    if (!this.overridden && this.#saved) this.current = this.#saved;
  }

  /** After a 405: another version to try, or null when there is none. */
  async next() {
    this.#refused.push(this.current);
    if (this.overridden) return null;
    for (const source of SOURCES) {
      const found = await this.#ask(source);
      if (found && this.#isNew(found)) return this.#use(found);
    }
    return this.#isNew(this.#builtIn) ? this.#use(this.#builtIn) : null;
  }

  async #ask({ name, url, headers, read }) {
    try {
      const found = read(await this.#fetch(url, { headers, signal: AbortSignal.timeout(this.#limit) }));
      return isVersion(found) ? found : null;
    } catch (error) {
      log('warn', 'no WhatsApp version from', name, error.message);
      return null;
    }
  }

  #isNew(version) {
    return !this.#refused.some(refused => same(refused, version));
  }

  #use(version) {
    this.current = version;
    return version;
  }

  /** Called when a connection is open: this version works. */
  async confirm() {
    if (this.overridden || same(this.current, this.#builtIn) || same(this.current, this.#saved)) return;
    this.#saved = this.current;
    const text = `${JSON.stringify({ version: this.current })}\n`;
    // The connection is open: that it will be found again only after another 405 is no reason to end it.
    await replaceFiles(this.#folder, new Map([[FILE, text]])).catch(error => log('warn', asExit(error).message));
  }
}
