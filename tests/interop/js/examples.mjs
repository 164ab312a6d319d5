// SPDX-License-Identifier: MIT
//
// Reads the examples of docs/protocol with the reference library, as of the moment for which they were made:
// node examples.mjs PACKAGES DIRECTORY MOMENT, where PACKAGES has the library. Prints what it found as one JSON object.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [packages, directory, moment] = process.argv.slice(2);

// The library asks the clock itself; for this process it stands still.
const RealDate = Date;
const now = new RealDate(moment).getTime();
globalThis.Date = class extends RealDate {
  constructor(...values) {
    super(...(values.length ? values : [now]));
  }

  static now() {
    return now;
  }
};

const core = createRequire(join(packages, 'package.json'))('@relaycorp/relaynet-core');

const toBuffer = (octets) => Buffer.from(octets);
const hex = (octets) => toBuffer(octets).toString('hex');
const read = (name) => {
  const octets = readFileSync(join(directory, name));
  return octets.buffer.slice(octets.byteOffset, octets.byteOffset + octets.byteLength);
};
const certificate = (name) => core.Certificate.deserialize(read(`${name}.cert.der`));
const sessionKey = (name) =>
  core.derDeserializeECDHPrivateKey(Buffer.from(read(`keys/${name}.session.pkcs8.der`)), 'P-256');
const ids = (certificates) => Promise.all(certificates.map((one) => one.calculateSubjectId()));

async function message(kind, name, recipient) {
  const parsed = await kind.deserialize(read(name));
  const path = await ids(await parsed.validate([certificate('internet-gateway')]));
  const { payload, senderSessionKey } = await parsed.unwrapPayload(await sessionKey(recipient));
  return { id: parsed.id, originator: hex(senderSessionKey.keyId), path, payload, ttl: parsed.ttl };
}

function refusesRotationInPlace() {
  try {
    core.CertificateRotation.deserialize(read('certificate-rotation.in-place.bin'));
    return false;
  } catch {
    return true;
  }
}

async function main() {
  const parcel = await message(core.Parcel, 'parcel.bin', 'endpoint-a');
  const cargo = await message(core.Cargo, 'cargo.bin', 'internet-gateway');
  const cca = await message(core.CargoCollectionAuthorization, 'cca.bin', 'internet-gateway');
  const ack = core.ParcelCollectionAck.deserialize(read('pca.bin'));
  const rotation = core.CertificateRotation.deserialize(read('certificate-rotation.bin'));
  const params = await core.NodeConnectionParams.deserialize(read('node-connection-params.der'));
  const privateParams = await core.PrivateEndpointConnParams.deserialize(
    read('private-endpoint-connection-params.der'),
  );
  const gatewayKey = await certificate('internet-gateway').getPublicKey();
  const authorization = await core.PrivateNodeRegistrationAuthorization.deserialize(
    read('registration-authorization.der'),
    gatewayKey,
  );
  const request = await core.PrivateNodeRegistrationRequest.deserialize(read('registration-request.der'));
  const registration = await core.PrivateNodeRegistration.deserialize(read('registration.der'));
  const challenge = core.HandshakeChallenge.deserialize(read('handshake-challenge.der'));
  const response = core.HandshakeResponse.deserialize(read('handshake-response.der'));
  const trusted = [certificate('internet-gateway')];
  const collector = await new core.ParcelCollectionHandshakeVerifier(trusted).verify(
    response.nonceSignatures[0],
    challenge.nonce,
  );
  const delivery = core.ParcelDelivery.deserialize(read('parcel-delivery.der'));
  const countersigner = await new core.ParcelDeliveryVerifier(trusted).verify(
    read('countersignature.der'),
    delivery.parcelSerialized,
  );
  return {
    ack: [ack.senderEndpointId, ack.recipientEndpointId, ack.parcelId],
    authorization: hex(authorization.gatewayData),
    cargo: { ...cargo, payload: cargo.payload.messages.map(hex) },
    cca: { ...cca, payload: hex(cca.payload.cargoDeliveryAuthorization.serialize()) },
    collector: await collector.calculateSubjectId(),
    countersigner: await countersigner.calculateSubjectId(),
    nonce: hex(challenge.nonce),
    parcel: {
      ...parcel,
      payload: [parcel.payload.type, parcel.payload.content.toString()],
    },
    params: [params.internetAddress, hex(params.sessionKey.keyId)],
    privateParams: [
      privateParams.internetGatewayAddress,
      hex(privateParams.sessionKey.keyId),
      await privateParams.deliveryAuth.leafCertificate.calculateSubjectId(),
    ],
    registration: [
      registration.internetGatewayInternetAddress,
      hex(registration.sessionKey.keyId),
      await registration.privateNodeCertificate.calculateSubjectId(),
    ],
    refusesRotationInPlace: refusesRotationInPlace(),
    request: [await core.getIdFromIdentityKey(request.privateNodePublicKey), hex(request.pnraSerialized)],
    rotation: await ids([
      rotation.certificationPath.leafCertificate,
      ...rotation.certificationPath.certificateAuthorities,
    ]),
  };
}

process.stdout.write(JSON.stringify(await main()));
