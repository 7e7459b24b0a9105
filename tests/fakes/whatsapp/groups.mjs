// Groups: their metadata, and messages under sender keys in both directions.
//
// Groups here are LID-addressed, as new ones are. A sender's key goes to a device inside an ordinary encrypted message
// the first time; the text itself is encrypted once for all.

import { build, chatJid } from './content.mjs';
import { messageId } from './messages.mjs';
import { libsignal, loadGroups, proto } from './modules.mjs';
import { node, parseJid, refusal, result, seconds, userJid } from './nodes.mjs';
import { pad, unpad } from './signal_peer.mjs';

const groupJid = id => (String(id).includes('@') ? String(id) : `${id}@g.us`);

export class Groups {
  #service;
  #groups = new Map();

  constructor(service) {
    this.#service = service;
  }

  /** Creates a group or changes it; the owner is always a member. */
  define({ group, subject, members = [] }) {
    const jid = groupJid(group);
    const owner = this.#service.phone.number;
    const known = this.#groups.get(jid) ?? { jid, subject: 'A group', members: new Set([owner]), created: seconds() };
    if (subject !== undefined) known.subject = subject;
    for (const member of members) known.members.add(this.#service.contact(member).number);
    this.#groups.set(jid, known);
    return known;
  }

  list() {
    return [...this.#groups.values()].map(({ jid, subject, members }) => ({ group: jid, subject, members: [...members] }));
  }

  #metadata({ jid, subject, members, created }) {
    const { phone } = this.#service;
    const participants = [...members].map(number => {
      const peer = this.#service.contact(number);
      return node('participant', {
        jid: userJid(peer.lid, 'lid'), phone_number: userJid(number, 's.whatsapp.net'),
        type: peer === phone ? 'superadmin' : undefined,
      });
    });
    return node('group', {
      id: jid.split('@')[0], subject, creation: created, s_t: created, addressing_mode: 'lid', size: String(members.size),
      creator: userJid(phone.lid, 'lid'), creator_pn: userJid(phone.number, 's.whatsapp.net'),
    }, participants);
  }

  query(connection, iq) {
    if (iq.attrs.to === '@g.us') {
      const all = [...this.#groups.values()].map(each => this.#metadata(each));
      connection.send(result(iq, [node('groups', {}, all)]));
      return;
    }
    const group = this.#groups.get(iq.attrs.to);
    connection.send(group ? result(iq, [this.#metadata(group)]) : refusal(iq, 404, 'item-not-found'));
  }

  async #cipherFor(peer, jid, owner, deviceId) {
    const { GroupCipher, GroupSessionBuilder, SenderKeyName, SenderKeyRecord } = await loadGroups();
    const name = new SenderKeyName(jid, new libsignal.ProtocolAddress(owner, deviceId));
    const store = {
      loadSenderKey: async key => peer.senderKeys.get(key.toString()) ?? new SenderKeyRecord(),
      storeSenderKey: async (key, record) => void peer.senderKeys.set(key.toString(), record),
    };
    return { name, cipher: new GroupCipher(store, name), builder: new GroupSessionBuilder(store) };
  }

  /** A member writes to the group. */
  inbound({ group, from, message_id, device, timestamp_s, ...fields }) {
    const { jid } = this.define({ group, members: [from] });
    const peer = this.#service.contact(from);
    const id = message_id ?? messageId();
    const devices = this.#service.targets(device);
    const { type, mediatype, message } = build(fields, this.#service.media, jid);
    const attrs = {
      from: jid, participant: chatJid(peer, 'lid'), participant_pn: chatJid(peer, 'pn'), addressing_mode: 'lid', type,
    };
    return this.#service.inOrder(async () => {
      const { name, cipher, builder } = await this.#cipherFor(peer, jid, peer.lid, 0);
      const distribution = {
        groupId: jid, axolotlSenderKeyDistributionMessage: (await builder.create(name)).serialize(),
      };
      const sealed = Buffer.from(await cipher.encrypt(pad(proto.Message.encode(message).finish())));
      const wrap = async to => {
        const { type: kind, ciphertext } = await peer.encrypt(to, { senderKeyDistributionMessage: distribution });
        return [node('enc', { v: '2', type: kind }, ciphertext), node('enc', { v: '2', type: 'skmsg', mediatype }, sealed)];
      };
      const full = { ...message, senderKeyDistributionMessage: distribution };
      await this.#service.messages.post(peer, { id, attrs, message: full, mediatype, timestamp_s, wrap, devices });
      return { message_id: id, chat: jid };
    });
  }

  /** A linked device writes to the group: hand out its sender key, then let every member read. */
  async outbound(device, stanza, parts, sealed, accepted) {
    const group = this.#groups.get(stanza.attrs.to);
    const { outbound } = this.#service;
    if (!group) {
      const { id, to } = stanza.attrs;
      this.#service.report('undecryptable', { message_id: id, to, reason: 'no such group' });
      return;
    }
    // The client addresses its own account's companions too, itself included; phones are the devices 0.
    const phones = parts.filter(({ jid }) => parseJid(jid).device === 0);
    const keys = new Map(phones.map(({ jid, enc }) => [parseJid(jid).user, enc]));
    for (const number of group.members) {
      const peer = this.#service.contact(number);
      const enc = keys.get(peer.lid) ?? keys.get(number);
      const read = async () => {
        if (enc) await this.learn(device, peer, group.jid, await peer.decrypt(device, enc.attrs.type, enc.content));
        const { cipher } = await this.#cipherFor(peer, group.jid, device.owner, device.id);
        return proto.Message.decode(unpad(await cipher.decrypt(Buffer.from(sealed.content))));
      };
      const message = await outbound.read(device, peer, stanza, read, accepted, group.jid);
      if (message) await outbound.take(device, peer, stanza, message, accepted, group.jid);
    }
  }

  /** Keeps the sender key that a message carries. */
  async learn(device, peer, jid, message) {
    const distribution = message.senderKeyDistributionMessage;
    if (!distribution) return;
    const { SenderKeyDistributionMessage } = await loadGroups();
    const { name, builder } = await this.#cipherFor(peer, jid, device.owner, device.id);
    const bytes = Buffer.from(distribution.axolotlSenderKeyDistributionMessage);
    await builder.process(name, new SenderKeyDistributionMessage(null, null, null, null, bytes));
  }
}
