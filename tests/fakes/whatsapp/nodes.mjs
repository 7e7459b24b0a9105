// Small helpers to read and write stanzas, and the addresses in them.

export const SERVER = '@s.whatsapp.net';

export const node = (tag, attrs = {}, content = undefined) => ({ tag, attrs, content });

export const children = (parent, tag) =>
  Array.isArray(parent?.content) ? parent.content.filter(each => tag === undefined || each.tag === tag) : [];

export const child = (parent, tag) => children(parent, tag)[0];

export const bytesOf = (parent, tag) => {
  const content = child(parent, tag)?.content;
  return content === undefined ? undefined : Buffer.from(content);
};

export const result = (query, content) => node('iq', { from: SERVER, type: 'result', id: query.attrs.id }, content);

export const refusal = (query, code, text) =>
  node('iq', { from: SERVER, type: 'error', id: query.attrs.id }, [node('error', { code: String(code), text })]);

export const seconds = () => String(Math.floor(Date.now() / 1000));

/** Splits `user:device@server`; a missing device is 0, the phone. */
export function parseJid(jid) {
  const [local, server] = String(jid).split('@');
  const [user, device] = local.split(':');
  return { user, device: Number(device ?? 0), server };
}

export const userJid = (user, server, device = 0) => `${user}${device ? `:${device}` : ''}@${server}`;

const complement = digits => [...digits].map(digit => 9 - Number(digit)).join('');

/**
 * The LID of a number: "2000" and the nines' complement of its digits. It is fixed, so that tests can compute it, and does
 * not contain the number, so that a comparison of parts of identifiers cannot pass by accident.
 */
export const lidUser = number => `2000${complement(number)}`;

/** The number behind a LID made by `lidUser`, or undefined for anything else. */
export const numberOfLid = lid => (/^2000\d{5,}$/.test(lid) ? complement(lid.slice(4)) : undefined);
