// Ask backwards: sliders for the labels, the image that follows them, and everything that is known about it.

import { Sliders } from "./bars.js";
import { element, late, partsOf, rested } from "./dom.js";
import { Sheet, showMarks } from "./ink.js";
import { savePicture } from "./share.js";
import { encode } from "./socket.js";
import { readAs } from "./words.js";

const REST = 300; // milliseconds without a move before the slower questions are asked
const BOOK = 0.99;
const AS_ASKED = 0.005; // answers that are no farther off look alike in two decimals
const MISSED = ["stalled", "not found", "proved impossible"]; // outcomes of a search that did not get there
const JUDGED = ["judges", "typicality", "path", "novelty"]; // facts that others have to say

/** What is said of an image, and the question that an engine may not answer, without which it is not. */
const FACTS = {
  asked: "", reads: "", proved: "proof", judges: "opinion", outcome: "", error: "", typicality: "opinion", path: "opinion",
  novelty: "opinion",
};

export class Backwards {
  #asked = new Map(); #label = null; #last = null; #evidence = null; #following = false; #draw = 0; #due = {};

  constructor(app, section) {
    [this.app, this.part] = [app, partsOf(section)];
    [this.image, this.nearest] = [new Sheet(this.part("image")), new Sheet(this.part("nearest-image"))];
    this.#facts();
    this.#listen(app.live);
    this.part("overlay").onchange = () => this.#showEvidence();
    this.part("room").onchange = () => { this.#offer(); if (!this.usual || this.#draw) this.#placed(); };
    this.part("png").onclick = () => this.#save();
    this.part("another").onclick = () => this.#another();
  }

  #facts() {
    this.fact = {};
    for (const [name, needs] of Object.entries(FACTS)) {
      this.fact[name] = element("dd", { className: name, data: { needs } });
      this.part("facts").append(this.app.words.tell(element("dt", { data: { needs } }), `fact.${name}`), this.fact[name]);
    }
  }

