/**
 * `pair`: show codes until a phone accepts, then prove it. Done means: the acceptance is on disk, WhatsApp restarted the
 * connection, the second one opened, the waiting messages are in the spool, and the credentials read back whole.
 */
import { log } from './console.mjs';
import { Connection } from './connection.mjs';
import { Exit } from './exits.mjs';
import { PasskeyLink } from './passkey.mjs';
import { identity } from './run.mjs';

export async function pair(session, done) {
  const { writer, fatal, start, auth, committer, versions } = session;
  const connection = new Connection(session);
  let codeWanted = start.pairing_code_for;
  let socketOfCode = null;
  let passkey = null;

  connection.on('qr', async (payload, seq, life_ms, total) => {
    writer.event('qr', { payload, seq, expires_in_s: Math.round(life_ms / 1000), total });
    // Asked for earlier, before the server is ready, the code ends the connection with 428.
    if (!codeWanted) return;
    const number = codeWanted;
    codeWanted = null;
    try {
      writer.event('pairing_code', { code: await socketOfCode(number) });
    } catch (error) {
      log('warn', 'no pairing code:', error.message);
    }
  });
  connection.on('socket', socket => {
    socketOfCode = number => socket.requestPairingCode(number);
    passkey = new PasskeyLink(session, socket);
  });
  connection.on('passkey', node => passkey.notified(node).catch(fatal));
  connection.on('paired', me => {
    passkey.close();
    writer.event('pair_success', { me: identity(me) });
  });
  connection.on('interrupted', () => passkey.close());
  connection.on('open', () => writer.event('open', { me: identity(auth.creds.me), version: versions.current }));
  connection.on('end', fatal);
  connection.on('synced', timedOut => finish(timedOut).catch(fatal));

  async function finish(timedOut) {
    writer.event('synced', timedOut ? { timed_out: true } : {});
    auth.saveCreds();
    await committer.flush();
    const state = await auth.stateOnDisk();
    if (state !== 'paired') throw new Exit('half_paired', 'the credentials on disk are not those of a linked device');
    connection.shutdown();
    done();
  }

  connection.connect().catch(fatal);
  return {
    async command({ cmd, answer, matches }) {
      if (cmd === 'passkey_answer') await passkey?.answer(answer);
      else if (cmd === 'passkey_confirm') await passkey?.confirm(matches);
    },
    async stop() {
      passkey?.close();
      connection.shutdown();
    },
  };
}
