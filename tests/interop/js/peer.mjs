// SPDX-License-Identifier: MIT
//
// A peer made of the reference libraries. It reads one JSON object per line from standard input and
// answers each with one on standard output: {"id", "do", …} gives {"id", "ok": …} or
// {"id", "error": {"class", "message"}}. Octets are {"base64": "…"} both ways.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const core = require('@relaycorp/relaynet-core');
const { PoWebClient } = require('@relaycorp/relaynet-poweb');

const MESSAGE_CLASSES = {
  cargo: core.Cargo,
  cca: core.CargoCollectionAuthorization,
  parcel: core.Parcel,
};

const toArrayBuffer = (octets) =>
  octets.buffer.slice(octets.byteOffset, octets.byteOffset + octets.byteLength);

const toBuffer = (octets) => Buffer.from(octets);

const readCertificate = (octets) => core.Certificate.deserialize(toArrayBuffer(octets));

const writeCertificate = (certificate) => toBuffer(certificate.serialize());

async function readIdentityKey(octets) {
  const privateKey = await core.derDeserializeRSAPrivateKey(octets, {
    hash: { name: 'SHA-256' },
    name: 'RSA-PSS',
  });
  return { privateKey, publicKey: await core.getRSAPublicKeyFromPrivate(privateKey) };
}

async function readSessionKey({ keyId, publicKey }) {
  return { keyId, publicKey: await core.derDeserializeECDHPublicKey(publicKey, 'P-256') };
}

async function writeSessionKey({ keyId, publicKey }) {
  return { keyId, publicKey: await core.derSerializePublicKey(publicKey) };
}

const ids = (certificates) => Promise.all(certificates.map((one) => one.calculateSubjectId()));

// ---- plaintexts ----------------------------------------------------------------------------------

const PAYLOAD_READERS = {
  cargo: (payload) => ({ items: payload.messages.map(toBuffer) }),
  cca: (payload) => ({ cargoDeliveryAuthorization: writeCertificate(payload.cargoDeliveryAuthorization) }),
  parcel: (payload) => ({ type: payload.type, content: payload.content }),
};

const PAYLOAD_WRITERS = {
  cargo: ({ items }) => new core.CargoMessageSet(items.map(toArrayBuffer)),
  cca: ({ cargoDeliveryAuthorization }) =>
    new core.CargoCollectionRequest(readCertificate(cargoDeliveryAuthorization)),
  parcel: ({ type, content }) => new core.ServiceMessage(type, content),
};

// ---- operations ----------------------------------------------------------------------------------

