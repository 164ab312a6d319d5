// SPDX-License-Identifier: MIT
//
// The protocol that every peer speaks, as ../README.md says: one JSON object per line in, one per line out.

import { createInterface } from 'node:readline';

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

async function answer(operations, request) {
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

/** Answer requests with `operations` until standard input ends, each as soon as it is done. */
export function serveLines(operations) {
  const lines = createInterface({ crlfDelay: Infinity, input: process.stdin });
  lines.on('line', async (line) => {
    process.stdout.write(`${JSON.stringify(await answer(operations, JSON.parse(line)))}\n`);
  });
  lines.on('close', () => process.exit(0));
}
