// The engine of a page of one file: questions come in and answers go out as over a WebSocket.

import { bytesOf, decode } from "./socket.js";
import { Visit } from "./visit.js";

const DTYPES = { Float32Array: "f4", Int32Array: "i4", Uint8Array: "u1" };
const waiting = [];
let visit = null;

self.onmessage = async ({ data }) => {
  if (typeof data !== "string") return open(data);
  if (visit) visit.take(data);
  else waiting.push(data);
};

/** Open what lies in the file, if it is whole. */
async function open({ content, check }) {
  try {
    const bytes = await inflated(bytesOf(content));
    if (crc32(bytes) !== check) throw new Error("the sum does not match");
    const parts = decode(bytes.buffer);
    visit = new Visit(await WebAssembly.compile(parts.engine.data), parts, (fields, arrays) => {
      const buffer = frame(fields, arrays);
      self.postMessage(buffer, [buffer]);
    });
    self.postMessage("open");
  } catch (error) {
    self.postMessage(`damaged: ${error.message}`);
    return;
  }
  for (const text of waiting.splice(0)) visit.take(text);
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The binary frame of an answer: see `studio/protocol.py`. */
function frame(fields, arrays) {
  const named = Object.entries(arrays);
  const told = named.map(([name, { data, shape }]) => ({ name, dtype: DTYPES[data.constructor.name], shape }));
  const plain = (_, value) => (typeof value === "number" && !Number.isFinite(value) ? null : value);
  const header = new TextEncoder().encode(JSON.stringify({ ...fields, arrays: told }, plain));
  const padded = (length) => Math.ceil(length / 8) * 8;
  const length = named.reduce((sum, [, { data }]) => sum + padded(data.byteLength), padded(4 + header.length));
  const bytes = new Uint8Array(length);
  new DataView(bytes.buffer).setUint32(0, header.length, true);
  bytes.set(header, 4);
  let offset = padded(4 + header.length);
  for (const [, { data }] of named) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += padded(data.byteLength);
  }
  return bytes.buffer;
}

/** The sum by which zlib and PNG know damaged bytes. */
function crc32(bytes) {
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    let value = n;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });
  let sum = 0xffffffff;
  for (const byte of bytes) sum = (sum >>> 8) ^ table[(sum ^ byte) & 255];
  return (sum ^ 0xffffffff) >>> 0;
}
