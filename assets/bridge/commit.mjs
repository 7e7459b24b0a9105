/**
 * Output commit: nothing leaves the process before everything that was decided earlier is on disk.
 *
 * Baileys answers a message (receipt) as soon as it is decrypted and sends a stanza before it stores the session that
 * encrypted it. Instead of changing Baileys, every change is announced here with `touch`, and every frame on its way to
 * the server waits for `barrier`. Changes gathered while one cycle runs share the next one, so that a burst of a hundred
 * messages costs a few flushes and not hundreds.
 *
 * A cycle takes a snapshot of all participants at one instant and then writes them in their order: first the spool, then
 * the keys, last the credentials. A crash between two of them leaves a message that is spooled while the old key is
 * still on disk, and the server, which has no receipt, delivers it again.
 */
export class Committer {
  #participants;
  #onError;
  #changed = 0;
  #durable = 0;
  #running = false;
  #failure = null;
  #waiters = [];

  /** Each participant has `take()`, which returns a function that makes the snapshot durable, or null. */
  constructor(participants, onError) {
    this.#participants = participants;
    this.#onError = onError;
  }

  touch() {
    this.#changed += 1;
    if (!this.#running && !this.#failure) {
      this.#running = true;
      setImmediate(() => this.#run());
    }
  }

  /** Null when all is durable, otherwise a promise of it. */
  barrier() {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#durable === this.#changed) return null;
    const target = this.#changed;
    return new Promise((resolve, reject) => this.#waiters.push({ target, resolve, reject }));
  }

  /** Resolves when everything announced so far is on disk. */
  async flush() {
    await this.barrier();
  }

  async #run() {
    try {
      while (this.#durable < this.#changed) {
        const target = this.#changed;
        for (const write of this.#participants.map(one => one.take())) await write?.();
        this.#durable = target;
        const done = this.#waiters.filter(waiter => waiter.target <= target);
        this.#waiters = this.#waiters.filter(waiter => waiter.target > target);
        for (const waiter of done) waiter.resolve();
      }
    } catch (error) {
      this.#failure = error;
      for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
      this.#onError(error);
    } finally {
      this.#running = false;
    }
  }
}

/**
 * Puts the barrier in front of a `ws` WebSocket: frames keep their order (the noise counter depends on it) and wait for
 * the disk. The sender is told at once that its frame was taken, because Baileys handles messages one after another and
 * would otherwise wait for the disk once per message; a frame that never leaves is the same as one lost on the way.
 */
export function holdFrames(socket, committer) {
  const send = socket.send.bind(socket);
  const queue = [];
  let pumping = false;

  const pump = async () => {
    pumping = true;
    try {
      while (queue.length) {
        await queue[0].due;
        const { data } = queue.shift();
        if (socket.readyState === socket.OPEN) send(data, () => {});
      }
    } catch {
      queue.length = 0;
    }
    pumping = false;
  };

  socket.send = (data, options, done) => {
    const callback = typeof options === 'function' ? options : done;
    const due = committer.barrier();
    if (!due && !queue.length) {
      send(data, callback ?? (() => {}));
      return;
    }
    queue.push({ data, due });
    due?.catch(() => {});
    if (callback) process.nextTick(callback);
    if (!pumping) pump();
  };
}
