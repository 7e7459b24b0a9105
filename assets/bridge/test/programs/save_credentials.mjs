// Saves credentials and keys as fast as it can until it is killed. Arguments: the folder.
import { BufferJSON, initAuthCreds, proto } from 'baileys';
import { AuthState } from '../../auth.mjs';
import { Committer } from '../../commit.mjs';

const auth = new AuthState(process.argv[2], { BufferJSON, initAuthCreds, proto });
await auth.load({ create: true });
const committer = new Committer([auth.keyFiles(), auth.credsFile()], error => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
auth.attach(committer);
auth.creds.account ??= { details: 'x'.repeat(20_000) };
for (let round = 0; ; round += 1) {
  auth.creds.nextPreKeyId += 1;
  const keys = { 'pre-key': {}, session: {} };
  for (let i = 0; i < 20; i += 1) keys['pre-key'][i] = { public: Buffer.alloc(32, round), private: Buffer.alloc(32, round) };
  keys.session[`15550002222.${round % 3}`] = round % 5 ? { round, filler: 'y'.repeat(4_000) } : null;
  await auth.keys.set(keys);
  auth.saveCreds();
  await committer.flush();
  if (round === 0) process.send('saving');
}
