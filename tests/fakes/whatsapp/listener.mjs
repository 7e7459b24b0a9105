// The listening socket: upgrades to WebSocket, and the faults that happen before there is one.

import { createServer } from 'node:http';
import { WebSocketServer } from './modules.mjs';

export class Listener {
  #server = null;
  #port = 0;
  #sockets = new Set();
  #webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 32 << 20 });
  #onUpgrade;
  #onConnection;

  /** `onUpgrade(socket)` answers true when it has taken the socket over; `onConnection(ws, socket)` gets the rest. */
  constructor({ onUpgrade, onConnection }) {
    this.#onUpgrade = onUpgrade;
    this.#onConnection = onConnection;
  }

  get listening() {
    return this.#server !== null;
  }

  get url() {
    return `ws://127.0.0.1:${this.#port}/ws/chat`;
  }

  /** Listens; the first time on a free port, later on the same one. */
  async open() {
    if (this.#server) return;
    const server = createServer((request, response) => response.writeHead(426).end());
    server.on('connection', socket => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
    server.on('upgrade', (request, socket, head) => {
      if (this.#onUpgrade(socket)) return;
      this.#webSockets.handleUpgrade(request, socket, head, ws => this.#onConnection(ws, socket));
    });
    await new Promise((done, failed) => {
      server.once('error', failed);
      server.listen(this.#port, '127.0.0.1', done);
    });
    this.#port = server.address().port;
    this.#server = server;
  }

  /** Stops listening, so that connecting is refused; connections that exist go on. */
  close() {
    this.#server?.close();
    this.#server = null;
  }

  /** Ends every socket, also those that never became a WebSocket. */
  destroy() {
    this.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
