// A network that learns in the page: the kernel that trains in the library, `kernels/online.c`, in numbers of 32 bits.

import { activationNamed } from "./activations.js";
import { Failure } from "./failure.js";
import { Asked, search } from "./gauss_newton.js";
import { Network } from "./network.js";
import { Prior } from "./prior.js";
import { inverse, padded, Room } from "./room.js";
import { confidence, typical } from "./targets.js";
import { transpose } from "./transpose.js";

const PER_LINE = 16; // numbers of 32 bits
const [LOW, HIGH] = [0.01, 0.99]; // the answers to learn
const [SIGMOID, BOOK] = [0, 0];
const FRAMES = 60;
const QUICK_TEST = 2000;
const FEWEST = 0.01; // the share of all images that says what is typical of a label which is hardly ever read
const RIDGE = 1e-3; // of the mean variance, so that answers which repeat one another have a distance

/** Evenly spread numbers from 0 to 1 that a seed decides (mulberry32; the tests have the same). */
export function numbersOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Weights (outputs x inputs) as the book draws them: normal, with a deviation of outputs^-1/2 (Box & Muller 1958). */
export function weightsOf(outputs, inputs, next) {
  return Float32Array.from({ length: outputs * inputs }, () =>
    (Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())) / Math.sqrt(outputs));
}

/** The training images of a page, `sample`: {name, classes, shape, maximum, meaning, pixels, labels, prior, training}. */
export class Lesson {
  /** wanted: hidden, rate, epochs, images, seed, method, as the page asks. */
  constructor(module, sample, wanted) {
    Object.assign(this, { sample, wanted });
    this.room = new Room(new WebAssembly.Instance(module));
    this.inputs = sample.shape[0] * sample.shape[1];
    this.outputs = sample.classes.length;
    this.updates = wanted.epochs * wanted.images;
    this.moments = momentsOf(this.updates);
    [this.done, this.ended] = [0, false];
    this.#begin();
    const { mean, factor, diagonal } = sample.prior;
    this.prior = new Prior(this.room, "data", mean, factor, diagonal, factor.length / mean.length);
    this.usual = Array.from({ length: Math.min(sample.training, 5000) }, (_, image) => this.#pixels(image));
  }

  #begin() {
    const { room, inputs, outputs, sample, wanted: { hidden, images, seed } } = this;
    [this.wide, this.wideOut] = [padded(hidden, PER_LINE), padded(outputs, PER_LINE)];
    const next = numbersOf(seed);
    const [first, later] = [new Float32Array(inputs * this.wide), new Float32Array(outputs * this.wide)];
    const drawn = [weightsOf(hidden, inputs, next), weightsOf(outputs, hidden, next)];
    drawn[0].forEach((weight, place) => { first[(place % inputs) * this.wide + Math.floor(place / inputs)] = weight; });
    drawn[1].forEach((weight, place) => { later[Math.floor(place / hidden) * this.wide + (place % hidden)] = weight; });
    const targets = new Float32Array(outputs * outputs).fill(LOW);
    for (let label = 0; label < outputs; label++) targets[label * (outputs + 1)] = HIGH;
    const rows = this.#rows(images);
    this.places = { first: room.put(first), later: room.put(later) };
    const order = BigInt64Array.from({ length: images }, (_, image) => BigInt(image));
    this.order = room.put(order);
    const record = [
      room.put(BigInt64Array.from([inputs, hidden, outputs], BigInt)), room.put(Int32Array.of(SIGMOID, SIGMOID)),
      room.put(new Float32Array(2)), room.put(new Uint8Array(2)),
    ];
    const after = [
      ...rows, room.put(BigInt64Array.from(sample.labels.subarray(0, images), BigInt)), room.put(targets), this.places.first,
      this.places.later, room.put(new Float32Array(this.wide + this.wideOut)), room.put(new Float64Array(2)), 0,
    ];
    this.training = room.bytes(80);
    const bytes = Number(this.#written(record, after) && room.kernels.room_float32(this.training));
    after[after.length - 1] = room.bytes(bytes);
    this.#written(record, after);
  }

  /** Put `struct training` of online.c where it lies; pointers have 32 bits here. */
  #written(record, after) {
    const view = new DataView(this.room.buffer, this.training, 80);
    view.setBigInt64(0, 2n, true);
    record.forEach((pointer, place) => view.setUint32(8 + 4 * place, pointer, true));
    view.setBigInt64(24, BigInt(BOOK), true);
    view.setFloat64(32, this.offset, true);
    after.forEach((pointer, place) => view.setUint32(40 + 4 * place, pointer, true));
    return true;
  }

