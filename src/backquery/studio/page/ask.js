// Ask: a drawing goes in, the hidden nodes light up, the answers move; and the drawing turned into another label.

import { Bars } from "./bars.js";
import { element, partsOf, rested } from "./dom.js";
import { Pad } from "./drawing.js";
import { Sheet, showMarks, sizeOf } from "./ink.js";
import { encode } from "./socket.js";
import { readAs } from "./words.js";

const SAMPLES = 12;
const REST = 200; // milliseconds without a stroke before the picture's evidence is asked for
const SURE = 0.6; // below this share of the scale the runner-up is named too
const PALETTE = {
  white: "#ffffff", grey: "#808080", black: "#000000", brown: "#7a4a21", red: "#d62728", orange: "#ff7f0e",
  yellow: "#ffd92f", green: "#2ca02c", sky: "#7fc8f8", blue: "#1f4fd8", purple: "#8e44ad", pink: "#f29ac0",
};

export class Ask {
  #seen = null; #explaining = null; #seed = 1; #next = null;

  constructor(app, section) {
    [this.app, this.part] = [app, partsOf(section)];
    this.pad = new Pad(this.part("pad"), () => this.ask());
    [this.seen, this.result] = [new Sheet(this.part("seen")), new Sheet(this.part("turned-image"))];
    this.#palette();
    this.#listen(app.live);
    this.#wire();
  }

