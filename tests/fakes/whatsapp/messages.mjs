// Messages to the linked devices: from contacts and from the owner's phone, and what the devices answer.

import { randomBytes } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { build, chatJid } from './content.mjs';
import { readKey } from './devices.mjs';
import { fromBigEndian, typed } from './keys.mjs';
import { proto } from './modules.mjs';
import { bytesOf, child, children, node, parseJid, seconds, userJid } from './nodes.mjs';

const { ProtocolMessage } = proto.Message;

/** Message ids of phones are 16 to 20 hexadecimal digits. */
export const messageId = () => `3A${randomBytes(9).toString('hex').toUpperCase()}`;

export class Messages {
  #service;
  #history;
  /** How to encrypt a sent message again, by message id. */
  #sent = new Map();

  constructor(service, { history = true } = {}) {
    this.#service = service;
    this.#history = history;
  }

  /**
   * Encrypts `message` from `peer` for every linked device and posts it. `attrs` are the stanza's without id and time;
   * `wrap`, when given, makes the stanza's content in its own way (groups).
   */
  async post(peer, { id, attrs, message, mediatype, timestamp_s, wrap, devices, sync }) {
    const stanzaAttrs = { ...attrs, id, t: String(timestamp_s ?? seconds()), notify: peer.name };
    const direct = async (device, count) => {
      const { type, ciphertext } = await peer.encrypt(device, message);
      if (this.#service.faults.take('garble')) ciphertext[ciphertext.length - 9] ^= 0x55;
      const encAttrs = { v: '2', type, mediatype, count: count && String(count) };
      return node('message', stanzaAttrs, [node('enc', encAttrs, ciphertext)]);
    };
    const first = wrap ? async device => node('message', stanzaAttrs, await wrap(device, message)) : direct;
    this.#sent.set(id, { peer, again: direct });
    for (const device of devices) await device.post({ tag: 'message', id, sync, build: () => first(device) });
  }

  /** A contact writes to the owner. */
  inbound({ from, addressing = 'lid', message_id, device, timestamp_s, unavailable, ...fields }) {
    const peer = this.#service.contact(from);
    const id = message_id ?? messageId();
    const devices = this.#service.targets(device);
    const { type, mediatype, message } = build(fields, this.#service.media, chatJid(this.#service.phone, addressing));
    const attrs = { from: chatJid(peer, addressing), type };
    if (addressing === 'pn') attrs.sender_lid = userJid(peer.lid, 'lid');
    else attrs.sender_pn = userJid(peer.number, 's.whatsapp.net');
    return this.#service.inOrder(async () => {
      const wrap = unavailable && (async () => [node('unavailable', { type: unavailable })]);
      await this.post(peer, { id, attrs, message, mediatype, timestamp_s, wrap, devices });
      return { message_id: id, chat: attrs.from };
    });
  }

