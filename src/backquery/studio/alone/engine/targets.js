// What can be asked of all outputs at once: see `inversion/targets.py`, whose rules and numbers these are.

import { Failure } from "./failure.js";

const BOOK = 0.99;
const ALIKE = 1e-9; // answers that differ by less are asked for alike

/** A question: answers and logits (outputs), the label asked for or -1, and what the question is called. */
const question = (name, answers, logOdds, label) => ({ name, answers, logOdds, label });

/** A label as the network usually says it. */
export function typical(network, label) {
  const logOdds = network.typical[label];
  return question("typical", network.activated(network.output, logOdds), logOdds, label);
}

/** A label with a confidence; the others as the book has them, or as is usual then. */
export function confidence(network, label, p, others = null) {
  const name = `confidence ${Number(p.toPrecision(6))}`;
  if (others !== "typical") return { ...several(network, new Map([[label, p]])), name };
  check(network, [p]);
  let table = Float64Array.from(typical(network, label).answers);
  if (network.output.name === "softmax") {
    table[label] = 0;
    const sum = table.reduce((total, value) => total + value, 0);
    table = table.map((value) => (value * (1 - p)) / sum);
  } else {
    table = Float64Array.from(network.activated(network.output, onTheWay(network, label, asAnswer(network, p))));
  }
  table[label] = asAnswer(network, p);
  return { ...answers(network, table), name, label };
}

/** Logits from the mean of all typical ones towards a label's, its own being `answer`. */
function onTheWay(network, label, answer) {
  const known = network.typical;
  const middle = known[0].map((_, output) => known.reduce((sum, row) => sum + row[output], 0) / known.length);
  const whole = known[label];
  const wanted = network.output.inverse ? network.output.inverse(answer) : answer;
  const way = whole[label] - middle[label];
  const part = way > 0 ? (wanted - middle[label]) / way : 1;
  const share = part > 0 && part < 1 ? part : 1;
  return middle.map((value, output) => value + share * (whole[output] - value));
}

/** Several labels at once, {label: p} as a map; all others as the book has them. */
export function several(network, wanted) {
  const given = [...wanted.values()];
  check(network, given);
  const rest = network.output.name === "softmax" ? softmaxRest(network, given) : Math.min(1 - BOOK, 1 - Math.max(...given));
  const row = new Float64Array(network.outputs).fill(rest);
  for (const [label, p] of wanted) row[label] = p;
  const asked = answers(network, row.map((p) => asAnswer(network, p)));
  // A label that is named alone is what was asked for, even where another one is asked for more.
  const label = wanted.size === 1 ? [...wanted.keys()][0] : asked.label;
  return { ...asked, name: "several labels", label };
}

/** All answers as they are. */
export function answers(network, given) {
  const { output } = network;
  for (const value of given) {
    if (!(value > output.low && value < output.high)) {
      throw new Failure(`${output.name} outputs give answers between ${output.low} and ${output.high}, both excluded; received ${value}`, "target");
    }
  }
  let wanted = Float64Array.from(given);
  if (output.name === "softmax") {
    const sum = wanted.reduce((total, value) => total + value, 0);
    wanted = wanted.map((value) => value / sum);
  }
  const best = Math.max(...wanted);
  const alone = wanted.filter((value) => Math.abs(value - best) <= ALIKE).length === 1;
  const logOdds = output.inverse ? wanted.map(output.inverse) : wanted;
  return question("answers", wanted, logOdds, alone ? wanted.indexOf(best) : -1);
}

/** The constraints of a question: maps (k x outputs) of logits, and their values (k). */
export function constraints(network, { logOdds }) {
  const { room, outputs } = network;
  const shared = network.output.name === "softmax";
  const maps = room.matrix(shared ? outputs - 1 : outputs, outputs);
  for (let i = 0; i < maps.rows; i++) maps.row(i).set(shared ? contrast(i + 1, outputs) : unit(i, outputs));
  const mean = shared ? logOdds.reduce((sum, value) => sum + value, 0) / outputs : 0;
  const values = Float64Array.from({ length: maps.rows }, (_, i) =>
    maps.row(i).reduce((sum, share, output) => sum + share * (logOdds[output] - mean), 0));
  return { maps, values };
}

/** Whether a question's answers do not name its label: typical ones of a label that is never read, or too low a confidence. */
export const unsaid = ({ label, logOdds }) => label >= 0 && logOdds.some((value, other) => other !== label && value >= logOdds[label] - ALIKE);

/** What to do about such a question. */
export function whyUnsaid({ classes }, { name, label, answers: wanted }) {
  if (name === "typical") {
    return `the network read none of the images that its statistics were fitted to as '${classes[label]}': ask for a confidence, such as 0.99`;
  }
  const other = wanted.reduce((best, value, place) => (place !== label && !(value <= wanted[best]) ? place : best), label ? 0 : 1);
  return `an image that answers ${Number(wanted[label].toPrecision(4))} for '${classes[label]}' and ${Number(wanted[other].toPrecision(4))} ` +
    `for '${classes[other]}' is not read as '${classes[label]}': ask for a higher confidence`;
}

/** How far each constraint may be off so that no logits are off by more than `tolerance`. */
export const toleranceOf = (maps, tolerance) => (maps.rows === maps.columns ? tolerance : tolerance / Math.sqrt(maps.rows));

function unit(place, count) {
  const row = new Float64Array(count);
  row[place] = 1;
  return row;
}

/** One of an orthonormal basis of the vectors that add up to zero. */
function contrast(place, count) {
  const row = new Float64Array(count);
  row.fill(1 / Math.sqrt(place * (place + 1)), 0, place);
  row[place] = -place / Math.sqrt(place * (place + 1));
  return row;
}

const asAnswer = (network, p) => (network.output.name === "tanh" ? 2 * p - 1 : p);

function check(network, given) {
  if (network.output.bounded && !given.every((p) => p > 0 && p < 1)) {
    throw new Failure(`a confidence lies between 0 and 1, both excluded; received ${given.join(", ")}`, "target");
  }
}

function softmaxRest(network, given) {
  const [left, unnamed] = [1 - given.reduce((sum, p) => sum + p, 0), network.outputs - given.length];
  if (unnamed && left <= 0) throw new Failure("softmax answers add up to 1, but those asked for already make more", "target");
  return unnamed ? left / unnamed : 0.5;
}
