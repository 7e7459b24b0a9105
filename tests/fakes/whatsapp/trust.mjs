// A `node --import` preload for tests: makes Baileys trust the fake service's root certificate.
//
// It must change the very module instance that the program will use, so it resolves `baileys` as the program would: from
// the program's own file (process.argv[1], already set when preloads run), and also from the folder in
// HERMES_FAKE_MODULES when that is set, for programs that load Baileys from elsewhere. Both Node resolvers follow symbolic
// links, so the same real path, hence the same instance, results. The package's main entry is imported rather than its
// constants alone, because Baileys' modules import each other in a circle and must be entered where programs enter them.

import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT_PUBLIC, ROOT_SERIAL } from './root.mjs';

function resolveFrom(file) {
  try {
    return createRequire(realpathSync(file)).resolve('baileys');
  } catch {
    return undefined;
  }
}

const folder = process.env.HERMES_FAKE_MODULES;
const found = new Set([
  process.argv[1] && resolveFrom(process.argv[1]),
  folder && resolveFrom(join(folder, 'node_modules', 'baileys', 'package.json')),
]);
found.delete(undefined);
found.delete('');
if (!found.size) throw new Error('trust.mjs: baileys is neither beside the program nor under HERMES_FAKE_MODULES');

for (const main of found) {
  const { WA_CERT_DETAILS } = await import(pathToFileURL(main).href);
  WA_CERT_DETAILS.SERIAL = ROOT_SERIAL;
  WA_CERT_DETAILS.PUBLIC_KEY = ROOT_PUBLIC;
}