  /** The owner writes on the phone; the linked devices get a copy that names the chat. */
  ownMessage({ to, self = false, recipient, addressing = 'lid', message_id, device, timestamp_s, ...fields }) {
    const { phone } = this.#service;
    const peer = self || recipient ? phone : this.#service.contact(to);
    const id = message_id ?? messageId();
    const devices = this.#service.targets(device);
    const chat = recipient ?? chatJid(peer, addressing);
    const { type, mediatype, message } = build(fields, this.#service.media, chat);
    const attrs = { from: chatJid(phone, addressing), recipient: chat, type };
    // Bots and the like have one identity.
    if (addressing === 'pn') attrs.peer_recipient_lid = recipient ? undefined : userJid(peer.lid, 'lid');
    else attrs.peer_recipient_pn = recipient ? undefined : userJid(peer.number, 's.whatsapp.net');
    const copy = { deviceSentMessage: { destinationJid: chat, message } };
    return this.#service.inOrder(async () => {
      await this.post(phone, { id, attrs, message: copy, mediatype, timestamp_s, devices });
      return { message_id: id, chat };
    });
  }

  /** Many messages at once, taking turns among the senders; numbered from 1. */
  async burst({ from, count, prefix = 'burst', ...rest }) {
    const senders = Array.isArray(from) ? from : [from];
    const sent = await Promise.all(Array.from({ length: count }, (_, at) =>
      this.inbound({ ...rest, from: senders[at % senders.length], text: `${prefix} ${at + 1}` })));
    return { message_ids: sent.map(each => each.message_id) };
  }

  /** What the phone sends a device that has just been linked: an empty history and a key for its application state. */
  async firstSync(device) {
    if (!this.#history) return;
    const { phone } = this.#service;
    const { HistorySyncType } = proto.HistorySync;
    const empty = syncType =>
      deflateSync(proto.HistorySync.encode({ syncType, conversations: [], progress: 100 }).finish());
    const notices = [HistorySyncType.INITIAL_BOOTSTRAP, HistorySyncType.RECENT].map(syncType => ({
      protocolMessage: {
        type: ProtocolMessage.Type.HISTORY_SYNC_NOTIFICATION,
        historySyncNotification: {
          syncType, chunkOrder: 1, progress: 100, initialHistBootstrapInlinePayload: empty(syncType),
        },
      },
    }));
    const keyShare = {
      protocolMessage: {
        type: ProtocolMessage.Type.APP_STATE_SYNC_KEY_SHARE,
        appStateSyncKeyShare: {
          keys: [{
            keyId: { keyId: randomBytes(6) },
            keyData: {
              keyData: randomBytes(32), timestamp: Date.now(),
              fingerprint: { rawId: 1, currentIndex: device.id, deviceIndexes: [0] },
            },
          }],
        },
      },
    };
    const attrs = { from: chatJid(phone, 'pn'), type: 'text', category: 'peer' };
    for (const message of [keyShare, ...notices]) {
      await this.post(phone, { id: messageId(), attrs, message, devices: [device], sync: true });
    }
  }

  /** A device says that it has got, read, or could not read something. */
  receipt(connection, stanza) {
    const { device } = connection;
    const { id, to, type = 'delivery', participant, recipient } = stanza.attrs;
    if (this.#service.faults.take('lose_receipts')) return;
    const ids = [id, ...children(child(stanza, 'list'), 'item').map(({ attrs }) => attrs.id)];
    connection.send(node('ack', { class: 'receipt', id, from: to, type: stanza.attrs.type, participant, recipient }));
    if (!device) return;
    this.#service.report('receipt', { n: connection.number, message_id: id, ids, type, to, participant, recipient });
    for (const each of ids) this.#settle(device, 'message', each, { by: 'receipt', type });
    if (type === 'retry') this.#retry(device, id, stanza);
  }

  #settle(device, tag, id, how) {
    const entry = device.settle(tag, id);
    if (!entry || tag !== 'message') return;
    this.#service.report('ack', { message_id: id, device: device.jid, deliveries: entry.deliveries, ...how });
  }

  /** The plain acknowledgement of a stanza; with an error for a message the device could not use. */
  acknowledged({ device }, { attrs }) {
    if (!device || this.#service.faults.find('lose_receipts')) return;
    // A retry receipt is followed by a negative ack of the same delivery. By then the message may wait again under the
    // same id, and that copy must stay.
    const resent = device.queue.find(entry => entry.tag === attrs.class && entry.id === attrs.id && entry.resent);
    if (resent && attrs.error) {
      resent.resent = false;
      return;
    }
    this.#settle(device, attrs.class, attrs.id, { by: 'ack', error: attrs.error && Number(attrs.error) });
  }

  /** The sender encrypts an unreadable message again, with a new session if the receipt brings keys. */
  #retry(device, id, stanza) {
    const sent = this.#sent.get(id);
    const count = Number(child(stanza, 'retry')?.attrs.count ?? 1);
    this.#service.report('retry_request', { message_id: id, device: device.jid, count, known: Boolean(sent) });
    if (!sent) return;
    this.#service.inOrder(async () => {
      const keys = child(stanza, 'keys');
      if (keys) {
        const preKey = readKey(child(keys, 'key'));
        await sent.peer.openSession(device, {
          registrationId: fromBigEndian(bytesOf(stanza, 'registration')), identityKey: typed(bytesOf(keys, 'identity')),
          signedPreKey: readKey(child(keys, 'skey')), preKey,
        });
      }
      await device.post({ tag: 'message', id, resent: true, build: () => sent.again(device, count) });
    }).catch(error => this.#service.report('protocol_error', { message: error.message }));
  }

  presence(connection, stanza) {
    const { type, name, to } = stanza.attrs;
    const state = stanza.tag === 'chatstate' ? children(stanza)[0]?.tag : (type ?? 'name');
    this.#service.report('presence', { n: connection.number, type: state, to, name });
  }

  /** A contact has read a message of the client's. */
  async read({ from, message_id, addressing = 'lid', type = 'read' }) {
    const peer = this.#service.contact(from);
    const attrs = { from: chatJid(peer, addressing), id: message_id, type, t: seconds() };
    for (const device of this.#service.targets()) {
      await device.post({ tag: 'receipt', id: message_id, build: async () => node('receipt', attrs) });
    }
  }

  /** Whether a message came from one of the owner's devices, by its stanza's address. */
  isOwner(jid) {
    const { user } = parseJid(jid);
    return user === this.#service.phone.number || user === this.#service.phone.lid;
  }
}
