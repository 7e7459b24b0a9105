// The owner's linked devices: their keys on the service, and the stanzas that wait for their acknowledgement.

import { bare, bigEndian, fromBigEndian, typed } from './keys.mjs';
import { bytesOf, child, children, node, SERVER, userJid } from './nodes.mjs';

/** Reads the `skey` or `key` node of a key bundle. */
export function readKey(parent) {
  return parent && {
    keyId: fromBigEndian(bytesOf(parent, 'id')),
    publicKey: typed(bytesOf(parent, 'value')),
    signature: bytesOf(parent, 'signature'),
  };
}

export class Device {
  #preKeys = new Map();
  #signedPreKey = null;
  #synced = null;
  connection = null;
  removed = false;
  logins = 0;
  version = null;
  /** Stanzas not yet acknowledged, oldest first. */
  queue = [];
  redeliveries = 0;
  acknowledged = 0;

  constructor({ owner, lid, id, registration, noiseKey, platform }) {
    Object.assign(this, { owner, id, noiseKey, platform });
    this.jid = userJid(owner, 's.whatsapp.net', id);
    this.lid = userJid(lid, 'lid', id);
    this.identityKey = registration.identity;
    this.registrationId = registration.registrationId;
    this.#signedPreKey = registration.signedPreKey;
  }

  get preKeyCount() {
    return this.#preKeys.size;
  }

  /** A device can be written to once it has uploaded one-time keys, which it does at its first login. */
  get reachable() {
    return this.uploaded === true;
  }

  /** Stores an upload of one-time keys; a key id that comes again replaces the old key. */
  upload(iq) {
    for (const key of children(child(iq, 'list'), 'key')) {
      const { keyId, publicKey } = readKey(key);
      this.#preKeys.set(keyId, publicKey);
    }
    this.#signedPreKey = readKey(child(iq, 'skey')) ?? this.#signedPreKey;
    this.uploaded = true;
  }

  rotate(iq) {
    this.#signedPreKey = readKey(child(child(iq, 'rotate'), 'skey'));
  }

  /** A bundle in libsignal's form. One-time keys are handed out once; without any left the bundle has none. */
  takeBundle() {
    if (!this.reachable) throw new Error(`${this.jid} has uploaded no keys yet`);
    const [keyId] = this.#preKeys.keys();
    const publicKey = this.#preKeys.get(keyId);
    this.#preKeys.delete(keyId);
    return {
      registrationId: this.registrationId,
      identityKey: typed(this.identityKey),
      signedPreKey: this.#signedPreKey,
      preKey: publicKey && { keyId, publicKey },
    };
  }

  /** The same as a stanza, for another of the owner's devices that wants to write to this one. */
  bundle(jid) {
    const { registrationId, identityKey, signedPreKey, preKey } = this.takeBundle();
    const key = (tag, { keyId, publicKey, signature }) =>
      node(tag, {}, [
        node('id', {}, bigEndian(keyId, 3)),
        node('value', {}, bare(publicKey)),
        ...(signature ? [node('signature', {}, signature)] : []),
      ]);
    return node('user', { jid }, [
      node('registration', {}, bigEndian(registrationId, 4)),
      node('type', {}, Buffer.from([5])),
      node('identity', {}, bare(identityKey)),
      key('skey', signedPreKey),
      ...(preKey ? [key('key', preKey)] : []),
    ]);
  }

  /** Adds a stanza for this device and sends it when the device is online. `build` makes it once it can be encrypted. */
  async post(entry) {
    const waiting = { deliveries: 0, ...entry };
    this.queue.push(waiting);
    if (this.reachable) waiting.stanza = await waiting.build();
    if (this.connection?.ready) this.#deliver(waiting);
  }

  #deliver(entry, offline) {
    const { tag, attrs, content } = entry.stanza;
    if (entry.deliveries++) this.redeliveries++;
    this.connection.send(node(tag, offline === undefined ? attrs : { ...attrs, offline: String(offline) }, content));
  }

  /** After a login everything unacknowledged comes again, marked offline, then the end mark. */
  async drain(connection) {
    const waiting = [...this.queue];
    if (waiting.length) {
      const count = tag => String(waiting.filter(entry => entry.tag === tag).length);
      connection.send(node('ib', { from: SERVER }, [
        node('offline_preview', {
          count: String(waiting.length), message: count('message'), receipt: count('receipt'),
          notification: count('notification'), appdata: '0',
        }),
      ]));
    }
    let index = 0;
    for (const entry of waiting) {
      entry.stanza ??= await entry.build();
      if (!connection.open || this.connection !== connection) return;
      this.#deliver(entry, index++);
    }
    connection.send(node('ib', { from: SERVER }, [node('offline', { count: String(waiting.length) })]));
    connection.ready = true;
  }

  /** Runs a task once nothing that the phone sends to new devices is waiting, or after a second. */
  whenSynced(task) {
    if (!this.queue.some(({ sync }) => sync)) return task();
    const timer = setTimeout(() => this.#synced?.(), 1000).unref();
    this.#synced = () => {
      this.#synced = null;
      clearTimeout(timer);
      task();
    };
    return undefined;
  }

  /** Removes the oldest waiting stanza of that kind and id; answers it, or undefined when there was none. */
  settle(tag, id) {
    const at = this.queue.findIndex(entry => entry.tag === tag && entry.id === id);
    if (at < 0) return undefined;
    this.acknowledged++;
    const [entry] = this.queue.splice(at, 1);
    if (entry.sync && !this.queue.some(({ sync }) => sync)) this.#synced?.();
    return entry;
  }
}
