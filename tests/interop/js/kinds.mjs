// SPDX-License-Identifier: MIT
//
// What the reference library reads and makes, by kind: `read(octets, request)` gives what is in the
// octets, `make(request)` gives {octets, …}. Octets are buffers on this side, dates ISO 8601.

/** Return a buffer's octets as the library wants them. */
export const toArrayBuffer = (octets) =>
  octets.buffer.slice(octets.byteOffset, octets.byteOffset + octets.byteLength);

const toBuffer = (octets) => Buffer.from(octets);

/** Return readers and writers of keys and certificates, which all kinds share. */
export function partsOf(core) {
  return {
    readCertificate: (octets) => core.Certificate.deserialize(toArrayBuffer(octets)),
    writeCertificate: (certificate) => toBuffer(certificate.serialize()),
    readIdentityPublicKey: (octets) => core.derDeserializeRSAPublicKey(octets),
    writePublicKey: (key) => core.derSerializePublicKey(key),
    async readIdentityKey(octets) {
      const privateKey = await core.derDeserializeRSAPrivateKey(octets, {
        hash: { name: 'SHA-256' },
        name: 'RSA-PSS',
      });
      return { privateKey, publicKey: await core.getRSAPublicKeyFromPrivate(privateKey) };
    },
    readSessionPrivateKey: (octets) => core.derDeserializeECDHPrivateKey(octets, 'P-256'),
    async readSessionKey({ keyId, publicKey }) {
      return { keyId, publicKey: await core.derDeserializeECDHPublicKey(publicKey, 'P-256') };
    },
    async writeSessionKey({ keyId, publicKey }) {
      return { keyId: toBuffer(keyId), publicKey: await core.derSerializePublicKey(publicKey) };
    },
  };
}

/** Return all kinds by name; `resign(certificate, serial, key)` changes a certificate of PKI.js. */
export function kindsOf(core, resign) {
  const parts = partsOf(core);
  const plaintexts = plaintextsOf(core, parts);
  const envelope = envelopeOf(core, parts);
  return {
    ...plaintexts,
    ...controlMessagesOf(core, parts),
    ...connectionParamsOf(core, parts),
    ...registrationOf(core, parts),
    ...collectionOf(core, parts),
    cargo: ramfMessageOf(core.Cargo, plaintexts.cargoMessageSet, envelope, parts),
    cca: ramfMessageOf(
      core.CargoCollectionAuthorization,
      plaintexts.cargoCollectionRequest,
      envelope,
      parts,
    ),
    certificate: certificateOf(core, resign, parts),
    envelope,
    parcel: ramfMessageOf(core.Parcel, plaintexts.serviceMessage, envelope, parts),
  };
}

/**
 * A kind without signatures or keys of its own: `describe` gives the values of an object of the library,
 * `build` makes one of them. It has both as well, for what holds such an object.
 */
function plainKind(libraryClass, describe, build) {
  return {
    build,
    describe,
    make: (request) => ({ octets: toBuffer(build(request).serialize()) }),
    read: (octets) => describe(libraryClass.deserialize(toArrayBuffer(octets))),
  };
}

// ---- payloads --------------------------------------------------------------------------------------

function plaintextsOf(core, { readCertificate, writeCertificate }) {
  return {
    cargoCollectionRequest: plainKind(
      core.CargoCollectionRequest,
      (request) => ({ cargoDeliveryAuthorization: writeCertificate(request.cargoDeliveryAuthorization) }),
      ({ cargoDeliveryAuthorization }) =>
        new core.CargoCollectionRequest(readCertificate(cargoDeliveryAuthorization)),
    ),
    cargoItem: {
      read: async (octets) => ({
        name: (await core.CargoMessageSet.deserializeItem(toArrayBuffer(octets))).constructor.name,
      }),
    },
    cargoMessageSet: plainKind(
      core.CargoMessageSet,
      (set) => ({ items: [...set.messages].map(toBuffer) }),
      ({ items }) => new core.CargoMessageSet(items.map(toArrayBuffer)),
    ),
    serviceMessage: plainKind(
      core.ServiceMessage,
      ({ type, content }) => ({ content, type }),
      ({ type, content }) => new core.ServiceMessage(type, content),
    ),
  };
}

