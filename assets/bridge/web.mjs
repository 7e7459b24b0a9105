/** Small HTTP requests that honour the proxy and have a limit, for the version pages and for media. */
import { agentFor } from './proxy.mjs';

/** Opens a GET request and resolves with the response once its headers are here. */
export async function get(url, { headers = {}, signal, idle_ms = 30_000 } = {}) {
  const { request } = await import(new URL(url).protocol === 'http:' ? 'node:http' : 'node:https');
  const agent = await agentFor(url);
  return new Promise((resolve, reject) => {
    const call = request(url, { agent, headers, signal, timeout: idle_ms }, resolve);
    call.on('timeout', () => call.destroy(new Error('the server does not answer')));
    call.on('error', reject);
    call.end();
  });
}

/** The start of a page as text; enough for what is looked up here. */
export async function getText(url, { headers, signal, bytes = 4 * 1024 * 1024 } = {}) {
  const response = await get(url, { headers, signal });
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(`HTTP ${response.statusCode}`);
  }
  const parts = [];
  let length = 0;
  for await (const chunk of response) {
    parts.push(chunk);
    length += chunk.length;
    if (length >= bytes) break;
  }
  return Buffer.concat(parts).toString('utf8');
}
