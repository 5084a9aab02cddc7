// Watch it learn: a small network trained before one's eyes, and its timeline played back.

import { Curve } from "./curve.js";
import { partsOf } from "./dom.js";
import { Scans } from "./scans.js";

const BEAT = 150; // milliseconds for each moment when the timeline is played
const PACE = 0.08; // seconds that a frame takes at least, so that it can be seen

export class Learning {
  #frames = []; #all = 1; #paused = false; #running = false; #following = true; #player = null;

  constructor(app, section) {
    [this.app, this.part] = [app, partsOf(section)];
    this.scans = new Scans(this.part("scans"), app.words);
    this.curve = new Curve(this.part("curve"), app.words);
    app.live.on("train", (message) => this.#progress(message));
    app.fails("train", (failure) => { this.#ended(); app.excuse(failure); });
    this.#wire();
  }

  #wire() {
    const form = this.part("form");
    form.oninput = () => this.#showSettings();
    form.onsubmit = (event) => { event.preventDefault(); this.start(); };
    this.part("pause").onclick = () => this.#pause();
    this.part("stop").onclick = () => this.app.live.ask("stop");
    this.part("adopt").onclick = () => this.app.adopt();
    this.part("play").onclick = () => (this.#player ? this.#halt() : this.#play());
    this.part("time").oninput = ({ target }) => { this.#halt(); this.look(target.valueAsNumber); };
  }

  /** The model says what can be learned from here, and how much at most. */
  begin({ training, classes, shape, limits }) {
    if (!this.#frames.length) this.scans.begin(classes, shape);
    this.#limit(training, limits);
    this.#showSettings();
  }

  #limit(training, limits) {
    const form = this.part("form").elements;
    for (const control of form) control.disabled = !training;
    this.#buttons();
    this.trains = Boolean(training);
    if (!training) return this.app.words.tell(this.part("lead"), "learn.no-data");
    if (!this.#frames.length) this.#say();
    form.images.max = Math.min(training.images, limits?.images ?? training.images);
    form.images.min = form.images.step = Math.min(500, Number(form.images.max));
    form.hidden.max = Math.min(200, limits?.hidden ?? 200);
    form.epochs.max = Math.min(10, limits?.epochs ?? 10);
  }

  /** News: data to learn from may have come. */
  news({ training, limits }) {
    if (training !== undefined) this.#limit(training, limits);
  }

  get settings() {
    const { hidden, rate, epochs, images } = this.part("form").elements;
    return {
      hidden: hidden.valueAsNumber,
      rate: Number((10 ** rate.valueAsNumber).toPrecision(2)),
      epochs: epochs.valueAsNumber,
      images: images.valueAsNumber,
    };
  }

  #showSettings() {
    for (const [name, value] of Object.entries(this.settings)) {
      this.app.words.tell(this.part(`${name}-out`), name === "rate" ? "rate" : "whole", { value });
      this.app.words.label(this.part("form").elements[name], name === "rate" ? "rate" : "whole", { value }, "wordsText");
    }
    if (!this.#frames.length) this.curve.draw([], this.settings.epochs * this.settings.images, 0);
  }

  start() {
    this.#halt();
    [this.#frames, this.#running, this.#paused, this.#following] = [[], true, false, true];
    const { epochs, images } = this.settings;
    this.#all = epochs * images;
    this.#buttons();
    this.#say();
    this.app.live.ask("train", { ...this.settings, seed: Math.floor(Math.random() * 2 ** 31), method: this.app.method, pace: PACE });
  }

  #pause() {
    this.#paused = !this.#paused;
    this.app.live.ask(this.#paused ? "pause" : "continue", {}, "training");
    this.#buttons();
    this.#say();
  }

  #progress(message) {
    if (message.ink) {
      this.#frames.push(kept(message));
      this.#all = Math.max(this.#all, message.updates);
      if (this.#following) this.look(this.#frames.length - 1, true);
      else this.#showTime(this.part("time").valueAsNumber);
    }
    if (message.state === "done" || message.state === "stopped") this.#close(message);
    else this.#say();
  }

  /** The last word on the performance: on all test images, not only on those of a quick look. */
  #close({ state, performance }) {
    if (this.#frames.length) this.#frames.at(-1).performance = performance;
    if (this.#following && this.#frames.length) this.look(this.#frames.length - 1, true);
    this.#ended(state);
  }

  #ended(state) {
    [this.#running, this.#paused, this.ending] = [false, false, state];
    this.#buttons();
    if (state || !this.#frames.length) this.#say();
  }

  #buttons() {
    const { part } = this;
    const words = this.app.words;
    part("pause").disabled = part("stop").disabled = !this.#running;
    part("adopt").disabled = this.#running || !this.#frames.length;
    part("play").disabled = part("time").disabled = this.#frames.length < 2;
    words.tell(part("pause"), this.#paused ? "learn.continue" : "learn.pause");
    words.tell(part("start"), this.#frames.length ? "learn.again" : "learn.start");
    words.tell(part("play"), this.#player ? "learn.halt" : "learn.play");
  }

  #say() {
    const last = this.#frames.at(-1);
    if (!last) return this.#sayBefore();
    const key = this.#running ? (this.#paused ? "learn.paused" : "learn.running") : `learn.${this.ending}`;
    this.app.words.tell(this.part("lead"), key, { updates: last.updates, performance: last.performance, all: this.#all });
    if (!this.#running || this.#paused) this.app.announce(this.part("lead"));
  }

  /** Nothing has been seen yet: the first frame takes a moment. */
  #sayBefore() {
    this.app.words.tell(this.part("lead"), this.#running ? "learn.starting" : "learn.invite");
    if (this.#running) this.app.announce(this.part("lead"));
  }

  /** Show one moment of the training. */
  look(moment, following = false) {
    this.#following = following || (this.#running && moment === this.#frames.length - 1);
    this.#showTime(moment);
    const frame = this.#frames[moment];
    this.scans.show(frame);
    this.app.words.tell(this.part("moment"), "learn.moment", frame);
    this.app.words.label(this.part("time"), "learn.moment", frame, "wordsText");
  }

  #showTime(moment) {
    this.part("time").max = String(this.#frames.length - 1);
    this.part("time").value = String(moment);
    this.curve.draw(this.#frames, this.#all, moment);
    this.#buttons();
  }

  #play() {
    const last = this.#frames.length - 1;
    let moment = this.part("time").valueAsNumber;
    if (moment >= last) moment = -1;
    this.#player = setInterval(() => {
      moment += 1;
      this.look(moment);
      if (moment >= this.#frames.length - 1) this.#halt();
    }, BEAT);
    this.#buttons();
  }

  #halt() {
    clearInterval(this.#player);
    this.#player = null;
    this.#buttons();
  }

  /** The language changed. */
  redraw() {
    this.curve.redraw();
  }
}

/** A frame as it is kept: ink as bytes, a quarter of the memory. */
function kept({ updates, performance, ink, answers, read, read_as_asked }) {
  const bytes = Uint8Array.from(ink.data, (value) => Math.round(255 * Math.min(Math.max(value, 0), 1)));
  return { updates, performance, ink: { data: bytes, shape: ink.shape }, answers, read, read_as_asked };
}