function envelopeOf(core, { readSessionKey, readSessionPrivateKey, writeSessionKey }) {
  return {
    async make({ plaintext: octets, sessionKey, aesKeySize }) {
      const { dhKeyId, dhPrivateKey, envelopedData } = await core.SessionEnvelopedData.encrypt(
        toArrayBuffer(octets),
        await readSessionKey(sessionKey),
        { aesKeySize },
      );
      return {
        octets: toBuffer(envelopedData.serialize()),
        originatorKeyId: toBuffer(dhKeyId),
        originatorPrivateKey: await core.derSerializePrivateKey(dhPrivateKey),
      };
    },
    async read(octets, { sessionPrivateKey }) {
      const envelope = core.EnvelopedData.deserialize(toArrayBuffer(octets));
      return {
        originatorKey: await writeSessionKey(await envelope.getOriginatorKey()),
        plaintext: toBuffer(await envelope.decrypt(await readSessionPrivateKey(sessionPrivateKey))),
        recipientKeyId: envelope.getRecipientKeyId(),
      };
    },
  };
}

// ---- RAMF messages ---------------------------------------------------------------------------------

/**
 * Reading validates if `trusted` is there (null: dates alone) and decrypts if `sessionPrivateKey` is.
 * Making encrypts `payload`, a plaintext as its kind describes it, or takes `payloadOctets` as they are.
 */
function ramfMessageOf(messageClass, payloadKind, envelope, parts) {
  const { readCertificate, readIdentityKey, readSessionPrivateKey, writeCertificate, writeSessionKey } = parts;

  async function validate(message, trusted) {
    const path = await message.validate(trusted?.map(readCertificate));
    return path?.map(writeCertificate) ?? null;
  }

  async function unwrap(message, sessionPrivateKey) {
    const { payload, senderSessionKey } = await message.unwrapPayload(
      await readSessionPrivateKey(sessionPrivateKey),
    );
    return {
      payload: payloadKind.describe(payload),
      senderSessionKey: await writeSessionKey(senderSessionKey),
    };
  }

  async function seal({ payload, payloadOctets, sessionKey }) {
    if (payloadOctets) {
      return { octets: payloadOctets };
    }
    const octets = toBuffer(payloadKind.build(payload).serialize());
    return envelope.make({ plaintext: octets, sessionKey });
  }

  return {
    async make(request) {
      const { privateKey, certificate, chain, recipient, messageId, creationDate, ttl } = request;
      const { octets: payload, ...originator } = await seal(request);
      const message = new messageClass(
        { id: recipient.id, internetAddress: recipient.internetAddress ?? undefined },
        readCertificate(certificate),
        payload,
        {
          creationDate: new Date(creationDate),
          id: messageId,
          senderCaCertificateChain: (chain ?? []).map(readCertificate),
          ttl,
        },
      );
      const octets = await message.serialize((await readIdentityKey(privateKey)).privateKey);
      return { ...originator, messageId: message.id, octets: toBuffer(octets) };
    },
    async read(octets, { trusted, sessionPrivateKey }) {
      const message = await messageClass.deserialize(toArrayBuffer(octets));
      const path = trusted === undefined ? null : await validate(message, trusted);
      return {
        chain: message.senderCaCertificateChain.map(writeCertificate),
        creationDate: message.creationDate.toISOString(),
        messageId: message.id,
        path,
        payloadOctets: sessionPrivateKey ? null : message.payloadSerialized,
        recipient: {
          id: message.recipient.id,
          internetAddress: message.recipient.internetAddress ?? null,
        },
        sender: writeCertificate(message.senderCertificate),
        ttl: message.ttl,
        ...(sessionPrivateKey ? await unwrap(message, sessionPrivateKey) : {}),
      };
    },
  };
}

// ---- structures ------------------------------------------------------------------------------------

