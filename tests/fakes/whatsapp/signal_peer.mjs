// The Signal side of one phone: the owner's or a contact's. Each phone is device 0 of its account and has no companions
// of its own, except that the owner's companions are the clients under test.

import { randomBytes, randomInt } from 'node:crypto';
import { bigEndian, generateKeys, sign, typed } from './keys.mjs';
import { libsignal, proto } from './modules.mjs';
import { lidUser, node } from './nodes.mjs';

const { ProtocolAddress, SessionBuilder, SessionCipher, SessionRecord } = libsignal;
const SIGNED_KEY_ID = 1;

/** Messages are padded with n bytes of value n, 1 to 16, so that their length tells less. */
export function pad(bytes) {
  const count = 1 + (randomBytes(1)[0] & 15);
  return Buffer.concat([bytes, Buffer.alloc(count, count)]);
}

export const unpad = bytes => Buffer.from(bytes.subarray(0, bytes.length - bytes[bytes.length - 1]));

const libsignalKeys = keys => ({ privKey: keys.private, pubKey: typed(keys.public) });

export class SignalPeer {
  #sessions = new Map();
  #preKeys = new Map();
  #nextPreKey = 1;
  #signedPreKey = null;

  constructor(number, name) {
    this.number = number;
    this.lid = lidUser(number);
    this.name = name;
    this.identity = generateKeys();
    this.registrationId = randomInt(1, 16380);
    /** Everything this phone could read, in order. */
    this.received = [];
    /** Sender-key records by libsignal name. */
    this.senderKeys = new Map();
  }

  get #signedKey() {
    this.#signedPreKey ??= generateKeys();
    return this.#signedPreKey;
  }

  // libsignal changes a record while it tries to decrypt, even when it then fails. Keeping records serialised means that
  // a failed attempt leaves nothing behind, as on a real phone.
  #storage = {
    loadSession: async id => {
      const stored = this.#sessions.get(id);
      return stored && SessionRecord.deserialize(JSON.parse(stored));
    },
    storeSession: async (id, record) => void this.#sessions.set(id, JSON.stringify(record.serialize())),
    isTrustedIdentity: async () => true,
    loadPreKey: async id => {
      const keys = this.#preKeys.get(Number(id));
      return keys && libsignalKeys(keys);
    },
    removePreKey: async id => void this.#preKeys.delete(Number(id)),
    loadSignedPreKey: async () => libsignalKeys(this.#signedKey),
    getOurRegistrationId: async () => this.registrationId,
    getOurIdentity: async () => libsignalKeys(this.identity),
  };

  #address(device) {
    return new ProtocolAddress(device.owner, device.id);
  }

  /** The key bundle the service hands to whoever wants to write to this phone; each has its own one-time key. */
  bundle(jid) {
    const id = this.#nextPreKey++;
    const keys = generateKeys();
    this.#preKeys.set(id, keys);
    const signed = this.#signedKey;
    return node('user', { jid }, [
      node('registration', {}, bigEndian(this.registrationId, 4)),
      node('type', {}, Buffer.from([5])),
      node('identity', {}, this.identity.public),
      node('skey', {}, [
        node('id', {}, bigEndian(SIGNED_KEY_ID, 3)),
        node('value', {}, signed.public),
        node('signature', {}, sign(this.identity.private, typed(signed.public))),
      ]),
      node('key', {}, [node('id', {}, bigEndian(id, 3)), node('value', {}, keys.public)]),
    ]);
  }

  async openSession(device, bundle) {
    await new SessionBuilder(this.#storage, this.#address(device)).initOutgoing(bundle);
  }

  /** Encrypts a message for one device, opening a session from its uploaded keys when there is none. */
  async encrypt(device, message) {
    const cipher = new SessionCipher(this.#storage, this.#address(device));
    if (!(await cipher.hasOpenSession())) await this.openSession(device, device.takeBundle());
    const { type, body } = await cipher.encrypt(pad(proto.Message.encode(message).finish()));
    return { type: type === 3 ? 'pkmsg' : 'msg', ciphertext: Buffer.from(body, 'binary') };
  }

  async decrypt(device, type, ciphertext) {
    const cipher = new SessionCipher(this.#storage, this.#address(device));
    const bytes = Buffer.from(ciphertext);
    const plain =
      type === 'pkmsg' ? await cipher.decryptPreKeyWhisperMessage(bytes) : await cipher.decryptWhisperMessage(bytes);
    return proto.Message.decode(unpad(plain));
  }

  /** Forgets the session with a device, as a reinstalled phone would. */
  forgetSession(device) {
    this.#sessions.delete(this.#address(device).toString());
  }
}
