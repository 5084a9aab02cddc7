// What a visitor takes home: pictures as PNG, always ink on white paper or in colour, and links that bring the page back.

import { download } from "./dom.js";
import { picture } from "./ink.js";

const [PAPER, INK, PENCIL, HAIRLINE] = ["#ffffff", "#1a1a1a", "#616161", "#d4d4d4"];
const [TILE, GAP, MARGIN, LINE] = [336, 32, 40, 24];
const SIGN = 20; // room for a legend's sign before its words
const SIGNS = { supports: ["#d55e00", 10, 10], against: ["#0072b2", 10, 3], neutral: [PENCIL, 3, 3] };
const FONT = 'system-ui, -apple-system, "Segoe UI", "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif';

/**
 * Images, five in a row, with lines of text under them; each may have marks and a caption of its own. A line is a
 * text, or {kind, text} of a legend, whose sign stands before it.
 */
export async function savePicture(images, lines, name) {
  const canvas = compose(images, lines);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  download(blob, name);
}

function compose(images, lines) {
  const across = Math.min(images.length, 5);
  const tile = images.length > 1 ? TILE / 2 : TILE;
  const down = Math.ceil(images.length / across);
  const width = Math.max(across * (tile + GAP) - GAP, 640) + 2 * MARGIN;
  const [rows, columns] = images[0].shape;
  const step = (tile * rows) / columns + GAP + (images[0].caption ? LINE : 0);
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  context.font = `16px ${FONT}`;
  const text = lines.flatMap((line) => explained(context, line, width - 2 * MARGIN));
  [canvas.width, canvas.height] = [width, Math.round(MARGIN * 2 + down * step + text.length * LINE)];
  context.fillStyle = PAPER;
  context.fillRect(0, 0, canvas.width, canvas.height);
  images.forEach((image, place) => {
    putImage(context, image, MARGIN + (place % across) * (tile + GAP), MARGIN + Math.floor(place / across) * step, tile);
  });
  text.forEach(({ text: words, kind, inset }, number) => {
    const base = MARGIN + down * step + LINE * (number + 0.5);
    sign(context, kind, MARGIN, base - 5);
    write(context, words, MARGIN + inset, base, number ? PENCIL : INK);
  });
  return canvas;
}

function putImage(context, { values, shape, marks, caption }, left, top, tile) {
  const [rows, columns] = shape;
  const page = new OffscreenCanvas(columns, rows);
  page.getContext("2d").putImageData(picture(values, shape, PAPER, INK), 0, 0);
  const height = (tile * rows) / columns;
  context.imageSmoothingEnabled = false;
  context.drawImage(page, left, top, tile, height);
  if (marks) context.drawImage(marks, left, top, tile, height);
  context.strokeStyle = HAIRLINE;
  context.strokeRect(left + 0.5, top + 0.5, tile - 1, height - 1);
  if (caption) write(context, caption, left, top + height + 20, INK);
}

function write(context, line, left, top, colour) {
  context.font = `16px ${FONT}`;
  context.fillStyle = colour;
  context.fillText(line, left, top);
}

/** A line as {text, kind, inset}, in as many as it takes; only the first bears the sign. */
function explained(context, line, width) {
  const { kind = null, text = line } = line;
  const inset = kind in SIGNS || kind === "unmarked" ? SIGN : 0;
  return wrapped(context, text, width - inset).map((part, number) => ({ text: part, kind: number ? null : kind, inset }));
}

/** The sign of a legend, with its middle at `middle`. */
function sign(context, kind, left, middle) {
  if (kind in SIGNS) {
    const [colour, width, height] = SIGNS[kind];
    context.fillStyle = colour;
    context.fillRect(left + Math.round((10 - width) / 2), Math.round(middle - height / 2), width, height);
  } else if (kind === "unmarked") {
    context.strokeStyle = PENCIL;
    context.strokeRect(left + 0.5, middle - 4.5, 9, 9);
  }
}

/** `line` broken so that no part is wider than `width`; where there are no spaces, between any two letters. */
function wrapped(context, line, width) {
  const parts = [""];
  for (const piece of line.split(/(?<=[\s\u3000-\u9fff\uff00-\uffef])/)) {
    if (context.measureText(parts.at(-1) + piece).width > width) parts.push("");
    parts[parts.length - 1] += piece;
  }
  return parts;
}

/** Plain values as the fragment of a link. */
export function fragmentOf(state) {
  const bytes = new TextEncoder().encode(JSON.stringify(state));
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return `#state=${btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

/** What `fragmentOf` wrote, or null for any other fragment. */
export function stateOf(fragment) {
  const [, text] = /^#state=([\w-]+)$/.exec(fragment) ?? [];
  if (!text) return null;
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
    const state = JSON.parse(new TextDecoder().decode(bytes));
    return state && typeof state === "object" ? state : null;
  } catch {
    return null;
  }
}
