// Faults on demand: what can go wrong, and when.
//
// A *condition* holds from `fault` to `heal` (or for `times` uses); a *blow* ends connections at a moment: at once, while
// connecting, right after login, when the client is served, or between pair-success and the restart.

const CONDITIONS = new Set([
  'refs', 'edge_routing', 'tamper_hmac', 'drop_before_restart', 'failure', 'http_status', 'mute', 'refuse', 'ignore_iq',
  'ack_error', 'no_ack', 'delay_ack', 'media', 'unreadable', 'garble', 'no_receipts',
  'lose_receipts', 'passkey',
]);
const BLOWS = new Set(['reset', 'close', 'stream_end', 'stream_error', 'silence', 'passkey_notice']);
const MOMENTS = new Set(['now', 'connect', 'login', 'ready']);
/** These spoil one use unless told otherwise; the other conditions last until they are healed. */
const ONCE = new Set(['tamper_hmac', 'drop_before_restart']);

const sameVersion = (wanted, { primary, secondary, tertiary }) =>
  Array.isArray(wanted) && [primary, secondary, tertiary].every((part, at) => part === wanted[at]);

export class Faults {
  #armed = [];
  #service;

  constructor(service) {
    this.#service = service;
  }

  /** Adds a fault, or strikes at once. */
  async arm({ name, when = 'now', times, ...rest }) {
    if (!MOMENTS.has(when)) throw new Error(`unknown moment ${when}`);
    if (name === 'rotate_refs') return this.#rotate({ ...rest, times });
    if (name === 'exhaust_refs') return this.#registering().forEach(each => this.#service.pairing.sendRefs(each, 0));
    if (name === 'expire_refs') return this.#registering().forEach(each => void (each.refs = []));
    if (BLOWS.has(name)) {
      const fault = { name, when, ...rest };
      if (when === 'now') return this.#targets(rest.connection).forEach(each => this.#blow(fault, each));
      return this.#armed.push({ ...fault, left: times ?? 1 });
    }
    if (!CONDITIONS.has(name)) throw new Error(`unknown fault ${name}`);
    this.#armed.push({ name, left: times ?? (ONCE.has(name) ? 1 : Infinity), ...rest });
    if (name === 'refuse') this.#service.refuse(rest);
    return undefined;
  }

  /** Everything works again; connections that were silenced are cut, since their clients may have given them up. */
  async heal() {
    this.#armed = [];
    await this.#service.restore();
  }

  list() {
    return this.#armed.map(({ left, ...fault }) => ({ ...fault, left: left === Infinity ? null : left }));
  }

  find(name, accepts = () => true) {
    return this.#armed.find(fault => fault.name === name && accepts(fault));
  }

  /** Uses a fault up by one; answers it, or undefined when there is none. */
  take(name, accepts) {
    const fault = this.find(name, accepts);
    if (fault && --fault.left <= 0) this.#armed.splice(this.#armed.indexOf(fault), 1);
    return fault;
  }

  /** A setting of a lasting fault, or what holds without it. */
  value(name, key, otherwise) {
    return this.take(name)?.[key] ?? otherwise;
  }

  /** Ends a connection if a blow is due at this moment; true when it did. */
  strike(moment, connection) {
    const due = this.#armed.find(fault => BLOWS.has(fault.name) && fault.when === moment);
    if (!due) return false;
    if (--due.left <= 0) this.#armed.splice(this.#armed.indexOf(due), 1);
    this.#blow(due, connection);
    return true;
  }

  /** The login-time refusal for this client, or undefined. */
  refusal(payload) {
    const fault = this.find('failure');
    if (!fault || sameVersion(fault.accept_version, payload.userAgent.appVersion)) return undefined;
    return this.take('failure').reason ?? 503;
  }

  /** Faults before the upgrade. True when the socket is dealt with. */
  upgrade(socket) {
    const due = this.#armed.find(fault => fault.when === 'connect');
    if (due) {
      if (--due.left <= 0) this.#armed.splice(this.#armed.indexOf(due), 1);
      this.#service.report('struck', { name: due.name });
      if (due.name === 'reset') socket.resetAndDestroy();
      else socket.end();
      return true;
    }
    if (this.take('mute')) {
      this.#service.report('struck', { name: 'mute' });
      return true;
    }
    const status = this.take('http_status');
    if (!status) return false;
    this.#service.report('struck', { name: 'http_status' });
    const answer = `HTTP/1.1 ${status.status ?? 503} Fault\r\nContent-Length: 0\r\n`;
    if (status.keep_open) socket.write(`${answer}Connection: keep-alive\r\n\r\n`);
    else socket.end(`${answer}Connection: close\r\n\r\n`);
    return true;
  }

  #targets(number) {
    return this.#service.connections.filter(each => each.open && (number === undefined || each.number === number));
  }

  #registering() {
    return this.#targets().filter(each => each.registration);
  }

  #blow({ name, code, conflict }, connection) {
    this.#service.report('struck', { name, n: connection.number });
    if (name === 'reset') connection.reset();
    else if (name === 'close') connection.close();
    else if (name === 'silence') connection.silence();
    else if (name === 'passkey_notice') this.#service.passkeys.notice(connection);
    else if (name === 'stream_end') connection.end({ tag: 'xmlstreamend', attrs: {} });
    else if (conflict) connection.streamError(code, 'conflict', conflict);
    else connection.streamError(code ?? 500);
  }

  /** Sends new references several times; the client shows each at once. */
  #rotate({ every_ms = 100, times: count = 3 }) {
    let left = count;
    const turn = () => {
      const waiting = this.#registering();
      if (!waiting.length || left-- <= 0) return;
      waiting.forEach(each => this.#service.pairing.sendRefs(each));
      setTimeout(turn, every_ms).unref();
    };
    turn();
  }
}
