// Curve25519 keys as WhatsApp uses them: 32 bytes on the wire, 33 (with a leading type byte 5) inside libsignal.

import { libsignal } from './modules.mjs';

const { curve } = libsignal;
const TYPE = Buffer.from([5]);

export const typed = key => (key.length === 33 ? Buffer.from(key) : Buffer.concat([TYPE, key]));
export const bare = key => Buffer.from(key.length === 33 ? key.subarray(1) : key);

export function generateKeys() {
  const { privKey, pubKey } = curve.generateKeyPair();
  return { private: Buffer.from(privKey), public: bare(pubKey) };
}

export const agree = (privateKey, publicKey) => Buffer.from(curve.calculateAgreement(typed(publicKey), privateKey));

export const sign = (privateKey, message) => Buffer.from(curve.calculateSignature(privateKey, message));

/** Unlike Baileys' own wrapper this heeds the boolean that libsignal returns. */
export function verify(publicKey, message, signature) {
  try {
    return curve.verifySignature(typed(publicKey), message, Buffer.from(signature)) === true;
  } catch {
    return false;
  }
}

/** Big-endian unsigned integers of a fixed width carry all key ids. */
export function bigEndian(value, width) {
  const out = Buffer.alloc(width);
  out.writeUIntBE(value, 0, width);
  return out;
}

export const fromBigEndian = bytes => Buffer.from(bytes).readUIntBE(0, bytes.length);
