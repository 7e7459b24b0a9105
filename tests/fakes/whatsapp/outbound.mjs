// Messages from the linked devices: accepted, decrypted by every phone they are for, and acknowledged.

import { describe } from './content.mjs';
import { bigEndian } from './keys.mjs';
import { child, children, node, parseJid, seconds } from './nodes.mjs';

const MAX_RETRIES = 5;

export class Outbound {
  #service;
  #receiptDelayMs;
  /** Retry receipts sent, by message id and phone. */
  #retries = new Map();

  constructor(service, { receiptDelayMs = 120 } = {}) {
    this.#service = service;
    this.#receiptDelayMs = receiptDelayMs;
  }

  message(connection, stanza) {
    const { id, to, participant } = stanza.attrs;
    const { device } = connection;
    const { faults } = this.#service;
    if (!device) return;
    const ack = { class: 'message', id, from: to, t: seconds(), participant };
    const error = faults.take('ack_error', ({ to: only }) => !only || this.#isFor(to, only));
    if (error) {
      const code = String(error.code ?? 463);
      this.#service.report('refused', { message_id: id, to, code: Number(code) });
      connection.send(node('ack', { ...ack, error: code }));
      return;
    }
    const lost = faults.take('no_ack');
    const late = lost ? undefined : faults.take('delay_ack');
    this.#service.report('accepted', { n: connection.number, message_id: id, to, acked: !lost });
    if (lost && lost.deliver === false) return;
    const accepted = late ? new Promise(done => setTimeout(done, late.ms).unref()) : Promise.resolve();
    if (!lost && !late) connection.send(node('ack', ack));
    if (late) accepted.then(() => connection.send(node('ack', ack)));
    this.#service
      .inOrder(() => this.#deliver(device, stanza, lost ? null : accepted))
      .catch(failure => this.#service.report('protocol_error', { n: connection.number, message: failure.message }));
  }

  #isFor(to, number) {
    const { user, server } = parseJid(to);
    return this.#service.account(user, server)?.number === String(number);
  }

  /** `accepted` resolves when the service has acknowledged, after which receipts may follow; null means never. */
  async #deliver(device, stanza, accepted) {
    const { to, participant } = stanza.attrs;
    const own = child(stanza, 'enc');
    const parts = children(child(stanza, 'participants'), 'to').map(({ attrs, content }) => ({
      jid: attrs.jid, enc: content.find(({ tag }) => tag === 'enc'),
    }));
    if (to.endsWith('@g.us') && !participant) {
      await this.#service.groups.outbound(device, stanza, parts, own, accepted);
      return;
    }
    if (own) parts.push({ jid: participant ?? to, enc: own });
    for (const { jid, enc } of parts) await this.#hand(device, stanza, jid, enc, accepted);
  }

  async #hand(device, stanza, jid, enc, accepted) {
    const { id, to, participant } = stanza.attrs;
    const { user, server, device: number } = parseJid(jid);
    const peer = this.#service.account(user, server);
    if (!peer) {
      this.#service.report('undecryptable', { message_id: id, to: jid, reason: 'nobody has this address' });
      return undefined;
    }
    if (peer === this.#service.phone && number) return this.#forward(device, stanza, number, enc);
    const group = participant ? to : undefined;
    const decrypt = () => peer.decrypt(device, enc.attrs.type, enc.content);
    const message = await this.read(device, peer, stanza, decrypt, accepted, group);
    if (!message) return undefined;
    if (group) await this.#service.groups.learn(device, peer, group, message);
    await this.take(device, peer, stanza, message, accepted, group);
    return undefined;
  }

  /** Another linked device of the owner gets its copy like any other message. */
  async #forward(device, stanza, number, enc) {
    const other = this.#service.linkedDevice(number);
    if (!other || other === device) return;
    const { id, to, type } = stanza.attrs;
    const from = to.endsWith('@lid') ? device.lid : device.jid;
    const copy = node('message', { from, recipient: to, id, type, t: seconds() }, [enc]);
    await other.post({ tag: 'message', id, build: async () => copy });
  }

  /** Runs a decryption; a failure is reported and answered with a retry receipt, as phones do. */
  async read(device, peer, stanza, decrypt, accepted, group) {
    try {
      const spoiled = this.#service.faults.take('unreadable', ({ to }) => !to || String(to) === peer.number);
      if (spoiled) throw new Error('spoiled on demand');
      return await decrypt();
    } catch (error) {
      const { id } = stanza.attrs;
      const where = { message_id: id, to: peer.number, from_device: device.jid };
      this.#service.report('undecryptable', { ...where, reason: error.message });
      if (accepted) await this.#askAgain(device, peer, stanza, accepted, group);
      return null;
    }
  }

  async #askAgain(device, peer, stanza, accepted, group) {
    const { id } = stanza.attrs;
    const key = `${id} ${peer.number}`;
    const count = (this.#retries.get(key) ?? 0) + 1;
    if (count > MAX_RETRIES) return;
    this.#retries.set(key, count);
    const bundle = peer.bundle('');
    const content = [
      node('retry', { count: String(count), id, t: stanza.attrs.t ?? seconds(), v: '1' }),
      node('registration', {}, bigEndian(peer.registrationId, 4)),
    ];
    // From the second attempt on the receipt brings keys of its own, so that a broken session is replaced.
    if (count > 1) {
      const names = new Set(['type', 'identity', 'key', 'skey']);
      content.push(node('keys', {}, bundle.content.filter(({ tag }) => names.has(tag))));
    }
    const attrs = { ...this.#receiptAttrs(peer, stanza, group), type: 'retry' };
    accepted.then(() => device.post({ tag: 'receipt', id, build: async () => node('receipt', attrs, content) }));
  }

  #receiptAttrs(peer, stanza, group) {
    const { id, to } = stanza.attrs;
    const lid = group || to.endsWith('@lid');
    const own = lid ? `${peer.lid}@lid` : `${peer.number}@s.whatsapp.net`;
    if (group) return { id, from: group, participant: own, t: seconds() };
    if (peer === this.#service.phone) return { id, from: own, recipient: to, t: seconds() };
    return { id, from: own, t: seconds() };
  }

  /** A phone has read a message: keep it, report it, send the delivery receipt. */
  async take(device, peer, stanza, message, accepted, group) {
    const { id, to } = stanza.attrs;
    const { phone, report, faults } = this.#service;
    const copied = message.deviceSentMessage;
    const said = describe(copied?.message ?? message);
    if (!said) return;
    const toSelf = peer === phone && this.#service.messages.isOwner(to);
    const record = {
      to: peer.number, ...(group && { group }), chat: copied?.destinationJid || to, from_device: device.jid,
      message_id: id, ...said, at_ms: Date.now(),
      duplicate: peer.received.some(each => each.message_id === id),
    };
    peer.received.push(record);
    if (peer === phone && !toSelf) {
      report('phone_copy', record);
      return;
    }
    report('received', record);
    if (!accepted || toSelf || faults.find('no_receipts')) return;
    const attrs = this.#receiptAttrs(peer, stanza, group);
    // Baileys folds a delivery receipt into the echo of the message when both fall into one 100 ms window, and then no
    // update is emitted. Real receipts take longer than that, so these wait too.
    const post = () => device.post({ tag: 'receipt', id, build: async () => node('receipt', attrs) });
    accepted.then(() => setTimeout(post, this.#receiptDelayMs).unref());
  }
}