  get offset() {
    return 0.01;
  }

  get gain() {
    return 0.99 / this.sample.maximum;
  }

  /** The images to learn from as sparse rows of their ink: where they begin, their places and values. */
  #rows(images) {
    const { room, inputs, sample } = this;
    const raw = sample.pixels.subarray(0, images * inputs);
    const inked = raw.reduce((count, value) => count + (value !== 0), 0);
    const [starts, places, values] = [room.bytes(8 * (images + 1)), room.bytes(4 * (inked + 1)), room.bytes(4 * (inked + 1))];
    room.within(() => {
      room.kernels.compress_pixels_float32(room.put(raw), BigInt(images), BigInt(inputs), this.gain, starts, places, values);
    });
    return [starts, places, values];
  }

  #pixels(image) {
    return this.sample.pixels.subarray(image * this.inputs, (image + 1) * this.inputs);
  }

  /** Learn until so many updates are done; `Failure` where the training leaves the finite numbers. */
  advance(until) {
    const { images, rate } = this.wanted;
    while (this.done < until) {
      const place = this.done % images;
      const count = Math.min(until - this.done, images - place);
      const failed = this.room.kernels.train_float32(this.training, this.order + 8 * place, BigInt(count), rate, rate);
      if (failed >= 0n) throw new Failure(`training left the finite numbers with a learning rate of ${rate}; try ${rate / 10}`, "training");
      this.done += count;
    }
  }

  /** The weights as they are now: (hidden x inputs) and (outputs x hidden). */
  get weights() {
    const { inputs, outputs, wide, wanted: { hidden }, room: { buffer }, places } = this;
    const first = new Float32Array(buffer, places.first, inputs * wide);
    const later = new Float32Array(buffer, places.later, outputs * wide);
    return [
      Float32Array.from({ length: hidden * inputs }, (_, place) => first[(place % inputs) * wide + Math.floor(place / inputs)]),
      Float32Array.from({ length: outputs * hidden }, (_, place) => later[Math.floor(place / hidden) * wide + (place % hidden)]),
    ];
  }

  /** The network as it is now, in the lesson's room. */
  #network() {
    const { room, sample, inputs, outputs, wanted: { hidden } } = this;
    const sizes = [inputs, hidden, outputs];
    const layers = this.weights.map((weights, number) => ({
      activation: activationNamed("sigmoid"), biased: false, biases: new Float64Array(sizes[number + 1]),
      weights: room.matrix(sizes[number + 1], sizes[number]).fill(weights),
    }));
    return new Network(room, layers, this.description({}), {});
  }

  description(about) {
    const { sample, inputs, outputs, wanted: { hidden }, gain, offset } = this;
    const sizes = [inputs, hidden, outputs];
    return {
      version: 1, dtype: "float32", input_shape: sample.shape, classes: sample.classes, statistics: null, about,
      layers: [0, 1].map((number) => ({ inputs: sizes[number], outputs: sizes[number + 1], activation: "sigmoid", biases: false })),
      scaling: { gain, offset, maximum: sample.maximum, meaning: sample.meaning },
    };
  }

  /** What the page is shown of this moment: an image of each label, and how many test images are right. */
  frame(hurry) {
    return this.room.within(() => {
      const network = this.#network();
      const { outputs, wanted: { method } } = this;
      const faithful = method === "gauss-newton";
      if (faithful) network.tensors["statistics.typical"] = this.#typical(network);
      const asked = faithful ? new Asked(network, this.prior) : null;
      const images = Array.from({ length: outputs }, (_, label) => {
        if (!faithful) return transpose(network, confidence(network, label, HIGH).answers);
        return search(asked, typical(network, label), { start: this.images?.[label] ?? null, hurried: true }).image;
      });
      this.images = images;
      const performance = this.performanceOf(network, hurry ? QUICK_TEST : Infinity);
      return { network, images, performance };
    });
  }

  /** The share of the sample's test images that are read rightly. */
  performanceOf(network, most) {
    const { labels, training } = this.sample;
    const [begin, end] = training < labels.length ? [training, labels.length] : [0, training];
    const count = Math.min(end - begin, most);
    let right = 0;
    for (let image = begin; image < begin + count; image++) {
      right += network.read(network.look(network.scaleRaw(this.#pixels(image)))) === labels[image];
    }
    return right / count;
  }

  /** Row k: the logits of the image, of those that are read as k, from which all others are least far. */
  #typical(network) {
    const found = this.usual.map((pixels) => network.look(network.scaleRaw(pixels)).logOdds);
    const rows = Array.from({ length: this.outputs }, (_, label) => medoid(read(found, label)));
    return { data: Float64Array.from(rows.flatMap((row) => [...row])), shape: [this.outputs, this.outputs] };
  }

  /** A model file of the network that was learned, which remembers what its images were like. */
  save() {
    return this.room.within(() => {
      const network = this.#network();
      const { mean, factor, diagonal } = this.sample.prior;
      const rank = factor.length / mean.length;
      const { hidden, rate, epochs, images, seed } = this.wanted;
      network.tensors = {
        "statistics.mean": { data: mean, shape: [mean.length] },
        "statistics.factor": { data: factor, shape: [mean.length, rank] },
        "statistics.diagonal": { data: diagonal, shape: [mean.length] },
        "statistics.typical": this.#typical(network),
      };
      const dtypes = { mean: "float64", factor: "float32", diagonal: "float64", typical: "float64" };
      const about = { data: this.sample.name, training_images: images, recipe: "book", loss: "book", learning_rate: rate, updates: this.done, seed };
      network.description = { ...this.description({ ...about, performance: this.performanceOf(network, Infinity) }), statistics: { rank, dtypes } };
      return network.save();
    });
  }
}

/** After how many updates to look: before the first, then ever more rarely, and after the last. */
function momentsOf(updates) {
  const shares = Array.from({ length: FRAMES }, (_, frame) => Math.round(updates * (frame / (FRAMES - 1)) ** 3));
  return [...new Set(shares)];
}

/** The logits of the images in which a label leads, or in which it comes nearest to that where too few are. */
function read(found, label) {
  const lead = found.map((row) => row[label] - Math.max(...row.filter((_, other) => other !== label)));
  const order = lead.map((_, image) => image).sort((one, other) => lead[other] - lead[one]);
  const least = Math.ceil(found.length * Math.min(FEWEST, 0.1 / found[0].length));
  return order.slice(0, Math.max(least, lead.filter((value) => value > 0).length)).map((image) => found[image]);
}

/** That row from which the Mahalanobis distances to all others, by their own covariance, add up to the least. */
function medoid(rows) {
  const width = rows[0].length;
  const mean = rows[0].map((_, k) => rows.reduce((sum, row) => sum + row[k], 0) / rows.length);
  const spread = new Float64Array(width * width);
  for (const row of rows) {
    for (let i = 0; i < width; i++) for (let j = 0; j < width; j++) spread[i * width + j] += ((row[i] - mean[i]) * (row[j] - mean[j])) / rows.length;
  }
  let variance = 0;
  for (let i = 0; i < width; i++) variance += spread[i * (width + 1)] / width;
  for (let i = 0; i < width; i++) spread[i * (width + 1)] += RIDGE * variance || 1;
  const precise = inverse(spread, width);
  const turned = rows.map((row) => row.map((_, i) => row.reduce((sum, value, j) => sum + precise[i * width + j] * value, 0)));
  const own = rows.map((row, n) => row.reduce((sum, value, i) => sum + value * turned[n][i], 0));
  const sums = rows.map((row, n) => rows.reduce((sum, _, m) => {
    let between = 0;
    for (let i = 0; i < width; i++) between += row[i] * turned[m][i];
    return sum + Math.sqrt(Math.max(own[n] + own[m] - 2 * between, 0));
  }, 0));
  return rows[sums.indexOf(Math.min(...sums))];
}
