// The fake WhatsApp service: accounts, devices, connections, and who handles what.

import { Connection } from './server.mjs';
import { Faults } from './faults.mjs';
import { Groups } from './groups.mjs';
import { Linking } from './linking.mjs';
import { Listener } from './listener.mjs';
import { Login } from './login.mjs';
import { Media } from './media.mjs';
import { Messages } from './messages.mjs';
import { Outbound } from './outbound.mjs';
import { Pairing, readRegistration } from './pairing.mjs';
import { Passkeys } from './passkey.mjs';
import { SignalPeer } from './signal_peer.mjs';
import { makeServerIdentity } from './noise.mjs';
import { node, numberOfLid, parseJid, seconds, userJid } from './nodes.mjs';

export class Service {
  #identity = null;
  #accepted = 0;
  #stanzas = 0;
  #work = Promise.resolve();
  /** Numbers as they are dialled, and as they are registered. */
  dialled = new Map();
  #absent = new Set();
  connections = [];
  devices = [];
  contacts = new Map();
  queries = {};

  /** `report(event, fields)` writes one event. */
  constructor({ report, owner, history, receiptDelayMs }) {
    this.report = report;
    this.phone = new SignalPeer(owner, 'Owner');
    this.faults = new Faults(this);
    this.pairing = new Pairing(this);
    this.linking = new Linking(this);
    this.passkeys = new Passkeys(this);
    this.login = new Login(this);
    this.groups = new Groups(this);
    this.media = new Media(this);
    this.messages = new Messages(this, { history });
    this.outbound = new Outbound(this, { receiptDelayMs });
    this.listener = new Listener({
      onUpgrade: socket => this.faults.upgrade(socket),
      onConnection: (ws, socket) => this.#accept(ws, socket),
    });
  }

  async start() {
    await Promise.all([this.listener.open(), this.media.open()]);
    this.report('listening', { url: this.listener.url, media_url: this.media.url });
  }

  stop() {
    this.listener.destroy();
    this.media.close();
  }

  /** Made at the first connection: its two signatures would delay the start. */
  serverIdentity() {
    this.#identity ??= makeServerIdentity();
    return this.#identity;
  }

  nextId() {
    return `fake-${++this.#stanzas}`;
  }

  /** Runs a task after all earlier ones, so that stanzas keep the order in which they were asked for. */
  inOrder(task) {
    const done = this.#work.then(task);
    this.#work = done.catch(() => {});
    return done;
  }

  #accept(ws, socket) {
    const connection = new Connection(this, ws, socket, ++this.#accepted);
    this.connections.push(connection);
    this.report('connection', { n: connection.number });
  }

  disconnected(connection) {
    this.connections = this.connections.filter(each => each !== connection);
    if (connection.device?.connection === connection) connection.device.connection = null;
    this.linking.gone(connection);
    this.passkeys.gone(connection);
    this.report('disconnected', { n: connection.number });
  }

  /** The handshake is over: the client registers or logs in. */
  identified(connection, clientStatic, payload, routing) {
    connection.clientStatic = Buffer.from(clientStatic);
    connection.routing = routing?.toString('hex') ?? null;
    const { primary, secondary, tertiary } = payload.userAgent.appVersion;
    connection.version = [primary, secondary, tertiary];
    const reason = this.faults.refusal(payload);
    if (reason !== undefined) {
      this.report('login_refused', { n: connection.number, reason });
      connection.failure(reason);
    } else if (Number(payload.username)) {
      this.login.enter(connection, connection.clientStatic, payload);
    } else {
      connection.registration = readRegistration(payload);
      if (!this.faults.strike('login', connection)) this.pairing.sendRefs(connection);
    }
  }

  /** One stanza from a client whose handshake is over. */
  stanza(connection, stanza) {
    switch (stanza.tag) {
      case 'iq': return this.login.query(connection, stanza);
      case 'message': return this.outbound.message(connection, stanza);
      case 'receipt': return this.messages.receipt(connection, stanza);
      case 'ack': return this.messages.acknowledged(connection, stanza);
      case 'presence':
      case 'chatstate': return this.messages.presence(connection, stanza);
      default: return undefined;
    }
  }

  countQuery(xmlns) {
    this.queries[xmlns] = (this.queries[xmlns] ?? 0) + 1;
  }

