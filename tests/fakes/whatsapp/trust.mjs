// A `node --import` preload for tests: makes Baileys trust the fake service's root certificate.
//
// It must change the very module instance that the program will use, so it resolves `baileys` as the program would: from
// the folder in HERMES_FAKE_MODULES when that is set, else from the program's own file (process.argv[1], which Node has
// already made absolute when preloads run). Both Node resolvers follow symbolic links, so the same real path, hence the
// same instance, results. The package's main entry is imported rather than its constants alone, because Baileys' modules
// import each other in a circle and must be entered at the point where programs enter them.

import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT_PUBLIC, ROOT_SERIAL } from './root.mjs';

function base() {
  if (process.env.HERMES_FAKE_MODULES) return join(realpathSync(process.env.HERMES_FAKE_MODULES), 'any.js');
  if (process.argv[1]) return realpathSync(process.argv[1]);
  throw new Error('trust.mjs: neither a program nor HERMES_FAKE_MODULES tells where baileys is');
}

const main = createRequire(base()).resolve('baileys');
const { WA_CERT_DETAILS } = await import(pathToFileURL(main).href);
WA_CERT_DETAILS.SERIAL = ROOT_SERIAL;
WA_CERT_DETAILS.PUBLIC_KEY = ROOT_PUBLIC;
