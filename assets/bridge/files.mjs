/**
 * Files that survive a power cut: a reader finds either the old content or the new one, never a part.
 *
 * Each file is written to a temporary name in its own folder, flushed, then renamed over the old one; the folder is flushed
 * once for the whole batch. With 812 keys in one batch (what a first pairing writes) the flushes run several at a time.
 */
import { constants, promises as fs } from 'node:fs';
import { join } from 'node:path';

const PARALLEL = 16;
const TEMPORARY = /^\.hermes-.*\.tmp$/;
let counter = 0;

/** Makes the folder, or tightens it when it exists: no one else may read keys or messages. */
export async function privateFolder(path) {
  await fs.mkdir(path, { recursive: true, mode: 0o700 });
  await fs.chmod(path, 0o700).catch(() => {});
}

/** Removes what a killed process left half-written. Only our own temporary names are touched. */
export async function sweepTemporary(folder) {
  for (const name of await fs.readdir(folder)) {
    if (TEMPORARY.test(name)) await fs.unlink(join(folder, name)).catch(() => {});
  }
}

export async function syncFolder(path) {
  if (process.platform === 'win32') return;
  const handle = await fs.open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } catch (error) {
    if (error.code !== 'EINVAL' && error.code !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}

async function eachOf(items, work) {
  let next = 0;
  const lane = async () => {
    while (next < items.length) await work(items[next++]);
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, lane));
}

async function writeTemporary({ temporary, text }) {
  const handle = await fs.open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes the given files (name → text) and then removes the given names.
 *
 * Removals come last: a session that is stored while its used-up key still lies there is harmless, the reverse is not.
 */
export async function replaceFiles(folder, texts, removals = []) {
  const batch = [...texts].map(([name, text]) => ({
    text,
    path: join(folder, name),
    temporary: join(folder, `.hermes-${process.pid}-${(counter += 1)}.tmp`),
  }));
  try {
    await eachOf(batch, file => writeTemporary(file).catch(error => { throw located(error, file.path, 'write'); }));
    await eachOf(batch, file => fs.rename(file.temporary, file.path).catch(error => { throw located(error, file.path); }));
  } catch (error) {
    await eachOf(batch, file => fs.unlink(file.temporary).catch(() => {}));
    throw error;
  }
  await eachOf([...removals], async name => {
    await fs.unlink(join(folder, name)).catch(error => {
      if (error.code !== 'ENOENT') throw error;
    });
  });
  if (batch.length || removals.length) await syncFolder(folder);
}

/** The text of a file, or null when there is none. Only regular files are read: a pipe would keep the reader waiting. */
export async function readText(path) {
  try {
    const handle = await fs.open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      const info = await handle.stat();
      if (!info.isFile()) throw fault(info.isDirectory() ? 'EISDIR' : 'ENOTFILE', 'read');
      return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw located(error, path);
  }
}

function fault(code, syscall) {
  return Object.assign(new Error(code), { code, syscall });
}

/** The error with the file that it is about: Node leaves it out where a file was open, and names a temporary one. */
export function located(error, path, syscall = error.syscall) {
  return Object.assign(error, { path, dest: undefined, syscall });
}
