// Where the fixture finds Baileys and its dependencies.
//
// Only the generated protobuf codecs, the binary node codec, libsignal and ws are loaded: importing the whole of Baileys
// would triple the start-up time, and the service must not depend on the code it tests more than the wire format demands.

import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

function directory() {
  const at = process.argv.indexOf('--modules');
  if (at > 0 && process.argv[at + 1]) return resolve(process.argv[at + 1]);
  if (process.env.HERMES_FAKE_MODULES) return resolve(process.env.HERMES_FAKE_MODULES);
  return resolve(here, '../../../assets/bridge');
}

export const modulesDirectory = directory();

function locate() {
  try {
    return createRequire(join(modulesDirectory, 'any.js')).resolve('baileys');
  } catch {
    throw new Error(`baileys is not installed under ${modulesDirectory}; name the folder with --modules`);
  }
}

const baileysMain = locate();
const baileysRoot = dirname(dirname(baileysMain));
const requireBesideBaileys = createRequire(baileysMain);
const load = path => import(pathToFileURL(join(baileysRoot, path)).href);

export const { proto } = await load('WAProto/index.js');
const { encodeBinaryNode, decodeDecompressedBinaryNode } = await load('lib/WABinary/index.js');
const dictionaries = await load('lib/WABinary/constants.js');
export const encodeNode = node => encodeBinaryNode(node);
export const decodeNode = body => decodeDecompressedBinaryNode(body, dictionaries);
export const libsignal = requireBesideBaileys('libsignal');
export const { WebSocketServer } = requireBesideBaileys('ws');

let groups;

/** Sender keys pull in much more of Baileys, so they are loaded with the first group message only. */
export function loadGroups() {
  groups ??= Promise.all([
    load('lib/Signal/Group/index.js'),
    load('lib/Signal/Group/sender-key-name.js'),
    load('lib/Signal/Group/sender-key-record.js'),
  ]).then(([ciphers, name, record]) => ({ ...ciphers, ...name, ...record }));
  return groups;
}
