/**
 * Decrypting when a contact has more than one Signal session with us, which is common: Baileys starts a new one at every
 * lookup of a contact's devices, and what the contact wrote just before still comes on the old one.
 *
 * libsignal then tries one session after the other, steps the ratchet of each before it knows whether it fits, and stores
 * them all. The wrong ones are spoiled by that, and the next messages we send cannot be read ("Bad MAC" at the
 * recipient, healed only by a retry). Here it is given one session at a time, and the others are put back unchanged.
 */

/** The sender's ratchet key in a Signal message: version byte, then field 1 with 33 bytes. */
function ratchetKey(ciphertext) {
  return ciphertext[1] === 0x0a && ciphertext[2] === 33 ? Buffer.from(ciphertext.subarray(3, 36)).toString('base64') : null;
}

/** Session ids in the order worth trying: the one that knows the ratchet key, the open one, the newest. */
function candidates(sessions, key) {
  const rank = ([, session]) => {
    if (key && session._chains && key in session._chains) return 0;
    return session.indexInfo?.closed === -1 ? 1 : 2;
  };
  const used = ([, session]) => session.indexInfo?.used ?? 0;
  return Object.entries(sessions).sort((a, b) => rank(a) - rank(b) || used(b) - used(a)).map(([id]) => id);
}

/**
 * Runs `decrypt` for a message of type `msg` inside an open transaction of `store`. `address` is the name the record is
 * stored under.
 */
export async function decryptAlone({ store, address, ciphertext, decrypt }) {
  const read = async () => (await store.get('session', [address]))[address];
  const write = record => store.set({ session: { [address]: record } });
  const whole = await read();
  const sessions = whole?._sessions ?? {};
  if (Object.keys(sessions).length < 2) return decrypt();

  let failure;
  for (const id of candidates(sessions, ratchetKey(ciphertext))) {
    await write({ ...whole, _sessions: { [id]: sessions[id] } });
    try {
      const plaintext = await decrypt();
      const { _sessions: changed } = await read();
      await write({ ...whole, _sessions: { ...sessions, ...changed } });
      return plaintext;
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}
