// Look inside and damage: every hidden node with the weights into it; switched off by click or drag, and what that does.

import { element, late, partsOf } from "./dom.js";
import { Sheet, sizeOf, tiled } from "./ink.js";
import { Scans } from "./scans.js";
import { savePicture } from "./share.js";

const SHOWN = 200; // nodes at a time
const GAP = 2;
const STRIDE = 8; // pixels between two looks at what a drag passes over

export class Inside {
  #off = new Set(); #wanted = 0; #from = 0; #across = 20; #weights = null; #dragging = null; #before = null;

  constructor(app, section) {
    [this.app, this.part, this.section] = [app, partsOf(section), section];
    [this.sheet, this.large] = [new Sheet(this.part("weights")), new Sheet(this.part("node-image"))];
    this.scans = new Scans(this.part("scans"), app.words);
    this.#listen(app.live);
    this.#wire();
    this.#wireCells(this.part("cells"));
    new ResizeObserver(() => this.#arrange()).observe(this.part("nodes"));
  }

  #listen(live) {
    live.on("weights", (message) => this.#arrived(message));
    live.on("damage", (message) => this.#damaged(message));
    live.on("scans", (message) => { this.scans.show(message); this.#current(message.id >= this.#wanted); });
  }

  #wire() {
    this.part("remove").onclick = () => this.removeAtRandom(this.part("how-many").valueAsNumber);
    this.part("heal").onclick = () => { this.#off.clear(); this.#damage(); };
    this.part("earlier").onclick = () => this.#page(-SHOWN);
    this.part("later").onclick = () => this.#page(SHOWN);
    this.part("png").onclick = () => this.#save();
  }

  /** A model to look into. */
  begin(model) {
    this.model = model;
    this.count = model.layers?.[0]?.nodes ?? 0;
    this.#off = new Set(model.off?.["1"] ?? []);
    [this.#from, this.#weights, this.#before] = [0, null, this.#off.size ? null : model.performance];
    this.part("whole").hidden = this.part("node").hidden = !this.count;
    this.scans.begin(model.classes, model.shape);
    this.#tellPerformance(model.performance);
    this.#say();
    if (this.count) this.#askWeights();
    this.askScans();
  }

  /** News of the model: its performance may be known by now. */
  news({ performance }) {
    if (performance === undefined) return;
    if (!this.#off.size) this.#before = performance;
    this.#tellPerformance(performance);
    this.#say();
  }

  askScans() {
    this.#wanted = this.app.live.ask("scans", { method: this.app.method });
    this.#current(false);
  }

  /** Whether the scans are those of the network as it is now, or still those from before. */
  #current(now) {
    late(this.part("scans"), !now);
    this.app.words.tell(this.part("scans-words"), now ? "inside.scans" : "inside.scans.behind");
  }

  #page(step) {
    this.#from = Math.min(Math.max(this.#from + step, 0), this.count - 1);
    this.#askWeights();
  }

  #askWeights() {
    this.app.live.ask("weights", { layer: 1, from: this.#from, count: Math.min(SHOWN, this.count - this.#from) });
  }

  /** Weights as ink, or colours, on one scale for the whole layer: nothing is the middle grey. */
  #arrived({ weights, scale }) {
    const [count, ...shape] = weights.shape;
    this.#weights = { count, shape, ink: weights.data.map((weight) => 0.5 + (1.5 * weight) / scale) };
    const [from, to] = [this.#from + 1, this.#from + count];
    this.part("pager").hidden = this.count <= SHOWN;
    [this.part("earlier").disabled, this.part("later").disabled] = [from === 1, to === this.count];
    this.app.words.tell(this.part("range"), "inside.range", { from, to, all: this.count });
    this.part("cells").replaceChildren(...Array.from({ length: count }, (_, place) => this.#cell(this.#from + place)));
    this.part("cells").firstChild.tabIndex = 0;
    this.#arrange();
    this.#look(this.#from);
  }

  #cell(node) {
    const cell = element("button", { type: "button", tabIndex: -1, data: { node } });
    cell.setAttribute("role", "switch");
    cell.setAttribute("aria-checked", String(!this.#off.has(node)));
    return this.app.words.label(cell, "inside.node", { number: node + 1 });
  }

  /** Tiles in as many columns as the width has room for. */
  #arrange() {
    if (!this.#weights) return;
    const { count, shape, ink } = this.#weights;
    this.#across = Math.min(count, this.part("nodes").clientWidth < 600 ? 10 : 20);
    const page = tiled(ink, count, shape, this.#across, GAP, shape.length === 3 ? NaN : 0);
    this.sheet.draw(page.values, page.shape);
    this.sheet.canvas.classList.toggle("reduced", this.sheet.canvas.clientWidth * devicePixelRatio < page.shape[1]);
    this.part("cells").style.gridTemplateColumns = `repeat(${this.#across}, 1fr)`;
    this.part("cells").style.gridTemplateRows = `repeat(${Math.ceil(count / this.#across)}, 1fr)`;
  }

  #wireCells(cells) {
    cells.addEventListener("pointerdown", (event) => this.#grasp(event));
    cells.addEventListener("pointermove", (event) => this.#drag(event));
    for (const kind of ["pointerup", "pointercancel"]) cells.addEventListener(kind, () => { this.#dragging = null; });
    cells.addEventListener("pointerover", ({ target }) => target.dataset.node && this.#look(Number(target.dataset.node)));
    cells.addEventListener("focusin", ({ target }) => this.#focused(target));
    cells.addEventListener("keydown", (event) => this.#key(event));
    cells.addEventListener("click", (event) => {
      const { node } = event.target.dataset;
      if (node && event.detail === 0) this.#switch([Number(node)], !this.#off.has(Number(node))); // by key or aid
    });
  }

  #grasp(event) {
    const { node } = event.target.dataset;
    if (!node || event.button !== 0) return;
    event.target.releasePointerCapture?.(event.pointerId); // touch holds on to where it began
    this.#dragging = { off: !this.#off.has(Number(node)), x: event.clientX, y: event.clientY };
    this.#switch([Number(node)], this.#dragging.off);
  }

  /** Every node on the way from the last place: a quick hand skips none. */
  #drag(event) {
    if (!this.#dragging) return;
    if (!event.buttons) { this.#dragging = null; return; }
    const { off, x, y } = this.#dragging;
    const [right, down] = [event.clientX - x, event.clientY - y];
    const steps = Math.ceil(Math.hypot(right, down) / STRIDE);
    const passed = new Set();
    for (let step = 1; step <= steps; step++) {
      const place = [x + (right * step) / steps, y + (down * step) / steps];
      const { node } = this.section.getRootNode().elementFromPoint(...place)?.dataset ?? {};
      if (node && this.#off.has(Number(node)) !== off) passed.add(Number(node));
    }
    Object.assign(this.#dragging, { x: event.clientX, y: event.clientY });
    if (passed.size) this.#switch(passed, off);
  }

  #key(event) {
    const place = [...this.part("cells").children].indexOf(event.target);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.#across, ArrowDown: this.#across };
    const ends = { Home: 0, End: this.#weights.count - 1 };
    const next = event.key in steps ? place + steps[event.key] : ends[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.part("cells").children[next]?.focus();
  }

  #focused(cell) {
    for (const other of this.part("cells").querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    cell.tabIndex = 0;
    this.#look(Number(cell.dataset.node));
  }

  #look(node) {
    if (!this.#weights) return; // those of another network are on their way
    const { shape, ink } = this.#weights;
    const start = (node - this.#from) * sizeOf(shape);
    this.large.draw(ink.subarray(start, start + sizeOf(shape)), shape);
    this.app.words.tell(this.part("node-words"), "inside.node.words", { number: node + 1 });
    this.app.words.label(this.part("node-image"), "inside.node.words", { number: node + 1 });
  }

  #switch(nodes, off) {
    for (const node of nodes) this.#off[off ? "add" : "delete"](node);
    this.#damage();
  }

  removeAtRandom(howMany) {
    const left = Array.from({ length: this.count }, (_, node) => node).filter((node) => !this.#off.has(node));
    for (let wanted = Math.min(Math.max(howMany || 0, 0), left.length); wanted >= 1; wanted--) {
      const [node] = left.splice(Math.floor(Math.random() * left.length), 1);
      this.#off.add(node);
    }
    this.#damage();
  }

  #damage() {
    this.#showOff();
    this.#wanted = Infinity; // whatever is on its way is of the network before
    this.#current(false);
    this.app.live.ask("damage", { off: { 1: [...this.#off].sort((one, other) => one - other) } });
  }

  #showOff() {
    for (const cell of this.part("cells").children) {
      cell.setAttribute("aria-checked", String(!this.#off.has(Number(cell.dataset.node))));
    }
    this.part("heal").disabled = !this.#off.size;
  }

  #damaged({ performance }) {
    this.#tellPerformance(performance);
    this.#say();
    this.app.changed();
  }

  #tellPerformance(performance) {
    this.performance = performance ?? null;
    const known = this.performance !== null;
    this.app.words.tell(this.part("performance"), known ? "inside.performance" : "", { performance });
    this.app.words.tell(this.part("performance-words"), known ? "inside.right" : "inside.no-data");
  }

  #say() {
    const values = { count: this.#off.size, all: this.count, performance: this.performance, before: this.#before };
    const known = this.performance !== null && this.#before !== null;
    const sentence = !this.count ? "inside.none" : known ? "inside.damaged" : "inside.blind";
    this.app.words.tell(this.part("lead"), this.#off.size ? sentence : this.count ? "inside.invite" : "inside.none", {
      ...values, count: this.#off.size || this.count,
    });
    this.#showOff();
    if (this.#off.size) this.app.announce(this.part("lead"));
  }

  get off() {
    return [...this.#off];
  }

  restore(off) {
    this.#off = new Set(off.filter((node) => Number.isInteger(node) && node >= 0 && node < this.count));
    this.#damage();
  }

  #save() {
    if (this.scans.empty) return;
    const { words, method, modelWords } = this.app;
    const asked = `${words.say(`method.${method}`)}: ${words.say(`method.${method}.hint`)}`;
    const damage = this.#off.size ? [this.part("lead").textContent] : [];
    savePicture(this.scans.pictures(), [...damage, modelWords, asked], "backquery-scans.png");
  }
}
