// The responder's side of Noise_XX_25519_AESGCM_SHA256 as WhatsApp speaks it.
//
// The protocol name is exactly 32 bytes, so the Noise specification takes it unhashed as the first `h`. The four bytes
// that open the stream are the prologue; a routing intro before them is not part of it. One nonce counter is shared by
// both directions until the handshake ends, as in Noise's single CipherState.

import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto';
import { agree, generateKeys, sign } from './keys.mjs';
import { proto } from './modules.mjs';
import { ROOT_PRIVATE, ROOT_SERIAL } from './root.mjs';

const NAME = Buffer.from('Noise_XX_25519_AESGCM_SHA256\0\0\0\0');
const NONE = Buffer.alloc(0);
const TAG = 16;

function nonce(counter) {
  const iv = Buffer.alloc(12);
  iv.writeUInt32BE(counter, 8);
  return iv;
}

function seal(key, counter, plain, extra) {
  const cipher = createCipheriv('aes-256-gcm', key, nonce(counter));
  cipher.setAAD(extra);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function unseal(key, counter, sealed, extra) {
  const bytes = Buffer.from(sealed);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce(counter));
  decipher.setAAD(extra);
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG));
  return Buffer.concat([decipher.update(bytes.subarray(0, bytes.length - TAG)), decipher.final()]);
}

/** The service's static key and its certificate chain: root, intermediate, leaf. */
export function makeServerIdentity() {
  const keys = generateKeys();
  const intermediate = generateKeys();
  const { Details } = proto.CertChain.NoiseCertificate;
  const intermediateDetails = Details.encode({ serial: 1, issuerSerial: ROOT_SERIAL, key: intermediate.public }).finish();
  const leafDetails = Details.encode({ serial: 2, issuerSerial: 1, key: keys.public }).finish();
  const certificate = proto.CertChain.encode({
    leaf: { details: leafDetails, signature: sign(intermediate.private, leafDetails) },
    intermediate: { details: intermediateDetails, signature: sign(ROOT_PRIVATE, intermediateDetails) },
  }).finish();
  return { keys, certificate };
}

export class NoiseResponder {
  #identity;
  #hash = NAME;
  #chain = NAME;
  #key = NAME;
  #counter = 0;
  #ephemeral = generateKeys();
  #transport;

  constructor(identity, prologue) {
    this.#identity = identity;
    this.#mixHash(prologue);
  }

  #mixHash(data) {
    this.#hash = createHash('sha256').update(this.#hash).update(data).digest();
  }

  #derive(secret) {
    const out = Buffer.from(hkdfSync('sha256', secret, this.#chain, NONE, 64));
    return [out.subarray(0, 32), out.subarray(32)];
  }

  #mixKey(secret) {
    [this.#chain, this.#key] = this.#derive(secret);
    this.#counter = 0;
  }

  #sealAndHash(plain) {
    const sealed = seal(this.#key, this.#counter++, plain, this.#hash);
    this.#mixHash(sealed);
    return sealed;
  }

  #unsealAndHash(sealed) {
    const plain = unseal(this.#key, this.#counter++, sealed, this.#hash);
    this.#mixHash(sealed);
    return plain;
  }

  /** Takes a ClientHello frame and gives the ServerHello frame. */
  answerHello(frame) {
    const { clientHello } = proto.HandshakeMessage.decode(frame);
    this.#mixHash(clientHello.ephemeral);
    this.#mixHash(this.#ephemeral.public);
    this.#mixKey(agree(this.#ephemeral.private, clientHello.ephemeral));
    const sealedStatic = this.#sealAndHash(this.#identity.keys.public);
    this.#mixKey(agree(this.#identity.keys.private, clientHello.ephemeral));
    const payload = this.#sealAndHash(this.#identity.certificate);
    const serverHello = { ephemeral: this.#ephemeral.public, static: sealedStatic, payload };
    return proto.HandshakeMessage.encode({ serverHello }).finish();
  }

  /** Takes a ClientFinish frame, switches to transport keys, and gives the client's static key and payload. */
  finish(frame) {
    const { clientFinish } = proto.HandshakeMessage.decode(frame);
    const clientStatic = this.#unsealAndHash(clientFinish.static);
    this.#mixKey(agree(this.#ephemeral.private, clientStatic));
    const payload = proto.ClientPayload.decode(this.#unsealAndHash(clientFinish.payload));
    const [fromClient, toClient] = this.#derive(NONE);
    this.#transport = { fromClient, toClient, read: 0, written: 0 };
    return { clientStatic, payload };
  }

  encrypt(plain) {
    return seal(this.#transport.toClient, this.#transport.written++, plain, NONE);
  }

  decrypt(sealed) {
    return unseal(this.#transport.fromClient, this.#transport.read++, sealed, NONE);
  }
}
