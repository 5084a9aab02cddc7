// Model files: safetensors, with the network's description in the metadata, as `io/native.py` writes and reads them.

import { Failure } from "./failure.js";

const KEY = "backquery";
const VERSION = 3;
const TYPES = { F32: Float32Array, F64: Float64Array };
const HEADER_LIMIT = 16 * 2 ** 20;
const DAMAGED = "this file is damaged, or no network that backquery has saved";

/** The description and the tensors {name: {data, shape}} of a model file's bytes; `Failure` says what is wrong. */
export function readFile(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length >= 8 ? Number(view.getBigUint64(0, true)) : Infinity;
  if (!(length <= Math.min(bytes.length - 8, HEADER_LIMIT))) throw new Failure(`${DAMAGED}: it was cut short`, "model");
  const header = parsed(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const description = parsed(header.__metadata__?.[KEY]);
  if (!(description.version <= VERSION)) throw new Failure("this file was written by a newer backquery", "model");
  delete header.__metadata__;
  const tensors = {};
  for (const [name, entry] of Object.entries(header)) {
    const { dtype, shape, data_offsets: [begin, end] } = placed(name, entry);
    const count = shape.reduce((product, side) => product * side, 1);
    const Kind = TYPES[dtype];
    const [from, to] = [8 + length + begin, 8 + length + end];
    if (!Kind || !(begin >= 0) || to - from !== count * Kind.BYTES_PER_ELEMENT || to > bytes.length) {
      throw new Failure(`${DAMAGED}: ${name} does not fit`, "model");
    }
    const data = new Kind(bytes.slice(from, to).buffer);
    if (!data.every(Number.isFinite)) throw new Failure(`${DAMAGED}: ${name} holds numbers that are not finite`, "model");
    tensors[name] = { data, shape };
  }
  agree(description, tensors);
  return { description, tensors };
}

/** Refuse a description of which the tensors are not those that follow from it: see `io/description.py`. */
function agree({ layers, classes, input_shape: seen, scaling, statistics, about }, tensors) {
  const all = (values, fits) => Array.isArray(values) && values.every(fits);
  const whole = (value) => Number.isInteger(value) && value > 0;
  const number = (value) => Number.isFinite(value);
  const sound = all(layers, (layer) => whole(layer?.inputs) && whole(layer.outputs) && typeof layer.activation === "string")
    && layers.length && all(classes, (name) => typeof name === "string") && all(seen, whole) && about && typeof about === "object"
    && (!scaling || number(scaling.maximum)) && (!statistics || number(statistics.rank));
  if (!sound) throw new Failure(`${DAMAGED}: its description is not whole`, "model");
  const [inputs, outputs] = [layers[0].inputs, layers.at(-1).outputs];
  const chained = layers.every((layer, number) => !number || layer.inputs === layers[number - 1].outputs);
  if (!chained || classes.length !== outputs || seen.reduce((product, side) => product * side, 1) !== inputs) {
    throw new Failure(`${DAMAGED}: its layers, labels and images do not fit together`, "model");
  }
  const shapes = new Map(layers.flatMap((layer, number) => [
    [`layers.${number}.weights`, [layer.outputs, layer.inputs]], ...(layer.biases ? [[`layers.${number}.biases`, [layer.outputs]]] : []),
  ]));
  for (const part of ["gain", "offset"]) if (scaling && !number(scaling[part])) shapes.set(`scaling.${part}`, [inputs]);
  if (statistics) {
    shapes.set("statistics.mean", [inputs]).set("statistics.diagonal", [inputs]).set("statistics.factor", [inputs, statistics.rank]);
    if (statistics.dtypes?.typical) shapes.set("statistics.typical", [outputs, outputs]);
  }
  for (const [name, shape] of shapes) {
    if (String(tensors[name]?.shape) !== String(shape)) throw new Failure(`${DAMAGED}: ${name} does not fit`, "model");
  }
}

/** What a header says of a tensor, if it says it. */
function placed(name, entry) {
  if (Array.isArray(entry?.shape) && Array.isArray(entry.data_offsets)) return entry;
  throw new Failure(`${DAMAGED}: ${name} does not fit`, "model");
}

/** The bytes of a model file. */
export function writeFile(description, tensors) {
  const header = { __metadata__: { [KEY]: JSON.stringify(description) } };
  let offset = 0;
  // The largest numbers first, so that all lie at a multiple of their size.
  const named = Object.entries(tensors).sort(([, one], [, other]) => other.data.BYTES_PER_ELEMENT - one.data.BYTES_PER_ELEMENT);
  for (const [name, { data, shape }] of named) {
    const dtype = data.BYTES_PER_ELEMENT === 4 ? "F32" : "F64";
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length + offset).fill(32, 8, 8 + length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  for (const [name, { data }] of named) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 8 + length + header[name].data_offsets[0]);
  }
  return bytes;
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    if (value && typeof value === "object") return value;
  } catch {
    // said below
  }
  throw new Failure(DAMAGED, "model");
}
