// Ink on paper: arrays painted on canvases, always on the same fixed scale, in the colours of the paper's side.

const sheets = new Set();

const tables = new Map();

/** Shades from paper (0) to ink (255), colours such as "#1a1a1a", as the bytes of one pixel each. */
function shades(paper, ink) {
  const [from, to] = [paper, ink].map(colour);
  const bytes = new Uint8ClampedArray(256 * 4);
  for (let level = 0; level < 256; level++) {
    for (let part = 0; part < 3; part++) bytes[4 * level + part] = from[part] + ((to[part] - from[part]) * level) / 255;
    bytes[4 * level + 3] = 255;
  }
  return new Uint32Array(bytes.buffer);
}

function colour(text) {
  const digits = text.trim().slice(1);
  return [0, 2, 4].map((start) => parseInt(digits.slice(start, start + 2), 16));
}

/** The two colours that an element of the page is drawn in. */
export function colours(element) {
  const style = getComputedStyle(element);
  return ["--paper", "--ink"].map((name) => style.getPropertyValue(name).trim());
}

/** How many numbers an image of this shape has: (rows, columns) of ink, or (rows, columns, 3) of colours. */
export const sizeOf = (shape) => shape.reduce((product, side) => product * side, 1);

/**
 * Numbers from 0 (paper) to 1 (ink), or bytes from 0 to 255, as an image of the given two colours; where the shape
 * has three sides, the numbers are red, green and blue themselves, from 0 (none) to 1.
 */
export function picture(values, shape, paper, ink, image = new ImageData(shape[1], shape[0])) {
  if (shape.length === 3) return inColour(values, image);
  const name = paper + ink;
  if (!tables.has(name)) tables.set(name, shades(paper, ink));
  const table = tables.get(name);
  const pixels = new Uint32Array(image.data.buffer);
  const scale = values instanceof Uint8Array ? 1 : 255;
  for (let place = 0; place < pixels.length; place++) {
    const level = values[place] * scale;
    pixels[place] = table[level < 0 ? 0 : level > 255 ? 255 : Math.round(level)];
  }
  return image;
}

function inColour(values, image) {
  const scale = values instanceof Uint8Array ? 1 : 255;
  for (let pixel = 0; pixel < values.length / 3; pixel++) {
    for (let part = 0; part < 3; part++) image.data[4 * pixel + part] = values[3 * pixel + part] * scale;
    image.data[4 * pixel + 3] = Number.isNaN(values[3 * pixel]) ? 0 : 255; // what is no number is left blank
  }
  return image;
}

/** A canvas that shows ink, or colours. */
export class Sheet {
  #colours = null; #picture;

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    sheets.add(this);
  }

  draw(values, shape) {
    const [rows, columns] = shape;
    [this.values, this.shape] = [values, shape];
    if (this.#picture?.width !== columns || this.#picture.height !== rows) {
      [this.canvas.width, this.canvas.height] = [columns, rows];
      this.#picture = new ImageData(columns, rows);
    }
    this.#colours ??= colours(this.canvas);
    this.context.putImageData(picture(values, shape, ...this.#colours, this.#picture), 0, 0);
  }

  /** {data, shape} as it came over the line. */
  show({ data, shape }) {
    this.draw(data, shape);
  }

  /** The colours changed. */
  turn() {
    this.#colours = null;
    if (this.values) this.draw(this.values, this.shape);
  }
}

/** Repaint every sheet that is still on the page; call it when the paper has turned dark or light. */
export function turnPaper() {
  for (const sheet of sheets) {
    if (sheet.canvas.isConnected) sheet.turn();
    else sheets.delete(sheet);
  }
}

/** Images side by side as one {values, shape}: `across` in a row, `gap` pixels of `blank` between them. */
export function tiled(values, count, shape, across, gap, blank) {
  const [rows, columns, parts = 1] = shape;
  const down = Math.ceil(count / across);
  const width = across * (columns + gap) - gap;
  const height = down * (rows + gap) - gap;
  const page = new Float32Array(width * height * parts).fill(blank);
  for (let tile = 0; tile < count; tile++) {
    const top = Math.floor(tile / across) * (rows + gap);
    const left = (tile % across) * (columns + gap);
    for (let row = 0; row < rows; row++) {
      const from = (tile * rows + row) * columns * parts;
      page.set(values.subarray(from, from + columns * parts), ((top + row) * width + left) * parts);
    }
  }
  return { values: page, shape: [height, width, ...shape.slice(2)] };
}

const MARKS = { 0: ["--pencil", 5, 5, 2, 2], 1: ["--supports", 3, 3, 6, 6], 2: ["--against", 2, 5, 8, 2] };
const RIM = "#ffffff";

/** Verdicts over an image: a full square where ink supports (1), a dash where it speaks against (2), a dot where it
 *  does not matter (0), and nothing where that is unclear. Over colours, marks have a rim that sets them off. */
function drawMarks(canvas, { data, shape: [rows, columns] }, coloured) {
  const cell = 12;
  [canvas.width, canvas.height] = [columns * cell, rows * cell];
  canvas.classList.toggle("coloured", coloured);
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  data.forEach((verdict, place) => {
    if (!(verdict in MARKS)) return;
    const [colour, left, top, width, height] = MARKS[verdict];
    const [x, y] = [(place % columns) * cell + left, Math.floor(place / columns) * cell + top];
    if (coloured && verdict) {
      context.fillStyle = RIM;
      context.fillRect(x - 1, y - 1, width + 2, height + 2);
    }
    context.fillStyle = style.getPropertyValue(colour);
    context.fillRect(x, y, width, height);
  });
}

/** Verdicts over an image, in ink or coloured, and the legend that says what they mean for a label. */
export function showMarks(words, canvas, legend, verdicts, label, coloured) {
  drawMarks(canvas, verdicts, coloured);
  for (const kind of ["supports", "against"]) {
    words.tell(legend.querySelector(`.${kind}`), `evidence.${kind}${coloured ? ".colour" : ""}`, { label });
  }
}
