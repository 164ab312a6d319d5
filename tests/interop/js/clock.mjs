// SPDX-License-Identifier: MIT
//
// Sets the clock of a peer: node --import ./clock.mjs DRIVER …, with PEER_CLOCK_SECONDS seconds added to the time.
// What runs in the JavaScript of the process sees it; certificates of TLS connections are judged outside of that.

const RealDate = Date;
let ahead = 1000 * Number(process.env.PEER_CLOCK_SECONDS);
const now = () => RealDate.now() + ahead;

globalThis.Date = class extends RealDate {
  constructor(...values) {
    super(...(values.length ? values : [now()]));
  }

  static now() {
    return now();
  }
};

/** Let these seconds pass at once. */
export function passTime(seconds) {
  ahead += 1000 * seconds;
}
