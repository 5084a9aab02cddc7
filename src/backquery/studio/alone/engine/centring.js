// A drawing in the shape of an image, centred as MNIST was: see `datasets/images.py`, whose rules and numbers these are.

const BOX_SHARE = 20 / 28;
const FAINTEST_INK = 0.2;
const BLANK = 12;

/** Bytes (rows x columns) of a drawing's ink (height x width), `centre` or as it stands. */
export function prepared(ink, [height, width], [rows, columns], centre) {
  const drawing = { values: Float32Array.from(ink), height, width };
  const image = centre ? centred(withoutPaper(drawing), rows, columns) : fitted(drawing, rows, columns);
  return Uint8Array.from(image, (value) => roundedEven(Math.min(value, 255)));
}

/** To the nearest whole number, and of two as near to the even one, as NumPy has it. */
function roundedEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
}

/** Ink from 0, the border's shade, to 255. */
function withoutPaper({ values, height, width }) {
  const edge = [];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      if (!row || !column || row === height - 1 || column === width - 1) edge.push(values[row * width + column]);
    }
  }
  edge.sort((one, other) => one - other);
  const middle = edge.length >> 1;
  const paper = edge.length % 2 ? edge[middle] : (edge[middle - 1] + edge[middle]) / 2;
  const factor = Math.fround(255 / (255 - paper));
  const inked = values.map((value) => (paper >= 255 ? 0 : Math.min(Math.max((value - paper) * factor, 0), 255)));
  return { values: inked, height, width };
}

function centred(drawing, rows, columns) {
  const page = new Float32Array(rows * columns);
  const strongest = drawing.values.reduce((most, value) => Math.max(most, value), 0);
  if (strongest <= BLANK) return page;
  const cut = cropped(drawing, FAINTEST_INK * strongest);
  const scale = Math.min((rows * BOX_SHARE) / cut.height, (columns * BOX_SHARE) / cut.width);
  const [height, width] = [cut.height, cut.width].map((side) => Math.max(1, roundedEven(side * scale)));
  const { values } = resized(cut, height, width);
  const most = values.reduce((found, value) => Math.max(found, value), 0);
  const factor = Math.fround(255 / most);
  for (let k = 0; k < values.length; k++) values[k] *= factor;
  const masses = [new Float32Array(height), new Float32Array(width)];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      masses[0][row] += values[row * width + column];
      masses[1][column] += values[row * width + column];
    }
  }
  const [top, left] = [place(masses[0], rows), place(masses[1], columns)];
  for (let row = 0; row < height; row++) page.set(values.subarray(row * width, (row + 1) * width), (top + row) * columns + left);
  return page;
}

/** The box around what has at least so much ink. */
function cropped({ values, height, width }, least) {
  let [top, bottom, left, right] = [height, 0, width, 0];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      if (values[row * width + column] < least) continue;
      [top, bottom] = [Math.min(top, row), Math.max(bottom, row + 1)];
      [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
    }
  }
  const cut = new Float32Array((bottom - top) * (right - left));
  for (let row = top; row < bottom; row++) {
    cut.set(values.subarray(row * width + left, row * width + right), (row - top) * (right - left));
  }
  return { values: cut, height: bottom - top, width: right - left };
}

/** Where to put a row of masses so that its centre comes nearest to the middle, without leaving the room. */
function place(masses, room) {
  let [sum, weighed] = [0, 0];
  masses.forEach((mass, k) => { sum += mass; weighed += k * mass; });
  return Math.min(Math.max(roundedEven(Math.floor(room / 2) - weighed / sum), 0), room - masses.length);
}

/** The whole drawing, padded with paper to the proportions of the shape, then scaled to it. */
function fitted({ values, height, width }, rows, columns) {
  const scale = Math.max(height / rows, width / columns);
  const missing = [[rows, height], [columns, width]].map(([room, side]) => Math.max(0, roundedEven(room * scale) - side));
  const page = new Float32Array((height + missing[0]) * (width + missing[1]));
  const [top, left] = missing.map((gap) => Math.floor(gap / 2));
  for (let row = 0; row < height; row++) {
    page.set(values.subarray(row * width, (row + 1) * width), (top + row) * (width + missing[1]) + left);
  }
  return resized({ values: page, height: height + missing[0], width: width + missing[1] }, rows, columns).values;
}

/** Scaled bilinearly and antialiased, first along the rows, then down the columns, as Pillow does it. */
function resized({ values, height, width }, rows, columns) {
  let scaled = values;
  if (width !== columns) scaled = along(scaled, height, width, columns, width, 1);
  if (height !== rows) scaled = along(scaled, columns, height, rows, 1, columns);
  return { values: scaled === values ? values.slice() : scaled, height: rows, width: columns };
}

/** Each of `count` lines of `from` values to one of `to`; a line's values lie `step` apart, the lines `apart`. */
function along(values, count, from, to, apart, step) {
  const result = new Float32Array(count * to);
  const down = step !== 1;
  shares(from, to).forEach(({ first, weights }, place) => {
    for (let line = 0; line < count; line++) {
      let sum = 0;
      weights.forEach((weight, k) => { sum += values[line * apart + (first + k) * step] * weight; });
      result[down ? place * count + line : line * to + place] = sum;
    }
  });
  return result;
}

/** Of each place the first value that counts, and the weights of those from there on. */
function shares(from, to) {
  const scale = from / to;
  const support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), from);
    const weights = Array.from({ length: end - first }, (_, k) => Math.max(0, 1 - Math.abs((first + k - centre + 0.5) / support)));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}
