import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { agentFor, proxyFor } from '../proxy.mjs';
import { getText } from '../web.mjs';
import { Bridge, Service, pairFolder, scratch } from './support.mjs';

const TARGET = 'wss://web.whatsapp.com/ws/chat';

test('which proxy the environment names', () => {
  const rows = [
    [{}, null],
    [{ HTTPS_PROXY: 'http://p:1' }, 'http://p:1'],
    [{ https_proxy: 'http://low:1', HTTPS_PROXY: 'http://up:1' }, 'http://low:1'],
    [{ HTTPS_PROXY: ' ', ALL_PROXY: 'socks5://a:2' }, 'socks5://a:2'],
    [{ all_proxy: 'a:2' }, 'http://a:2'],
    [{ HTTPS_PROXY: 'http://p:1', NO_PROXY: '*' }, null],
    [{ HTTPS_PROXY: 'http://p:1', NO_PROXY: 'example.com, whatsapp.com' }, null],
    [{ HTTPS_PROXY: 'http://p:1', no_proxy: '.whatsapp.com' }, null],
    [{ HTTPS_PROXY: 'http://p:1', NO_PROXY: '*.whatsapp.com:443' }, null],
    [{ HTTPS_PROXY: 'http://p:1', NO_PROXY: 'whatsapp.com:80' }, 'http://p:1'],
    [{ HTTPS_PROXY: 'http://p:1', NO_PROXY: 'notwhatsapp.com,app.com' }, 'http://p:1'],
    [{ HTTP_PROXY: 'http://p:1' }, null],
  ];
  for (const [env, expected] of rows) assert.equal(proxyFor(TARGET, env), expected, JSON.stringify(env));
  for (const url of ['ws://127.0.0.1:9/x', 'ws://localhost:9', 'ws://[::1]:9']) {
    assert.equal(proxyFor(url, { HTTPS_PROXY: 'http://p:1' }), null, url);
  }
});

test('agents for each scheme', async () => {
  assert.equal(await agentFor(TARGET, {}), undefined);
  assert.equal((await agentFor(TARGET, { HTTPS_PROXY: 'http://u:p@p:1' })).constructor.name, 'HttpsProxyAgent');
  assert.equal((await agentFor(TARGET, { ALL_PROXY: 'socks5h://p:1' })).constructor.name, 'SocksProxyAgent');
  await assert.rejects(agentFor(TARGET, { ALL_PROXY: 'ftp://p:1' }), { code: 'connection_lost' });
  await assert.rejects(agentFor(TARGET, { ALL_PROXY: 'http://[' }), { code: 'connection_lost' });
});

/** A proxy that lets every name lead to loopback, and notes who asked for what. */
async function startProxy(t) {
  const asked = [];
  const proxy = createServer();
  proxy.on('connect', (request, client, head) => {
    asked.push({ url: request.url, authorization: request.headers['proxy-authorization'] });
    const upstream = connect(Number(request.url.split(':')[1]), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    for (const side of [client, upstream]) side.on('error', () => { client.destroy(); upstream.destroy(); });
  });
  await new Promise(done => proxy.listen(0, '127.0.0.1', done));
  t.after(() => { proxy.closeAllConnections(); proxy.close(); });
  return { asked, port: proxy.address().port };
}

test('the WebSocket goes through the proxy, and its password is not printed', async t => {
  const service = await Service.start(t);
  const folder = scratch(t);
  await pairFolder(t, service, folder);
  const { asked, port } = await startProxy(t);
  const url = service.url.replace('127.0.0.1', 'chat.example.test');
  const bridge = Bridge.start(t, 'run', {
    folder, url, env: { https_proxy: `http://user:verysecret@127.0.0.1:${port}` },
  });
  await bridge.event('open');
  assert.match(asked[0].url, /^chat\.example\.test:\d+$/);
  assert.equal(asked[0].authorization, `Basic ${Buffer.from('user:verysecret').toString('base64')}`);
  assert.equal(await bridge.stop(), 0);
  const dead = Bridge.start(t, 'run', { folder, url, env: { https_proxy: 'http://user:verysecret@127.0.0.1:9' } });
  assert.equal(await dead.exited, 18);
  assert.doesNotMatch(bridge.stderr + dead.stderr + JSON.stringify(dead.events.all), /verysecret/);
});

test('plain downloads go through it too', async t => {
  const { asked, port } = await startProxy(t);
  const pages = createServer((request, response) => response.end('the page'));
  await new Promise(done => pages.listen(0, '127.0.0.1', done));
  t.after(() => { pages.closeAllConnections(); pages.close(); });
  process.env.https_proxy = `http://127.0.0.1:${port}`;
  t.after(() => { delete process.env.https_proxy; });
  assert.equal(await getText(`http://media.example.test:${pages.address().port}/x`), 'the page');
  assert.equal(asked.length, 1);
});
