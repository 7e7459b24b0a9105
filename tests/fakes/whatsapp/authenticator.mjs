// A passkey in software, and the browser around it: what `navigator.credentials.get` and `PublicKeyCredential.toJSON` would
// answer, with ES256. Answers can be spoilt on request, as a careless or hostile page would.

import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';

export const ORIGIN = 'https://web.whatsapp.com';
const PRESENT = 0x01;
const VERIFIED = 0x04;

const sha256 = bytes => createHash('sha256').update(bytes).digest();
const base64Url = bytes => Buffer.from(bytes).toString('base64url');

/** What is signed: the authenticator's data and the hash of the browser's. */
const signedPart = (authenticatorData, clientDataJSON) => Buffer.concat([authenticatorData, sha256(clientDataJSON)]);

export class Authenticator {
  #keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  #counter = 0;
  credentialId = randomBytes(32);
  userHandle = randomBytes(16);

  /** Only the public half leaves it. */
  get publicKey() {
    return this.#keys.publicKey.export({ type: 'spki', format: 'der' });
  }

  /** Answers `options` as the browser's `toJSON` does. */
  get(options, { origin = ORIGIN, verified = true, type = 'webauthn.get', challenge = options.challenge, rp_id = options.rpId } = {}) {
    this.#counter += 1;
    const clientDataJSON = Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(this.#counter);
    const flags = PRESENT | (verified ? VERIFIED : 0);
    const authenticatorData = Buffer.concat([sha256(rp_id), Buffer.from([flags]), counter]);
    const signature = sign('sha256', signedPart(authenticatorData, clientDataJSON), this.#keys.privateKey);
    const id = base64Url(this.credentialId);
    return {
      authenticatorAttachment: 'platform',
      clientExtensionResults: {},
      id,
      rawId: id,
      type: 'public-key',
      response: {
        authenticatorData: base64Url(authenticatorData), clientDataJSON: base64Url(clientDataJSON),
        signature: base64Url(signature), userHandle: base64Url(this.userHandle),
      },
    };
  }
}

/**
 * The service's half: throws unless `json` is the answer of the passkey with this public key to this challenge, in exactly
 * the shape that WhatsApp's own page sends.
 */
export function verifyAssertion(json, { challenge, rpId, credentialId, publicKey }) {
  const refuse = what => {
    throw new Error(`the assertion has ${what}`);
  };
  const { id, rawId, type, response, ...more } = JSON.parse(json.toString());
  if (Object.keys(more).length || type !== 'public-key' || id !== rawId) refuse('another shape');
  if (!Buffer.from(rawId, 'base64url').equals(credentialId)) refuse('another passkey');
  const { clientDataJSON, authenticatorData, signature, userHandle, ...rest } = response;
  if (Object.keys(rest).length || userHandle === undefined) refuse('another shape');
  const [client, data, mark] = [clientDataJSON, authenticatorData, signature].map(part => Buffer.from(part, 'base64url'));
  const said = JSON.parse(client.toString());
  if (said.type !== 'webauthn.get') refuse('another type');
  if (said.origin !== ORIGIN) refuse('another origin');
  if (said.challenge !== challenge) refuse('another challenge');
  if (!data.subarray(0, 32).equals(sha256(rpId))) refuse('another site');
  if ((data[32] & (PRESENT | VERIFIED)) !== (PRESENT | VERIFIED)) refuse('no user who was verified');
  const key = createPublicKey({ key: publicKey, type: 'spki', format: 'der' });
  if (!verify('sha256', signedPart(data, client), key, mark)) refuse('a wrong signature');
}
