// One client connection: handshake, then stanzas in both directions.

import { FrameReader, frame, packNode, PROLOGUE, unpackNode } from './frames.mjs';
import { NoiseResponder } from './noise.mjs';
import { node } from './nodes.mjs';

export class Connection {
  #service;
  #ws;
  #socket;
  #reader = new FrameReader();
  #noise = null;
  #phase = 'hello';
  #silent = false;
  /** Set once the client has registered: what it sent about itself. */
  registration = null;
  /** Set once the client has logged in. */
  device = null;
  /** Live stanzas may be sent; before that everything waits for the offline queue. */
  ready = false;
  refs = [];
  open = true;

  constructor(service, ws, socket, number) {
    this.#service = service;
    this.#ws = ws;
    this.#socket = socket;
    this.number = number;
    ws.on('message', data => this.#receive(data));
    ws.on('close', () => this.#closed());
    ws.on('error', () => this.#closed());
  }

  #closed() {
    if (!this.open) return;
    this.open = false;
    this.ready = false;
    this.#service.disconnected(this);
  }

  #receive(data) {
    if (this.#silent || !this.open) return;
    try {
      for (const body of this.#reader.push(data)) this.#handle(body);
    } catch (error) {
      this.#service.report('protocol_error', { n: this.number, message: error.message });
      this.reset();
    }
  }

  #handle(body) {
    if (this.#phase === 'hello') {
      this.#noise = new NoiseResponder(this.#service.serverIdentity(), PROLOGUE);
      this.#ws.send(frame(this.#noise.answerHello(body)));
      this.#phase = 'finish';
    } else if (this.#phase === 'finish') {
      const { clientStatic, payload } = this.#noise.finish(body);
      this.#phase = 'open';
      this.#service.identified(this, clientStatic, payload, this.#reader.routing);
    } else {
      this.#service.stanza(this, unpackNode(this.#noise.decrypt(body)));
    }
  }

  send(stanza) {
    if (this.#silent || !this.open) return false;
    this.#ws.send(frame(this.#noise.encrypt(packNode(stanza))));
    return true;
  }

  /** Sends a last stanza and closes in the orderly way. */
  end(stanza) {
    if (stanza) this.send(stanza);
    this.close();
  }

  close() {
    this.ready = false;
    if (!this.#silent) this.#ws.close(1000);
  }

  /** TCP RST: no WebSocket close frame, no FIN. */
  reset() {
    this.ready = false;
    this.#socket.resetAndDestroy();
    this.#closed();
  }

  /** Half-open from now on: nothing is read or sent, the client's close frame stays unanswered, TCP stays up. */
  silence() {
    this.#silent = true;
    this.#socket.pause();
  }

  get silent() {
    return this.#silent;
  }

  streamError(code, reason, type) {
    const content = reason ? [node(reason, type ? { type } : {})] : undefined;
    this.end(node('stream:error', code === undefined ? {} : { code: String(code) }, content));
  }

  failure(reason) {
    this.end(node('failure', { reason: String(reason), location: 'lla' }));
  }
}
