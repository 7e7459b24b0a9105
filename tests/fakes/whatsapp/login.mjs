// Login and the queries a client makes around it.

import { bytesOf, child, children, node, parseJid, refusal, result, seconds, SERVER, userJid } from './nodes.mjs';

const PRIVACY = {
  readreceipts: 'all', profile: 'all', status: 'all', online: 'all', last: 'all', groupadd: 'all', calladd: 'all',
};
const PROPS_HASH = 'fake-props-1';

export class Login {
  #service;
  #queries;

  constructor(service) {
    this.#service = service;
    this.#queries = {
      'encrypt': (connection, iq) => this.#encrypt(connection, iq),
      'passive': (connection, iq) => this.#passive(connection, iq),
      'abt': (connection, iq) => connection.send(result(iq, [node('props', { hash: PROPS_HASH, protocol: '1' }, [])])),
      'privacy': (connection, iq) => this.#privacy(connection, iq),
      'blocklist': (connection, iq) => connection.send(result(iq, [node('list', {}, [])])),
      'usync': (connection, iq) => this.#usync(connection, iq),
      'w:sync:app:state': (connection, iq) => this.#appState(connection, iq),
      'w:g2': (connection, iq) => this.#service.groups.query(connection, iq),
      'w:m': (connection, iq) => this.#mediaConnection(connection, iq),
      'w:profile:picture': (connection, iq) => connection.send(refusal(iq, 404, 'item-not-found')),
      'md': (connection, iq) => this.#multiDevice(connection, iq),
    };
  }

  /** Whether this device may log in; if so says `success`. */
  enter(connection, clientStatic, payload) {
    const { devices, report, faults } = this.#service;
    const owner = String(payload.username);
    const device = devices.find(each => each.owner === owner && each.id === Number(payload.device ?? 0));
    if (!device || device.removed || !device.noiseKey.equals(clientStatic)) {
      report('login_refused', { n: connection.number, jid: userJid(owner, 's.whatsapp.net', payload.device), reason: 401 });
      connection.failure(401);
      return;
    }
    const previous = device.connection;
    connection.device = device;
    device.connection = connection;
    device.logins++;
    if (previous?.open) {
      previous.device = null;
      previous.streamError(undefined, 'conflict', 'replaced');
    }
    report('login', { n: connection.number, jid: device.jid, lid: device.lid, logins: device.logins });
    connection.send(node('success', {
      t: seconds(), lid: device.lid, display_name: this.#service.phone.name, props: '27', abprops: '1', location: 'lla',
    }));
    const routing = faults.value('edge_routing', 'hex');
    if (routing !== undefined) this.route(connection, Buffer.from(routing, 'hex'));
    faults.strike('login', connection);
  }

  /** Tells the client where to be routed next time; it then opens its streams with an intro. */
  route(connection, bytes) {
    connection.send(node('ib', { from: SERVER }, [node('edge_routing', {}, [node('routing_info', {}, bytes)])]));
  }

  query(connection, iq) {
    const { xmlns, type } = iq.attrs;
    if (type === 'result' || type === 'error') {
      this.#service.pairing.answered(connection, iq);
      return;
    }
    this.#service.countQuery(xmlns ?? '');
    const ignored = this.#service.faults.find('ignore_iq', fault => !fault.xmlns || fault.xmlns === xmlns);
    if (ignored) return;
    const handle = this.#queries[xmlns];
    if (handle) handle(connection, iq);
    else connection.send(result(iq));
  }

  #encrypt(connection, iq) {
    const { device } = connection;
    if (!device) return connection.send(refusal(iq, 401, 'not-authorized'));
    if (child(iq, 'count')) return connection.send(result(iq, [node('count', { value: String(device.preKeyCount) })]));
    if (child(iq, 'digest')) return connection.send(result(iq, [node('digest', {}, [])]));
    if (child(iq, 'key')) {
      const users = children(child(iq, 'key'), 'user').map(({ attrs }) => this.#service.bundleOf(attrs.jid));
      return connection.send(result(iq, [node('list', {}, users)]));
    }
    if (child(iq, 'rotate')) device.rotate(iq);
    else if (child(iq, 'list')) device.upload(iq);
    return connection.send(result(iq));
  }

  #passive(connection, iq) {
    const answer = () => connection.send(result(iq));
    if (child(iq, 'active') && connection.device && !connection.ready) this.#service.activate(connection, answer);
    else answer();
  }

  #privacy(connection, iq) {
    if (iq.attrs.type !== 'get') return connection.send(result(iq, [node('tokens', {}, [])]));
    const categories = Object.entries(PRIVACY).map(([name, value]) => node('category', { name, value }));
    return connection.send(result(iq, [node('privacy', {}, categories)]));
  }

  /** Device lists and identifiers of accounts. A query by number learns the LID; a query by LID learns nothing new. */
  #usync(connection, iq) {
    const query = child(iq, 'usync');
    const asked = new Set(children(child(query, 'query')).map(({ tag }) => tag));
    const users = children(child(query, 'list'), 'user').map(user => {
      const digits = bytesOf(user, 'contact')?.toString().replace(/\D/g, '');
      const phone = this.#service.dialled.get(digits) ?? digits;
      const { user: name, server } = phone ? { user: phone, server: 's.whatsapp.net' } : parseJid(user.attrs.jid);
      const account = this.#service.account(name, server);
      const content = [];
      if (asked.has('contact')) content.push(node('contact', { type: account ? 'in' : 'out' }));
      if (account && asked.has('lid') && server !== 'lid') {
        content.push(node('lid', { val: userJid(account.lid, 'lid') }));
      }
      if (account && asked.has('devices')) {
        const list = this.#service.deviceIdsOf(account).map(id =>
          node('device', id ? { id: String(id), 'key-index': String(id) } : { id: '0' }));
        content.push(node('devices', {}, [node('device-list', {}, list)]));
      }
      return node('user', { jid: userJid(name, server) }, content);
    });
    connection.send(result(iq, [node('usync', query.attrs, [node('result', {}, []), node('list', {}, users)])]));
  }

  #appState(connection, iq) {
    const collections = children(child(iq, 'sync'), 'collection').map(({ attrs }) =>
      node('collection', { name: attrs.name, version: attrs.version, type: 'result' }, []));
    connection.send(result(iq, [node('sync', {}, collections)]));
  }

  #mediaConnection(connection, iq) {
    const { host } = new URL(this.#service.media.url);
    connection.send(result(iq, [
      node('media_conn', { auth: 'fake', ttl: '300', auth_ttl: '3600', max_buckets: '12' }, [
        node('host', { hostname: host, maxContentLengthBytes: String(16 << 20) }),
      ]),
    ]));
  }

  #multiDevice(connection, iq) {
    const removed = child(iq, 'remove-companion-device');
    const linking = child(iq, 'link_code_companion_reg');
    if (linking?.attrs.stage === 'companion_hello') return this.#service.linking.hello(connection, iq);
    if (linking?.attrs.stage === 'companion_finish') return this.#service.linking.finish(connection, iq);
    if (this.#service.passkeys.query(connection, iq)) return undefined;
    connection.send(result(iq));
    if (removed) this.#service.remove(parseJid(removed.attrs.jid).device, 'client');
    return undefined;
  }
}
