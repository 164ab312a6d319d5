// SPDX-License-Identifier: MIT
//
// A peer of apps and private gateways that are made of the libraries in the folder that is its argument.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

import { App, poWebDoor } from './apps.mjs';
import { passTime } from './clock.mjs';
import { serveLines } from './lines.mjs';
import { clientOf } from './poweb.mjs';
import { RoutedGateway } from './routed_gateway.mjs';

const require = createRequire(join(resolve(process.argv[2]), 'package.json'));
const core = require('@relaycorp/relaynet-core');
const { CogRPCClient } = require('@relaycorp/cogrpc');

const doorAt = (door) => poWebDoor(core, clientOf(require, door));

// Apps and gateways by the numbers that stand for them.
const held = [];

const hold = (thing) => held.push(thing) - 1;

const publicKeyOf = ({ identity }) => core.derSerializePublicKey(identity.publicKey);

serveLines({
  passTime: ({ seconds }) => passTime(seconds),

  // ---- apps ----------------------------------------------------------------------------------------

  async openApp() {
    const app = await App.create(core);
    return { app: hold(app), id: app.id, publicKey: await publicKeyOf(app) };
  },
  registerApp: ({ app, door }) => held[app].register(doorAt(door)),
  registerAppAt: ({ app, gateway }) => held[app].register(held[gateway].doorForApps()),
  allow: async ({ app, publicKey }) => held[app].allow(await core.derDeserializeRSAPublicKey(publicKey)),
  learn: ({ app, params, secondsAgo }) => held[app].learn(params, secondsAgo),
  send: ({ app, to, type, content }) => held[app].send(to, type, content),
  receive: ({ app, secondsAgo }) => held[app].receive(secondsAgo),

  // ---- private gateways ----------------------------------------------------------------------------

  async openGateway({ door }) {
    const gateway = await RoutedGateway.create(core);
    await gateway.pair(doorAt(door));
    return { gateway: hold(gateway), id: gateway.id };
  },
  exchange: ({ gateway }) => held[gateway].exchange(),
  async visit({ gateway, address }) {
    const courier = await CogRPCClient.initLan(address);
    try {
      return await held[gateway].visit(courier);
    } finally {
      courier.close();
    }
  },
  gatewayStatus: ({ gateway }) => ({
    certificate: held[gateway].certificate(),
    leftOver: held[gateway].outgoing.size,
    rotations: held[gateway].rotations,
  }),
});
