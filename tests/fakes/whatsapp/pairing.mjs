// Linking a device: QR references, the phone that scans them, and the signed device identity it hands over.

import { createHmac, randomBytes } from 'node:crypto';
import { Device } from './devices.mjs';
import { bare, fromBigEndian, sign, typed, verify } from './keys.mjs';
import { proto } from './modules.mjs';
import { bytesOf, child, node, seconds, SERVER } from './nodes.mjs';

const REFS = 6;
const ACCOUNT_SIGNATURE = Buffer.from([6, 0]);
const DEVICE_SIGNATURE = Buffer.from([6, 1]);

/** What a ClientPayload says about a device that wants to be linked. */
export function readRegistration({ devicePairingData: data }) {
  return {
    identity: bare(data.eIdent),
    registrationId: fromBigEndian(data.eRegid),
    signedPreKey: {
      keyId: fromBigEndian(data.eSkeyId),
      publicKey: typed(data.eSkeyVal),
      signature: Buffer.from(data.eSkeySig),
    },
  };
}

export class Pairing {
  #service;
  #nextDevice = 1;
  /** Pair-success stanzas whose signed answer is awaited, by stanza id. */
  #pending = new Map();

  constructor(service) {
    this.#service = service;
  }

  /** Sends fresh references to a registering client. */
  sendRefs(connection, count = this.#service.faults.value('refs', 'count', REFS)) {
    connection.refs = Array.from({ length: count }, () => `2@${randomBytes(60).toString('base64')}`);
    const id = this.#service.nextId();
    connection.send(node('iq', { from: SERVER, type: 'set', id, xmlns: 'md' }, [
      node('pair-device', {}, connection.refs.map(ref => node('ref', {}, Buffer.from(ref)))),
    ]));
    this.#service.report('refs_sent', { n: connection.number, count });
  }

  /** The phone scans the content of a QR code. */
  async scan({ payload, tamper_hmac = false }) {
    const fields = String(payload).split('#').pop().split(',');
    if (fields.length < 4) throw new Error('this is not the content of a linking QR code');
    const [ref, noiseKey, identityKey, secret] = fields;
    const connection = this.#service.connections.find(each => each.open && each.refs.includes(ref));
    if (!connection) throw new Error('no client shows this code, or it has expired');
    if (connection.clientStatic.toString('base64') !== noiseKey) throw new Error('the code names another noise key');
    if (connection.registration.identity.toString('base64') !== identityKey) {
      throw new Error('the code names another identity key');
    }
    return this.accept(connection, Buffer.from(secret, 'base64'), { tamper_hmac });
  }

  /** The phone knows the client by this secret; whether the account also needs its passkey is the service's matter. */
  accept(connection, secret, how) {
    return this.#service.passkeys.demand(connection, secret) ? { passkey: true } : this.complete(connection, secret, how);
  }

  /** The phone signs the new device's identity, the service assigns it a number and tells the client. */
  complete(connection, secret, { tamper_hmac = false } = {}) {
    const { phone, faults } = this.#service;
    const id = this.#nextDevice++;
    const details = proto.ADVDeviceIdentity.encode({
      rawId: 1, timestamp: Number(seconds()), keyIndex: id, accountType: 0, deviceType: 0,
    }).finish();
    const accountSignature = sign(
      phone.identity.private,
      Buffer.concat([ACCOUNT_SIGNATURE, details, connection.registration.identity]),
    );
    const signed = proto.ADVSignedDeviceIdentity.encode({
      details, accountSignatureKey: phone.identity.public, accountSignature,
    }).finish();
    const hmac = createHmac('sha256', secret).update(signed).digest();
    if (tamper_hmac || faults.take('tamper_hmac')) hmac[0] ^= 0xff;
    const device = new Device({
      owner: phone.number, lid: phone.lid, id, registration: connection.registration, noiseKey: connection.clientStatic,
      platform: 'android',
    });
    connection.refs = [];
    const stanza = this.#service.nextId();
    this.#pending.set(stanza, { connection, device, details });
    connection.send(node('iq', { from: SERVER, type: 'set', id: stanza, t: seconds() }, [
      node('pair-success', {}, [
        node('device-identity', {}, proto.ADVSignedDeviceIdentityHMAC.encode({ details: signed, hmac }).finish()),
        node('biz', { name: '' }),
        node('device', { jid: device.jid, lid: device.lid }),
        node('platform', { name: device.platform }),
      ]),
    ]));
    return { jid: device.jid, device: id };
  }

  /** Takes the client's answer to pair-success; true when it was one. */
  answered(connection, iq) {
    const pending = this.#pending.get(iq.attrs.id);
    if (pending?.connection !== connection) return false;
    this.#pending.delete(iq.attrs.id);
    const { device, details } = pending;
    const { phone, faults, report } = this.#service;
    const identity = proto.ADVSignedDeviceIdentity.decode(bytesOf(child(iq, 'pair-device-sign'), 'device-identity'));
    const message = Buffer.concat([DEVICE_SIGNATURE, details, device.identityKey, phone.identity.public]);
    if (!verify(device.identityKey, message, identity.deviceSignature)) {
      report('pairing_refused', { jid: device.jid, message: 'the device signature is wrong' });
      connection.streamError(500);
      return true;
    }
    this.#service.devices.push(device);
    report('paired', { jid: device.jid, lid: device.lid, device: device.id });
    if (faults.take('drop_before_restart')) connection.reset();
    else connection.streamError(515);
    return true;
  }
}
