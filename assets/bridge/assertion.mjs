/**
 * The passkey's side of a link that WhatsApp allows only with one: what WhatsApp asks for, the line of JavaScript that asks
 * the browser for it, and the check of the browser's answer. Nothing here talks to anything.
 *
 * An answer that WhatsApp cannot use may count against the phone number, so nothing is passed on that a genuine
 * authenticator could not have made for exactly this request. The signature itself cannot be checked here: only WhatsApp
 * has the public key.
 */
import { createHash } from 'node:crypto';
import { Exit } from './exits.mjs';

/** The browser uses the passkey on this site only, and says so in what it signs. */
const ORIGIN = 'https://web.whatsapp.com';
const SITES = ['whatsapp.com', 'web.whatsapp.com'];
const ANSWER_BYTES_MAX = 32 * 1024;
const ID_BYTES_MAX = 1023;
const USER_HANDLE_BYTES_MAX = 64;
const PART_BYTES_MAX = 8 * 1024;
/** Site hash, flags and counter. Extensions may follow; nothing may be missing. */
const AUTHENTICATOR_BYTES = 37;
const FLAG = Object.freeze({ present: 0x01, verified: 0x04, credential: 0x40, extensions: 0x80 });

const isObject = value => typeof value === 'object' && value !== null && !Array.isArray(value);
const sha256 = bytes => createHash('sha256').update(bytes).digest();

/** The bytes of unpadded URL-safe base64, or null. */
function fromBase64Url(text) {
  if (typeof text !== 'string' || !/^[A-Za-z0-9_-]+$/.test(text)) return null;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}

/** Reads the options of WhatsApp's request. Throws an Exit when a browser could not serve them. */
export function readRequest(bytes) {
  const unusable = what => new Exit('passkey_required', `WhatsApp asks for a passkey in a way that is not known here: ${what}`);
  let asked;
  try {
    asked = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw unusable('the request is not JSON');
  }
  if (!isObject(asked)) throw unusable('the request is not an object');
  const challenge = fromBase64Url(asked.challenge);
  if (!challenge || challenge.length < 16 || challenge.length > 1024) throw unusable('the challenge is unusable');
  if (!SITES.includes(asked.rpId)) throw unusable('it is for another site');
  const allowed = asked.allowCredentials ?? [];
  if (!Array.isArray(allowed) || !allowed.every(each => isObject(each) && fromBase64Url(each.id))) {
    throw unusable('the list of passkeys is unusable');
  }
  const options = { challenge: asked.challenge, rpId: asked.rpId, allowCredentials: allowed };
  if (Number.isFinite(asked.timeout)) options.timeout = asked.timeout;
  if (typeof asked.userVerification === 'string') options.userVerification = asked.userVerification;
  if (isObject(asked.extensions)) options.extensions = asked.extensions;
  return { options, challenge, timeout_ms: options.timeout ?? Infinity };
}

/** One line for the browser's console that asks for the passkey and prints the answer. ASCII only, so that it survives copying. */
export function snippetFor({ options }) {
  const json = JSON.stringify(options).replace(/[^\x20-\x7e]/g, sign => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `navigator.credentials.get({publicKey:PublicKeyCredential.parseRequestOptionsFromJSON(${json})})`
    + '.then(c=>console.log(JSON.stringify(c)),e=>console.log(String(e)))';
}

/** What is wrong with an answer, in words for the person who pasted it. */
export class AnswerError extends Error {}

/**
 * Checks the pasted text against the request. Returns what WhatsApp is to be sent: `credentialId`, and `json` in the shape
 * that its own web page makes.
 */
export function readAnswer(text, { options, challenge }) {
  const answer = parse(text);
  const wrong = what => new AnswerError(`${what} Run the line in the browser again and paste what it prints.`);
  const bytesOf = (name, value, min, max) => {
    const bytes = fromBase64Url(value);
    if (!bytes || bytes.length < min || bytes.length > max) throw wrong(`\`${name}\` is missing, cut off or damaged.`);
    return bytes;
  };
  if (answer.type !== 'public-key' || !isObject(answer.response)) throw wrong('This is not the answer of a passkey.');
  const credentialId = bytesOf('rawId', answer.rawId, 1, ID_BYTES_MAX);
  if (answer.id !== answer.rawId) throw wrong('`id` and `rawId` differ.');
  if (options.allowCredentials.length && !options.allowCredentials.some(({ id }) => id === answer.rawId)) {
    throw wrong('This is not one of the passkeys that WhatsApp asks for.');
  }
  const { clientDataJSON, authenticatorData, signature, userHandle = null } = answer.response;
  checkClientData(bytesOf('clientDataJSON', clientDataJSON, 2, PART_BYTES_MAX), challenge, wrong);
  const authenticator = bytesOf('authenticatorData', authenticatorData, AUTHENTICATOR_BYTES, PART_BYTES_MAX);
  checkAuthenticator(authenticator, options, wrong);
  bytesOf('signature', signature, 8, PART_BYTES_MAX);
  if (userHandle !== null) bytesOf('userHandle', userHandle, 1, USER_HANDLE_BYTES_MAX);
  const json = JSON.stringify({
    id: answer.id,
    rawId: answer.rawId,
    type: answer.type,
    response: { clientDataJSON, authenticatorData, signature, userHandle },
  });
  return { credentialId, json: Buffer.from(json) };
}

/** Consoles put quotes around what they print, and people copy a prompt along. */
function parse(text) {
  if (typeof text !== 'string' || Buffer.byteLength(text) > ANSWER_BYTES_MAX) {
    throw new AnswerError('The answer is longer than any passkey makes it.');
  }
  const refusal = /\b([A-Z][A-Za-z]{2,40}Error)\b/.exec(text);
  const from = text.indexOf('{');
  if (from < 0 && refusal) {
    throw new AnswerError(`The browser did not use a passkey (${refusal[1]}). Is it on the page ${ORIGIN}, and does it have \
the passkey of this account?`);
  }
  let answer;
  try {
    answer = JSON.parse(text.slice(from, text.lastIndexOf('}') + 1));
  } catch {
    // Said below.
  }
  if (!isObject(answer)) {
    throw new AnswerError('This is not the whole answer: it begins with { and ends with }. Copy all of it, in one line.');
  }
  return answer;
}

function checkClientData(bytes, challenge, wrong) {
  let data;
  try {
    data = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw wrong('`clientDataJSON` is damaged.');
  }
  if (!isObject(data) || data.type !== 'webauthn.get') throw wrong('This is not an answer to a question for a passkey.');
  if (data.origin !== ORIGIN || data.crossOrigin === true) {
    throw wrong(`The line was not run on the page ${ORIGIN}.`);
  }
  if (!fromBase64Url(data.challenge)?.equals(challenge)) {
    throw wrong('This answers another request, perhaps an earlier one.');
  }
}

function checkAuthenticator(data, { rpId, userVerification }, wrong) {
  const flags = data[32];
  if (!data.subarray(0, 32).equals(sha256(rpId))) throw wrong('This passkey is for another site.');
  if (!(flags & FLAG.present)) throw wrong('The passkey was used without anybody present.');
  if (userVerification === 'required' && !(flags & FLAG.verified)) {
    throw wrong('The passkey was used without a fingerprint, face or PIN, and WhatsApp requires one.');
  }
  const more = data.length > AUTHENTICATOR_BYTES;
  if (more !== Boolean(flags & (FLAG.credential | FLAG.extensions))) throw wrong('`authenticatorData` has the wrong size.');
}
