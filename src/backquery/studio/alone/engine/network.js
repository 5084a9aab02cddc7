// A chain of dense layers, with what is needed to use it on real images: see `model/network.py`.

import { activationNamed } from "./activations.js";
import { Failure } from "./failure.js";
import { readFile, writeFile } from "./file.js";
import { Prior } from "./prior.js";

const MANY = 64; // of a softmax with more outputs not all are asked for, which this engine cannot

export class Network {
  /** layers: [{weights: Matrix, biases: Float64Array, activation, biased}]; what the file says of the rest. */
  constructor(room, layers, description, tensors) {
    Object.assign(this, { room, layers, description, tensors });
    this.inputs = layers[0].weights.columns;
    this.outputs = layers.at(-1).weights.rows;
    this.classes = description.classes;
    this.output = layers.at(-1).activation;
    const number = (part) => tensors[`scaling.${part}`]?.data ?? new Float64Array(this.inputs).fill(description.scaling[part]);
    [this.gain, this.offset] = [number("gain"), number("offset")];
    this.maximum = description.scaling.maximum;
    const ends = [this.offset, this.gain.map((gain, pixel) => gain * this.maximum + this.offset[pixel])];
    this.low = ends[0].map((end, pixel) => Math.min(end, ends[1][pixel]));
    this.high = ends[0].map((end, pixel) => Math.max(end, ends[1][pixel]));
  }

  /** The network in a model file; `Failure` for one that cannot be asked here. */
  static of(room, bytes) {
    const { description, tensors } = readFile(bytes);
    const layers = description.layers.map((layer, number) => {
      const activation = activationNamed(layer.activation);
      if (!activation) throw new Failure(`this page does not know the activation ${layer.activation}`, "model");
      const biases = tensors[`layers.${number}.biases`];
      return {
        activation, biased: layer.biases,
        weights: room.matrix(layer.outputs, layer.inputs).fill(tensors[`layers.${number}.weights`].data),
        biases: biases ? Float64Array.from(biases.data) : new Float64Array(layer.outputs),
      };
    });
    const many = layers.at(-1).activation.name === "softmax" && layers.at(-1).weights.rows > MANY;
    const several = "statistics.mixture.weights" in tensors;
    const coloured = description.input_shape.filter((side) => side !== 1).length > 2;
    if (many || several || coloured) {
      throw new Failure("this page asks networks of one shade, one mean and at most 64 labels; open this one in the studio", "model");
    }
    return new Network(room, layers, { ...description, scaling: description.scaling ?? BOOK }, tensors);
  }

  get sizes() {
    return [this.inputs, ...this.layers.map(({ weights }) => weights.rows)];
  }

  /** The rows and columns, and channels where it sees colours, in which images are drawn. */
  get shape() {
    return this.description.page?.shape ?? drawnShape(this.description.input_shape);
  }

  get typical() {
    const kept = this.tensors["statistics.typical"];
    if (!kept) return null;
    const width = this.outputs;
    return Array.from({ length: kept.shape[0] }, (_, label) => Float64Array.from(kept.data.slice(label * width, (label + 1) * width)));
  }

  /** The prior of its own statistics; null where it keeps none. */
  priorOf() {
    const part = (name) => this.tensors[`statistics.${name}`];
    if (!part("factor")) return null;
    const [mean, diagonal] = ["mean", "diagonal"].map((name) => Float64Array.from(part(name).data));
    return new Prior(this.room, "data", mean, part("factor").data, diagonal, part("factor").shape[1]);
  }

  /** The same network with these nodes of its hidden layers removed: {layer, from 1: [nodes]}. */
  without(off) {
    const layers = this.layers.map((layer) => ({ ...layer }));
    const copied = new Set();
    const own = (number) => {
      if (!copied.has(number)) {
        const { weights, biases } = layers[number];
        layers[number].weights = this.room.matrix(weights.rows, weights.columns).copy(weights);
        layers[number].biases = Float64Array.from(biases);
        copied.add(number);
      }
      return layers[number];
    };
    for (const [layer, nodes] of Object.entries(off)) {
      const [before, after] = [own(layer - 1), own(Number(layer))];
      for (const node of nodes) {
        before.weights.row(node).fill(0);
        before.biases[node] = 0;
        for (let row = 0; row < after.weights.rows; row++) after.weights.row(row)[node] = 0;
      }
    }
    return new Network(this.room, layers, this.description, this.tensors);
  }

