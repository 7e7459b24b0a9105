/** Everything one process holds: the session folder, the spool, the sent texts, and the commit that ties them together. */
import { AuthState } from './auth.mjs';
import { Exit } from './exits.mjs';
import { Committer } from './commit.mjs';
import { Inbox } from './inbox.mjs';
import { privateFolder } from './files.mjs';
import { SentStore } from './sent.mjs';
import { Spool } from './spool.mjs';
import { Timers } from './timers.mjs';
import { Versions } from './version.mjs';

/**
 * Opens the folders. `fatal` ends the process; `baileys` is the imported module.
 *
 * Nothing is written anywhere before the credentials have been read and found to suit the mode.
 */
export async function openSession({ mode, start, writer, baileys, fatal }) {
  // The default logger of Baileys writes to file descriptor 1 by itself, past any guard.
  baileys.DEFAULT_CONNECTION_CONFIG.logger.level = 'silent';

  const auth = new AuthState(start.session_dir, baileys);
  const pairing = await auth.load({ create: mode === 'pair' });
  if (mode === 'run' && pairing !== 'paired') throw new Exit('not_paired', `the session folder is ${pairing}`);
  if (pairing === 'half') {
    throw new Exit('half_paired', 'the folder holds a pairing that was given up; move it aside first');
  }

  await privateFolder(start.spool_dir);
  const spool = new Spool(start.spool_dir);
  const sent = new SentStore(start.spool_dir);
  const timers = new Timers(start.spool_dir);
  await spool.open();
  await sent.open();
  await timers.open();

  const committer = new Committer([spool, sent, timers, auth.keyFiles(), auth.credsFile()], fatal);
  for (const part of [auth, spool, sent, timers]) part.attach(committer, fatal);

  const versions = new Versions({
    folder: start.spool_dir,
    builtIn: baileys.DEFAULT_CONNECTION_CONFIG.version,
    override: start.version,
    limit_ms: start.limits.version_fetch_ms,
  });
  await versions.load();

  const session = { start, limits: start.limits, writer, baileys, fatal, auth, spool, sent, timers, committer, versions };
  session.inbox = new Inbox(session);
  return session;
}