  #listen(live) {
    this.askOpinion = rested(() => this.#askOpinion(), REST);
    this.askProof = rested(() => { this.#due.proof = this.app.live.ask("proof", { pixels: this.#pixels }); }, REST);
    this.lookRound = rested(() => this.#lookRound(), REST);
    live.on("back", (message) => this.#answered(message));
    live.on("opinion", (message) => this.#judged(message));
    live.on("proof", (message) => this.#proved(message));
    live.on("evidence", (message) => { this.#evidence = message; this.#showEvidence(); });
    this.app.fails("opinion", ({ id, code }) => this.#unjudged(code, id));
    this.app.fails("proof", ({ id }) => this.#proved({ id, certain: false }));
    this.app.fails("evidence", ({ error }) => {
      this.part("overlay").checked = false;
      this.app.notice("evidence.none", { reason: error });
    });
  }

  /** A model to ask. */
  begin({ classes, shape, answers, methods, method, activations, data }) {
    [this.classes, this.range, this.coloured] = [classes, answers, shape.length === 3];
    this.shared = activations?.at(-1) === "softmax"; // its answers are shares of one whole
    this.sliders = new Sliders(this.part("sliders"), classes, answers, this.app.words, {
      only: (label) => this.only(label),
      moved: (label, value) => this.#moved(label, value),
    });
    this.#methods(methods.filter(({ usable }) => usable), method);
    this.data(data);
    this.only(this.#label !== null && this.#label < classes.length ? this.#label : Math.min(3, classes.length - 1));
  }

  /** Real images, where there are any: what judges and evidence need. */
  data(data) {
    this.hasData = Boolean(data);
    this.part("overlay").closest("label").hidden = !data;
  }

  #methods(methods, usual) {
    const kept = methods.some(({ name }) => name === this.method) ? this.method : usual;
    const room = this.part("methods");
    const group = `method-${Math.random().toString(36).slice(2)}`;
    room.replaceChildren(room.querySelector("legend"), ...methods.map(({ name, summary }) => {
      const choice = element("input", { type: "radio", name: group, value: name, checked: name === kept });
      choice.onchange = () => this.use(name);
      const words = element("span", { textContent: name });
      if (this.app.words.has(`method.${name}`)) this.app.words.tell(words, `method.${name}`);
      const label = element("label", { title: summary }, choice, words);
      if (this.app.words.has(`method.${name}.hint`)) this.app.words.label(label, `method.${name}.hint`, {}, "wordsTitle");
      return label;
    }));
    this.#setMethod(kept);
  }

  #setMethod(name) {
    [this.method, this.#draw] = [name, 0];
    this.#offer();
    for (const choice of this.part("methods").querySelectorAll("input")) choice.checked = choice.value === name;
    this.app.words.tell(this.part("method-hint"), this.app.words.has(`method.${name}.hint`) ? `method.${name}.hint` : "");
  }

  use(method) {
    this.#setMethod(method);
    this.ask();
    this.app.methodChanged();
  }

  /** Other methods give one image for each question, and within limits there is one likeliest. */
  #offer() {
    const faithful = this.method === "gauss-newton";
    this.part("room").closest("label").hidden = !faithful;
    this.part("another").hidden = !faithful || this.roomy;
  }

  /** Ask for one label alone, as the network usually says it. */
  only(label) {
    [this.#asked, this.#label] = [new Map([[label, BOOK]]), label];
    this.usual = true;
    this.#placed();
  }

  #moved(label, value) {
    [this.usual, this.#following] = [false, true];
    this.#asked.set(label, value);
    this.#label = [...this.#asked].reduce((best, next) => (next[1] > best[1] ? next : best))[0];
    this.#placed();
  }

  #placed(draw = 0) {
    this.#draw = draw;
    this.sliders.ask(this.#asked);
    this.#evidenceStale();
    this.ask();
  }

  /** The question as it stands. */
  ask() {
    if (!this.sliders) return;
    this.app.live.ask("back", { warm: !this.usual, ...this.question });
  }

  /**
   * While a slider moves, the image stays within its component of a mixture; another may hold a likelier one. That of a
   * deep model is sought on, and verified.
   */
  #lookRound() {
    this.#following = false;
    const warm = this.#last.component === undefined;
    this.app.live.ask("back", { warm, hurried: false, ...this.question });
  }

  /** Another of the many images that give the answer. */
  #another() {
    [this.#draw, this.#following] = [this.#draw + 1, false];
    this.ask();
  }

  /** Whether sliders are limits, at least so sure above the middle and at most below, which one method can ask for. */
  get roomy() {
    return this.part("room").checked && this.method === "gauss-newton";
  }

  /** What is asked, by which method, and which of the images that give it. */
  get question() {
    return this.#draw ? { ...this.#wanted(this.method), draw: this.#draw } : this.#wanted(this.method);
  }

  #wanted(method) {
    if (this.usual) return { method, label: this.#label };
    if (this.roomy) return { method, limits: Object.fromEntries(this.#asked) };
    if (this.shared) return { method, answers: this.classes.map((_, label) => this.#asked.get(label) ?? 0.01) };
    return { method, confidences: Object.fromEntries(this.#asked) };
  }

  #answered(message) {
    this.#last = message;
    this.#due = { proof: Infinity, opinion: Infinity }; // what is on its way is of the image before
    this.#late();
    this.image.show(message.ink);
    this.sliders.show(message.answers.data, message.read);
    this.#say(message);
    this.askProof();
    this.askOpinion();
    if (this.#following && (message.component !== undefined || message.outcome === "following")) this.lookRound();
  }

  /** What is still said of the image before is pale, until it is said of this one. */
  #late() {
    const { proof, opinion } = this.#due;
    late(this.fact.proved, proof);
    for (const part of [...JUDGED.map((name) => this.fact[name]), this.part("nearest")]) late(part, opinion);
  }

  /** The question under way has its answer, if `id` is that of the answer. */
  #came(kind, id) {
    if (id >= this.#due[kind]) this.#due[kind] = null;
    this.#late();
  }

  #say({ read, answers, read_as_asked: met, error, outcome, advice }) {
    const words = this.app.words;
    const one = this.#asked.size === 1;
    const asked = [...this.#asked].filter(([, p]) => p >= 0.5 || one).map(([label]) => this.classes[label]).join(", ");
    const values = { asked: asked || "—", ...readAs(this.classes, answers.data, read) };
    const found = one ? met : error <= AS_ASKED && !MISSED.includes(outcome);
    words.tell(this.part("lead"), this.#leading(one, found), { ...values, error, number: this.#draw });
    words.label(this.part("image"), one ? "back.image" : "back.image.several", values);
    words.tell(this.fact.asked, "fact.asked.several", { labels: values.asked });
    const reads = found ? "fact.reads.yes" : met && !one ? "fact.reads.one" : "fact.reads.no";
    words.tell(this.fact.reads, reads, values);
    words.tell(this.fact.error, "fact.error.value", { error });
    words.tell(this.fact.outcome, words.has(`outcome.${outcome}`) ? `outcome.${outcome}` : "", {});
    this.fact.outcome.title = advice;
    this.part("frame").classList.toggle("missed", !met);
    this.app.announce(this.part("lead"));
  }

  #leading(one, found) {
    if (this.#draw) return "back.drawn";
    if (one) return found ? "back.one" : "back.one.missed";
    return found ? "back.several" : "back.several.missed";
  }

  get #pixels() {
    return encode(Uint8Array.from(this.#last.ink.data, (ink) => Math.round(255 * ink)));
  }

  #askOpinion() {
    if (!this.hasData) return this.#unjudged("data");
    this.#due.opinion = this.app.live.ask("opinion", { pixels: this.#pixels });
  }

  /** How far from this picture all others are read alike, for certain. */
  #proved({ id, certain, grey_levels: grey, read, unknown }) {
    const fact = this.fact.proved;
    this.app.words.tell(fact, certain ? "fact.proved.within" : "fact.proved.not", { grey, read: this.classes[read] });
    fact.title = unknown ?? "";
    this.#came("proof", id);
  }

  #judged(opinion) {
    this.opinion = opinion;
    this.#came("opinion", opinion.id);
    const { nearest, nearest_label: label, copy, side, typicality, distance_percentile: nearer } = opinion;
    const words = this.app.words;
    const judges = Object.keys(opinion.judges).map((name) => this.#verdict(opinion, name));
    const chance = words.tell(element("div", { className: "caption" }), "fact.judge.chance", { right: opinion.chance });
    this.fact.judges.replaceChildren(...judges, chance);
    delete this.fact.judges.dataset.words;
    words.tell(this.fact.typicality, side ? `fact.typicality.${side}` : "", { share: typicality });
    this.#passed(opinion);
    words.tell(this.fact.novelty, copy ? "fact.novelty.copy" : "fact.novelty.value", { share: nearer });
    this.nearest.show(nearest);
    words.tell(this.part("nearest-words"), copy ? "nearest.copy" : "nearest", { label: this.classes[label] });
    words.label(this.part("nearest-image"), copy ? "nearest.copy" : "nearest", { label: this.classes[label] });
    this.part("nearest").hidden = false;
  }

  /** Whether the signals inside pass as those of real images do, and where they do not. */
  #passed({ path, path_layer: layer, another_path: another }) {
    const words = this.app.words;
    const [, number] = /^layer (\d+)$/.exec(layer ?? "") ?? [];
    const where = number ? words.say("layer.numbered", { number }) : layer;
    const kind = path === null ? "" : another ? "fact.path.another" : "fact.path.usual";
    words.tell(this.fact.path, kind, { share: path, layer: where });
  }

  /** What a judge reads, and how often it is right on real images. */
  #verdict({ judges, performances, no_better_than_chance: worthless }, name) {
    const words = this.app.words;
    const right = performances[name];
    const kind = right === null ? "fact.judge.untried" : worthless.includes(name) ? "fact.judge.worthless" : "fact.judge";
    const called = words.has(`judge.${name}`) ? words.say(`judge.${name}`) : name;
    return words.tell(element("div"), kind, { name: called, label: readAs(this.classes, [], judges[name]).read, right });
  }

  #unjudged(code, id = Infinity) {
    this.opinion = null;
    this.#came("opinion", id);
    this.app.words.tell(this.fact.judges, code === "wait" ? "fact.judges.waiting" : "fact.judges.none");
    for (const name of ["typicality", "path", "novelty"]) this.app.words.tell(this.fact[name], "");
    this.part("nearest").hidden = true;
  }

  /** News of the model: judges may be ready now. */
  news({ judges }) {
    if (judges && this.#last) this.askOpinion();
  }

  #evidenceStale() {
    if (this.#evidence && this.#evidence.label !== this.#label) this.#evidence = null;
    this.#showEvidence();
  }

  #showEvidence() {
    const wanted = this.part("overlay").checked;
    const known = wanted && this.#evidence !== null;
    this.part("marks").hidden = this.part("legend").hidden = !known;
    if (wanted && !known) this.app.live.ask("evidence", { label: this.#label });
    if (!known) return;
    showMarks(this.app.words, this.part("marks"), this.part("legend"), this.#evidence.verdicts, this.classes[this.#label], this.coloured);
    this.part("legend").querySelector(".caution").hidden = !this.#evidence.caution;
    this.app.words.tell(this.part("legend").querySelector(".tested"), "evidence.tested", this.#evidence);
  }

  /** The language changed: the judges have names in it. */
  redraw() {
    if (this.opinion) this.#judged(this.opinion);
  }

  /** The paper turned dark or light. */
  turnPaper() {
    this.#showEvidence();
  }

  /** The network is another, or damaged. */
  changed() {
    this.#evidence = null;
    this.#placed();
  }

  get state() {
    return { method: this.method, asked: [...this.#asked], usual: this.usual, draw: this.#draw, room: this.part("room").checked, overlay: this.part("overlay").checked };
  }

  restore({ method, asked, usual, draw, room, overlay }) {
    const inside = asked.filter(([label]) => label < this.classes.length);
    if (!inside.length) return;
    this.#setMethod([...this.part("methods").querySelectorAll("input")].some(({ value }) => value === method) ? method : this.method);
    this.part("overlay").checked = overlay && this.hasData;
    this.part("room").checked = room === true;
    this.#offer();
    [this.#asked, this.usual] = [new Map(inside), usual];
    this.#label = inside.reduce((best, next) => (next[1] > best[1] ? next : best))[0];
    this.#placed(this.part("another").hidden ? 0 : (draw ?? 0));
  }

  #save() {
    if (!this.#last) return;
    const { data, shape } = this.#last.ink;
    const marks = this.part("marks").hidden ? null : this.part("marks");
    const legend = marks ? [...this.part("legend").children].filter((line) => !line.hidden) : [];
    const meaning = legend.map((line) => ({ kind: line.className, text: line.textContent }));
    const lines = [this.part("lead").textContent, ...meaning, this.app.modelWords];
    savePicture([{ values: data, shape, marks }], lines, `backquery-${this.classes[this.#label]}.png`);
  }
}
