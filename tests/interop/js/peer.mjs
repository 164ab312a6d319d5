// SPDX-License-Identifier: MIT
//
// A peer made of the reference libraries in the folder that is its argument. It reads one JSON object
// per line from standard input and answers each with one on standard output, as ../README.md says.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { kindsOf, partsOf, toArrayBuffer } from './kinds.mjs';

const require = createRequire(join(resolve(process.argv[2]), 'package.json'));
const core = require('@relaycorp/relaynet-core');
const asn1js = require('asn1js');
const { NODE_ENGINE } = require('@relaycorp/relaynet-core/build/main/lib/crypto/pkijs.js');

async function resign(certificate, serial, key) {
  certificate.serialNumber = new asn1js.Integer({ valueHex: serial });
  await certificate.sign(key, 'SHA-256', NODE_ENGINE);
}

const kinds = kindsOf(core, resign);
const parts = partsOf(core);

const localPoWebClient = (port) => require('@relaycorp/relaynet-poweb').PoWebClient.initLocal(port);

function kindNamed(name) {
  if (!Object.hasOwn(kinds, name)) {
    throw new Error(`there is no kind ${name}`);
  }
  return kinds[name];
}

// ---- operations ----------------------------------------------------------------------------------

const operations = {
  read: ({ kind, octets, ...request }) => kindNamed(kind).read(octets, request),

  make: ({ kind, ...request }) => kindNamed(kind).make(request),

  async makeIdentityKey({ modulus }) {
    const { privateKey, publicKey } = await core.generateRSAKeyPair({ modulus });
    return {
      id: await core.getIdFromIdentityKey(publicKey),
      privateKey: await core.derSerializePrivateKey(privateKey),
      publicKey: await parts.writePublicKey(publicKey),
    };
  },

  async makeSessionKey() {
    const pair = await core.SessionKeyPair.generate();
    return {
      ...(await parts.writeSessionKey(pair.sessionKey)),
      privateKey: await core.derSerializePrivateKey(pair.privateKey),
    };
  },

  // Finds the path from a certificate to one of those trusted, leaf first.
  async findPath({ certificate, chain, trusted }) {
    const path = await parts
      .readCertificate(certificate)
      .getCertificationPath(chain.map(parts.readCertificate), trusted.map(parts.readCertificate));
    return path.map(parts.writeCertificate);
  },

  async register({ port, privateKey }) {
    const client = localPoWebClient(port);
    const key = await parts.readIdentityKey(privateKey);
    const authorization = await client.preRegisterNode(key.publicKey);
    const request = new core.PrivateNodeRegistrationRequest(key.publicKey, authorization);
    return kinds.registration.describe(await client.registerNode(await request.serialize(key.privateKey)));
  },

  async deliverParcel({ port, parcel, privateKey, certificate }) {
    const key = await parts.readIdentityKey(privateKey);
    const signer = new core.ParcelDeliverySigner(parts.readCertificate(certificate), key.privateKey);
    await localPoWebClient(port).deliverParcel(toArrayBuffer(parcel), signer);
    return null;
  },

  // Collects until `count` parcels are there (keep-alive) or the gateway has no more; acknowledges each.
  // After `count` parcels the library drops the connection, and with it perhaps the last acknowledgement.
  async collectParcels({ port, signers, mode, count }) {
    const nonceSigners = await Promise.all(
      signers.map(async ({ privateKey, certificate }) => {
        const key = await parts.readIdentityKey(privateKey);
        return new core.ParcelCollectionHandshakeSigner(parts.readCertificate(certificate), key.privateKey);
      }),
    );
    const parcels = [];
    for await (const collection of localPoWebClient(port).collectParcels(nonceSigners, mode)) {
      let refusal = null;
      try {
        await collection.deserializeAndValidateParcel();
      } catch (error) {
        refusal = error.message;
      }
      parcels.push({ parcel: Buffer.from(collection.parcelSerialized), refusal });
      await collection.ack();
      if (count && parcels.length >= count) {
        break;
      }
    }
    return parcels;
  },
};

// ---- JSON lines ----------------------------------------------------------------------------------

const isOctets = (value) =>
  value !== null && typeof value === 'object' && typeof value.base64 === 'string';

function decode(value) {
  if (Array.isArray(value)) {
    return value.map(decode);
  }
  if (isOctets(value)) {
    return Buffer.from(value.base64, 'base64');
  }
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, decode(inner)]));
  }
  return value;
}

function encode(value) {
  if (Buffer.isBuffer(value)) {
    return { base64: value.toString('base64') };
  }
  if (Array.isArray(value)) {
    return value.map(encode);
  }
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, encode(inner)]));
  }
  return value;
}

async function answer(request) {
  try {
    if (!Object.hasOwn(operations, request.do)) {
      throw new Error(`there is no operation ${request.do}`);
    }
    const { id, do: operation, ...parameters } = request;
    return { id, ok: encode((await operations[operation](decode(parameters))) ?? null) };
  } catch (error) {
    return { error: { class: error.constructor.name, message: String(error.message ?? error) }, id: request.id };
  }
}

const lines = createInterface({ crlfDelay: Infinity, input: process.stdin });
lines.on('line', async (line) => {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
});
lines.on('close', () => process.exit(0));
