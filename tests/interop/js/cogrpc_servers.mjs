// SPDX-License-Identifier: MIT
//
// CogRPC servers over the library's definition of the service. They answer as the deployed ones do (wire.md 7.4):
// `internetGatewayMethods` as the Internet gateway, `courierMethods` as the Android courier.

import { randomUUID } from 'node:crypto';

import { toArrayBuffer } from './kinds.mjs';

/** What was to be seen at a server; the driver reports it. */
export const newRecord = () => ({ acknowledged: [], calls: [], cargoes: [], ignored: 0 });

/** Octets of a message beyond those of its cargo. */
const FRAMING = 256;

const LIMITS = {
  courier: { idle: 10, message: 8_396_800 + FRAMING },
  internetGateway: { idle: 5, message: 9_437_184 + FRAMING },
};

/** Return how the deployed server of this role is set up. */
export const optionsOf = (role) => ({
  'grpc.max_concurrent_streams': 3,
  'grpc.max_connection_age_grace_ms': 30_000,
  'grpc.max_connection_age_ms': 900_000,
  'grpc.max_connection_idle_ms': LIMITS[role].idle * 1000,
  'grpc.max_metadata_size': 6000,
  'grpc.max_receive_message_length': LIMITS[role].message,
});

const fail = (call, code, message) => call.emit('error', { code, message });

async function readMessage(messageClass, octets) {
  const message = await messageClass.deserialize(toArrayBuffer(octets));
  return { message, senderId: await message.senderCertificate.calculateSubjectId() };
}

/** Return the authorisation in the metadata of a call; there must be one. */
function authorizationIn(call) {
  const values = call.metadata.get('Authorization');
  if (values.length !== 1) {
    throw new Error(`there are ${values.length} authorisations`);
  }
  const [scheme, encoding] = values[0].split(' ', 2);
  if (scheme !== 'Relaynet-CCA') {
    throw new Error(`the scheme is ${scheme}`);
  }
  return Buffer.from(encoding, 'base64');
}

/** Count messages of a server's calls; at the one that `plan` names, everything is cut. */
function meterOf(plan, cut) {
  let messages = 0;
  return () => {
    messages += 1;
    if (messages === plan.cutAfter) {
      cut();
      return false;
    }
    return true;
  };
}

export function internetGatewayMethods({ core, status, gateway, record, plan, cut }) {
  const goesOn = meterOf(plan, cut);

  // A loop as in the deployed gateway: with Node.js 20 the client never gets a status, whatever `end` does after it.
  async function deliverCargo(call) {
    for await (const delivery of call) {
      if (!goesOn()) {
        return;
      }
      try {
        const { message } = await readMessage(core.Cargo, delivery.cargo);
        await message.validate([gateway.certificate]);
        record.cargoes.push(delivery.cargo);
      } catch {
        record.ignored += 1; // and acknowledged all the same
      }
      call.write({ id: delivery.id });
    }
    call.end();
  }

  async function authorizationOf(call) {
    let authorization;
    try {
      authorization = (await readMessage(core.CargoCollectionAuthorization, authorizationIn(call))).message;
      await authorization.validate([gateway.certificate]);
    } catch (error) {
      fail(call, status.UNAUTHENTICATED, error.message);
      return null;
    }
    if (authorization.recipient.id !== gateway.id) {
      fail(call, status.INVALID_ARGUMENT, 'for a different gateway');
      return null;
    }
    if (gateway.fulfilled.has(authorization.id)) {
      fail(call, status.PERMISSION_DENIED, 'already fulfilled');
      return null;
    }
    return authorization;
  }

  async function collectCargo(call) {
    call.on('data', ({ id }) => record.acknowledged.push(id)); // which changes nothing
    const authorization = await authorizationOf(call);
    if (authorization === null) {
      return;
    }
    for (const cargo of await gateway.cargoesFor(authorization)) {
      if (!goesOn()) {
        return;
      }
      call.write({ cargo, id: randomUUID() });
    }
    gateway.fulfilled.add(authorization.id);
    call.end();
  }

  return { collectCargo: noted(record, 'collect', collectCargo), deliverCargo: noted(record, 'deliver', deliverCargo) };
}

export function courierMethods({ core, status, store, record, plan, cut }) {
  const goesOn = meterOf(plan, cut);

  /** Keep a cargo for who it is for; say with which status the call ends if that cannot be. */
  async function keep(cargo) {
    if (store.room !== null && store.room < cargo.length) {
      return status.RESOURCE_EXHAUSTED;
    }
    try {
      const { message } = await readMessage(core.Cargo, cargo);
      await message.validate();
    } catch {
      return status.INVALID_ARGUMENT;
    }
    store.room = store.room === null ? null : store.room - cargo.length;
    record.cargoes.push(cargo);
    return status.OK;
  }

  /** Take a cargo, or end the call; return whether the call goes on. */
  async function take(call, { id, cargo }) {
    if (!goesOn()) {
      return false;
    }
    const outcome = await keep(cargo);
    if (outcome !== status.OK) {
      fail(call, outcome, 'not taken');
      return false;
    }
    call.write({ id });
    return true;
  }

  async function deliverCargo(call) {
    let soFar = Promise.resolve(true);
    call.on('data', (delivery) => {
      soFar = soFar.then((good) => good && take(call, delivery));
    });
    call.on('end', () => soFar.then((good) => good && call.end()));
  }

  async function collectCargo(call) {
    let senderId;
    try {
      const authorization = authorizationIn(call);
      const read = await readMessage(core.CargoCollectionAuthorization, authorization);
      await read.message.validate();
      senderId = read.senderId;
      store.authorizations.push({ address: read.message.recipient.internetAddress, octets: authorization });
    } catch {
      call.end(); // well, with nothing
      return;
    }
    const sent = new Map();
    const rest = () => [...store.cargoes].filter(({ recipient }) => recipient === senderId);
    call.on('data', ({ id }) => {
      record.acknowledged.push(id);
      store.cargoes.delete(sent.get(id));
      sent.delete(id);
      if (sent.size === 0) {
        call.end();
      }
    });
    for (const entry of rest()) {
      if (!goesOn()) {
        return;
      }
      const id = randomUUID();
      sent.set(id, entry);
      call.write({ cargo: entry.cargo, id });
    }
    if (sent.size === 0) {
      call.end();
    }
  }

  return { collectCargo: noted(record, 'collect', collectCargo), deliverCargo: noted(record, 'deliver', deliverCargo) };
}

/** Note the path and the names of the metadata of each call; what a method throws ends the call. */
function noted(record, name, method) {
  return async (call) => {
    record.calls.push({ metadata: call.metadata.getMap(), name, path: call.getPath() });
    call.on('error', () => {}); // a client that is gone is not to end the process
    try {
      await method(call);
    } catch (error) {
      call.emit('error', error);
    }
  };
}
