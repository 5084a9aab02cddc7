// One image for each label, with what the network reads in it: as a row of tiles.

import { element } from "./dom.js";
import { Sheet, sizeOf } from "./ink.js";
import { isolated, readAs } from "./words.js";

const [READ, NOT_READ] = ["\u2713", "\u2717"];

export class Scans {
  constructor(list, words) {
    [this.list, this.words] = [list, words];
  }

  /** Blank tiles for these labels. */
  begin(classes, shape) {
    [this.classes, this.last] = [classes, null];
    this.tiles = classes.map((name) => {
      const canvas = element("canvas", { role: "img" });
      const reading = element("p");
      const title = element("p", { className: "name", textContent: name, title: name });
      const item = element("li", { className: "scan" }, canvas, title, reading);
      return { item, canvas, title, reading, sheet: new Sheet(canvas) };
    });
    this.list.replaceChildren(...this.tiles.map(({ item }) => item));
    this.tiles.forEach(({ sheet, canvas }, label) => {
      sheet.draw(new Uint8Array(sizeOf(shape)), shape);
      this.words.label(canvas, "scan.blank", { asked: classes[label] });
    });
  }

  /** ink (labels, ...shape), answers (labels, labels), what is read in each, and whether it is as asked. */
  show({ ink, answers, read, read_as_asked: met }) {
    const [count, ...shape] = ink.shape;
    const size = sizeOf(shape);
    this.tiles.forEach(({ canvas, title, reading, sheet }, label) => {
      const given = answers.data.subarray(label * count, (label + 1) * count);
      const values = { asked: this.classes[label], ...readAs(this.classes, given, read[label]) };
      sheet.draw(ink.data.subarray(label * size, (label + 1) * size), shape);
      canvas.classList.toggle("missed", !met[label]);
      this.words.label(canvas, "scan", values);
      title.textContent = `${isolated(this.classes[label])} ${met[label] ? READ : NOT_READ}`;
      this.words.tell(reading, "scan.reads", values);
    });
    this.last = { ink };
  }

  get empty() {
    return !this.last;
  }

  /** The tiles as `savePicture` takes them. */
  pictures() {
    return this.tiles.map(({ sheet, title, reading }) => ({
      values: sheet.values, shape: sheet.shape, caption: `${title.textContent} ${reading.textContent}`,
    }));
  }
}
