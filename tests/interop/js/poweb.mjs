// SPDX-License-Identifier: MIT
//
// The PoWeb client of the library. A door is {port} on this machine without TLS, or {host, port} with it.

import { setTimeout as sleep } from 'node:timers/promises';

import { toArrayBuffer } from './kinds.mjs';

const RETRY_MS = 200;

/** Return a client of a door. */
export function clientOf(require, { host, port }) {
  const { PoWebClient } = require('@relaycorp/relaynet-poweb');
  return host ? PoWebClient.initRemote(host, port) : PoWebClient.initLocal(port);
}

/** Return the operations of PoWeb by name. */
export function poWebOperations(core, require, parts, kinds) {
  async function signerOf(kind, { privateKey, certificate }) {
    const key = await parts.readIdentityKey(privateKey);
    return new kind(parts.readCertificate(certificate), key.privateKey);
  }

  const nonceSigners = (signers) =>
    Promise.all(signers.map((signer) => signerOf(core.ParcelCollectionHandshakeSigner, signer)));

  async function receive(collection) {
    let refusal = null;
    try {
      await collection.deserializeAndValidateParcel();
    } catch (error) {
      refusal = error.message;
    }
    return { parcel: Buffer.from(collection.parcelSerialized), refusal };
  }

  const collections = [];

  // Collects on and on, and begins anew after an error, as the deployed gateways do.
  async function keepCollecting(collection, client, signers) {
    for (;;) {
      try {
        const countConnection = () => (collection.connections += 1);
        for await (const each of client.collectParcels(signers, 'keep-alive', countConnection)) {
          collection.parcels.push(await receive(each));
          await each.ack();
        }
      } catch (error) {
        collection.errors.push(error.message);
      }
      await sleep(RETRY_MS);
    }
  }

  return {
    async register({ door, privateKey }) {
      const client = clientOf(require, door);
      const key = await parts.readIdentityKey(privateKey);
      const authorization = await client.preRegisterNode(key.publicKey);
      const request = new core.PrivateNodeRegistrationRequest(key.publicKey, authorization);
      return kinds.registration.describe(await client.registerNode(await request.serialize(key.privateKey)));
    },

    async deliverParcel({ door, parcel, ...signer }) {
      const deliverySigner = await signerOf(core.ParcelDeliverySigner, signer);
      await clientOf(require, door).deliverParcel(toArrayBuffer(parcel), deliverySigner);
      return null;
    },

    // Collects until the gateway has no more, and acknowledges each.
    async collectParcels({ door, signers }) {
      const parcels = [];
      let connections = 0;
      const countConnection = () => (connections += 1);
      const client = clientOf(require, door);
      const mode = 'close-upon-completion';
      for await (const each of client.collectParcels(await nonceSigners(signers), mode, countConnection)) {
        parcels.push(await receive(each));
        await each.ack();
      }
      return { parcels, connections };
    },

    // Collects for as long as this process runs: the library cannot be told to stop while it waits.
    async openCollection({ door, signers }) {
      const collection = { connections: 0, errors: [], parcels: [] };
      keepCollecting(collection, clientOf(require, door), await nonceSigners(signers));
      return collections.push(collection) - 1;
    },

    // Tells what has come since `openCollection`, once it is `count` parcels on `connections` connections.
    async collected({ collection, count, connections }) {
      const found = collections[collection];
      while (found.parcels.length < count || found.connections < (connections ?? 1)) {
        await sleep(10);
      }
      return found;
    },
  };
}
