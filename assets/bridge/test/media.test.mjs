import assert from 'node:assert/strict';
import { createCipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { getMediaKeys } from 'baileys';
import { Downloads, mediaUrl } from '../media.mjs';
import { scratch } from './support.mjs';

/** A file as WhatsApp stores it, and the message that names it. */
async function encrypted(plain) {
  const mediaKey = randomBytes(32);
  const { iv, cipherKey, macKey } = await getMediaKeys(mediaKey, 'document');
  const cipher = createCipheriv('aes-256-cbc', cipherKey, iv);
  const body = Buffer.concat([cipher.update(plain), cipher.final()]);
  const file = Buffer.concat([body, createHmac('sha256', macKey).update(iv).update(body).digest().subarray(0, 10)]);
  const content = { mimetype: 'application/pdf', fileLength: plain.length, mediaKey,
    fileSha256: createHash('sha256').update(plain).digest(), fileName: '../../evil.sh' };
  return { file, content };
}

async function setUp(t, { limits = {}, serve }) {
  const folder = scratch(t);
  const server = createServer(serve);
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  t.after(() => { server.closeAllConnections(); server.close(); });
  const base = `http://127.0.0.1:${server.address().port}`;
  const downloads = new Downloads({
    folder,
    limits: { media_file_bytes: 100_000, media_total_bytes: 250_000, ...limits },
    webSocketUrl: base.replace('http', 'ws'),
    mediaKeys: getMediaKeys,
  });
  await downloads.sweep();
  const fetch = content => downloads.fetch({ documentMessage: { ...content, url: `${base}/file` } });
  return { folder, downloads, fetch };
}

test('a file comes in whole, in whatever pieces, under a name of ours', async t => {
  for (const size of [0, 1, 15, 16, 17, 70_001]) {
    const plain = randomBytes(size);
    const { file, content } = await encrypted(plain);
    const { folder, fetch } = await setUp(t, {
      serve: (_, response) => {
        for (let at = 0; at < file.length; at += 977) response.write(file.subarray(at, at + 977));
        response.end();
      },
    });
    const { path, bytes, mime } = await fetch(content);
    assert.deepEqual(readFileSync(path), plain);
    assert.equal(bytes, size);
    assert.equal(mime, 'application/pdf');
    assert.deepEqual(readdirSync(folder).map(name => /^[0-9a-f]{32}\.pdf$/.test(name)), [true]);
  }
});

test('a wrong file, a wrong key and a cut file leave nothing behind', async t => {
  const { file, content } = await encrypted(randomBytes(5_000));
  const rows = [
    [Buffer.concat([file.subarray(0, 100), Buffer.from([file[100] ^ 1]), file.subarray(101)]), content, 'gone'],
    [file.subarray(0, 3_000), content, 'gone'],
    [file.subarray(0, 4), content, 'gone'],
    [file, { ...content, mediaKey: randomBytes(32) }, 'gone'],
    [file, { ...content, fileSha256: randomBytes(32) }, 'gone'],
    [file, { ...content, mediaKey: undefined }, 'no_media'],
  ];
  for (const [body, message, code] of rows) {
    const { folder, fetch } = await setUp(t, { serve: (_, response) => response.end(body) });
    await assert.rejects(fetch(message), { code });
    assert.deepEqual(readdirSync(folder), []);
  }
});

test('the limits hold whatever the message claims', async t => {
  const { file, content } = await encrypted(randomBytes(150_000));
  const { folder, fetch } = await setUp(t, { serve: (_, response) => response.end(file) });
  await assert.rejects(fetch(content), { code: 'too_large' });
  await assert.rejects(fetch({ ...content, fileLength: 10 }), { code: 'too_large' });
  await assert.rejects(fetch({ ...content, fileLength: undefined }), { code: 'too_large' });
  assert.deepEqual(readdirSync(folder), []);

  const small = await encrypted(randomBytes(90_000));
  const full = await setUp(t, { serve: (_, response) => response.end(small.file) });
  await Promise.all([full.fetch(small.content), full.fetch(small.content)]);
  await assert.rejects(full.fetch(small.content), { code: 'folder_full' });
  await assert.rejects(full.fetch({ ...small.content, fileLength: 1 }), { code: 'folder_full' });
  assert.equal(readdirSync(full.folder).length, 2);
});

test('answers of the server', async t => {
  const { file, content } = await encrypted(randomBytes(5_000));
  const rows = [[404, 'gone'], [410, 'gone'], [403, 'gone'], [500, 'network'], [302, 'network']];
  for (const [status, code] of rows) {
    const { fetch } = await setUp(t, { serve: (_, response) => response.writeHead(status).end() });
    await assert.rejects(fetch(content), { code });
  }
  const broken = await setUp(t, {
    serve: (_, response) => {
      response.writeHead(200, { 'content-length': file.length });
      response.write(file.subarray(0, 100), () => response.destroy());
    },
  });
  await assert.rejects(broken.fetch(content), { code: 'network' });
});

test('only WhatsApp, or the service the socket was pointed at, is contacted', () => {
  const allowed = [
    [{ url: 'https://mmg.whatsapp.net/v/x' }, null, 'https://mmg.whatsapp.net/v/x'],
    [{ url: 'https://media-fra3-1.cdn.whatsapp.net/a', directPath: '/b?c=1' }, null, 'https://media-fra3-1.cdn.whatsapp.net/b?c=1'],
    [{ url: 'http://169.254.169.254/latest', directPath: '/b' }, null, 'https://mmg.whatsapp.net/b'],
    [{ directPath: '//evil.test/b' }, null, 'https://mmg.whatsapp.net//evil.test/b'],
    [{ url: 'http://127.0.0.1:5/x' }, 'ws://127.0.0.1:6/ws', 'http://127.0.0.1:5/x'],
  ];
  for (const [content, socket, expected] of allowed) assert.equal(mediaUrl(content, socket), expected);
  for (const url of ['http://mmg.whatsapp.net/x', 'https://evilwhatsapp.net/x', 'http://127.0.0.1/x', 'file:///etc/passwd', '', undefined]) {
    assert.throws(() => mediaUrl({ url }, null), { code: 'gone' }, String(url));
  }
});

test('parts of interrupted downloads are removed, other files are not', async t => {
  const { folder, downloads } = await setUp(t, { serve: () => {} });
  const part = `${'0a'.repeat(16)}.part`;
  writeFileSync(join(folder, part), 'x');
  writeFileSync(join(folder, 'mine.part'), 'x');
  await downloads.sweep();
  assert.deepEqual(readdirSync(folder), ['mine.part']);
});
