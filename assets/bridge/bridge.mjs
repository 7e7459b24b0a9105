/**
 * The entry: `node bridge.mjs pair` or `node bridge.mjs run`.
 *
 * The console guard is imported first and alone; everything else is loaded after it, since Baileys and libsignal print
 * while they are loaded and while they run.
 */
import { guard, log, scrub } from './console.mjs';

guard();
process.umask(0o077);

const START_MS = 10_000;
const STOP_MS = 2_000;
const HURRY_MS = 1_200;
/** However busy the loop is with a socket, the process is gone this long after it was told. */
const LAST_MS = 1_900;

const [{ Exit, asExit }, { LineReader, LineWriter, parseStart }] = await Promise.all([
  import('./exits.mjs'),
  import('./protocol.mjs'),
]);

const mode = process.argv[2];
const writer = new LineWriter({ onOverflow: exit => fatal(exit) });
let session = null;
let handler = null;
let ending = false;
let started = false;
const early = [];

async function leave(status) {
  const limit = setTimeout(() => process.exit(status), 800);
  try {
    await session?.committer.flush();
  } catch {
    // The cause has been told already.
  }
  await writer.drained();
  clearTimeout(limit);
  process.exit(status);
}

function fatal(error) {
  if (ending) return;
  ending = true;
  const exit = asExit(error);
  log('error', exit.code, exit.message);
  if (exit.code === 'internal' && error?.stack) log('error', error.stack.split('\n').slice(1, 4).join(' '));
  // A defect's words may quote anything, keys and messages included.
  const message = exit.code === 'internal' ? scrub(exit.message) : exit.message;
  writer.event('error', { code: exit.code, message });
  leave(exit.status);
}

async function stop(limit_ms, last_ms) {
  if (ending) return;
  ending = true;
  if (last_ms) setTimeout(() => process.exit(0), last_ms);
  try {
    await handler?.stop(limit_ms);
  } catch (error) {
    log('warn', error.message);
  }
  await leave(0);
}

const hurry = () => stop(HURRY_MS, LAST_MS);

async function begin(command) {
  const start = parseStart(command);
  const [baileys, { openSession }, modeModule] = await Promise.all([
    import('baileys'),
    import('./session.mjs'),
    mode === 'pair' ? import('./pair.mjs') : import('./run.mjs'),
  ]);
  session = await openSession({ mode, start, writer, baileys, fatal });
  if (ending) return;
  const { version } = await baileysPackage();
  writer.event('ready', { pid: process.pid, node: process.versions.node, baileys: version });
  handler = mode === 'pair' ? await modeModule.pair(session, () => stop(0)) : await modeModule.run(session);
  for (const waiting of early.splice(0)) handle(waiting);
}

async function baileysPackage() {
  const { readFile } = await import('node:fs/promises');
  return JSON.parse(await readFile(new URL('./node_modules/baileys/package.json', import.meta.url), 'utf8'));
}

function handle(command) {
  if (ending) return;
  if (!started) {
    started = true;
    clearTimeout(startLimit);
    begin(command).catch(fatal);
  } else if (command.cmd === 'stop') {
    stop(STOP_MS);
  } else if (!handler) {
    early.push(command);
  } else {
    Promise.resolve(handler.command(command)).catch(fatal);
  }
}

process.on('uncaughtException', fatal);
// Baileys leaves promises of its own behind when a socket closes under them; that is not a reason to end.
process.on('unhandledRejection', error => log('warn', 'unhandled:', error?.message ?? String(error)));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, hurry);
process.stdout.on('error', hurry);
process.stderr.on('error', () => {});

const startLimit = setTimeout(() => fatal(new Exit('protocol', 'no start command came')), START_MS);
const reader = new LineReader();
process.stdin.on('data', chunk => {
  try {
    for (const command of reader.push(chunk)) handle(command);
  } catch (error) {
    fatal(error);
  }
});
process.stdin.on('end', hurry);
process.stdin.on('error', hurry);

if (mode !== 'pair' && mode !== 'run') fatal(new Exit('protocol', 'the first argument has to be pair or run'));
