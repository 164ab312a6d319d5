// SPDX-License-Identifier: MIT
//
// Gateways made of the classes that the library has for them. Keys are in memory; dates are the library's own.

import { toArrayBuffer } from './kinds.mjs';

const HOUR = 3600 * 1000;
const DAY = 24 * HOUR;

const toBuffer = (octets) => Buffer.from(octets);

/** Yield messages as the library wants them for cargo, all to be kept until `expiryDate`. */
async function* streamOf(messages, expiryDate) {
  for (const message of messages) {
    yield { expiryDate, message };
  }
}

async function cargoesOf(channel, loads) {
  const cargoes = [];
  for (const messages of loads) {
    for await (const cargo of channel.generateCargoes(streamOf(messages, new Date(Date.now() + DAY)))) {
      cargoes.push(toBuffer(cargo));
    }
  }
  return cargoes;
}

async function identityOf(core) {
  const identity = await core.generateRSAKeyPair();
  return { id: await core.getIdFromIdentityKey(identity.publicKey), identity };
}

/** A private gateway, which makes cargo and collection authorisations as the desktop gateway does. */
export class PrivateGateway {
  constructor(core, { id, identity }) {
    this.core = core;
    this.id = id;
    this.identity = identity;
    this.keyStores = new core.MockKeyStoreSet();
    this.node = new core.PrivateGateway(id, identity, this.keyStores, {});
  }

  static create = async (core) => new PrivateGateway(core, await identityOf(core));

  digest = async () => Buffer.from(await this.core.getPublicKeyDigestHex(this.identity.publicKey), 'hex');

  requestRegistration = async (authorization) =>
    toBuffer(await this.node.requestInternetGatewayRegistration(toArrayBuffer(authorization)));

  async saveRegistration(octets) {
    const registration = await this.core.PrivateNodeRegistration.deserialize(toArrayBuffer(octets));
    const { privateNodeCertificate, gatewayCertificate, sessionKey } = registration;
    await this.node.saveInternetGatewayChannel(privateNodeCertificate, gatewayCertificate, sessionKey);
    this.channel = await this.node.getChannel(
      privateNodeCertificate.getIssuerId(),
      registration.internetGatewayInternetAddress,
    );
    return { certificate: toBuffer(privateNodeCertificate.serialize()) };
  }

  /** Certify an endpoint, as in its registration. */
  registerEndpoint = async (publicKey) =>
    toBuffer(await this.channel.registerEndpoint(await this.core.derDeserializeRSAPublicKey(publicKey)));

  authorizeCollection = async () => toBuffer(await this.channel.generateCCA());

  /** Make cargo for each load of messages; one load may need several. */
  fill = (loads) => cargoesOf(this.channel, loads);

  /** Return the messages in a cargo for this gateway; it must be authorised by an authorisation of ours. */
  async unpack(octets) {
    const cargo = await this.core.Cargo.deserialize(toArrayBuffer(octets));
    await this.node.validateMessage(cargo, await this.channel.getCDAIssuers());
    const { messages } = await this.node.unwrapMessagePayload(cargo);
    return [...messages].map(toBuffer);
  }
}

/** An Internet gateway: it registers private gateways, and does for couriers what wire.md 7.4 says. */
export class InternetGateway {
  constructor(core, { id, identity }, address, certificate) {
    this.core = core;
    this.id = id;
    this.identity = identity;
    this.address = address;
    this.certificate = certificate;
    this.node = new core.Gateway(id, identity, new core.MockKeyStoreSet(), {});
    this.waiting = new Map();
    this.fulfilled = new Set();
  }

  static async create(core, address) {
    const { id, identity } = await identityOf(core);
    const certificate = await core.issueGatewayCertificate({
      issuerPrivateKey: identity.privateKey,
      subjectPublicKey: identity.publicKey,
      validityEndDate: new Date(Date.now() + 180 * DAY),
      validityStartDate: new Date(Date.now() - 3 * HOUR),
    });
    return new InternetGateway(core, { id, identity }, address, certificate);
  }

  /** Let a node register for `gatewayData` within ten seconds. */
  authorizeRegistration = async (gatewayData) =>
    toBuffer(
      await new this.core.PrivateNodeRegistrationAuthorization(
        new Date(Date.now() + 10_000),
        toArrayBuffer(gatewayData),
      ).serialize(this.identity.privateKey),
    );

  async register(octets) {
    const request = await this.core.PrivateNodeRegistrationRequest.deserialize(toArrayBuffer(octets));
    await this.core.PrivateNodeRegistrationAuthorization.deserialize(
      request.pnraSerialized,
      this.identity.publicKey,
    );
    const privateNodeCertificate = await this.core.issueGatewayCertificate({
      issuerCertificate: this.certificate,
      issuerPrivateKey: this.identity.privateKey,
      subjectPublicKey: request.privateNodePublicKey,
      validityEndDate: new Date(Date.now() + 180 * DAY),
      validityStartDate: new Date(Date.now() - 3 * HOUR),
    });
    const registration = new this.core.PrivateNodeRegistration(
      privateNodeCertificate,
      this.certificate,
      this.address,
      await this.node.generateSessionKey(await this.core.getIdFromIdentityKey(request.privateNodePublicKey)),
    );
    return toBuffer(await registration.serialize());
  }

  /** Have these loads of messages ready for the next collection by a private gateway. */
  keep(peerId, loads) {
    this.waiting.set(peerId, loads);
  }

  /** Return the messages in a cargo from one of our private gateways. */
  async unpack(octets) {
    const cargo = await this.core.Cargo.deserialize(toArrayBuffer(octets));
    await this.node.validateMessage(cargo, [this.certificate]);
    const { messages } = await this.node.unwrapMessagePayload(cargo);
    return [...messages].map(toBuffer);
  }

  /** Return the cargo that an authorisation gives access to. */
  async cargoesFor(authorization) {
    const { cargoDeliveryAuthorization } = await this.node.unwrapMessagePayload(authorization);
    const identityPublicKey = await authorization.senderCertificate.getPublicKey();
    const peer = { id: await this.core.getIdFromIdentityKey(identityPublicKey), identityPublicKey };
    const channel = new this.core.GatewayChannel(
      this.node,
      peer,
      new this.core.CertificationPath(cargoDeliveryAuthorization, []),
      this.node.keyStores,
    );
    return cargoesOf(channel, this.waiting.get(peer.id) ?? []);
  }
}
