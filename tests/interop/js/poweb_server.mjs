// SPDX-License-Identifier: MIT
//
// A gateway at the other end of PoWeb, made of the messages and signatures of the library and of the same
// HTTP and WebSocket servers as the deployed ones. It is as strict as those: types are compared as a whole,
// and acknowledgements are read from a stream, in which those that come at once run into each other.

import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';

import { toArrayBuffer } from './kinds.mjs';

const DAY_MS = 24 * 3600 * 1000;
const AUTHORIZATION_MS = 10_000;
const PING_MS = 5_000;
const CANNOT_ACCEPT = 1003;
const NORMAL = 1000;

const TYPE = 'application/vnd.awala.';
const REGISTRATION = `${TYPE}node-registration.`;
const COUNTERSIGNATURE = /^Relaynet-Countersignature (\S+)$/;

const toBuffer = (octets) => Buffer.from(octets);

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Run `action`; what it throws becomes a refusal with this status. */
async function orRefuse(status, action) {
  try {
    return await action();
  } catch (error) {
    throw new Refusal(status, String(error.message));
  }
}

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) {
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** A gateway with all in memory: an Internet gateway, or, with `forEndpoints`, a private gateway behind one. */
class PoWebServer {
  constructor(core, ws, { address, forEndpoints }, identity, certificate) {
    Object.assign(this, { address, certificate, core, forEndpoints, identity, ws });
    this.delivered = [];
    this.acknowledged = [];
    this.problems = [];
    this.queue = new Map();
    this.collectors = new Set();
    this.sessions = [];
    this.routes = {
      '/connection-params.der': ['GET', null, () => this.connectionParams()],
      '/v1/nodes': ['POST', `${REGISTRATION}request`, (body) => this.register(body)],
      '/v1/parcels': ['POST', `${TYPE}parcel`, (body, headers) => this.deliver(body, headers)],
      '/v1/pre-registrations': ['POST', 'text/plain', (body) => this.preregister(body)],
    };
  }

  static async create(core, ws, options) {
    const validityEndDate = new Date(Date.now() + 180 * DAY_MS);
    const top = await core.generateRSAKeyPair();
    const topCertificate = await core.issueGatewayCertificate({
      issuerPrivateKey: top.privateKey,
      subjectPublicKey: top.publicKey,
      validityEndDate,
    });
    if (!options.forEndpoints) {
      return new PoWebServer(core, ws, options, top, topCertificate);
    }
    const identity = await core.generateRSAKeyPair();
    const certificate = await core.issueGatewayCertificate({
      issuerCertificate: topCertificate,
      issuerPrivateKey: top.privateKey,
      subjectPublicKey: identity.publicKey,
      validityEndDate,
    });
    return new PoWebServer(core, ws, options, identity, certificate);
  }

  async listen() {
    this.server = createServer((request, response) => this.answer(request, response));
    const sockets = new this.ws.Server({ path: '/v1/parcel-collection', server: this.server });
    sockets.on('connection', (socket, request) => this.collect(socket, request.headers));
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this.server.address().port;
  }

  // ---- requests ----------------------------------------------------------------------------------

  async answer(request, response) {
    try {
      const [status, type, body] = await this.dispatch(request, await bodyOf(request));
      response.writeHead(status, { 'Content-Type': type }).end(body);
    } catch (error) {
      this.problems.push(`${request.url}: ${error.message}`);
      const body = JSON.stringify({ message: error.message });
      response.writeHead(error.status ?? 500, { 'Content-Type': 'application/json' }).end(body);
    }
  }

  dispatch(request, body) {
    if (!Object.hasOwn(this.routes, request.url)) {
      throw new Refusal(404, `there is no ${request.url}`);
    }
    const [method, type, handle] = this.routes[request.url];
    if (request.method !== method) {
      throw new Refusal(405, `${request.url} is for ${method}`);
    }
    if (type !== null && request.headers['content-type'] !== type) {
      throw new Refusal(415, `${request.headers['content-type']} is not ${type}`);
    }
    return handle(body, request.headers);
  }

  async connectionParams() {
    const { sessionKey } = await this.newSession();
    const params = new this.core.NodeConnectionParams(this.address, this.identity.publicKey, sessionKey);
    return [200, 'application/vnd.etsi.tsl.der', toBuffer(await params.serialize())];
  }

  async newSession() {
    const pair = await this.core.SessionKeyPair.generate();
    this.sessions.push(pair);
    return pair;
  }

  async preregister(digest) {
    if (digest.length !== 64) {
      throw new Refusal(400, 'that is no digest of a key');
    }
    const expiry = new Date(Date.now() + AUTHORIZATION_MS);
    const data = toArrayBuffer(Buffer.from(digest.toString(), 'hex'));
    const authorization = new this.core.PrivateNodeRegistrationAuthorization(expiry, data);
    const octets = await authorization.serialize(this.identity.privateKey);
    return [200, `${REGISTRATION}authorization`, toBuffer(octets)];
  }

  async register(body) {
    const { PrivateNodeRegistration, PrivateNodeRegistrationAuthorization, PrivateNodeRegistrationRequest } =
      this.core;
    const request = await orRefuse(400, () => PrivateNodeRegistrationRequest.deserialize(toArrayBuffer(body)));
    const authorization = await orRefuse(400, () =>
      PrivateNodeRegistrationAuthorization.deserialize(request.pnraSerialized, this.identity.publicKey),
    );
    const spki = await this.core.derSerializePublicKey(request.privateNodePublicKey);
    const digest = createHash('sha256').update(spki).digest();
    if (!digest.equals(toBuffer(authorization.gatewayData))) {
      throw new Refusal(403, 'the authorization is for another key');
    }
    const issue = this.forEndpoints ? this.core.issueEndpointCertificate : this.core.issueGatewayCertificate;
    const certificate = await issue({
      issuerCertificate: this.certificate,
      issuerPrivateKey: this.identity.privateKey,
      subjectPublicKey: request.privateNodePublicKey,
      validityEndDate: new Date(Date.now() + 179 * DAY_MS),
    });
    const sessionKey = this.forEndpoints ? null : (await this.newSession()).sessionKey;
    const registration = new PrivateNodeRegistration(certificate, this.certificate, this.address, sessionKey);
    return [200, `${REGISTRATION}registration`, toBuffer(await registration.serialize())];
  }

  async deliver(body, { authorization }) {
    const parcel = toArrayBuffer(body);
    const verifier = new this.core.ParcelDeliveryVerifier([this.certificate]);
    await orRefuse(401, () => {
      const signature = Buffer.from(COUNTERSIGNATURE.exec(authorization)[1], 'base64');
      return verifier.verify(toArrayBuffer(signature), parcel);
    });
    const message = await orRefuse(400, () => this.core.Parcel.deserialize(parcel));
    const isOurs = !this.forEndpoints && [undefined, this.address].includes(message.recipient.internetAddress);
    await orRefuse(422, () => message.validate(isOurs ? [this.certificate] : undefined));
    this.delivered.push(body);
    return [202, 'application/json', '{}'];
  }

  // ---- collections -------------------------------------------------------------------------------

  collect(socket, headers) {
    const nonce = Buffer.from(randomUUID());
    const pings = setInterval(() => socket.ping(), PING_MS);
    socket.on('close', () => clearInterval(pings));
    socket.once('message', async (response) => {
      try {
        await this.verifyHandshake(response, nonce);
      } catch (error) {
        this.problems.push(`handshake: ${error.message}`);
        socket.close(CANNOT_ACCEPT, 'Invalid handshake');
        return;
      }
      const stays = headers['x-relaynet-streaming-mode'] !== 'close-upon-completion';
      this.serveCollector(socket, stays);
    });
    socket.send(toBuffer(new this.core.HandshakeChallenge(toArrayBuffer(nonce)).serialize()));
  }

  async verifyHandshake(response, nonce) {
    const { nonceSignatures } = this.core.HandshakeResponse.deserialize(toArrayBuffer(response));
    if (nonceSignatures.length !== 1) {
      throw new Error(`${nonceSignatures.length} signatures`);
    }
    const verifier = new this.core.ParcelCollectionHandshakeVerifier([this.certificate]);
    await verifier.verify(nonceSignatures[0], toArrayBuffer(nonce));
  }

  async serveCollector(socket, stays) {
    const pending = new Map();
    const send = async (key) => {
      await setImmediate(); // as if it came from a store
      if (!this.queue.has(key)) {
        return;
      }
      const deliveryId = randomUUID();
      pending.set(deliveryId, key);
      const delivery = new this.core.ParcelDelivery(deliveryId, toArrayBuffer(this.queue.get(key)));
      socket.send(toBuffer(delivery.serialize()));
    };
    let allSent = false;
    const endIfDone = () => {
      if (!stays && allSent && pending.size === 0) {
        socket.close(NORMAL);
      }
    };
    if (stays) {
      this.collectors.add(send);
      socket.on('close', () => this.collectors.delete(send));
    }
    this.sendAll([...this.queue.keys()], send).then(() => {
      allSent = true;
      endIfDone();
    });
    for await (const chunk of this.ws.createWebSocketStream(socket, { encoding: 'utf-8' })) {
      const deliveryId = chunk.toString();
      if (!pending.has(deliveryId)) {
        this.problems.push(`acknowledgement of ${deliveryId}`);
        socket.close(CANNOT_ACCEPT, 'Unknown delivery');
        return;
      }
      this.forget(pending.get(deliveryId));
      pending.delete(deliveryId);
      endIfDone();
    }
  }

  /** Forget a parcel, unless it was acknowledged on another connection before. */
  forget(key) {
    if (this.queue.has(key)) {
      this.acknowledged.push(this.queue.get(key));
      this.queue.delete(key);
    }
  }

  async sendAll(keys, send) {
    for (const key of keys) {
      await send(key);
    }
  }

  async put(parcels) {
    const keys = parcels.map((parcel) => {
      const key = randomUUID();
      this.queue.set(key, parcel);
      return key;
    });
    await Promise.all([...this.collectors].map((send) => this.sendAll(keys, send)));
  }
}

/** Return the operations of gateways that serve PoWeb, by name. */
export function poWebServerOperations(core, require, parts) {
  const servers = [];
  const seen = ({ acknowledged, delivered, problems, queue }) => ({
    acknowledged,
    delivered,
    problems,
    waiting: queue.size,
  });

  return {
    async openPoWebServer({ address, forEndpoints }) {
      const server = await PoWebServer.create(core, require('ws'), { address, forEndpoints });
      const port = await server.listen();
      return {
        certificate: parts.writeCertificate(server.certificate),
        port,
        server: servers.push(server) - 1,
      };
    },

    queueParcels: ({ server, parcels }) => servers[server].put(parcels),

    // Tells what has come so far, once it is so many parcels and acknowledgements.
    async servedByPoWeb({ server, delivered, acknowledged }) {
      const state = servers[server];
      while (state.delivered.length < (delivered ?? 0) || state.acknowledged.length < (acknowledged ?? 0)) {
        await sleep(10);
      }
      return seen(state);
    },
  };
}