const operations = {
  async makeIdentityKey() {
    const { privateKey, publicKey } = await core.generateRSAKeyPair();
    return {
      id: await core.getIdFromIdentityKey(publicKey),
      privateKey: await core.derSerializePrivateKey(privateKey),
      publicKey: await core.derSerializePublicKey(publicKey),
    };
  },

  async makeSessionKey() {
    const pair = await core.SessionKeyPair.generate();
    return {
      ...(await writeSessionKey(pair.sessionKey)),
      privateKey: await core.derSerializePrivateKey(pair.privateKey),
    };
  },

  async issue({ role, subjectPublicKey, issuerPrivateKey, issuerCertificate, notBefore, notAfter }) {
    const functions = {
      deliveryAuthorization: core.issueDeliveryAuthorization,
      endpoint: core.issueEndpointCertificate,
      gateway: core.issueGatewayCertificate,
    };
    const certificate = await functions[role]({
      issuerCertificate: issuerCertificate ? readCertificate(issuerCertificate) : undefined,
      issuerPrivateKey: (await readIdentityKey(issuerPrivateKey)).privateKey,
      subjectPublicKey: await core.derDeserializeRSAPublicKey(subjectPublicKey),
      validityEndDate: new Date(notAfter),
      validityStartDate: new Date(notBefore),
    });
    return writeCertificate(certificate);
  },

  async read({ kind, message, trusted, sessionPrivateKey }) {
    const parsed = await MESSAGE_CLASSES[kind].deserialize(toArrayBuffer(message));
    const path = trusted
      ? await ids(await parsed.validate(trusted.map(readCertificate)))
      : await parsed.validate();
    const sessionKey = await core.derDeserializeECDHPrivateKey(sessionPrivateKey, 'P-256');
    const { payload, senderSessionKey } = await parsed.unwrapPayload(sessionKey);
    return {
      chain: await ids(parsed.senderCaCertificateChain),
      creationDate: parsed.creationDate.toISOString(),
      messageId: parsed.id,
      path,
      payload: PAYLOAD_READERS[kind](payload),
      recipient: { id: parsed.recipient.id, internetAddress: parsed.recipient.internetAddress ?? null },
      senderId: await parsed.senderCertificate.calculateSubjectId(),
      senderSessionKey: await writeSessionKey(senderSessionKey),
      ttl: parsed.ttl,
    };
  },

  async make({ kind, privateKey, certificate, chain, recipient, sessionKey, payload, creationDate, ttl }) {
    const { dhKeyId, dhPrivateKey, envelopedData } = await core.SessionEnvelopedData.encrypt(
      PAYLOAD_WRITERS[kind](payload).serialize(),
      await readSessionKey(sessionKey),
    );
    const message = new MESSAGE_CLASSES[kind](
      { id: recipient.id, internetAddress: recipient.internetAddress ?? undefined },
      readCertificate(certificate),
      toBuffer(envelopedData.serialize()),
      {
        creationDate: new Date(creationDate),
        senderCaCertificateChain: (chain ?? []).map(readCertificate),
        ttl,
      },
    );
    return {
      message: toBuffer(await message.serialize((await readIdentityKey(privateKey)).privateKey)),
      messageId: message.id,
      originatorKeyId: toBuffer(dhKeyId),
      originatorPrivateKey: await core.derSerializePrivateKey(dhPrivateKey),
    };
  },

  async register({ port, privateKey }) {
    const client = PoWebClient.initLocal(port);
    const key = await readIdentityKey(privateKey);
    const authorization = await client.preRegisterNode(key.publicKey);
    const request = new core.PrivateNodeRegistrationRequest(key.publicKey, authorization);
    const registration = await client.registerNode(await request.serialize(key.privateKey));
    return {
      certificate: writeCertificate(registration.privateNodeCertificate),
      gatewayCertificate: writeCertificate(registration.gatewayCertificate),
      internetAddress: registration.internetGatewayInternetAddress,
      sessionKey: registration.sessionKey ? await writeSessionKey(registration.sessionKey) : null,
    };
  },

  async deliverParcel({ port, parcel, privateKey, certificate }) {
    const key = await readIdentityKey(privateKey);
    const signer = new core.ParcelDeliverySigner(readCertificate(certificate), key.privateKey);
    await PoWebClient.initLocal(port).deliverParcel(toArrayBuffer(parcel), signer);
    return null;
  },

  // Collects until `count` parcels are there (keep-alive) or the gateway has no more; acknowledges each.
  // After `count` parcels the library drops the connection, and with it perhaps the last acknowledgement.
  async collectParcels({ port, signers, mode, count }) {
    const nonceSigners = await Promise.all(
      signers.map(async ({ privateKey, certificate }) => {
        const key = await readIdentityKey(privateKey);
        return new core.ParcelCollectionHandshakeSigner(readCertificate(certificate), key.privateKey);
      }),
    );
    const parcels = [];
    const client = PoWebClient.initLocal(port);
    for await (const collection of client.collectParcels(nonceSigners, mode)) {
      let refusal = null;
      try {
        await collection.deserializeAndValidateParcel();
      } catch (error) {
        refusal = error.message;
      }
      parcels.push({ parcel: toBuffer(collection.parcelSerialized), refusal });
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
  const operation = operations[request.do];
  try {
    if (!operation) {
      throw new Error(`there is no operation ${request.do}`);
    }
    return { id: request.id, ok: encode((await operation(decode(request))) ?? null) };
  } catch (error) {
    return { error: { class: error.constructor.name, message: error.message }, id: request.id };
  }
}

const lines = createInterface({ crlfDelay: Infinity, input: process.stdin });
lines.on('line', async (line) => {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
});
lines.on('close', () => process.exit(0));
