// The book's back query: see `inversion/transpose.py`, whose rules and numbers these are.

import { Failure } from "./failure.js";

const [MARGIN, CONSTANT] = [0.01, 1e-12];

/** Whether every activation has an inverse. */
export const invertible = ({ layers }) => layers.every(({ activation }) => activation.inverse);

/** The image (inputs) of answers (outputs). */
export function transpose(network, answers) {
  let signals = Float64Array.from(answers);
  for (let number = network.layers.length - 1; number >= 0; number--) {
    const { activation, weights, biases } = network.layers[number];
    const z = inverted(activation, signals).map((value, node) => value - biases[node]);
    signals = new Float64Array(weights.columns);
    z.forEach((value, node) => weights.row(node).forEach((weight, k) => { signals[k] += value * weight; }));
    if (number) signals = intoRange(network.layers[number - 1].activation, signals);
  }
  const share = stretched(signals);
  const within = network.low.every((low) => low >= 0) && network.high.every((high) => high <= 1);
  return share.map((part, pixel) => {
    const [low, high] = [network.low[pixel], network.high[pixel]];
    return within ? part * (1 - 2 * MARGIN) + MARGIN : Math.min(Math.max(part * (high - low) + low, low), high);
  });
}

function inverted({ name, inverse }, signals) {
  if (!inverse) throw new Failure(`transpose needs activations with an inverse, and ${name} has none; use gauss-newton`, "inversion");
  const z = signals.map(inverse);
  if (name !== "softmax") return z;
  const mean = z.reduce((sum, value) => sum + value, 0) / z.length;
  return z.map((value) => value - mean);
}

function intoRange(activation, signals) {
  if (!activation.bounded) return signals;
  const [low, high] = [activation.low + MARGIN, activation.high - MARGIN];
  return stretched(signals).map((share) => share * (high - low) + low);
}

function stretched(signals) {
  const [lowest, highest] = [Math.min(...signals), Math.max(...signals)];
  if (highest - lowest <= CONSTANT * Math.max(Math.abs(highest), Math.abs(lowest))) {
    throw new Failure("equal signals cannot be stretched; ask for answers that differ from one another, or use gauss-newton", "inversion");
  }
  return signals.map((value) => (value - lowest) / (highest - lowest));
}
