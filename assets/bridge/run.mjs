/** `run`: receive and send until told to stop. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from './connection.mjs';
import { log } from './console.mjs';
import { Exit } from './exits.mjs';
import { Downloads, MediaError } from './media.mjs';
import { Sender } from './send.mjs';
import { MAX_LINE } from './protocol.mjs';

const TELL_MS = 2_000;

export async function run(session) {
  const { writer, spool, fatal, limits, start, auth, baileys, versions, committer } = session;
  const connection = new Connection(session);
  const downloads = new Downloads({
    folder: start.media_dir,
    limits,
    webSocketUrl: start.web_socket_url,
    mediaKeys: baileys.getMediaKeys,
  });
  await downloads.sweep();
  const sender = new Sender({
    ...session,
    whenOpen: () => connection.whenOpen(),
    openSocket: () => connection.socket,
  });

  connection.on('ack', node => sender.onAck(node));
  connection.on('receipt', node => sender.onReceipt(node));
  connection.on('interrupted', () => sender.connectionLost());
  // In a session that is open already this changes nothing; before, it is what stands in the way.
  connection.on('passkey', () => {
    if (connection.socket) log('warn', 'WhatsApp asked for a passkey');
    else fatal(new Exit('passkey_required', 'WhatsApp lets this device in only with a passkey'));
  });
  connection.on('open', () => writer.event('open', { me: identity(auth.creds.me), version: versions.current }));
  connection.on('synced', timedOut => writer.event('synced', timedOut ? { timed_out: true } : {}));
  const told = tellEvents({ spool, writer, fatal });
  // Without a network the end comes within milliseconds; what is in the spool is told all the same.
  connection.on('end', async exit => {
    await sender.abandon();
    await Promise.race([told(), sleep(TELL_MS)]);
    fatal(exit);
  });

  // A spool that is full of old events is told first; the server keeps the new ones meanwhile.
  spool.room().then(() => connection.connect()).catch(fatal);

  const commands = {
    ack: ({ seq }) => spool.ack(seq),
    send: command => sender.submit(command),
    typing: command => sender.typing(command),
    download: command => download(command, { spool, downloads, writer, baileys }),
  };
  return {
    command: command => commands[command.cmd]?.(command),
    async stop(limit_ms) {
      await sender.finish(limit_ms);
      await sender.abandon();
      // Receipts that wait for the disk leave first, else the server delivers those messages once more.
      await committer.flush();
      await new Promise(setImmediate);
      connection.shutdown();
    },
  };
}

export function identity(me) {
  return { id: me?.id ?? null, lid: me?.lid ?? null, name: me?.name ?? null };
}

/**
 * Writes events in their order, each once a process, and no faster than the gateway reads. Answers a function that resolves
 * when all events on disk have been told.
 */
function tellEvents({ spool, writer, fatal }) {
  let told = 0;
  let running = false;
  let again = false;
  const idle = [];
  const tell = async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      for (const seq of spool.pendingAfter(told)) {
        await writer.ready();
        const record = await spool.read(seq);
        if (record) writer.line(messageLine(seq, record.e));
        told = seq;
      }
    }
    running = false;
    for (const resolve of idle.splice(0)) resolve();
  };
  const start = () => tell().catch(fatal);
  spool.onDurable(start);
  start();
  return () => (running ? new Promise(resolve => idle.push(resolve)) : Promise.resolve());
}

function messageLine(seq, event) {
  const line = fields => JSON.stringify({ v: 1, event: 'message', seq, ...fields });
  const whole = line(event);
  if (Buffer.byteLength(whole) < MAX_LINE) return whole;
  return line({ ...event, kind: 'unsupported', text: '', media: null, contacts: null, mentions: [], quoted: null });
}

async function download({ id, seq }, { spool, downloads, writer, baileys }) {
  try {
    const record = await spool.read(seq);
    if (!record?.r) throw new MediaError('no_media', 'no waiting event with this number has media');
    const message = baileys.proto.Message.decode(Buffer.from(record.r, 'base64'));
    writer.event('downloaded', { id, ...await downloads.fetch(message) });
  } catch (error) {
    const code = error instanceof MediaError ? error.code : error.code === 'ENOSPC' ? 'folder_full' : 'network';
    writer.event('download_failed', { id, code, message: error.message });
  }
}
