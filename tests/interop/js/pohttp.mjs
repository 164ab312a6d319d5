// SPDX-License-Identifier: MIT
//
// The PoHTTP client of the library.

import { toArrayBuffer } from './kinds.mjs';

/** Return the operations of PoHTTP by name. */
export const poHttpOperations = (require) => ({
  // Delivers to a URL; its answer is the status of the last response.
  async deliverByPoHttp({ url, parcel, useTls }) {
    const { deliverParcel } = require('@relaycorp/relaynet-pohttp');
    return (await deliverParcel(url, toArrayBuffer(parcel), { useTls })).status;
  },
});
