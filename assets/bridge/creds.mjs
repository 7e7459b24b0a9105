/**
 * The credentials of creds.json, and what they say about the pairing. Pure.
 *
 * Baileys writes bytes as `{"type":"Buffer","data":"<base64>"}`. Other programs that copy a session write them as
 * `JSON.stringify` leaves them: `{"type":"Buffer","data":[1,2]}`, `{"0":1,"1":2}` or a plain list. All of them are read;
 * what is none of them is not handed to the library, which would fail in the middle of a handshake.
 */

/** A shorter list of numbers may be just that; keys and signatures are longer. */
const LEAST_BYTES = 16;
/** The one list of small numbers in these files that is not bytes. */
const NUMBERS = 'deviceIndexes';
const KEY = [32];
const PUBLIC_KEY = [32, 33];
const SIGNATURE = [64];
/** Where bytes stand that every login needs, and how many. */
const REQUIRED = [
  ['noiseKey', 'private', KEY],
  ['noiseKey', 'public', PUBLIC_KEY],
  ['signedIdentityKey', 'private', KEY],
  ['signedIdentityKey', 'public', PUBLIC_KEY],
  ['signedPreKey', 'keyPair', 'private', KEY],
  ['signedPreKey', 'keyPair', 'public', PUBLIC_KEY],
  ['signedPreKey', 'signature', SIGNATURE],
];
const OPTIONAL = [
  ['account', 'details', null],
  ['account', 'accountSignatureKey', null],
  ['account', 'accountSignature', null],
  ['account', 'deviceSignature', null],
];

const isByte = value => Number.isInteger(value) && value >= 0 && value <= 255;

/** The bytes in a value, in any of the forms above, or null. */
function bytesIn(value) {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (typeof value !== 'object' || value === null) return null;
  if (value.type === 'Buffer') {
    return typeof value.data === 'string' ? Buffer.from(value.data, 'base64') : bytesIn(value.data);
  }
  const list = Array.isArray(value) ? value : Object.values(value);
  if (!Array.isArray(value) && (!list.length || !Object.keys(value).every((key, at) => key === String(at)))) return null;
  return list.every(isByte) ? Buffer.from(list) : null;
}

/** For `JSON.parse` of the credentials and of key files. */
export function reviver(key, value) {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value) && (value.length < LEAST_BYTES || key === NUMBERS)) return value;
  return bytesIn(value) ?? value;
}

/** Puts bytes where bytes belong; false when something else stands there. Base64 is what protocol buffers become in JSON. */
function putBytes(creds, [...path], required) {
  const lengths = path.pop();
  const name = path.pop();
  const parent = path.reduce((value, part) => value?.[part], creds);
  const value = parent?.[name];
  if (value === null || value === undefined) return !required;
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : bytesIn(value);
  if (!bytes || (lengths && !lengths.includes(bytes.length))) return false;
  if (typeof value !== 'string' || lengths) parent[name] = bytes;
  return true;
}

/** The credentials in the text, or null when they are not whole. */
export function parseCreds(text) {
  if (!text) return null;
  try {
    const creds = JSON.parse(text, reviver);
    const whole = REQUIRED.every(path => putBytes(creds, path, true)) && OPTIONAL.every(path => putBytes(creds, path, false))
      && Number.isInteger(creds.registrationId) && typeof creds.advSecretKey === 'string';
    // Only a hint for the next connection, which the server gives again.
    if (!putBytes(creds, ['routingInfo', null], false)) delete creds.routingInfo;
    for (const identity of whole ? creds.signalIdentities ?? [] : []) putBytes(identity, ['identifierKey', null], false);
    return whole ? creds : null;
  } catch {
    return null;
  }
}

/**
 * `paired` needs the account signatures and a device part in the number: `registered` stays false for ever after a scan,
 * and `me` alone is also written by a pairing code that was not entered yet.
 */
export function pairingState(creds) {
  if (!creds?.me && !creds?.account) return 'unpaired';
  const { account, me } = creds;
  const signed = account?.accountSignature?.length && account.deviceSignature?.length && account.details?.length;
  return signed && /^\d+:\d+@s\.whatsapp\.net$/.test(me?.id ?? '') ? 'paired' : 'half';
}
