/**
 * Linking with a passkey, which WhatsApp asks of some accounts after the scan or the typed code, and which Baileys does not
 * know. It shows in two notifications that are taken from the raw stanzas:
 *
 * 1. `passkey_prologue_request` carries the request for the passkey. The answer goes out as `passkey_prologue`, with a fresh
 *    key of ours and the hash of a nonce, and a proof that we know the secret of the code that the phone scanned.
 * 2. `crsc_continuation` carries the phone's own fresh key. Our nonce goes out, both sides derive the same short code, and
 *    `encrypted_pairing_request` hands our keys to the phone. The rest is the `pair-success` of any other link.
 *
 * Nothing is sent before there is an answer that passed every check of `assertion.mjs`, and nothing is written: the
 * credentials change in memory only, when the phone is about to learn of it.
 */
import { createCipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { AnswerError, readAnswer, readRequest, snippetFor } from './assertion.mjs';
import { Exit } from './exits.mjs';
import { log } from './console.mjs';

const HANDOFF = 'shortcake-passkey-handoff-v1';
const PAIRING_KEY = 'Pairing Information Encryption Key';
const CODE_BYTES = 5;

const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest();
const hkdf = (secret, salt, info) => Buffer.from(hkdfSync('sha256', secret, salt, info, 32));
const bytesIn = (node, tag) => {
  const content = Array.isArray(node?.content) ? node.content.find(each => each.tag === tag)?.content : undefined;
  return content === undefined || Array.isArray(content) ? null : Buffer.from(content);
};

export class PasskeyLink {
  #session;
  #socket;
  #timer = null;
  #request = null;
  /** What was sent with the answer, until the phone has learnt our keys. */
  #sent = null;
  #sending = null;
  #stage = 'none';

  constructor(session, socket) {
    this.#session = session;
    this.#socket = socket;
  }

  /** A notification of either kind. */
  async notified(node) {
    if (!/^@?s\.whatsapp\.net$/.test(node.attrs.from)) {
      log('warn', 'a passkey notification that is not from WhatsApp was ignored');
    } else if (node.attrs.type === 'crsc_continuation') {
      await this.#continue(node);
    } else {
      await this.#ask(node);
    }
  }

  async #ask(node) {
    if (this.#stage !== 'none' && this.#stage !== 'asking') return;
    this.#stage = 'asking';
    const { auth, limits, writer } = this.#session;
    // The phone has seen this secret in the code. It has to be proven within a few minutes.
    const handoff = { secret: Buffer.from(auth.creds.advSecretKey, 'base64'), until: performance.now() + limits.passkey_handoff_ms };
    const tag = 'passkey_request_options';
    const bytes = bytesIn(node, tag) ?? bytesIn(await this.#query('get', tag), tag);
    if (!bytes) throw new Exit('passkey_required', 'WhatsApp asks for a passkey and does not say for which');
    this.#request = { ...readRequest(bytes), handoff };
    const { options, timeout_ms } = this.#request;
    const wait_ms = Math.min(timeout_ms, limits.passkey_ms);
    writer.event('passkey_required', { options, snippet: snippetFor(this.#request), expires_in_s: Math.round(wait_ms / 1000) });
    this.#limit(wait_ms, 'the passkey was not used in time');
  }

  /** The person's answer, as it was pasted. */
  async answer(text) {
    const { writer } = this.#session;
    if (this.#stage !== 'asking' || !this.#request) return;
    let checked;
    try {
      checked = readAnswer(text, this.#request);
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
      writer.event('passkey_rejected', { message: error.message });
      return;
    }
    this.#stage = 'sending';
    this.#sending = this.#send(checked);
    await this.#sending;
  }

  async #send({ credentialId, json }) {
    const { baileys: { Curve, proto }, limits } = this.#session;
    this.#limit(limits.passkey_step_ms, 'the phone did not go on after the passkey was used');
    const ref = bytesIn(await this.#query('get', 'ref'), 'ref')?.toString('utf8');
    if (!ref) throw new Exit('passkey_required', 'WhatsApp gave no reference for the link');
    const key = Curve.generateKeyPair();
    const nonce = randomBytes(32);
    const deviceType = this.#deviceType();
    const identity = Buffer.from(proto.CompanionEphemeralIdentity.encode({ publicKey: key.public, deviceType, ref }).finish());
    const payload = Buffer.from(proto.ProloguePayload.encode({
      companionEphemeralIdentity: identity, commitment: { hash: sha256(identity, nonce) },
    }).finish());
    const { secret, until } = this.#request.handoff;
    const isProven = performance.now() < until;
    const child = (tag, content) => ({ tag, attrs: {}, content });
    const content = [
      child('credential_id', credentialId), child('webauthn_assertion', json), child('prologue_payload', payload),
    ];
    if (isProven) {
      const proof = createHmac('sha256', hkdf(secret, Buffer.alloc(0), HANDOFF)).update(payload).digest();
      content.push(child('pairing_handoff_proof', proof));
    }
    this.#sent = { key, nonce, ref, deviceType, isProven, pairingKey: null };
    await this.#query('set', 'passkey_prologue', content);
    this.#session.writer.event('passkey_sent');
    this.#stage = 'sent';
  }

  async #continue(node) {
    const { baileys, writer, limits } = this.#session;
    // The phone may be faster than the answer to our query, whose failure is told where it was asked.
    await this.#sending?.catch(() => {});
    if (this.#stage !== 'sent') return;
    this.#stage = 'continuing';
    const { key, nonce, ref, deviceType, isProven } = this.#sent;
    const phone = baileys.proto.PrimaryEphemeralIdentity.decode(bytesIn(node, 'primary_ephemeral_identity') ?? Buffer.alloc(0));
    if (phone.publicKey?.length !== 32 || phone.nonce?.length !== 32) {
      throw new Exit('passkey_required', 'the phone went on in a way that is not known here');
    }
    this.#limit(limits.passkey_step_ms, 'the code was not confirmed in time');
    await this.#query('set', 'companion_nonce', nonce);
    const shared = baileys.Curve.sharedKey(key.private, phone.publicKey);
    this.#sent.pairingKey = hkdf(shared, `Companion Pairing ${deviceType} with ref ${ref}`, PAIRING_KEY);
    const digest = sha256(nonce, Buffer.from(phone.publicKey));
    const code = baileys.bytesToCrockford(Buffer.from(phone.nonce.subarray(0, CODE_BYTES).map((byte, at) => byte ^ digest[at])));
    this.#stage = 'confirming';
    // With the proof the phone knows us already and compares nothing, as with WhatsApp's own web page.
    writer.event('passkey_code', { code: `${code.slice(0, 4)}-${code.slice(4)}`, confirm: !isProven });
    if (isProven) await this.confirm(true);
  }

  /** Whether the phone shows the same code. */
  async confirm(matches) {
    if (this.#stage !== 'confirming') return;
    if (matches !== true) throw new Exit('passkey_required', 'the phone showed another code, so it was not linked');
    this.#stage = 'finishing';
    const { baileys: { proto }, auth: { creds }, limits } = this.#session;
    this.#limit(limits.passkey_step_ms, 'the phone did not finish the link');
    const secret = randomBytes(32);
    const request = proto.PairingRequest.encode({
      companionPublicKey: creds.noiseKey.public, companionIdentityKey: creds.signedIdentityKey.public, advSecret: secret,
    }).finish();
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#sent.pairingKey, iv);
    const encryptedPayload = Buffer.concat([cipher.update(request), cipher.final(), cipher.getAuthTag()]);
    // Baileys checks the phone's acceptance with it, which may come before the answer to this query.
    creds.advSecretKey = secret.toString('base64');
    const sealed = proto.EncryptedPairingRequest.encode({ encryptedPayload, iv }).finish();
    await this.#query('set', 'encrypted_pairing_request', Buffer.from(sealed));
  }

  /** Phone linked, or everything ends. */
  close() {
    clearTimeout(this.#timer);
    this.#stage = 'none';
  }

  /** The kind of device that Baileys registers as. */
  #deviceType() {
    const { baileys: { DEFAULT_CONNECTION_CONFIG, proto: { DeviceProps: { PlatformType } } } } = this.#session;
    return PlatformType[DEFAULT_CONNECTION_CONFIG.browser[1].toUpperCase()] || PlatformType.CHROME;
  }

  async #query(type, tag, content) {
    const { baileys: { S_WHATSAPP_NET: to } } = this.#session;
    let answer;
    try {
      answer = await this.#socket.query({ tag: 'iq', attrs: { to, type, xmlns: 'md' }, content: [{ tag, attrs: {}, content }] });
    } catch (error) {
      // The number of the server's refusal; anything else is the connection.
      if (!Number.isInteger(error.data)) throw new Exit('connection_lost', error.message);
      throw new Exit('passkey_required', `WhatsApp refused the passkey (${tag}: ${error.data} ${String(error.message).slice(0, 80)})`);
    }
    if (!answer) throw new Exit('connection_lost', `WhatsApp did not answer (${tag})`);
    return answer;
  }

  #limit(ms, reason) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#session.fatal(new Exit('passkey_required', reason)), ms);
  }
}