  /**
   * The client is ready for messages: first everything that waited, then live ones.
   *
   * `answer` is the answer to the client's query. At a device's first login it is held back until the device has
   * acknowledged what the phone sends to new devices: Baileys says `open` after this answer, and a program that sends at
   * once would race with the decryption of those messages for the same Signal session. On a real network they come
   * seconds later.
   */
  activate(connection, answer) {
    const { device } = connection;
    const first = device.logins === 1 || device.queue.some(({ sync }) => sync);
    if (!first) answer();
    this.inOrder(async () => {
      if (device.logins === 1) await this.messages.firstSync(device);
      await device.drain(connection);
      if (connection.ready) {
        this.report('ready', { n: connection.number, jid: device.jid });
        this.faults.strike('ready', connection);
      }
      if (first) device.whenSynced(answer);
    }).catch(error => this.report('protocol_error', { n: connection.number, message: error.message }));
  }

  contact(number) {
    const digits = String(number).replace(/\D/g, '');
    if (!digits) throw new Error(`${number} is not a phone number`);
    if (digits === this.phone.number) return this.phone;
    if (!this.contacts.has(digits)) this.contacts.set(digits, new SignalPeer(digits, `Contact ${digits.slice(-4)}`));
    return this.contacts.get(digits);
  }

  /** The account behind a number or LID, or undefined when WhatsApp does not know it. */
  account(user, server) {
    const number = server === 'lid' ? numberOfLid(user) : user;
    return !number || this.#absent.has(number) ? undefined : this.contact(number);
  }

  /** Whether a number is on WhatsApp; every number is unless told otherwise. */
  setAbsent(number, absent) {
    this.#absent[absent ? 'add' : 'delete'](String(number));
  }

  deviceIdsOf(account) {
    if (account !== this.phone) return [0];
    return [0, ...this.devices.filter(each => !each.removed && each.reachable).map(({ id }) => id)];
  }

  linkedDevice(id) {
    return this.devices.find(each => each.id === id && !each.removed);
  }

  bundleOf(jid) {
    const { user, device, server } = parseJid(jid);
    const account = this.account(user, server);
    const companion = account === this.phone && device ? this.linkedDevice(device) : undefined;
    if (companion?.reachable) return companion.bundle(jid);
    if (!account || device) return node('user', { jid }, [node('error', { code: '404', text: 'item-not-found' })]);
    return account.bundle(jid);
  }

  /** The devices that messages go to; `jid` or a device number narrows them down. */
  targets(wanted) {
    const devices = this.devices.filter(each =>
      !each.removed && (wanted === undefined || each.jid === wanted || each.id === wanted));
    if (!devices.length) throw new Error('no linked device');
    return devices;
  }

  /** The device is no longer linked; by the owner on the phone, or by the client's own wish. */
  remove(id, by) {
    const device = this.linkedDevice(id);
    if (!device) throw new Error('no such device');
    device.removed = true;
    device.queue = [];
    this.report('removed', { jid: device.jid, by });
    device.connection?.streamError(401, 'conflict', 'device_removed');
  }

  /** The service loses its memory of all devices; their next login is refused. */
  forget() {
    for (const device of this.devices) device.removed = true;
  }

  refuse({ drop = false }) {
    this.listener.close();
    if (drop) for (const connection of [...this.connections]) connection.reset();
  }

  async restore() {
    for (const connection of [...this.connections]) if (connection.silent) connection.reset();
    await this.listener.open();
  }

  state() {
    return {
      time: seconds(),
      owner: {
        number: this.phone.number, jid: userJid(this.phone.number, 's.whatsapp.net'), lid: userJid(this.phone.lid, 'lid'),
      },
      devices: this.devices.map(each => ({
        device: each.id, jid: each.jid, lid: each.lid, removed: each.removed, connected: Boolean(each.connection?.open),
        ready: Boolean(each.connection?.ready), logins: each.logins, pre_keys: each.preKeyCount,
        queued: each.queue.map(({ tag, id, deliveries }) => ({ tag, id, deliveries })),
        acknowledged: each.acknowledged, redeliveries: each.redeliveries,
      })),
      connections: this.connections.map(each => ({
        n: each.number, device: each.device?.id ?? null, registering: Boolean(each.registration),
        version: each.version ?? null, routing: each.routing ?? null, refs: each.refs.length, ready: each.ready,
        silent: each.silent,
      })),
      contacts: [this.phone, ...this.contacts.values()].map(each => ({
        number: each.number, lid: userJid(each.lid, 'lid'), received: each.received,
      })),
      groups: this.groups.list(),
      queries: this.queries,
      faults: this.faults.list(),
      listening: this.listener.listening,
    };
  }
}
