/**
 * The proxy of the environment, for the WebSocket and for downloads alike: HTTPS_PROXY, then ALL_PROXY, lower case first,
 * unless NO_PROXY names the host. Loopback is never proxied. Passwords inside the address are never printed.
 */
import { Exit } from './exits.mjs';

const first = (env, ...names) => names.map(name => env[name]).find(value => value?.trim())?.trim() ?? '';

function isLoopback(host) {
  return host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Whether one entry of NO_PROXY (`host`, `.domain`, `*.domain`, either with `:port`, or `*`) covers the address. */
function covers(entry, host, port) {
  if (entry === '*') return true;
  const match = /^(?:\*?\.)?(\[[^\]]+\]|[^:]+|[0-9a-f:]+)(?::(\d+))?$/i.exec(entry);
  if (!match) return false;
  const name = match[1].replace(/^\[|\]$/g, '').toLowerCase();
  if (match[2] && match[2] !== port) return false;
  return host === name || host.endsWith(`.${name}`);
}

/** The address of the proxy for a URL, or null. */
export function proxyFor(target, env = process.env) {
  const url = new URL(target);
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = url.port || (/^(https|wss):$/.test(url.protocol) ? '443' : '80');
  if (isLoopback(host)) return null;
  const spared = first(env, 'no_proxy', 'NO_PROXY').split(/[\s,]+/).filter(Boolean);
  if (spared.some(entry => covers(entry, host, port))) return null;
  const proxy = first(env, 'https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY');
  if (!proxy) return null;
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
}

/** An agent for the URL, or undefined without a proxy. The libraries are loaded only when they are needed. */
export async function agentFor(target, env = process.env) {
  const proxy = proxyFor(target, env);
  if (!proxy) return undefined;
  let scheme;
  try {
    scheme = new URL(proxy).protocol;
  } catch {
    throw new Exit('connection_lost', 'the proxy address in the environment cannot be understood');
  }
  if (scheme === 'http:' || scheme === 'https:') {
    const { HttpsProxyAgent } = await import('https-proxy-agent');
    return new HttpsProxyAgent(proxy);
  }
  if (/^socks(4|4a|5|5h)?:$/.test(scheme)) {
    const { SocksProxyAgent } = await import('socks-proxy-agent');
    return new SocksProxyAgent(proxy);
  }
  throw new Exit('connection_lost', `the proxy scheme ${scheme} is not supported`);
}
