/** How the process ends: the table of exits of the protocol, and which of them a closed connection leads to. */

export const EXITS = Object.freeze({
  not_paired: 10,
  logged_out: 11,
  forbidden: 12,
  replaced: 13,
  creds_corrupt: 14,
  session_lock: 15,
  qr_expired: 16,
  version_rejected: 17,
  connection_lost: 18,
  protocol: 19,
  multidevice_mismatch: 20,
  stale_connection: 21,
  storage: 22,
  half_paired: 23,
  passkey_required: 24,
  internal: 70,
});

/** An end of the process with a cause the gateway understands. */
export class Exit extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'Exit';
    this.code = code;
    this.status = EXITS[code] ?? EXITS.internal;
  }
}

/** File system trouble, in words, with what to do where that is the same for every file. */
const TROUBLE = Object.freeze({
  ENOSPC: 'the disk is full; free some space',
  EDQUOT: 'the disk quota is used up; free some space',
  EROFS: 'the disk is read-only',
  EIO: 'the disk reports an error; check the disk',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EISDIR: 'it is a directory',
  ENOTFILE: 'it is not a regular file',
  ENOTDIR: 'a part of its path is not a directory',
  ENOENT: 'its folder is missing',
  EEXIST: 'something of that name is there',
  ENOTEMPTY: 'a folder of that name is there',
  ELOOP: 'too many symbolic links',
  EMFILE: 'too many open files; raise the limit',
  ENFILE: 'the machine has too many open files',
  EFBIG: 'it is too large',
  ESTALE: 'the network drive no longer has it',
  EBUSY: 'it is in use',
  ENXIO: 'its device is not there',
  ENODEV: 'its device is not there',
});
const READS = new Set(['open', 'read', 'scandir', 'stat', 'lstat', 'fstat']);
const SOCKETS = new Set(['connect', 'bind', 'listen', 'getaddrinfo']);

const isStorage = error => error?.code in TROUBLE && !SOCKETS.has(error.syscall);

/** The status code sits inside the Boom of `lastDisconnect.error`; read one level higher, 515 would never be seen. */
export function statusOf(error) {
  const code = error?.output?.statusCode;
  return Number.isInteger(code) ? code : 500;
}

/** Errors of sockets, by what they say about the way to the service. */
const CAUSES = Object.freeze({
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  EAI_FAIL: 'dns',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'refused',
  ENETUNREACH: 'refused',
  ENETDOWN: 'refused',
  ETIMEDOUT: 'timeout',
  EPROTO: 'tls',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls',
});

const TLS_CODE = /^(CERT_|UNABLE_TO_|ERR_TLS_|ERR_SSL_)/;

const isSocket = error => Boolean(error) && (SOCKETS.has(error.syscall) || error.code in CAUSES || TLS_CODE.test(error.code ?? '')
  || ['ECONNRESET', 'ECONNABORTED', 'EPIPE'].includes(error.code));

/** Anything thrown becomes an Exit; file system trouble is `storage`, a socket's `connection_lost`, the rest is a defect of ours. */
export function asExit(error) {
  if (error instanceof Exit) return error;
  if (isStorage(error)) {
    const what = error.dest ?? error.path ?? 'a file of the session';
    const verb = READS.has(error.syscall) ? 'read' : 'written';
    return new Exit('storage', `${what} cannot be ${verb}: ${TROUBLE[error.code]} (${error.code})`);
  }
  if (isSocket(error)) return new Exit('connection_lost', error.message);
  return new Exit('internal', error?.message ?? String(error));
}

/** What garbled bytes from the network look like once they are decrypted. */
const GARBLED = /unable to authenticate data/;

/**
 * Whether a connection was ended by an error of our own side: thrown by code here or in the library, and not what a socket
 * or the server said. The library wraps those in a Boom.
 */
export function isLocal(error) {
  if (!(error instanceof Error) || error.isBoom) return false;
  return !isSocket(error) && !GARBLED.test(error.message);
}

/**
 * `dns`, `refused`, `timeout`, `tls`, or null: what stood between here and the service. A 408 without the code of a
 * socket, before the connection was open, is a wait of Baileys or of ws that ran out.
 */
export function causeOf(error, wasOpen) {
  const code = error?.data?.code ?? error?.code;
  if (typeof code === 'string') return CAUSES[code] ?? (TLS_CODE.test(code) ? 'tls' : null);
  return !wasOpen && error?.output?.statusCode === 408 ? 'timeout' : null;
}

/**
 * What a closed connection means for the process. `restart` and `version` are not ends: they ask for a new socket.
 * 408 is shared by the network, the keep-alive and the exhausted codes; only the message tells the last one apart.
 */
export function reactionTo(status, reason) {
  switch (status) {
    case 515: return 'restart';
    case 405: return 'version';
    case 401: case 419: return 'logged_out';
    case 403: return 'forbidden';
    case 411: return 'multidevice_mismatch';
    case 440: return 'replaced';
    case 408: return /QR refs/i.test(reason ?? '') ? 'qr_expired' : 'connection_lost';
    default: return 'connection_lost';
  }
}