function controlMessagesOf(core, { readCertificate, writeCertificate }) {
  const describePath = (path) => ({
    authorities: path.certificateAuthorities.map(writeCertificate),
    leaf: writeCertificate(path.leafCertificate),
  });
  const buildPath = ({ leaf, authorities }) =>
    new core.CertificationPath(readCertificate(leaf), authorities.map(readCertificate));
  return {
    certificateRotation: plainKind(
      core.CertificateRotation,
      ({ certificationPath }) => describePath(certificationPath),
      (request) => new core.CertificateRotation(buildPath(request)),
    ),
    certificationPath: plainKind(core.CertificationPath, describePath, buildPath),
    parcelCollectionAck: plainKind(
      core.ParcelCollectionAck,
      ({ senderEndpointId, recipientEndpointId, parcelId }) => ({
        parcelId,
        recipientId: recipientEndpointId,
        senderId: senderEndpointId,
      }),
      ({ senderId, recipientId, parcelId }) => new core.ParcelCollectionAck(senderId, recipientId, parcelId),
    ),
  };
}

function connectionParamsOf(core, parts) {
  const { readCertificate, readIdentityPublicKey, readSessionKey } = parts;
  const { writeCertificate, writePublicKey, writeSessionKey } = parts;
  return {
    nodeConnectionParams: {
      async make({ internetAddress, identityKey, sessionKey }) {
        const params = new core.NodeConnectionParams(
          internetAddress,
          await readIdentityPublicKey(identityKey),
          await readSessionKey(sessionKey),
        );
        return { octets: toBuffer(await params.serialize()) };
      },
      async read(octets) {
        const params = await core.NodeConnectionParams.deserialize(toArrayBuffer(octets));
        return {
          identityKey: await writePublicKey(params.identityKey),
          internetAddress: params.internetAddress,
          sessionKey: await writeSessionKey(params.sessionKey),
        };
      },
    },
    privateEndpointConnectionParams: {
      async make({ identityKey, internetAddress, leaf, authorities, sessionKey }) {
        const params = new core.PrivateEndpointConnParams(
          await readIdentityPublicKey(identityKey),
          internetAddress,
          new core.CertificationPath(readCertificate(leaf), authorities.map(readCertificate)),
          await readSessionKey(sessionKey),
        );
        return { octets: toBuffer(await params.serialize()) };
      },
      async read(octets) {
        const params = await core.PrivateEndpointConnParams.deserialize(toArrayBuffer(octets));
        return {
          authorities: params.deliveryAuth.certificateAuthorities.map(writeCertificate),
          identityKey: await writePublicKey(params.identityKey),
          internetAddress: params.internetGatewayAddress,
          leaf: writeCertificate(params.deliveryAuth.leafCertificate),
          sessionKey: await writeSessionKey(params.sessionKey),
        };
      },
    },
  };
}

function registrationOf(core, parts) {
  const { readCertificate, readIdentityKey, readIdentityPublicKey, readSessionKey } = parts;
  const { writeCertificate, writePublicKey, writeSessionKey } = parts;
  const describeRegistration = async (registration) => ({
    gatewayCertificate: writeCertificate(registration.gatewayCertificate),
    internetAddress: registration.internetGatewayInternetAddress,
    nodeCertificate: writeCertificate(registration.privateNodeCertificate),
    sessionKey: registration.sessionKey ? await writeSessionKey(registration.sessionKey) : null,
  });
  return {
    registration: {
      describe: describeRegistration,
      async make({ nodeCertificate, gatewayCertificate, internetAddress, sessionKey }) {
        const registration = new core.PrivateNodeRegistration(
          readCertificate(nodeCertificate),
          readCertificate(gatewayCertificate),
          internetAddress,
          sessionKey ? await readSessionKey(sessionKey) : null,
        );
        return { octets: toBuffer(await registration.serialize()) };
      },
      read: async (octets) =>
        describeRegistration(await core.PrivateNodeRegistration.deserialize(toArrayBuffer(octets))),
    },
    registrationAuthorization: {
      async make({ expiry, gatewayData, privateKey }) {
        const authorization = new core.PrivateNodeRegistrationAuthorization(
          new Date(expiry),
          toArrayBuffer(gatewayData),
        );
        return {
          octets: toBuffer(await authorization.serialize((await readIdentityKey(privateKey)).privateKey)),
        };
      },
      async read(octets, { publicKey }) {
        const authorization = await core.PrivateNodeRegistrationAuthorization.deserialize(
          toArrayBuffer(octets),
          await readIdentityPublicKey(publicKey),
        );
        return {
          expiry: authorization.expiryDate.toISOString(),
          gatewayData: toBuffer(authorization.gatewayData),
        };
      },
    },
    registrationRequest: {
      async make({ authorization, privateKey }) {
        const key = await readIdentityKey(privateKey);
        const request = new core.PrivateNodeRegistrationRequest(
          key.publicKey,
          toArrayBuffer(authorization),
        );
        return { octets: toBuffer(await request.serialize(key.privateKey)) };
      },
      async read(octets) {
        const request = await core.PrivateNodeRegistrationRequest.deserialize(toArrayBuffer(octets));
        return {
          authorization: toBuffer(request.pnraSerialized),
          nodeKey: await writePublicKey(request.privateNodePublicKey),
        };
      },
    },
  };
}

