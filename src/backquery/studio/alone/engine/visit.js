// What the page asks is answered here, as `studio/visit.py` answers it: the protocol is that of `studio/protocol.py`.

import { prepared } from "./centring.js";
import { Failure } from "./failure.js";
import { Asked, search } from "./gauss_newton.js";
import { Lesson } from "./lesson.js";
import { Network } from "./network.js";
import { pictured } from "./picture.js";
import { largest, Room } from "./room.js";
import { bytesOf } from "./socket.js";
import { answers, confidence, several, typical, unsaid, whyUnsaid } from "./targets.js";
import { invertible, transpose } from "./transpose.js";

const MARGIN = 0.01;
const FITTED = ["transpose", "gauss-newton"];
const LACKS = ["ascent", "code", "draw", "evidence", "limits", "opinion", "page", "proof", "why"];
const LIMITS = { hidden: 500, epochs: 20, nodes: 1000, samples: 100, drawing: 1024 };
const READY = 0; // milliseconds between two frames of a training in which questions are answered

export class Visit {
  #version = 0; #last = new Map(); #lesson = null; #paused = false; #stopped = false; #taught = null;

  /** content: see `studio/alone`; send: takes the fields and arrays of an answer. */
  constructor(module, content, send) {
    Object.assign(this, { module, content, send });
    this.sample = content.sample ? sampleOf(content) : null;
    this.#open(content.model.data, content.facts);
  }

  async take(text) {
    const { id, lane, ask, ...fields } = JSON.parse(text);
    const request = { id, lane: lane ?? ask, ask };
    try {
      const answer = ANSWERS[ask];
      if (!answer) throw new Failure("a page of one file cannot do that; open the network in the studio", "alone");
      this.#reply(request, await answer.call(this, fields, request));
    } catch (error) {
      const failure = error instanceof Failure ? error : new Failure(`something went wrong inside: ${error.message}`, "failed");
      this.send({ ...request, error: failure.message, code: failure.code }, {});
    }
  }

  #reply(request, { fields = {}, arrays = {} }) {
    this.send({ ...request, version: this.#version, ...fields }, arrays);
  }

  /** Ask another network from now on; facts: what is known of it beside its file. */
  #open(bytes, facts) {
    // In a room of its own: of a file that is refused, nothing may lie where the network is that goes on being asked.
    const room = new Room(new WebAssembly.Instance(this.module));
    const whole = Network.of(room, bytes);
    Object.assign(this, { room, whole, file: bytes, facts, off: {}, prior: whole.priorOf() });
    room.keep();
    this.#ask(whole);
  }

