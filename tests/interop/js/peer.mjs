// SPDX-License-Identifier: MIT
//
// A peer made of the reference libraries in the folder that is its argument. It answers requests in
// JSON lines, as ../README.md says.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

import { kindsOf, partsOf } from './kinds.mjs';
import { serveLines } from './lines.mjs';
import { poHttpOperations } from './pohttp.mjs';
import { poWebOperations } from './poweb.mjs';
import { poWebServerOperations } from './poweb_server.mjs';

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

function kindNamed(name) {
  if (!Object.hasOwn(kinds, name)) {
    throw new Error(`there is no kind ${name}`);
  }
  return kinds[name];
}

async function describeIdentityKey({ privateKey, publicKey }) {
  return {
    id: await core.getIdFromIdentityKey(publicKey),
    privateKey: await core.derSerializePrivateKey(privateKey),
    publicKey: await parts.writePublicKey(publicKey),
  };
}

const mapValues = async (object, change) =>
  Object.fromEntries(
    await Promise.all(Object.entries(object).map(async ([name, value]) => [name, await change(value)])),
  );

serveLines({
  ...poWebOperations(core, require, parts, kinds),
  ...poWebServerOperations(core, require, parts),
  ...poHttpOperations(require),

  read: ({ kind, octets, ...request }) => kindNamed(kind).read(octets, request),

  make: ({ kind, ...request }) => kindNamed(kind).make(request),

  makeIdentityKey: async ({ modulus }) => describeIdentityKey(await core.generateRSAKeyPair({ modulus })),

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

  // Asks a resolver where a service of an Internet address is; null if there is no such name.
  resolveAddress: ({ address, service, resolver }) =>
    core.resolveInternetAddress(address, service, resolver),

  // What the library's tools for tests make: keys of all nodes, and the paths between them.
  async makeFixtures() {
    const testing = require('@relaycorp/relaynet-testing');
    const identityKeys = await testing.generateIdentityKeyPairSet();
    const describePath = (path) => mapValues(path, parts.writeCertificate);
    return {
      identityKeys: await mapValues(identityKeys, describeIdentityKey),
      sessionKeys: await mapValues(await testing.generateSessionKeyPairSet(), async (pair) => ({
        privateKey: await core.derSerializePrivateKey(pair.privateKey),
        publicKey: await core.derSerializePublicKey(pair.publicKey),
      })),
      parcelDelivery: await describePath(await testing.generatePDACertificationPath(identityKeys)),
      cargoDelivery: await describePath(await testing.generateCDACertificationPath(identityKeys)),
    };
  },
});
