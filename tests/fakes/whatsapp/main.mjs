// node main.mjs --modules DIR [--owner DIGITS] [--no-history] [--receipt-delay-ms N]
//
// A fake WhatsApp service on loopback. Commands come as lines of JSON on stdin, events go as lines of JSON to stdout; the
// process ends when stdin does.

import { createInterface } from 'node:readline';

// libsignal prints session records, private keys included, through console. Nothing may reach stdout but events.
for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace']) console[method] = () => {};

const { Service } = await import('./service.mjs');
const { Control } = await import('./control.mjs');

const option = (name, otherwise) => {
  const at = process.argv.indexOf(name);
  return at > 0 ? process.argv[at + 1] : otherwise;
};

const report = (event, fields = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);

const service = new Service({
  report,
  owner: option('--owner', '15550001111'),
  history: !process.argv.includes('--no-history'),
  receiptDelayMs: Number(option('--receipt-delay-ms', 120)),
});
const control = new Control(service, report);

process.stdout.on('error', () => process.exit(0));
await service.start();
createInterface({ input: process.stdin })
  .on('line', line => line.trim() && control.run(line))
  .on('close', () => {
    service.stop();
    process.exit(0);
  });
