// The answers of the output nodes as ten rows: bars that show them, and sliders that ask for them.

import { element } from "./dom.js";

/** A share of the way from the lowest to the highest answer. */
const share = (value, { low, high }) => Math.min(Math.max((value - low) / (high - low), 0), 1);

/** Bars for `classes`; `show(answers, read)` moves them, `show(null)` empties them. */
export class Bars {
  constructor(list, classes, range, words) {
    [this.range, this.words] = [range, words];
    this.rows = classes.map((name) => row(name));
    list.replaceChildren(...this.rows.map(({ item }) => item));
  }

  show(answers, read) {
    this.rows.forEach(({ item, fill, value }, label) => {
      fill.style.transform = `scaleX(${answers ? share(answers[label], this.range) : 0})`;
      if (answers) this.words.tell(value, "number", { value: answers[label] });
      else this.words.tell(value, "");
      item.classList.toggle("read", answers !== null && label === read);
    });
  }
}

function row(name) {
  const fill = element("span", { className: "fill" });
  const value = element("span", { className: "value" });
  const item = element("li", { className: "bar" },
    element("span", { className: "name", textContent: name, title: name }),
    element("span", { className: "track" }, fill), value);
  return { item, fill, value };
}

/** Sliders for `classes`: `only(label)` when its name is clicked, `moved(label, share)` when its slider is. */
export class Sliders {
  constructor(list, classes, range, words, { only, moved }) {
    [this.range, this.words] = [range, words];
    this.rows = classes.map((name, label) => {
      const made = sliderRow(name, words);
      made.button.addEventListener("click", () => only(label));
      made.slider.addEventListener("input", () => moved(label, made.slider.valueAsNumber));
      dragged(made.slider, (value) => moved(label, value));
      return made;
    });
    list.replaceChildren(...this.rows.map(({ item }) => item));
  }

  /** Put the sliders where the question is: a Map from label to the confidence asked for. */
  ask(confidences) {
    this.rows.forEach(({ item, slider, button }, label) => {
      const asked = confidences.get(label);
      const value = String(asked ?? 0.01);
      if (slider.value !== value) slider.value = value;
      item.classList.toggle("asked", asked > 0.5);
      button.setAttribute("aria-pressed", String(asked > 0.5));
      this.words.label(slider, "number", { value: asked ?? 0.01 }, "wordsText");
    });
  }

  /** Mark on each slider what the network answers to the image. */
  show(answers, read) {
    this.rows.forEach(({ item, mark, value }, label) => {
      mark.style.transform = `translateX(${100 * share(answers[label], this.range)}%)`;
      this.words.tell(value, "number", { value: answers[label] });
      item.classList.toggle("read", label === read);
    });
  }
}

const THUMB = 16; // pixels, as in the style sheet

/**
 * Tell of a mouse's or pen's drag as it happens, where the browser does: it tells of its input only once a frame, so
 * that the answer comes a frame later. A finger may yet turn out to scroll the page, and is left to the browser.
 */
function dragged(slider, moved) {
  let pointer = null;
  slider.addEventListener("pointerdown", (event) => { pointer = event.pointerType === "touch" ? null : event.pointerId; });
  for (const end of ["pointerup", "pointercancel"]) slider.addEventListener(end, () => { pointer = null; });
  slider.addEventListener("pointerrawupdate", (event) => {
    if (event.pointerId !== pointer) return;
    const value = valueAt(slider, event.clientX);
    if (value !== slider.valueAsNumber) moved(value);
  });
}

/** The value of a slider whose thumb has its middle at `x`. */
function valueAt(slider, x) {
  const { left, width } = slider.getBoundingClientRect();
  const [low, high, step] = [slider.min, slider.max, slider.step].map(Number);
  const way = Math.min(Math.max((x - left - THUMB / 2) / (width - THUMB), 0), 1);
  return Number((low + Math.round(way * (high - low) / step) * step).toFixed(2));
}

function sliderRow(name, words) {
  const slider = element("input", { type: "range", min: "0.01", max: "0.99", step: "0.01", value: "0.01" });
  words.label(slider, "back.slider", { label: name });
  const mark = element("i");
  const answer = element("span", { className: "answer" }, mark);
  answer.setAttribute("aria-hidden", "true");
  const value = element("span", { className: "value" });
  const button = words.label(element("button", { type: "button", textContent: name }), "back.only", { label: name });
  const item = element("li", { className: "bar" }, button,
    element("span", { className: "slide" }, answer, slider), value);
  return { item, slider, mark, value, button };
}