  /** The pen's colours, for networks that see any. */
  #palette() {
    const group = `colour-${Math.random().toString(36).slice(2)}`;
    const swatches = Object.entries(PALETTE).map(([name, colour]) => {
      const swatch = element("input", { type: "radio", name: group, checked: colour === this.pad.colour });
      swatch.style.background = colour;
      swatch.onchange = () => { this.pad.colour = colour; };
      return this.app.words.label(swatch, `palette.${name}`);
    });
    this.part("fill").before(...swatches);
    this.part("fill").onclick = () => this.pad.fill();
  }

  #listen(live) {
    this.askWhy = rested(() => this.#askWhy(), REST);
    live.on("why", (message) => this.#explained(message));
    live.on("query", (message) => this.#answered(message));
    live.on("turn", (message) => this.#turned(message));
    live.on("samples", (message) => this.#sampled(message));
    live.on("image", ({ pixels, uneven }) => {
      this.app.notice(uneven ? "picture.uneven" : "");
      this.pad.put(pixels.data);
    });
    this.app.fails("image", ({ error }) => this.app.notice("picture.failed", { reason: error }));
  }

  #wire() {
    this.part("undo").onclick = () => this.pad.undo();
    this.part("clear").onclick = () => this.pad.clear();
    this.part("real").onclick = () => this.#toggleSamples();
    this.part("why").onchange = () => { this.#showWhy(null); this.#askWhy(); };
    this.part("take").onclick = () => this.pad.put(this.turnedPixels);
    this.part("file").onchange = ({ target }) => { this.#open(target.files[0]); target.value = ""; };
    const drop = this.part("drop");
    drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
    drop.ondragleave = () => drop.classList.remove("over");
    drop.ondrop = (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      this.#open(event.dataTransfer.files[0]);
    };
  }

  /** A model to ask. */
  begin({ classes, shape, answers, layers, data }) {
    [this.classes, this.range] = [classes, answers];
    this.pad.shape(shape);
    this.part("palette").hidden = !this.pad.coloured;
    this.bars = new Bars(this.part("bars"), classes, answers, this.app.words);
    this.#lights(layers ?? []);
    this.data(data);
    this.part("samples").hidden = true;
    const buttons = classes.map((name, label) => this.#turnButton(name, label));
    this.part("turns").replaceChildren(...buttons);
    this.ask();
  }

  /** Real images to pick from, where there are any. */
  data(data) {
    this.part("real").hidden = !data;
  }

  #lights(layers) {
    const room = this.part("lights");
    this.lights = layers.map(() => new Sheet(element("canvas", { className: "lights-of" })));
    room.replaceChildren(...this.lights.map(({ canvas }) => canvas));
    room.parentElement.hidden = !layers.length;
    layers.forEach(({ nodes }, number) => this.#light(this.lights[number], new Float32Array(nodes)));
  }

  /** The signals of a layer; a node that is switched off is dark, whatever its bias lets through. */
  #lit(signals, layer) {
    if (layer === 1) for (const node of this.app.inside.off) signals[node] = 0;
    return signals;
  }

  /** Nodes as squares, about twice as wide as high. */
  #light(sheet, signals) {
    const columns = Math.max(1, Math.round(Math.sqrt(2 * signals.length)));
    const rows = Math.ceil(signals.length / columns);
    const grid = new Float32Array(rows * columns); // the last row may be longer than what is left of the nodes
    grid.set(signals);
    sheet.draw(grid, [rows, columns]);
  }

  #turnButton(name, label) {
    const button = element("button", { type: "button", textContent: name, onclick: () => this.turn(label) });
    return this.app.words.label(button, "turn.to", { label: name });
  }

  /** Show the network what is on the pad. */
  ask() {
    if (!this.bars) return;
    this.part("undo").disabled = !this.pad.canUndo;
    this.part("clear").disabled = this.pad.blank;
    this.part("result").hidden = true;
    this.#showWhy(null);
    const { pixels, rows, columns, drawing } = this.pad.raster();
    this.nothing = !pixels.some(Boolean);
    for (const button of this.part("turns").children) button.disabled = this.nothing;
    this.app.words.tell(this.part("turned"), this.nothing ? "turn.blank" : "turn.hint");
    if (this.nothing) return this.#blank();
    this.#seen = drawing ? null : pixels;
    this.app.live.ask("query", { [drawing ? "drawing" : "pixels"]: encode(pixels), rows, columns });
  }

  /** A network answers a blank sheet too, but there is nothing on it that it could read. */
  #blank() {
    this.#seen = null;
    this.bars.show(null);
    this.seen.draw(new Uint8Array(sizeOf(this.pad.imageShape)), this.pad.imageShape);
    this.lights.forEach((sheet) => sheet.draw(sheet.values.fill(0), sheet.shape));
    const invitation = this.pad.coloured ? "ask.invite.colour" : "ask.invite";
    this.app.words.tell(this.part("lead"), this.pad.blank ? invitation : "ask.nothing");
    if (!this.pad.blank) this.app.announce(this.part("lead"));
  }

  #answered(message) {
    if (this.nothing) return;
    this.#seen = message.pixels ? message.pixels.data : this.#seen;
    if (this.#seen) this.seen.draw(this.#seen, this.pad.imageShape);
    this.lights.forEach((sheet, number) => this.#light(sheet, this.#lit(message[`signals${number + 1}`].data, number + 1)));
    this.bars.show(message.answers.data, message.read);
    this.#say(message.answers.data, message.read);
    this.askWhy();
    if (this.#next !== null) this.turn(this.#next);
    this.#next = null;
  }

  /** Ask what each pixel of what the network sees means for the label that it reads. */
  #askWhy() {
    if (!this.part("why").checked || !this.#seen) return;
    this.#explaining = this.#seen;
    this.app.live.ask("why", { pixels: encode(this.#seen) });
  }

  #explained(message) {
    if (this.part("why").checked && this.#explaining === this.#seen) this.#showWhy(message);
  }

  #showWhy(message) {
    this.why = message;
    this.part("why-marks").hidden = this.part("why-legend").hidden = !message;
    if (!message) return;
    const { words } = this.app;
    showMarks(words, this.part("why-marks"), this.part("why-legend"), message.verdicts, this.classes[message.label], this.pad.coloured);
    const kind = this.pad.coloured ? ".colour" : "";
    const taken = message.trials.find(({ region, action, change }) => region === "support" && action === "ink taken" && change !== null);
    words.tell(this.part("why-legend").querySelector(".tested"), (taken ? "why.tested" : "why.tested.none") + kind, {
      held: message.held, claims: message.claims, pixels: taken?.pixels, change: taken?.change, others: taken?.others,
      read: this.classes[taken?.read],
    });
  }

  /** The paper turned dark or light. */
  turnPaper() {
    this.#showWhy(this.why ?? null);
  }

  #say(answers, read) {
    const [, second] = [...answers.keys()].sort((one, other) => answers[other] - answers[one]);
    const { read: label, sure } = readAs(this.classes, answers, read);
    const torn = (sure - this.range.low) / (this.range.high - this.range.low) < SURE && second !== undefined;
    const sentence = read < 0 ? "ask.tie" : torn ? "ask.torn" : "ask.reads";
    this.app.words.tell(this.part("lead"), sentence, { label, second: this.classes[second], sure });
    this.app.announce(this.part("lead"));
  }

  /** Ask for the smallest change that makes the drawing another label. */
  turn(label) {
    if (!this.#seen) return;
    this.app.live.ask("turn", { pixels: encode(this.#seen), label });
  }

  /** The label that the drawing was turned into, where that is shown. */
  get turnedTo() {
    return this.part("result").hidden ? null : this.asked;
  }

  /** Turn the drawing, as soon as it has been read, into a label or into none. */
  turnWhenRead(label) {
    this.#next = Number.isInteger(label) && label >= 0 && label < this.classes.length ? label : null;
  }

  #turned(message) {
    const words = this.app.words;
    this.asked = message.asked;
    this.result.show(message.ink);
    this.turnedPixels = message.ink.data.map((ink) => Math.round(255 * ink));
    this.part("result").hidden = false;
    words.label(this.part("turned-image"), "turn.image", { label: this.classes[message.asked] });
    const { read: label, sure } = readAs(this.classes, message.answers.data, message.read);
    words.tell(this.part("turned"), message.read_as_asked ? "turn.done" : "turn.missed", { label, sure, advice: message.advice });
    this.part("turned-image").classList.toggle("missed", !message.read_as_asked);
    this.app.announce(this.part("turned"));
  }

  async #open(file) {
    if (file) this.app.live.ask("image", { file: encode(new Uint8Array(await file.arrayBuffer())), centre: true });
  }

  #toggleSamples() {
    const room = this.part("samples");
    room.hidden = !room.hidden;
    this.part("real").setAttribute("aria-expanded", String(!room.hidden));
    if (!room.hidden) this.#askSamples();
  }

  #askSamples() {
    this.app.live.ask("samples", { count: SAMPLES, seed: this.#seed++ });
  }

  #sampled({ pixels, labels }) {
    const [, ...shape] = pixels.shape;
    const size = sizeOf(shape);
    const buttons = [...labels.data].map((label, number) =>
      this.#sampleButton(pixels.data.slice(number * size, (number + 1) * size), shape, this.classes[label]));
    const more = element("button", { type: "button", onclick: () => this.#askSamples() });
    this.part("samples").replaceChildren(...buttons, this.app.words.tell(more, "real.more"));
  }

  #sampleButton(bytes, shape, label) {
    const canvas = element("canvas");
    const button = element("button", { type: "button", className: "sample", onclick: () => this.pad.put(bytes) }, canvas);
    this.part("samples").append(button); // a sheet takes its colours from its place on the page
    new Sheet(canvas).draw(bytes, shape);
    return this.app.words.label(button, "real.one", { label });
  }
}
