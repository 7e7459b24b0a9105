// The commands of the fixture. Each is answered with `ok` or `failed`; what it causes is reported by other events.

import { lidUser, userJid } from './nodes.mjs';

const wait = ms => new Promise(done => setTimeout(done, ms));

export class Control {
  #service;
  #report;
  #commands;

  constructor(service, report) {
    this.#service = service;
    this.#report = report;
    const { messages, groups, faults, pairing, linking, passkeys } = service;
    this.#commands = {
      scan: async ({ delay_ms, ...fields }) => {
        if (delay_ms) await wait(delay_ms);
        return pairing.scan(fields);
      },
      link: fields => linking.link(fields),
      assert: fields => ({ answer: passkeys.assertion(fields) }),
      message: fields => messages.inbound(fields),
      group: fields => ({ group: groups.define(fields).jid }),
      group_message: fields => groups.inbound(fields),
      own_message: fields => messages.ownMessage(fields),
      burst: fields => messages.burst(fields),
      read: fields => messages.read(fields),
      contact: fields => this.#contact(fields),
      forget_session: ({ number, device }) =>
        service.targets(device).forEach(each => service.contact(number).forgetSession(each)),
      fault: fields => faults.arm(fields),
      heal: () => faults.heal(),
      state: () => ({ state: service.state() }),
      drop_device: ({ device }) => service.remove(device ?? service.targets().at(-1).id, 'phone'),
      forget: () => service.forget(),
    };
  }

  #contact({ number, name, absent, dialled }) {
    const contact = this.#service.contact(number);
    if (name !== undefined) contact.name = name;
    if (dialled !== undefined) this.#service.dialled.set(String(dialled), String(number));
    if (absent !== undefined) this.#service.setAbsent(number, absent);
    return { jid: userJid(contact.number, 's.whatsapp.net'), lid: userJid(lidUser(contact.number), 'lid') };
  }

  async run(line) {
    let id;
    try {
      const { cmd, id: given, ...fields } = JSON.parse(line);
      id = given;
      if (!Object.hasOwn(this.#commands, cmd)) throw new Error(`unknown command ${cmd}`);
      const answer = await this.#commands[cmd](fields);
      this.#report('ok', { id, cmd, ...(typeof answer === 'object' && !Array.isArray(answer) ? answer : {}) });
    } catch (error) {
      this.#report('failed', { id, message: error.message });
    }
  }
}