function collectionOf(core, { readCertificate, readIdentityKey, writeCertificate }) {
  const detachedSignature = (signerClass, verifierClass) => ({
    async make({ signed, privateKey, certificate }) {
      const key = await readIdentityKey(privateKey);
      const signer = new signerClass(readCertificate(certificate), key.privateKey);
      return { octets: toBuffer(await signer.sign(toArrayBuffer(signed))) };
    },
    async read(octets, { signed, trusted }) {
      const verifier = new verifierClass(trusted.map(readCertificate));
      const signer = await verifier.verify(toArrayBuffer(octets), toArrayBuffer(signed));
      return { signer: writeCertificate(signer) };
    },
  });
  return {
    deliverySignature: detachedSignature(core.ParcelDeliverySigner, core.ParcelDeliveryVerifier),
    handshakeChallenge: plainKind(
      core.HandshakeChallenge,
      ({ nonce }) => ({ nonce: toBuffer(nonce) }),
      ({ nonce }) => new core.HandshakeChallenge(toArrayBuffer(nonce)),
    ),
    handshakeResponse: plainKind(
      core.HandshakeResponse,
      ({ nonceSignatures }) => ({ signatures: nonceSignatures.map(toBuffer) }),
      ({ signatures }) => new core.HandshakeResponse(signatures.map(toArrayBuffer)),
    ),
    nonceSignature: detachedSignature(
      core.ParcelCollectionHandshakeSigner,
      core.ParcelCollectionHandshakeVerifier,
    ),
    parcelDelivery: plainKind(
      core.ParcelDelivery,
      ({ deliveryId, parcelSerialized }) => ({ deliveryId, parcel: toBuffer(parcelSerialized) }),
      ({ deliveryId, parcel }) => new core.ParcelDelivery(deliveryId, toArrayBuffer(parcel)),
    ),
  };
}

// ---- certificates ----------------------------------------------------------------------------------

/**
 * Making issues for a `role`, self-issued without `issuerCertificate`; with `serial` it is signed anew
 * with these octets as the serial number, as if the library had drawn them.
 */
function certificateOf(core, resign, parts) {
  const { readCertificate, readIdentityKey, readIdentityPublicKey, writeCertificate, writePublicKey } = parts;
  const issuers = {
    deliveryAuthorization: core.issueDeliveryAuthorization,
    endpoint: core.issueEndpointCertificate,
    gateway: core.issueGatewayCertificate,
  };
  return {
    async make({ role, subjectPublicKey, issuerPrivateKey, issuerCertificate, serial, ...dates }) {
      const issuerKey = (await readIdentityKey(issuerPrivateKey)).privateKey;
      const certificate = await issuers[role]({
        issuerCertificate: issuerCertificate ? readCertificate(issuerCertificate) : undefined,
        issuerPrivateKey: issuerKey,
        subjectPublicKey: await readIdentityPublicKey(subjectPublicKey),
        validityEndDate: new Date(dates.notAfter),
        validityStartDate: new Date(dates.notBefore),
      });
      if (serial) {
        await resign(certificate.pkijsCertificate, toArrayBuffer(serial), issuerKey);
      }
      return { octets: writeCertificate(certificate) };
    },
    async read(octets) {
      const certificate = readCertificate(octets);
      return {
        issuerId: certificate.getIssuerId(),
        name: certificate.getCommonName(),
        notAfter: certificate.expiryDate.toISOString(),
        notBefore: certificate.startDate.toISOString(),
        publicKey: await writePublicKey(await certificate.getPublicKey()),
        serial: certificate.getSerialNumber(),
        subjectId: await certificate.calculateSubjectId(),
      };
    },
  };
}
