// SPDX-License-Identifier: MIT
//
// An app made of the classes that the library has for private endpoints, and of the PoWeb client. Keys are in memory.

import { randomUUID } from 'node:crypto';

import { toArrayBuffer } from './kinds.mjs';

const DAY_SECONDS = 24 * 3600;
const PDA_PATH = 'application/vnd+relaycorp.awala.pda-path';

const toBuffer = (octets) => Buffer.from(octets);

/** Return what an app can do at the PoWeb server of its private gateway; `door` is as in poweb.mjs. */
export function poWebDoor(core, client) {
  return {
    async register(identity) {
      const authorization = await client.preRegisterNode(identity.publicKey);
      const request = new core.PrivateNodeRegistrationRequest(identity.publicKey, authorization);
      return client.registerNode(await request.serialize(identity.privateKey));
    },

    deliver: (parcel, node, gatewayId) =>
      node.getGSCSigner(gatewayId, core.ParcelDeliverySigner).then((signer) => client.deliverParcel(parcel, signer)),

    async *collect(node, gatewayId) {
      const signer = await node.getGSCSigner(gatewayId, core.ParcelCollectionHandshakeSigner);
      for await (const each of client.collectParcels([signer], 'close-upon-completion')) {
        yield toBuffer(each.parcelSerialized);
        await each.ack();
      }
    },
  };
}

/** Say whether a serial number has no octet more than it needs, as all but some in five hundred. */
function hasMinimalSerial(certificate) {
  const [first, second] = new Uint8Array(certificate.pkijsCertificate.serialNumber.valueBlock.valueHexView);
  return !(first === 0x00 && second < 0x80) && !(first === 0xff && second >= 0x80);
}

/** Return the class of endpoints of the library `core`. */
const endpointClassOf = (core) =>
  class extends core.Endpoint {
    channelConstructor = core.Channel;
  };

export class App {
  constructor(core, { id, identity }) {
    this.core = core;
    this.id = id;
    this.identity = identity;
    this.keyStores = new core.MockKeyStoreSet();
    this.endpoint = new (endpointClassOf(core))(id, identity, this.keyStores, {});
    this.addresses = new Map();
  }

  static async create(core) {
    const identity = await core.generateRSAKeyPair();
    return new App(core, { id: await core.getIdFromIdentityKey(identity.publicKey), identity });
  }

  /** Register at the door of a private gateway, or renew. */
  async register(door) {
    const registration = await door.register(this.identity);
    this.door = door;
    this.certificate = registration.privateNodeCertificate;
    this.gatewayCertificate = registration.gatewayCertificate;
    this.gatewayId = this.certificate.getIssuerId();
    this.internetAddress = registration.internetGatewayInternetAddress;
    const path = new this.core.CertificationPath(this.certificate, []);
    await this.keyStores.certificateStore.save(path, this.gatewayId);
  }

  /** Let a peer write to this app; return the connection parameters that tell it how. */
  async allow(peerPublicKey) {
    const authorization = await this.authorize(peerPublicKey);
    const peerId = await this.core.getIdFromIdentityKey(peerPublicKey);
    const params = new this.core.PrivateEndpointConnParams(
      this.identity.publicKey,
      this.internetAddress,
      new this.core.CertificationPath(authorization, [this.certificate, this.gatewayCertificate]),
      await this.endpoint.generateSessionKey(peerId),
    );
    return toBuffer(await params.serialize());
  }

  /** Issue an authorisation; its serial number is minimal, for the Kotlin library refuses the others. */
  async authorize(peerPublicKey) {
    for (;;) {
      const authorization = await this.core.issueDeliveryAuthorization({
        issuerCertificate: this.certificate,
        issuerPrivateKey: this.identity.privateKey,
        subjectPublicKey: peerPublicKey,
        validityEndDate: this.certificate.expiryDate,
      });
      if (hasMinimalSerial(authorization)) {
        return authorization;
      }
    }
  }

  /**
   * Learn from connection parameters how to write to who made them, as if that was `secondsAgo`: the library
   * takes the session key in a message only if that message is dated later than this.
   */
  async learn(params, secondsAgo) {
    const parsed = await this.core.PrivateEndpointConnParams.deserialize(toArrayBuffer(params));
    const { peer } = await this.endpoint.savePrivateEndpointChannel(parsed);
    this.addresses.set(peer.id, peer.internetAddress);
    const known = await this.keyStores.publicKeyStore.retrieveSessionKeyData(peer.id);
    known.publicKeyCreationTime = new Date(Date.now() - 1000 * secondsAgo);
    return peer.id;
  }

  /** Send a message; tell its id, and the session keys of it. */
  async send(to, type, content) {
    const channel = await this.endpoint.getChannel(to, this.addresses.get(to));
    const messageId = randomUUID();
    const octets = await channel.makeMessage(new this.core.ServiceMessage(type, content), this.core.Parcel, {
      id: messageId,
      ttl: DAY_SECONDS,
    });
    await this.door.deliver(octets, this.endpoint, this.gatewayId);
    return { messageId, ...(await this.keysOf(await this.core.Parcel.deserialize(octets))) };
  }

  /** Return what has come, all of it opened; authorisations among it are learnt. */
  async receive(secondsAgo) {
    const messages = [];
    for await (const octets of this.door.collect(this.endpoint, this.gatewayId)) {
      messages.push(await this.open(octets, secondsAgo));
    }
    return messages;
  }

  async open(octets, secondsAgo) {
    const own = await this.keyStores.certificateStore.retrieveAll(this.id, this.gatewayId);
    const parcel = await this.core.Parcel.deserialize(toArrayBuffer(octets));
    await this.endpoint.validateMessage(
      parcel,
      own.map((path) => path.leafCertificate),
    );
    const { content, type } = await this.endpoint.unwrapMessagePayload(parcel);
    if (type === PDA_PATH) {
      await this.learn(content, secondsAgo);
    }
    const senderId = await parcel.senderCertificate.calculateSubjectId();
    return { content: toBuffer(content), messageId: parcel.id, senderId, type, ...(await this.keysOf(parcel)) };
  }

  /** Return the ids of the session keys of a parcel: the one that it was made for, and the one that it brings. */
  async keysOf(parcel) {
    const envelope = this.core.EnvelopedData.deserialize(toArrayBuffer(parcel.payloadSerialized));
    const { keyId } = await envelope.getOriginatorKey();
    return { recipientKeyId: toBuffer(envelope.getRecipientKeyId()), senderKeyId: toBuffer(keyId) };
  }
}
