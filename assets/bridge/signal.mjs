/**
 * The seam between Baileys and libsignal (`makeSignalRepository` in its public configuration).
 *
 * Two things are wrong in the default for a gateway. Sending keeps a session in a transaction of its own until the stanza
 * has left, while receiving changes the same session: the later write wins and the recipient cannot read the next message.
 * And a decrypted message exists only in memory when its session is stored and its receipt sent. Here every operation
 * on a contact runs alone, its changes are published together when it ends, and a decrypted message is handed to
 * `capture` inside that same operation, before the changes are published.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { decryptAlone } from './ratchet.mjs';

/** One at a time per name. */
export class Locks {
  #tails = new Map();

  async run(name, work) {
    const before = this.#tails.get(name);
    let release;
    const mine = new Promise(resolve => { release = resolve; });
    this.#tails.set(name, mine);
    await before;
    try {
      return await work();
    } finally {
      if (this.#tails.get(name) === mine) this.#tails.delete(name);
      release();
    }
  }
}

/** A key store with transactions that are kept apart from those of Baileys. */
export function contactStore(keys) {
  const current = new AsyncLocalStorage();
  const locks = new Locks();

  const openTransaction = () => {
    const context = current.getStore();
    return context?.open ? context : null;
  };

  const publish = async writes => {
    if (Object.keys(writes).length) await keys.set(writes);
  };

  return {
    async get(type, ids) {
      const writes = openTransaction()?.writes[type] ?? {};
      const found = await keys.get(type, ids.filter(id => !(id in writes)));
      for (const id of ids) if (id in writes && writes[id]) found[id] = writes[id];
      return found;
    },

    async set(data) {
      const context = openTransaction();
      if (!context) return publish(data);
      const outside = {};
      for (const [type, entries] of Object.entries(data)) {
        // Who is who does not depend on the success of a decryption, and Baileys remembers it in memory at once.
        if (type === 'lid-mapping') outside[type] = entries;
        else Object.assign(context.writes[type] ??= {}, entries);
      }
      return publish(outside);
    },

    isInTransaction: () => openTransaction() !== null,

    async transaction(work, name) {
      if (openTransaction()) return work();
      return locks.run(name, async () => {
        const context = { open: true, writes: {} };
        try {
          const result = await current.run(context, work);
          context.open = false;
          await publish(context.writes);
          return result;
        } finally {
          context.open = false;
        }
      });
    },
  };
}

/**
 * Makes the factory for Baileys. `capture(ciphertext, plaintext)` has to take the message synchronously or throw; `keys` is
 * the key store of the session folder.
 */
export function signalRepository({ makeRepository, keys, capture }) {
  return (auth, logger, lidsOf) => {
    const store = contactStore(keys);
    const repository = makeRepository({ creds: auth.creds, keys: store }, logger, lidsOf);

    /** All devices of a contact, by number or by LID, share one name. Looks only at what is known already. */
    const nameOf = async jid => {
      const [, user, server] = /^([^@:_]+)[^@]*@(.+)$/.exec(jid) ?? [null, jid, ''];
      if (server !== 's.whatsapp.net' && server !== 'hosted') return `contact ${user}`;
      const { [user]: lid } = await keys.get('lid-mapping', [user]);
      return `contact ${typeof lid === 'string' ? lid : user}`;
    };
    const alone = async (jid, work) => store.transaction(work, await nameOf(jid));

    return {
      ...repository,
      decryptMessage: args => alone(args.jid, async () => {
        const decrypt = () => repository.decryptMessage(args);
        const plaintext = args.type === 'msg'
          ? await decryptAlone({
            store,
            address: repository.jidToSignalProtocolAddress(args.jid),
            ciphertext: args.ciphertext,
            decrypt,
          })
          : await decrypt();
        await capture(args.ciphertext, plaintext);
        return plaintext;
      }),
      decryptGroupMessage: args => store.transaction(async () => {
        const plaintext = await repository.decryptGroupMessage(args);
        await capture(args.msg, plaintext);
        return plaintext;
      }, args.group),
      encryptMessage: args => alone(args.jid, () => repository.encryptMessage(args)),
      injectE2ESession: args => alone(args.jid, () => repository.injectE2ESession(args)),
      migrateSession: (from, to) => alone(to ?? from ?? '', () => repository.migrateSession(from, to)),
    };
  };
}
