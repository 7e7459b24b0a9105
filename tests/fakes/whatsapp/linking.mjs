// Linking by pairing code: the same identity hand-over as by QR, but the shared secret comes from an exchange of
// ephemeral keys, each wrapped with a key derived from the eight characters that the user types on the phone.

import { createCipheriv, createDecipheriv, hkdfSync, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { agree, generateKeys } from './keys.mjs';
import { bytesOf, child, node, parseJid, result, seconds, SERVER } from './nodes.mjs';

const ITERATIONS = 2 << 16;
const TAG = 16;
const derive = promisify(pbkdf2);

const codeKey = (code, salt) => derive(code, salt, ITERATIONS, 32, 'sha256');

/** A wrapped key is a salt (32 bytes), a counter block (16) and the encrypted key (32). */
async function unwrap(code, wrapped) {
  const decipher = createDecipheriv('aes-256-ctr', await codeKey(code, wrapped.subarray(0, 32)), wrapped.subarray(32, 48));
  return Buffer.concat([decipher.update(wrapped.subarray(48, 80)), decipher.final()]);
}

async function wrap(code, key) {
  const salt = randomBytes(32);
  const block = randomBytes(16);
  const cipher = createCipheriv('aes-256-ctr', await codeKey(code, salt), block);
  return Buffer.concat([salt, block, cipher.update(key), cipher.final()]);
}

/** The key bundle is a salt (32 bytes), a nonce (12), then both identity keys and a random value under AES-GCM. */
function openBundle(sealed, shared) {
  const purpose = 'link_code_pairing_key_bundle_encryption_key';
  const key = Buffer.from(hkdfSync('sha256', shared, sealed.subarray(0, 32), purpose, 32));
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(32, 44));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
  const plain = Buffer.concat([decipher.update(sealed.subarray(44, sealed.length - TAG)), decipher.final()]);
  return { companion: plain.subarray(0, 32), primary: plain.subarray(32, 64), random: plain.subarray(64, 96) };
}

export class Linking {
  #service;
  /** Clients that have shown a code: connection to what they sent. */
  #offers = new Map();

  constructor(service) {
    this.#service = service;
  }

  /** A client has generated a code and announces it. The code itself never reaches the service. */
  hello(connection, iq) {
    const offer = child(iq, 'link_code_companion_reg');
    const ref = Buffer.from(`2@${randomBytes(24).toString('base64')}`);
    const { user: number } = parseJid(offer.attrs.jid);
    const wrapped = bytesOf(offer, 'link_code_pairing_wrapped_companion_ephemeral_pub');
    this.#offers.set(connection, { number, ref, wrapped, finish: null });
    connection.send(result(iq, [
      node('link_code_companion_reg', { stage: 'companion_hello' }, [node('link_code_pairing_ref', {}, ref)]),
    ]));
    this.#service.report('code_offered', { n: connection.number, number });
  }

  /** The owner types the code on the phone. */
  async link({ code }) {
    const { phone } = this.#service;
    const offers = [...this.#offers].filter(([connection, offer]) => connection.open && offer.number === phone.number);
    if (!offers.length) throw new Error('no client has offered a code for this phone');
    const [connection, offer] = offers.at(-1);
    if (this.#service.faults.find('passkey', ({ early }) => early)) return this.#skip(connection, offer);
    const ephemeral = generateKeys();
    const typed = String(code).replaceAll('-', '').toUpperCase();
    const shared = agree(ephemeral.private, await unwrap(typed, offer.wrapped));
    const finished = new Promise((done, failed) => {
      offer.finish = { done, failed };
    });
    connection.send(node('notification', {
      from: SERVER, type: 'link_code_companion_reg', id: this.#service.nextId(), t: seconds(),
    }, [
      node('link_code_companion_reg', { stage: 'primary_hello' }, [
        node('link_code_pairing_ref', {}, offer.ref),
        node('link_code_pairing_wrapped_primary_ephemeral_pub', {}, await wrap(typed, ephemeral.public)),
        node('primary_identity_pub', {}, phone.identity.public),
      ]),
    ]));
    const sealed = await finished;
    this.#offers.delete(connection);
    let bundle;
    try {
      bundle = openBundle(sealed, shared);
    } catch {
      throw new Error('the phone says: wrong code');
    }
    const identities = agree(phone.identity.private, bundle.companion);
    const secret = Buffer.from(
      hkdfSync('sha256', Buffer.concat([shared, identities, bundle.random]), Buffer.alloc(0), 'adv_secret', 32),
    );
    return this.#service.pairing.accept(connection, secret);
  }

  /** Some phones do not exchange keys when the passkey follows: what they send lacks them. */
  #skip(connection, offer) {
    connection.send(node('notification', {
      from: SERVER, type: 'link_code_companion_reg', id: this.#service.nextId(), t: seconds(),
    }, [
      node('link_code_companion_reg', { stage: 'primary_hello' }, [node('link_code_pairing_ref', {}, offer.ref)]),
    ]));
    this.#offers.delete(connection);
    return this.#service.pairing.accept(connection, null);
  }

  /** The client has answered the phone's half of the exchange. */
  finish(connection, iq) {
    const stanza = child(iq, 'link_code_companion_reg');
    connection.send(result(iq));
    const offer = this.#offers.get(connection);
    const ref = bytesOf(stanza, 'link_code_pairing_ref');
    if (!offer?.finish || !ref.equals(offer.ref)) return;
    offer.finish.done(bytesOf(stanza, 'link_code_pairing_wrapped_key_bundle'));
  }

  /** A client that leaves takes its offer with it. */
  gone(connection) {
    this.#offers.get(connection)?.finish?.failed(new Error('the client left before the exchange ended'));
    this.#offers.delete(connection);
  }
}
