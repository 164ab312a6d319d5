// SPDX-License-Identifier: MIT
//
// A private gateway made of the library's class and of the clients of PoWeb and CogRPC, with apps of its own process
// behind it. It has an Internet gateway on-line, or a courier, or both, and does with cargo what wire.md 5 says.

import { setTimeout as sleep } from 'node:timers/promises';

import { PrivateGateway } from './gateways.mjs';
import { toArrayBuffer } from './kinds.mjs';

/** The library gives each call of CogRPC three seconds. */
const NEVER = 6000;

const toBuffer = (octets) => Buffer.from(octets);

/** Identify a parcel as an acknowledgement does. */
const keyOf = (senderId, recipientId, parcelId) => [senderId, recipientId, parcelId].join(' ');

async function withinReason(promise) {
  const reason = new AbortController();
  const never = sleep(NEVER, null, { signal: reason.signal }).then(() => {
    throw new Error('the client did not end by itself');
  });
  try {
    return await Promise.race([promise, never]);
  } finally {
    reason.abort();
    never.catch(() => null);
  }
}

export class RoutedGateway extends PrivateGateway {
  constructor(core, settings) {
    super(core, settings);
    this.outgoing = new Map();
    this.owed = [];
    this.taken = new Set();
    this.mailboxes = new Map();
    this.rotations = [];
  }

  static async create(core) {
    const identity = await core.generateRSAKeyPair();
    return new RoutedGateway(core, { id: await core.getIdFromIdentityKey(identity.publicKey), identity });
  }

  /** Register with an Internet gateway. */
  async pair(door) {
    const registration = await door.register(this.identity);
    this.internetGateway = door;
    this.internetAddress = registration.internetGatewayInternetAddress;
    this.internetGatewayId = registration.privateNodeCertificate.getIssuerId();
    await this.saveRegistration(toBuffer(await registration.serialize()));
  }

  /** Go on with the newest certificate of ours. */
  async renewChannel() {
    this.channel = await this.node.getChannel(this.internetGatewayId, this.internetAddress);
  }

  paths = () => this.keyStores.certificateStore.retrieveAll(this.id, this.internetGatewayId);

  /** Return the certificate in use. */
  certificate = () => toBuffer(this.channel.deliveryAuthPath.leafCertificate.serialize());

  // ---- for apps ------------------------------------------------------------------------------------

  /** Return a door as that of `poWebDoor`, for an app of this process. */
  doorForApps() {
    const gateway = this;
    return {
      register: async ({ publicKey }) =>
        gateway.core.PrivateNodeRegistration.deserialize(await gateway.channel.registerEndpoint(publicKey)),
      deliver: (octets) => gateway.post(octets),
      async *collect(node) {
        const mailbox = gateway.mailboxOf(node.id);
        while (mailbox.length) {
          yield mailbox.shift();
        }
      },
    };
  }

  mailboxOf(id) {
    if (!this.mailboxes.has(id)) {
      this.mailboxes.set(id, []);
    }
    return this.mailboxes.get(id);
  }

  /** Keep a parcel that is to leave, until it was taken on-line or is acknowledged in cargo. */
  async post(octets) {
    const parcel = await this.core.Parcel.deserialize(octets);
    await parcel.validate();
    const senderId = await parcel.senderCertificate.calculateSubjectId();
    this.outgoing.set(keyOf(senderId, parcel.recipient.id, parcel.id), Buffer.from(octets));
  }

  /** Put a parcel that came into the mailbox of its recipient, once; return the acknowledgement of it. */
  async take(octets) {
    const trusted = (await this.paths()).map((path) => path.leafCertificate);
    const parcel = await this.core.Parcel.deserialize(octets);
    await parcel.validate(trusted);
    const senderId = await parcel.senderCertificate.calculateSubjectId();
    const key = keyOf(senderId, parcel.recipient.id, parcel.id);
    if (!this.taken.has(key)) {
      this.taken.add(key);
      this.mailboxOf(parcel.recipient.id).push(Buffer.from(octets));
    }
    return new this.core.ParcelCollectionAck(senderId, parcel.recipient.id, parcel.id);
  }

  // ---- on-line -------------------------------------------------------------------------------------

  /** Deliver what is to leave, and collect what has come; return how much that was. */
  async exchange() {
    let delivered = 0;
    for (const [key, octets] of this.outgoing) {
      await this.internetGateway.deliver(toArrayBuffer(octets), this.node, this.internetGatewayId);
      this.outgoing.delete(key);
      delivered += 1;
    }
    let collected = 0;
    for await (const octets of this.internetGateway.collect(this.node, this.internetGatewayId)) {
      await this.take(toArrayBuffer(octets));
      collected += 1;
    }
    return { collected, delivered };
  }

  // ---- by courier ----------------------------------------------------------------------------------

  /** Collect from a courier what it brought, then deliver what is to leave; return how much that was. */
  async visit(courier) {
    const cargoes = await withinReason(this.collectCargo(courier));
    for (const cargo of cargoes) {
      await this.process(cargo);
    }
    const delivered = await withinReason(this.deliverCargo(courier));
    return { collected: cargoes.length, delivered, leftOver: this.outgoing.size };
  }

  async collectCargo(courier) {
    const cargoes = [];
    for await (const cargo of courier.collectCargo(await this.authorizeCollection())) {
      cargoes.push(cargo);
    }
    return cargoes;
  }

  async deliverCargo(courier) {
    const messages = [...this.owed.splice(0), ...this.outgoing.values()];
    const cargoes = messages.length ? await this.fill([messages]) : [];
    const requests = cargoes.map((cargo, number) => ({ cargo, localId: String(number) }));
    let delivered = 0;
    for await (const _ of courier.deliverCargo(requests)) {
      delivered += 1;
    }
    return delivered;
  }

  /** Do what each message in a cargo asks for. */
  async process(cargo) {
    const { CargoMessageSet, CertificateRotation, ParcelCollectionAck } = this.core;
    for (const octets of await this.unpack(cargo)) {
      const item = await CargoMessageSet.deserializeItem(toArrayBuffer(octets));
      if (item instanceof CertificateRotation) {
        await this.rotate(item.certificationPath);
      } else if (item instanceof ParcelCollectionAck) {
        this.outgoing.delete(keyOf(item.senderEndpointId, item.recipientEndpointId, item.parcelId));
      } else {
        this.owed.push(toBuffer((await this.take(toArrayBuffer(octets))).serialize()));
      }
    }
  }

  /** Take a new certificate of ours, of the same Internet gateway. */
  async rotate(path) {
    const { leafCertificate } = path;
    if ((await leafCertificate.calculateSubjectId()) !== this.id) {
      throw new Error('the rotated certificate is of somebody else');
    }
    if (leafCertificate.getIssuerId() !== this.internetGatewayId) {
      throw new Error('the rotated certificate is by another Internet gateway');
    }
    await this.keyStores.certificateStore.save(path, this.internetGatewayId);
    this.rotations.push(toBuffer(leafCertificate.serialize()));
    await this.renewChannel();
  }
}