  /** What the first layer's pre-activations are for an input vector. */
  sums(input) {
    const { room } = this;
    const { weights, biases } = this.layers[0];
    return room.within(() => {
      const image = room.matrix(1, input.length);
      image.row(0).set(input);
      const z = room.productByRows(image, weights, room.matrix(1, weights.rows)).row(0);
      return Float64Array.from(z, (value, node) => value + biases[node]);
    });
  }

  /** What an activation makes of pre-activations. */
  activated(activation, z) {
    return this.room.within(() => {
      const matrix = this.room.matrix(1, z.length);
      matrix.row(0).set(z);
      return Float64Array.from(this.room.activate(activation, matrix).row(0));
    });
  }

  /** For an input vector: the signals of each hidden layer, the logits and the answers. */
  look(input) {
    const { room } = this;
    return room.within(() => {
      const signals = [];
      let z = this.sums(input);
      for (const [number, layer] of this.layers.entries()) {
        if (number) {
          const below = room.matrix(1, signals.at(-1).length);
          below.row(0).set(signals.at(-1));
          const above = room.productByRows(below, layer.weights, room.matrix(1, layer.weights.rows)).row(0);
          z = Float64Array.from(above, (value, node) => value + layer.biases[node]);
        }
        signals.push(this.activated(layer.activation, z));
      }
      const answers = signals.pop();
      const mean = this.output.name === "softmax" ? z.reduce((sum, value) => sum + value, 0) / z.length : 0;
      return { signals, answers, logOdds: z.map((value) => value - mean) };
    });
  }

  /**
   * The label that is read, from what `look` gives: by the strongest logit, as the library does, and -1 where none is
   * the strongest alone. What a ReLU at the outputs cuts off is no answer, so that its zeros tie.
   */
  read({ answers, logOdds }) {
    const strengths = this.output.name === "relu" ? answers : logOdds;
    const most = Math.max(...strengths);
    const alone = strengths.every(Number.isFinite) && strengths.indexOf(most) === strengths.lastIndexOf(most);
    return alone ? strengths.indexOf(most) : -1;
  }

  /** Raw pixels, 0 to 255 and in the order of the inputs, as an input vector. */
  scale(pixels) {
    const { maximum } = this;
    return this.scaleRaw(Float64Array.from(pixels, (value) => Math.min(value * (maximum / 255), maximum)));
  }

  /** Raw pixels of the network's own range as an input vector, rounded as its numbers are. */
  scaleRaw(pixels) {
    const rounded = this.description.dtype === "float64" ? (value) => value : Math.fround;
    return Float64Array.from(this.gain, (gain, place) =>
      rounded(rounded(rounded(gain) * rounded(pixels[place])) + rounded(this.offset[place])));
  }

  /** Ink from 0 to 1 of an input vector. */
  ink(input) {
    return Float32Array.from(input, (value, pixel) => Math.min(Math.max((value - this.offset[pixel]) / (this.gain[pixel] * this.maximum), 0), 1));
  }

  /** The same without the statistics, which are not its own. */
  withoutStatistics() {
    const tensors = Object.fromEntries(Object.entries(this.tensors).filter(([name]) => !name.startsWith("statistics.")));
    return new Network(this.room, this.layers, { ...this.description, version: 1, statistics: null }, tensors);
  }

  /** The bytes of its model file; nodes that are off are noted as the library does. */
  save(off = {}) {
    const tensors = { ...this.tensors };
    const Kind = this.description.dtype === "float64" ? Float64Array : Float32Array;
    this.layers.forEach(({ weights, biases, biased }, number) => {
      const flat = new Kind(weights.rows * weights.columns);
      for (let row = 0; row < weights.rows; row++) flat.set(weights.row(row), row * weights.columns);
      tensors[`layers.${number}.weights`] = { data: flat, shape: [weights.rows, weights.columns] };
      if (biased) tensors[`layers.${number}.biases`] = { data: Kind.from(biases), shape: [biases.length] };
    });
    const { performance, test_images: images, ...about } = this.description.about;
    const damaged = Object.keys(off).length > 0;
    const kept = damaged ? { ...about, removed_nodes: off } : this.description.about;
    return writeFile({ ...this.description, about: kept }, tensors);
  }
}

const BOOK = { gain: 0.99 / 255, offset: 0.01, maximum: 255, meaning: null };

/** Rows and columns of an input shape that is no colour image's: see `model/layout.py`. */
function drawnShape(shape) {
  if (shape.length === 2) return shape;
  const inputs = shape.reduce((product, side) => product * side, 1);
  const side = Math.round(Math.sqrt(inputs));
  return side * side === inputs ? [side, side] : [1, inputs];
}
