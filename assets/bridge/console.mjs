/**
 * The guard over standard output. It has to be up before anything else is loaded: libsignal prints whole session records,
 * private keys included, through console.info and console.warn in normal operation, and stdout belongs to the protocol.
 *
 * After the guard is up, anything written through console.* or process.stdout goes to stderr as one short line in which
 * objects are left out and long runs of digits or key material are blanked. Only `writeProtocol` reaches stdout.
 */

const LIMIT = 300;
/** What libsignal says about sessions in normal operation, each time with the whole record. */
const CHATTER = /^(Closing (open )?session|Opening session|Sessialready on|Removing old closed|Decrypted message with closed)/;
const rawStdout = process.stdout.write.bind(process.stdout);
const rawStderr = process.stderr.write.bind(process.stderr);

/** Blanks phone numbers, LIDs, base64 and hexadecimal material, and shortens. */
export function scrub(value) {
  return String(value)
    .replace(/\/\/[^/\s@]*@/g, '//***@')
    .replace(/[A-Za-z0-9+/_-]{32,}={0,2}/g, '[…]')
    .replace(/\d{5,}(?=\d{2})/g, '…')
    .replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
    .slice(0, LIMIT);
}

/** Only plain strings and numbers survive; an object may be a session record, so its shape alone is named. */
function printable(part) {
  if (part instanceof Error) return `${part.name}: ${part.message}`;
  if (typeof part === 'object' && part !== null) return '[object]';
  return String(part);
}

/** One line of diagnostics on stderr. The gateway adds the time and keeps the file small. */
export function log(level, ...parts) {
  rawStderr(`${level} ${scrub(parts.map(printable).join(' '))}\n`);
}

/** The only way to stdout. Returns false while the pipe is full, like a stream does. */
export function writeProtocol(line, done) {
  return rawStdout(line, done);
}

/** Puts the guard up. Called once, before anything else is loaded. */
export function guard() {
  const through = level => (...parts) => {
    if (!CHATTER.test(parts[0])) log(level, ...parts);
  };
  for (const [name, level] of Object.entries({
    log: 'info', info: 'info', debug: 'debug', trace: 'debug', dir: 'debug', table: 'debug', warn: 'warn', error: 'error',
  })) {
    console[name] = through(level);
  }
  process.stdout.write = (chunk, encoding, done) => {
    log('info', typeof chunk === 'string' ? chunk : '[bytes]');
    const callback = typeof encoding === 'function' ? encoding : done;
    if (callback) process.nextTick(callback);
    return true;
  };
}
