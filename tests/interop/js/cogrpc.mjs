// SPDX-License-Identifier: MIT
//
// A peer that speaks CogRPC: client and servers made of the libraries in the folder that is its argument.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

import { courierMethods, internetGatewayMethods, newRecord, optionsOf } from './cogrpc_servers.mjs';
import { InternetGateway, PrivateGateway } from './gateways.mjs';
import { kindsOf, toArrayBuffer } from './kinds.mjs';
import { serveLines } from './lines.mjs';

const require = createRequire(join(resolve(process.argv[2]), 'package.json'));
const core = require('@relaycorp/relaynet-core');
const grpc = require('@grpc/grpc-js');
const { CargoRelayService, CogRPCClient } = require('@relaycorp/cogrpc');

const kinds = kindsOf(core, null);

// What lives from one request to the next, by the number that stands for it.
const held = new Map();

function hold(thing) {
  held.set(held.size, thing);
  return held.size - 1;
}

// ---- the client ----------------------------------------------------------------------------------

const ways = {
  /** Go to a courier: an address of the local network, and whatever certificate it shows. */
  courier: (address) => CogRPCClient.initLan(address),
  /** Go to an Internet gateway, as the library does once it has resolved the name. */
  internetGateway: (address) => new CogRPCClient(address, grpc.credentials.createSsl()),
  /** Go to a server without TLS. */
  plain: (address) => CogRPCClient.initLocalhost(Number(address.split(':')[1])),
};

const describeError = (error) => ({ class: error.constructor.name, message: error.message });

async function withClient({ way, address }, use) {
  const client = await ways[way](address);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** Give each cargo as soon as it is asked for, the first one at once and the others `pause` ms apart. */
async function* requests(cargoes, pause) {
  for (const [number, cargo] of cargoes.entries()) {
    if (number > 0 && pause) {
      await new Promise((done) => setTimeout(done, pause));
    }
    yield { cargo, localId: String(number) };
  }
}

/** The client gives each call three seconds; after these milliseconds it counts as one that never ends. */
const NEVER = 6000;

/** Put what comes into `results`, and return what went wrong. */
async function drain(source, results, enough = Infinity) {
  const all = async () => {
    for await (const result of source) {
      results.push(result);
      if (results.length >= enough) {
        break;
      }
    }
    return null;
  };
  const never = new Promise((done) => {
    setTimeout(done, NEVER, { class: 'Error', message: 'the client did not end by itself' });
  });
  return Promise.race([all().catch(describeError), never]);
}

const clientOperations = {
  /** Deliver cargoes; say which were acknowledged, and how the client ended. */
  deliver: ({ to, cargoes, pause }) =>
    withClient(to, async (client) => {
      const acknowledged = [];
      const error = await drain(client.deliverCargo(requests(cargoes, pause)), acknowledged);
      return { acknowledged: acknowledged.map(Number), error };
    }),

  /** Collect cargo, which the library acknowledges; after `leaveAfter` cargoes leave without a word for the last. */
  collect: ({ from, authorization, leaveAfter }) =>
    withClient(from, async (client) => {
      const cargoes = [];
      const error = await drain(client.collectCargo(authorization), cargoes, leaveAfter);
      return { cargoes, error };
    }),
};

// ---- gateways ------------------------------------------------------------------------------------

const gatewayOperations = {
  async openPrivateGateway() {
    const gateway = await PrivateGateway.create(core);
    return { digest: await gateway.digest(), gateway: hold(gateway), id: gateway.id };
  },
  requestRegistration: ({ gateway, authorization }) => held.get(gateway).requestRegistration(authorization),
  saveRegistration: ({ gateway, registration }) => held.get(gateway).saveRegistration(registration),
  registerEndpoint: ({ gateway, publicKey }) => held.get(gateway).registerEndpoint(publicKey),
  authorizeCollection: ({ gateway }) => held.get(gateway).authorizeCollection(),
  fill: ({ gateway, loads }) => held.get(gateway).fill(loads),
  unpack: ({ gateway, cargo }) => held.get(gateway).unpack(cargo),

  async openInternetGateway({ address }) {
    const gateway = await InternetGateway.create(core, address);
    return { certificate: Buffer.from(gateway.certificate.serialize()), gateway: hold(gateway), id: gateway.id };
  },
  authorizeRegistration: ({ gateway, data }) => held.get(gateway).authorizeRegistration(data),
  register: ({ gateway, request }) => held.get(gateway).register(request),
  keep: ({ gateway, peerId, loads }) => held.get(gateway).keep(peerId, loads),
  cargoesFor: async ({ gateway, authorization }) =>
    held.get(gateway).cargoesFor(
      await core.CargoCollectionAuthorization.deserialize(toArrayBuffer(authorization)),
    ),
};

// ---- servers -------------------------------------------------------------------------------------

function bind(server, address, credentials) {
  return new Promise((done, failed) => {
    server.bindAsync(address, credentials, (error, port) => (error ? failed(error) : done(port)));
  });
}

async function serve(role, makeMethods, { tls, port, plan }) {
  const server = new grpc.Server(optionsOf(role));
  const record = newRecord();
  const cut = () => server.forceShutdown();
  server.addService(CargoRelayService, makeMethods({ core, cut, plan: plan ?? {}, record, status: grpc.status }));
  const credentials = tls
    ? grpc.ServerCredentials.createSsl(null, [{ cert_chain: tls.certificate, private_key: tls.key }])
    : grpc.ServerCredentials.createInsecure();
  const bound = await bind(server, `127.0.0.1:${port ?? 0}`, credentials);
  return { port: bound, server: hold({ record, server }) };
}

const serverOperations = {
  /** Serve an Internet gateway that was opened before. */
  serveInternetGateway: ({ gateway, ...settings }) =>
    serve('internetGateway', (given) => internetGatewayMethods({ ...given, gateway: held.get(gateway) }), settings),

  /** Open what a courier carries; `room` is in octets. */
  openCourier: ({ room }) => ({
    store: hold({ authorizations: [], cargoes: new Set(), room: room ?? null }),
  }),
  board({ store, cargoes, recipient }) {
    cargoes.forEach((cargo) => held.get(store).cargoes.add({ cargo, recipient }));
  },
  aboard: ({ store }) => ({
    authorizations: held.get(store).authorizations,
    cargoes: [...held.get(store).cargoes].map(({ cargo }) => cargo),
  }),
  serveCourier: ({ store, ...settings }) =>
    serve('courier', (given) => courierMethods({ ...given, store: held.get(store) }), settings),

  report: ({ server }) => held.get(server).record,
  stopServing({ server }) {
    held.get(server).server.forceShutdown();
  },
};

serveLines({
  read: ({ kind, octets, ...request }) => kinds[kind].read(octets, request),
  make: ({ kind, ...request }) => kinds[kind].make(request),
  ...clientOperations,
  ...gatewayOperations,
  ...serverOperations,
});
