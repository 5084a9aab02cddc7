// A picture file of the visitor's as an image of the network's: upright, in grey, dark or light ink found by the border.

import { prepared } from "./centring.js";
import { Failure } from "./failure.js";

const MOST_PIXELS = 16_000_000;
const LONGEST = 1024; // rows or columns that are looked at
const BLANK = 12;

/** Bytes of ink in the shape of the network's images. */
export async function pictured(file, shape, { centre, black }) {
  const picture = await createImageBitmap(new Blob([file])).catch(() => {
    throw new Failure("the file cannot be read as a picture", "picture");
  });
  if (picture.width * picture.height > MOST_PIXELS) throw new Failure("the picture has too many pixels", "picture");
  const scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  const [rows, columns] = [picture.height, picture.width].map((side) => Math.max(1, Math.round(side * scale)));
  const context = new OffscreenCanvas(columns, rows).getContext("2d");
  context.fillStyle = "#ffffff"; // transparency shows white paper
  context.fillRect(0, 0, columns, rows);
  context.drawImage(picture, 0, 0, columns, rows);
  const { data } = context.getImageData(0, 0, columns, rows);
  const grey = Uint8Array.from({ length: rows * columns }, (_, n) => (data[4 * n] * 299 + data[4 * n + 1] * 587 + data[4 * n + 2] * 114) / 1000);
  const ink = !black && inkIsDark(grey, rows, columns) ? grey.map((value) => 255 - value) : grey;
  return prepared(ink, [rows, columns], shape, centre);
}

/** Whether the border, taken for paper, is nearer to the brightest than to the darkest there is. */
function inkIsDark(grey, rows, columns) {
  const edge = grey.filter((_, n) => n < columns || n >= (rows - 1) * columns || n % columns === 0 || n % columns === columns - 1);
  edge.sort();
  const [darkest, brightest] = grey.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [255, 0]);
  return edge[edge.length >> 1] >= (brightest - darkest <= BLANK ? 127.5 : (darkest + brightest) / 2);
}
