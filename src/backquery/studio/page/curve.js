// The performance over training as one thin line, with its last number beside it.

const SPACE = "http://www.w3.org/2000/svg";
const [LEFT, RIGHT, TOP, BOTTOM] = [62, 384, 14, 232]; // room beside it for "100,0 %" in wide letters

export class Curve {
  constructor(svg, words) {
    [this.svg, this.words] = [svg, words];
    this.draw([], 1, 0);
  }

  /** points: [{updates, performance}]; all: the updates there will be; now: which point is looked at. */
  draw(points, all, now) {
    [this.points, this.all, this.now] = [points, all, now];
    const [x, y] = [(updates) => LEFT + ((RIGHT - LEFT) * updates) / all, (share) => BOTTOM - (BOTTOM - TOP) * share];
    const parts = [0, 0.5, 1].flatMap((share) => [
      shape("line", { class: "axis", x1: LEFT, x2: RIGHT, y1: y(share), y2: y(share) }),
      text(LEFT - 8, y(share) + 4, this.words.number(share, 0, "%"), "end"),
    ]);
    parts.push(text(LEFT, BOTTOM + 20, this.words.number(0), "start"), text(RIGHT, BOTTOM + 20, this.words.number(all), "end"));
    if (points.length) {
      const line = points.map(({ updates, performance }) => `${x(updates)},${y(performance)}`).join(" ");
      const { updates, performance } = points[now];
      parts.push(
        shape("polyline", { class: "line", points: line }),
        shape("circle", { class: "now", cx: x(updates), cy: y(performance), r: 4 }),
        text(x(updates) + 10, Math.max(y(performance) + 5, TOP), this.words.number(performance, 1, "%"), "start", "said"),
      );
      this.words.label(this.svg, "learn.curve.label", { performance });
    } else this.words.label(this.svg, "learn.curve");
    this.svg.replaceChildren(...parts);
  }

  /** The language changed. */
  redraw() {
    this.draw(this.points, this.all, this.now);
  }
}

function shape(kind, attributes) {
  const made = document.createElementNS(SPACE, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function text(x, y, words, anchor, name = "") {
  const made = shape("text", { x, y, "text-anchor": anchor, class: name });
  made.textContent = words;
  return made;
}
