// Linking with a passkey: after the scan or the typed code the service asks the client for an assertion of the account's
// passkey, then the phone and the client agree on a key and compare a code, and only then the phone learns whom it links.

import { createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { Authenticator, verifyAssertion } from './authenticator.mjs';
import { agree, generateKeys } from './keys.mjs';
import { proto } from './modules.mjs';
import { bytesOf, node, refusal, result, seconds, SERVER } from './nodes.mjs';

const HANDOFF = 'shortcake-passkey-handoff-v1';
const PAIRING_KEY = 'Pairing Information Encryption Key';
const TAG = 16;
/** The first bytes of the code, in letters and digits that cannot be mistaken for each other. */
const CODE_BYTES = 5;
const SIGNS = '123456789ABCDEFGHJKLMNPQRSTVWXYZ';

const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest();
const hkdf = (secret, salt, info) => Buffer.from(hkdfSync('sha256', secret, salt, info, 32));

function inSigns(bytes) {
  const bits = [...bytes].map(byte => byte.toString(2).padStart(8, '0')).join('');
  const code = bits.match(/.{5}/g).map(part => SIGNS[Number.parseInt(part, 2)]).join('');
  return `${code.slice(0, 4)}-${code.slice(4)}`;
}

export class Passkeys {
  #service;
  #steps = {
    ref: (...all) => this.#ref(...all),
    passkey_request_options: (link, connection, iq) => connection.send(result(iq, [this.#options(link.options)])),
    passkey_prologue: (...all) => this.#prologue(...all),
    companion_nonce: (...all) => this.#nonce(...all),
    encrypted_pairing_request: (...all) => this.#request(...all),
  };
  #authenticator = new Authenticator();
  /** What each client was asked and has answered. */
  #links = new Map();

  constructor(service) {
    this.#service = service;
  }

  /**
   * Asks the client for the passkey, if the account needs one. `secret` is what the phone knows of the client: that of the
   * scanned code, or null. True when it was asked.
   */
  demand(connection, secret) {
    const demand = this.#service.faults.take('passkey');
    if (!demand) return false;
    const options = {
      challenge: randomBytes(32).toString('base64url'), timeout: demand.timeout_ms ?? 600_000, rpId: demand.rp_id ?? 'whatsapp.com',
      allowCredentials: [], userVerification: 'required', extensions: { uvm: true },
    };
    this.#links.set(connection, { options, secret, refuse: demand.refuse, ref: null, stage: 'asked' });
    connection.refs = [];
    const content = demand.no_options ? [] : [this.#options(options)];
    connection.send(this.#notification('passkey_prologue_request', content));
    this.#service.report('passkey_asked', { n: connection.number, options });
    return true;
  }

  /** The same notification to a device that is already linked, out of the blue. */
  notice(connection) {
    connection.send(this.#notification('passkey_prologue_request', []));
  }

  /** What the browser with the account's passkey answers to the newest request. */
  assertion(how) {
    const link = [...this.#links.values()].at(-1);
    if (!link) throw new Error('no client was asked for a passkey');
    return this.#authenticator.get(link.options, how);
  }

  /** A query of a client about its passkey; false when it is about something else. */
  query(connection, iq) {
    const link = this.#links.get(connection);
    const [asked] = Array.isArray(iq.content) ? iq.content : [];
    if (!link || !Object.hasOwn(this.#steps, asked?.tag)) return false;
    try {
      this.#steps[asked.tag](link, connection, iq, asked);
    } catch (error) {
      this.#service.report('passkey_refused', { n: connection.number, message: error.message });
      connection.send(refusal(iq, 400, 'bad-request'));
    }
    return true;
  }

  gone(connection) {
    this.#links.delete(connection);
  }

  #ref(link, connection, iq) {
    link.ref = `2@${randomBytes(24).toString('base64')}`;
    connection.send(result(iq, [node('ref', {}, Buffer.from(link.ref))]));
  }

  #prologue(link, connection, iq, prologue) {
    this.#expect(link, 'asked');
    if (link.refuse) throw new Error('the passkey is refused on request');
    const { credentialId, publicKey } = this.#authenticator;
    if (!bytesOf(prologue, 'credential_id').equals(credentialId)) throw new Error('another passkey was used');
    verifyAssertion(bytesOf(prologue, 'webauthn_assertion'), { ...link.options, credentialId, publicKey });
    const payload = bytesOf(prologue, 'prologue_payload');
    const { companionEphemeralIdentity: identity, commitment } = proto.ProloguePayload.decode(payload);
    const client = proto.CompanionEphemeralIdentity.decode(identity);
    if (client.ref !== link.ref || client.publicKey.length !== 32) throw new Error('the identity of the client is wrong');
    const proof = bytesOf(prologue, 'pairing_handoff_proof');
    // Without the secret of a scanned code there is nothing to compare it with.
    if (proof && link.secret) {
      const wanted = createHmac('sha256', hkdf(link.secret, Buffer.alloc(0), HANDOFF)).update(payload).digest();
      if (!proof.equals(wanted)) throw new Error('the proof of the scanned code is wrong');
    }
    const key = generateKeys();
    const nonce = randomBytes(32);
    Object.assign(link, {
      stage: 'answered', identity: Buffer.from(identity), hash: Buffer.from(commitment.hash), client, key, nonce, proven: Boolean(proof),
    });
    connection.send(result(iq));
    const primary = proto.PrimaryEphemeralIdentity.encode({ publicKey: key.public, nonce }).finish();
    connection.send(this.#notification('crsc_continuation', [node('primary_ephemeral_identity', {}, primary)]));
  }

  #nonce(link, connection, iq, asked) {
    this.#expect(link, 'answered');
    const companionNonce = Buffer.from(asked.content);
    if (!sha256(link.identity, companionNonce).equals(link.hash)) throw new Error('the nonce is not the promised one');
    const digest = sha256(companionNonce, link.key.public);
    const code = inSigns(digest.subarray(0, CODE_BYTES).map((byte, at) => byte ^ link.nonce[at]));
    link.stage = 'comparing';
    connection.send(result(iq));
    this.#service.report('passkey_code', {
      n: connection.number, code, compared: !link.proven,
    });
  }

  #request(link, connection, iq, asked) {
    this.#expect(link, 'comparing');
    const { encryptedPayload, iv } = proto.EncryptedPairingRequest.decode(Buffer.from(asked.content));
    const salt = `Companion Pairing ${link.client.deviceType} with ref ${link.ref}`;
    const key = hkdf(agree(link.key.private, Buffer.from(link.client.publicKey)), salt, PAIRING_KEY);
    const decipher = createDecipheriv('aes-256-gcm', key, iv);
    const body = Buffer.from(encryptedPayload);
    decipher.setAuthTag(body.subarray(body.length - TAG));
    const plain = Buffer.concat([decipher.update(body.subarray(0, body.length - TAG)), decipher.final()]);
    const { companionPublicKey, companionIdentityKey, advSecret } = proto.PairingRequest.decode(plain);
    if (!connection.clientStatic.equals(Buffer.from(companionPublicKey))) throw new Error('it names another noise key');
    if (!connection.registration.identity.equals(Buffer.from(companionIdentityKey))) throw new Error('it names another identity');
    this.#links.delete(connection);
    connection.send(result(iq));
    this.#service.pairing.complete(connection, Buffer.from(advSecret));
  }

  #expect({ stage }, wanted) {
    if (stage !== wanted) throw new Error(`this comes at the wrong time: ${stage} instead of ${wanted}`);
  }

  #options(options) {
    return node('passkey_request_options', {}, Buffer.from(JSON.stringify(options)));
  }

  #notification(type, content) {
    return node('notification', { from: SERVER, type, id: this.#service.nextId(), t: seconds() }, content);
  }
}
