// The pad: strokes of a pen, by mouse, touch, stylus or keyboard, over blank paper or over an image; in ink, or in
// colours where the network sees colours.

import { colours, picture, sizeOf } from "./ink.js";

const SIDE = 280; // the pad's own units along its longer side; strokes are kept in them
const PEN = 1 / 13; // the pen's width, as a share of that side
const FINE = 84; // strokes are handed on with this many pixels along the longer side

export class Pad {
  #strokes = []; #under = null; #drawing = false; #cursor = null; #past = [];
  colour = "#ffffff"; // of the pen, where there are colours

  /** `changed` is called after every movement of the pen. */
  constructor(canvas, changed) {
    [this.canvas, this.changed] = [canvas, changed];
    this.context = canvas.getContext("2d");
    this.shape([1, 1]);
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => this.#up());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => { this.#cursor = null; this.#up(); this.paint(); });
  }

  /** The shape of what the network sees: (rows, columns), or (rows, columns, 3) in colour. */
  shape(shape) {
    const [rows, columns] = shape;
    const scale = SIDE / Math.max(rows, columns);
    [this.rows, this.columns, this.imageShape] = [rows, columns, shape];
    this.#under = this.#fitting(this.#under);
    [this.width, this.height] = [columns * scale, rows * scale];
    [this.canvas.width, this.canvas.height] = [2 * this.width, 2 * this.height];
    this.paint();
  }

  get coloured() {
    return this.imageShape.length === 3;
  }

  /** An image, or none where it is one for a network of another shape. */
  #fitting(bytes) {
    return bytes?.length === sizeOf(this.imageShape) ? bytes : null;
  }

  get blank() {
    return !this.#strokes.length && !this.#under;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  /** What is drawn, as plain values that `restore` takes. */
  get state() {
    return { strokes: this.#strokes, under: this.#under };
  }

  restore({ strokes = [], under = null }) {
    this.#remember();
    [this.#strokes, this.#under] = [strokes.map((stroke) => [...stroke]), this.#fitting(under)];
    this.#tell();
  }

  /** Lay the pen's colour over the whole pad: a stroke that goes nowhere. */
  fill() {
    this.#remember();
    this.#strokes.push([this.colour]);
    this.#tell();
  }

  /** Put an image (bytes of ink or of colours, in the network's shape) on the pad instead of what was there. */
  put(bytes) {
    this.restore({ under: [...bytes] });
  }

  clear() {
    if (!this.blank) this.restore({});
  }

  undo() {
    if (!this.canUndo) return;
    [this.#strokes, this.#under] = this.#past.pop();
    this.#under = this.#fitting(this.#under);
    this.#tell();
  }

  /**
   * Bytes of ink or of colours, {pixels, rows, columns}, and whether they are a drawing that is still to be centred;
   * pictures in colour are not.
   */
  raster() {
    const drawing = !this.#under && !this.coloured;
    const fine = drawing ? FINE / Math.max(this.rows, this.columns) : 1;
    const [rows, columns] = [Math.round(this.rows * fine), Math.round(this.columns * fine)];
    const page = new OffscreenCanvas(columns, rows);
    const context = page.getContext("2d");
    context.fillRect(0, 0, columns, rows);
    if (this.#under) this.#paintUnder(context, columns, rows, "#000000", "#ffffff");
    context.scale(columns / this.width, rows / this.height);
    this.#paintStrokes(context, "#ffffff");
    const { data } = context.getImageData(0, 0, columns, rows);
    const parts = this.coloured ? 3 : 1;
    const part = (place) => data[4 * Math.floor(place / parts) + (place % parts)];
    const pixels = Uint8Array.from({ length: rows * columns * parts }, (_, place) => part(place));
    return { pixels, rows, columns, drawing };
  }

  paint() {
    const context = this.context;
    const [paper, ink] = colours(this.canvas);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = paper;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.#under) this.#paintUnder(context, this.canvas.width, this.canvas.height, paper, ink);
    context.scale(2, 2);
    this.#paintStrokes(context, ink);
    if (this.#cursor) this.#paintCursor(context);
  }

  #paintUnder(context, width, height, paper, ink) {
    const page = new OffscreenCanvas(this.columns, this.rows);
    page.getContext("2d").putImageData(picture(Uint8Array.from(this.#under), this.imageShape, paper, ink), 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(page, 0, 0, width, height);
  }

  /** Strokes are lists of places; those that begin with a colour are in it, all others in ink. */
  #paintStrokes(context, ink) {
    context.lineWidth = SIDE * PEN;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.#strokes) {
      const coloured = typeof stroke[0] === "string";
      context.strokeStyle = context.fillStyle = coloured && this.coloured ? stroke[0] : ink;
      const places = coloured ? stroke.slice(1) : stroke;
      if (!places.length && this.coloured) context.fillRect(0, 0, this.width, this.height);
      context.beginPath();
      context.moveTo(places[0], places[1]);
      context.lineTo(places[0] + 0.01, places[1]); // a tap is a dot; a line that goes nowhere would not be drawn
      for (let place = 2; place < places.length; place += 2) context.lineTo(places[place], places[place + 1]);
      context.stroke();
    }
  }

  #paintCursor(context) {
    context.strokeStyle = getComputedStyle(this.canvas).getPropertyValue("--pencil");
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(this.#cursor.x, this.#cursor.y, SIDE * PEN / 2 + 2, 0, 2 * Math.PI);
    context.stroke();
  }

  #remember() {
    this.#past.push([this.#strokes.map((stroke) => [...stroke]), this.#under]);
    if (this.#past.length > 100) this.#past.shift();
  }

  #tell() {
    this.paint();
    this.changed();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.width,
      ((event.clientY - box.top) / box.height) * this.height,
    ].map((number) => Math.round(number * 10) / 10);
  }

  #start(place) {
    this.#remember();
    this.#strokes.push(this.coloured ? [this.colour, ...place] : place);
    this.#drawing = true;
    this.#tell();
  }

  #down(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.#cursor = null; // the keyboard's pen, which would hold the hand's still
    this.#start(this.#place(event));
  }

  #move(event) {
    if (!this.#drawing || this.#cursor) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const part of events.length ? events : [event]) this.#strokes.at(-1).push(...this.#place(part));
    this.#tell();
  }

  #up() {
    this.#drawing = false;
  }

  #key(event) {
    const step = SIDE / 28;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key in moves) this.#step(moves[event.key]);
    else if (event.key === " ") this.#togglePen();
    else if (event.key === "Escape") this.#up();
    else if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else if (event.key === "z" && (event.ctrlKey || event.metaKey)) this.undo();
    else return;
    event.preventDefault();
  }

  #step([right, down]) {
    this.#cursor ??= { x: this.width / 2, y: this.height / 2 };
    this.#cursor.x = Math.min(Math.max(this.#cursor.x + right, 0), this.width);
    this.#cursor.y = Math.min(Math.max(this.#cursor.y + down, 0), this.height);
    if (!this.#drawing) return this.paint();
    this.#strokes.at(-1).push(this.#cursor.x, this.#cursor.y);
    this.#tell();
  }

  #togglePen() {
    this.#cursor ??= { x: this.width / 2, y: this.height / 2 };
    if (this.#drawing) this.#up();
    else this.#start([this.#cursor.x, this.#cursor.y]);
  }
}