  #ask(network) {
    this.network = network;
    this.asked = this.prior && new Asked(network, this.prior, this.content.draws?.data);
    this.#version += 1;
    this.#last.clear();
  }

  get shape() {
    return this.whole.shape;
  }

  hello() {
    const { whole, facts, off } = this;
    const { low, high, name } = whole.output;
    const usable = { transpose: invertible(whole), "gauss-newton": Boolean(this.prior) };
    return { fields: {
      name: facts.name, digest: facts.digest ?? null, classes: whole.classes, sizes: whole.sizes, shape: this.shape,
      activations: whole.layers.map(({ activation }) => activation.name), black: facts.black ?? false,
      layers: whole.layers.slice(0, -1).map(({ weights, activation }, number) => ({ layer: number + 1, nodes: weights.rows, bounded: activation.bounded })),
      methods: FITTED.map((method) => ({ name: method, summary: "", usable: usable[method] })),
      method: usable.transpose && !(this.prior && facts.statistics !== false) ? "transpose" : "gauss-newton",
      typical: Boolean(whole.typical), off, data: this.#data, judges: [], limits: LIMITS, lacks: this.sample ? LACKS : [...LACKS, "train"],
      answers: { low: low > -Infinity ? low + MARGIN : 0, high: high < Infinity ? high - MARGIN : 1, proportions: name === "softmax" },
      performance: this.#performance(), training: this.sample && { name: this.sample.name, images: this.sample.training },
    } };
  }

  /** The sample, where this network can be tried on it. */
  get #data() {
    const { sample, whole } = this;
    const fits = sample && sample.maximum === whole.maximum && String(sample.classes) === String(whole.classes)
      && sample.shape[0] * sample.shape[1] === whole.inputs;
    return fits ? { name: sample.name, training: sample.training, test: sample.labels.length - sample.training } : null;
  }

  #performance() {
    if (!this.#data) return Object.keys(this.off).length ? null : this.facts.performance ?? null;
    return shareRight(this.network, this.sample);
  }

  query(fields) {
    const { network, shape } = this;
    const arrays = {};
    let given;
    if ("drawing" in fields) {
      const size = [fields.rows, fields.columns];
      const drawing = bytesOf(fields.drawing);
      if (!size.every((side) => side >= 1 && side <= LIMITS.drawing) || drawing.length !== size[0] * size[1]) {
        throw new Failure("a drawing needs as many bytes as it has pixels");
      }
      given = prepared(drawing, size, shape, this.facts.centre ?? true);
      arrays.pixels = { data: given, shape: [...shape] };
    } else given = this.#pixels(fields);
    const found = network.look(network.scale(given));
    const { signals, answers } = found;
    signals.forEach((layer, number) => {
      const share = shareOfRange(network.layers[number].activation, layer);
      arrays[`signals${number + 1}`] = { data: Float32Array.from(share), shape: [layer.length] };
    });
    arrays.answers = numbers(answers);
    return { fields: { read: network.read(found) }, arrays };
  }

  back(fields) {
    const clock = performance.now();
    if ("limits" in fields || "draw" in fields) throw new Failure("a page of one file cannot do that; open the network in the studio", "alone");
    const method = fields.method ?? this.hello().fields.method;
    const start = fields.warm ? this.#last.get(method) ?? null : null;
    const hurried = start !== null && fields.hurried !== false;
    const question = this.#question(fields, method);
    if (question.name === "typical" && unsaid(question)) throw new Failure(whyUnsaid(this.network, question), "target");
    const found = this.#image(method, question, { start, hurried });
    this.#last.set(method, found.image);
    const told = { ...found.told, method, milliseconds: performance.now() - clock };
    return { fields: told, arrays: { ink: this.#ink(found.image), answers: numbers(found.answers) } };
  }

  turn(fields) {
    const near = this.network.scale(this.#pixels(fields));
    const label = this.#label(fields);
    const p = fields.confidence ?? null;
    const question = p === null ? this.#usual(label, "gauss-newton") : this.#confident(label, p, "gauss-newton");
    const { image, answers: read, told } = this.#image("gauss-newton", question, { near });
    const [ink, before] = [this.network.ink(image), this.network.ink(near)];
    const change = ink.map((value, pixel) => value - before[pixel]);
    return { fields: told, arrays: { ink: this.#ink(image), change: { data: change, shape: [...this.shape] }, answers: numbers(read) } };
  }

  scans(fields) {
    const method = fields.method ?? this.hello().fields.method;
    const hurried = Object.keys(this.off).length > 0;
    const found = this.whole.classes.map((_, label) => this.#image(method, this.#usual(label, method), { hurried }));
    return scansOf(found, this.network, this.shape, method);
  }

  weights(fields) {
    const { whole, shape } = this;
    const layer = fields.layer ?? 1;
    if (!(layer >= 1 && layer < whole.layers.length)) throw new Failure("the network has no such hidden layer", "layers");
    const { weights } = whole.layers[layer - 1];
    const from = Math.min(Math.max(fields.from ?? 0, 0), weights.rows - 1);
    const count = Math.min(fields.count ?? weights.rows, weights.rows - from, LIMITS.nodes);
    const shown = new Float32Array(count * weights.columns);
    let scale = 0;
    for (let node = 0; node < weights.rows; node++) {
      const row = weights.row(node);
      scale = Math.max(scale, largest(row));
      if (node >= from && node < from + count) shown.set(row, (node - from) * weights.columns);
    }
    const side = layer === 1 ? shape : [weights.columns];
    return { fields: { layer, from, scale }, arrays: { weights: { data: shown, shape: [count, ...side] } } };
  }

  damage({ off }) {
    const { sizes } = this.whole;
    for (const [layer, nodes] of Object.entries(off)) {
      if (!(layer >= 1 && layer < sizes.length - 1) || !nodes.every((node) => Number.isInteger(node) && node >= 0 && node < sizes[layer])) {
        throw new Failure("there is no such node", "layers");
      }
    }
    this.off = Object.fromEntries(Object.entries(off).filter(([, nodes]) => nodes.length));
    this.room.forget();
    this.#ask(this.whole.without(this.off));
    return { fields: { off: this.off, performance: this.#performance() } };
  }

  samples({ label = null, count = 10, seed = 0 }) {
    if (!this.#data) throw new Failure("there are no data beside this model to choose images from", "data");
    const { sample, whole: { inputs }, shape } = this;
    const places = [...sample.labels.keys()].slice(sample.training).filter((image) => label === null || sample.labels[image] === label);
    let state = seed + 1;
    const chosen = [];
    while (chosen.length < Math.min(count, LIMITS.samples) && places.length) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      chosen.push(...places.splice(state % places.length, 1));
    }
    const pixels = new Uint8Array(chosen.length * inputs);
    chosen.forEach((image, row) => {
      pixels.set(sample.pixels.subarray(image * inputs, (image + 1) * inputs).map((value) => Math.round((value * 255) / sample.maximum)), row * inputs);
    });
    const labels = Int32Array.from(chosen, (image) => sample.labels[image]);
    return { arrays: { pixels: { data: pixels, shape: [chosen.length, ...shape] }, labels: { data: labels, shape: [chosen.length] } } };
  }

  async image({ file, centre = true }) {
    const { facts, shape } = this;
    const pixels = await pictured(bytesOf(file), shape, { centre: centre && (facts.centre ?? true), black: facts.black });
    return { arrays: { pixels: { data: pixels, shape: [...shape] } } };
  }

  load({ file, name }) {
    this.#open(bytesOf(file), { name: String(name).replace(/[^\p{L}\p{N}_ .()-]/gu, "").slice(-80) || "network" });
    return this.hello();
  }

  save() {
    const named = `${this.facts.name.replace(/\.safetensors$/, "")}.safetensors`;
    const whole = this.facts.statistics === false ? this.network.withoutStatistics() : this.network;
    const bytes = whole.save(this.off);
    return { fields: { name: named }, arrays: { file: { data: bytes, shape: [bytes.length] } } };
  }

  reset() {
    this.#open(this.content.model.data, this.content.facts);
    return this.hello();
  }

  async train(fields, request) {
    if (!this.sample) throw new Failure("there are no images in this file to learn from", "data");
    this.#stopped = true; // whatever learns by now
    const { sample } = this;
    const wanted = {
      hidden: whole(fields, "hidden", 1, LIMITS.hidden, 50), epochs: whole(fields, "epochs", 1, LIMITS.epochs, 1),
      images: whole(fields, "images", 1, sample.training, sample.training), seed: whole(fields, "seed", 0, 2 ** 53, 1),
      rate: fields.rate ?? 0.1, method: fields.method ?? "transpose", pace: fields.pace ?? 0.1,
    };
    const lesson = new Lesson(this.module, sample, wanted);
    [this.#lesson, this.#paused, this.#stopped] = [lesson, false, false];
    this.#learn(lesson, request, performance.now()).catch((error) => this.send({ ...request, error: error.message, code: error.code ?? "failed" }, {}));
    return { fields: { state: "started", data: sample.name, images: wanted.images, hidden: wanted.hidden } };
  }

  /** Frame by frame; between two of them questions are answered. */
  async #learn(lesson, request, clock) {
    const { wanted, moments, sample } = lesson;
    await rest(READY);
    for (const [frame, moment] of moments.entries()) {
      const due = performance.now() + 1000 * wanted.pace;
      while (this.#paused && !this.#halted(lesson)) await rest(50);
      if (this.#halted(lesson)) break;
      lesson.advance(moment);
      const { network, images, performance: right } = lesson.frame(true);
      const found = images.map((image, label) => {
        const seen = network.look(image);
        const read = network.read(seen);
        return { image, answers: seen.answers, told: { outcome: "", read, read_as_asked: read === label } };
      });
      const { fields, arrays } = scansOf(found, network, sample.shape, wanted.method);
      const told = { state: "learning", frame, frames: moments.length, updates: lesson.done, epoch: lesson.done / wanted.images };
      this.#reply(request, { fields: { ...fields, ...told, performance: right, shape: sample.shape }, arrays });
      await rest(Math.max(READY, due - performance.now()));
    }
    if (this.#lesson !== lesson) return;
    lesson.ended = true;
    const state = this.#stopped ? "stopped" : "done";
    const last = lesson.frame(false);
    this.#reply(request, { fields: { state, updates: lesson.done, performance: last.performance, seconds: (performance.now() - clock) / 1000 } });
  }

  #halted(lesson) {
    return this.#stopped || this.#lesson !== lesson;
  }

  pause() { return this.#control(() => { this.#paused = true; }); }

  continue() { return this.#control(() => { this.#paused = false; }); }

  stop() { return this.#control(() => { this.#stopped = true; }); }

  #control(change) {
    if (!this.#lesson) return { fields: { state: "idle" } };
    change();
    const state = this.#lesson.ended ? "done" : this.#stopped ? "stopped" : this.#paused ? "paused" : "learning";
    return { fields: { state } };
  }

  adopt() {
    if (!this.#lesson?.ended) throw new Failure("no training has ended yet; train a network, or stop the one that learns", "wait");
    this.#open(this.#lesson.save(), { name: "trained here", black: this.sample.black, centre: this.sample.centre });
    return this.hello();
  }

  #question(fields, method) {
    if ("answers" in fields) return answers(this.network, fields.answers);
    if (!("confidences" in fields)) return this.#usual(this.#label(fields), method);
    const wanted = new Map(Object.entries(fields.confidences).map(([label, p]) => [this.#label({ label: Number(label) }), p]));
    if (wanted.size !== 1) return several(this.network, wanted);
    const [[label, p]] = wanted;
    return this.#confident(label, p, method);
  }

  #usual(label, method) {
    const { network } = this;
    return method === "gauss-newton" && network.typical ? typical(network, label) : confidence(network, label, 0.99);
  }

  #confident(label, p, method) {
    return confidence(this.network, label, p, method === "gauss-newton" && this.network.typical ? "typical" : null);
  }

  /** The image of a question by a method, and what the network makes of it. */
  #image(method, question, how = {}) {
    const { network, asked } = this;
    if (method !== "transpose" && !asked) throw new Failure("this file keeps no statistics of its images, so this page cannot search; open it in the studio", "inversion");
    const found = method === "transpose"
      ? { image: transpose(network, question.answers), outcome: "exact formula", steps: 1 } : search(asked, question, how);
    const seen = network.look(found.image);
    const { answers: read, logOdds } = seen;
    const label = network.read(seen);
    const most = Math.max(...question.answers);
    const as = question.label >= 0 ? label === question.label : question.answers[label] >= most - 1e-9;
    const centred = network.output.name === "softmax" ? centre(question.logOdds) : question.logOdds;
    const off = (one, other) => largest(one.map((value, i) => value - other[i]));
    const error = off(read, question.answers);
    if (unsaid(question)) Object.assign(found, { outcome: "not found" });
    const told = {
      read: label, read_as_asked: as, error, logit_error: off(logOdds, centred), outcome: found.outcome, steps: found.steps,
      asked: question.label, question: question.name, advice: unsaid(question) ? whyUnsaid(network, question) : method === "transpose" || found.outcome === "converged" ? "" : advice(network, question, read),
    };
    return { image: found.image, answers: read, told };
  }

  #ink(image) {
    return { data: this.network.ink(image), shape: [...this.shape] };
  }

  #pixels(fields) {
    const given = bytesOf(fields.pixels ?? "");
    if (given.length !== this.whole.inputs) throw new Failure(`pixels must be ${this.whole.inputs} bytes; received ${given.length}`);
    return given;
  }

  #label({ label }) {
    if (!(Number.isInteger(label) && label >= 0 && label < this.whole.outputs)) throw new Failure(`there is no label ${label}`);
    return label;
  }
}

const ANSWERS = Object.fromEntries(["hello", "query", "back", "turn", "scans", "weights", "damage", "samples", "image",
  "load", "save", "reset", "train", "pause", "continue", "stop", "adopt"].map((name) => [name, Visit.prototype[name]]));

const rest = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });
const best = (values) => values.indexOf(Math.max(...values));
const numbers = (values) => ({ data: Float32Array.from(values), shape: [values.length] });

function centre(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map((value) => value - mean);
}

function whole(fields, name, low, high, usual) {
  const value = fields[name] ?? usual;
  if (!(Number.isInteger(value) && value >= low && value <= high)) throw new Failure(`${name} must be a whole number from ${low} to ${high}`);
  return value;
}

/** How far off the worst answer is. */
function advice(network, question, read) {
  const off = read.map((value, i) => Math.abs(value - question.answers[i]));
  const worst = best(off);
  return `output '${network.classes[worst]}' was asked for ${question.answers[worst].toPrecision(4)} and comes as near as ${read[worst].toPrecision(4)}`;
}

/** A hidden layer's signals from 0, their lowest, to 1, their highest; without an end, the highest here. */
function shareOfRange({ low, high }, signals) {
  const bottom = low > -Infinity ? low : Math.min(...signals, 0);
  const top = high < Infinity ? high : Math.max(...signals, bottom + 1e-9);
  return signals.map((value) => (value - bottom) / (top - bottom));
}

function scansOf(found, network, shape, method) {
  const [count, size] = [found.length, network.inputs];
  const [ink, read] = [new Float32Array(count * size), new Float32Array(count * network.outputs)];
  found.forEach(({ image, answers: given }, label) => {
    ink.set(network.ink(image), label * size);
    read.set(given, label * network.outputs);
  });
  const told = (name) => found.map((one) => one.told[name]);
  const fields = { read: told("read"), read_as_asked: told("read_as_asked"), outcome: told("outcome"), method };
  return { fields, arrays: { ink: { data: ink, shape: [count, ...shape] }, answers: { data: read, shape: [count, network.outputs] } } };
}

function shareRight(network, { pixels, labels, training }) {
  let right = 0;
  for (let image = training; image < labels.length; image++) {
    const input = network.scaleRaw(pixels.subarray(image * network.inputs, (image + 1) * network.inputs));
    right += network.read(network.look(input)) === labels[image];
  }
  return right / (labels.length - training);
}

function sampleOf({ sample, pixels, labels, prior_mean: mean, prior_factor: factor, prior_diagonal: diagonal }) {
  const prior = { mean: Float64Array.from(mean.data), factor: factor.data, diagonal: Float64Array.from(diagonal.data) };
  return { ...sample, pixels: pixels.data, labels: labels.data, prior };
}
