// Media: encrypted as WhatsApp does it, served over plain HTTP on loopback.
//
// A message names its file by `url` alone. With a `directPath` Baileys would build an https URL, which the fixture could
// only serve with a certificate the client does not trust.

import { createCipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

const PURPOSE = {
  image: 'Image', sticker: 'Image', video: 'Video', audio: 'Audio', voice: 'Audio', document: 'Document',
};
const sha256 = bytes => createHash('sha256').update(bytes).digest();

export class Media {
  #service;
  #server = null;
  #files = new Map();
  downloads = 0;

  constructor(service) {
    this.#service = service;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  async open() {
    this.#server = createServer((request, response) => this.#serve(request, response));
    await new Promise(done => this.#server.listen(0, '127.0.0.1', done));
  }

  close() {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }

  /** Encrypts a file and gives the fields that a message carries about it. */
  put(kind, plain) {
    const mediaKey = randomBytes(32);
    const keys = Buffer.from(hkdfSync('sha256', mediaKey, Buffer.alloc(0), `WhatsApp ${PURPOSE[kind]} Keys`, 112));
    const [iv, cipherKey, macKey] = [keys.subarray(0, 16), keys.subarray(16, 48), keys.subarray(48, 80)];
    const cipher = createCipheriv('aes-256-cbc', cipherKey, iv);
    const body = Buffer.concat([cipher.update(plain), cipher.final()]);
    const mac = createHmac('sha256', macKey).update(iv).update(body).digest().subarray(0, 10);
    const file = Buffer.concat([body, mac]);
    const name = `/v/${randomBytes(12).toString('hex')}.enc`;
    this.#files.set(name, file);
    return {
      url: `${this.url}${name}`, mediaKey, fileLength: plain.length, fileSha256: sha256(plain), fileEncSha256: sha256(file),
      mediaKeyTimestamp: Math.floor(Date.now() / 1000),
    };
  }

  #serve(request, response) {
    const file = this.#files.get(request.url);
    const fault = this.#service.faults.take('media');
    if (fault?.hang) return;
    const status = fault?.status ?? (file ? 200 : 404);
    this.#service.report('media_request', { path: request.url, status });
    if (status !== 200) return void response.writeHead(status).end();
    this.downloads++;
    const body = fault?.truncate === undefined ? file : file.subarray(0, fault.truncate);
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': file.length });
    response.write(body);
    if (body.length < file.length) response.destroy();
    else response.end();
  }
}
