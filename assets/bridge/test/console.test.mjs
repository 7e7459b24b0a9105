import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { root } from './support.mjs';

const run = code => spawnSync(process.execPath, ['--input-type=module', '-e',
  `import { guard, log, writeProtocol } from ${JSON.stringify(pathToFileURL(join(root, 'console.mjs')).href)};\nguard();\n${code}`],
{ encoding: 'utf8' });

test('nothing but the protocol reaches stdout, and session records reach nothing', () => {
  const { stdout, stderr } = run(`
    const record = { privKey: Buffer.from('secretsecretsecret'), chains: { rootKey: 'AAAA' } };
    console.info('Closing session:', record);
    console.log('Closing open session in favor of incoming prekey bundle', record);
    for (const method of ['warn', 'error', 'debug', 'dir', 'table', 'trace']) console[method](record);
    console.warn('Something else', record);
    process.stdout.write('stray text');
    process.stdout.write(Buffer.from('stray bytes'));
    writeProtocol('{"v":1}\\n');
  `);
  assert.equal(stdout, '{"v":1}\n');
  assert.match(stderr, /Something else \[object\]/);
  assert.match(stderr, /stray text/);
  assert.doesNotMatch(stderr, /Closing|secret|rootKey|privKey|AAAA|stray bytes/);
});

test('numbers, keys and passwords are blanked', () => {
  const { stderr } = run(`
    log('info', 'from 15550001234:5@s.whatsapp.net and 200084449998888@lid');
    log('info', 'key q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng=');
    log('info', 'proxy http://user:pass' + 'word@proxy.example:8080');
    log('info', 'two\\nlines ' + 'x '.repeat(500));
  `);
  assert.doesNotMatch(stderr, /1555000|20008444|q83v|password/);
  assert.match(stderr, /…34:5@s\.whatsapp\.net/);
  assert.equal(stderr.trimEnd().split('\n').length, 4);
  assert.ok(stderr.length < 1_000);
});
