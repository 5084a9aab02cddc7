// Where a search begins: the likeliest answer of all images, whether or not the box holds them, or images drawn from the
// prior. See `inversion/signal_space.py` and `inversion/starts.py`, whose rules and numbers these are.

import { lifted, product, times } from "./linearised.js";
import { inverse, largest, length } from "./room.js";

const [UPDATES, NEAR, DAMPING] = [12, 0.1, 3e-3];
const SHARES = [1, 0.5, 0.25, 0.125];

const [DRAWS, FEWEST_DRAWS, DRAWN] = [1024, 16, 2 ** 20];
const [SPREAD, INERT, REGULAR, RETRIES] = [0.25, 1e-200, 1e-9, 12];

/** What a layer sees of a prior, whitened: W C (nodes x inputs), and W C W' (nodes x nodes). */
export class Seen {
  constructor(chain, prior) {
    const { room, first } = chain;
    this.images = prior.covary(first, room.matrix(first.rows, first.columns));
    this.covariance = room.productByRows(this.images, first, room.matrix(first.rows, first.rows));
  }
}

/** The whitened image, not yet kept within the box; `readout` has the prior's mean for its origin. */
export function likeliestAnswer(readout, asked, seen) {
  const { room, k } = readout;
  const nodes = seen.covariance.rows;
  return room.within(() => {
    const [v, sums, step] = [1, 2, 3].map(() => room.matrix(1, nodes));
    const kept = readout.roomForSignals();
    const answerAt = (place) => {
      room.product(place, seen.covariance, kept[0]);
      return readout.valuesOfSums(kept);
    };
    for (let update = 0; update < UPDATES; update++) {
      const error = answerAt(v).map((value, i) => asked[i] - value);
      if (!(largest(error) > NEAR)) break;
      const change = room.within(() => changeOf(readout, kept, error, v, sums, seen.covariance));
      const nearer = SHARES.find((share) => {
        step.row(0).set(v.row(0).map((value, node) => value + share * change[node]));
        return length(answerAt(step).map((value, i) => asked[i] - value)) < length(error);
      });
      if (!nearer) break;
      v.copy(step);
    }
    return Float64Array.from(room.product(v, seen.images, room.matrix(1, seen.images.columns)).row(0));
  });
}

/** How v changes to that of the likeliest image whose linearised answer is the one asked for. */
function changeOf(readout, kept, error, v, sums, covariance) {
  const { room, k } = readout;
  const slopes = readout.jacobianBySums(kept);
  const mixed = room.product(slopes, covariance, room.matrix(k, covariance.rows));
  const squares = room.productByRows(mixed, slopes, room.matrix(k, k));
  const gain = new Float64Array(k * k);
  for (let i = 0; i < k; i++) gain.set(squares.row(i), i * k);
  lifted(gain, k, DAMPING);
  room.product(v, covariance, sums);
  const wish = product(slopes, sums.row(0)).map((value, i) => value + error[i]);
  const multipliers = room.matrix(1, k);
  multipliers.row(0).set(times(inverse(gain, k), wish, k));
  const changed = room.product(multipliers, slopes, room.matrix(1, slopes.columns)).row(0);
  return Float64Array.from(changed, (value, node) => value - v.row(0)[node]);
}

/** Images drawn from a prior, by their scores, with the logits that a network gives them, and the moments of these. */
export class Shown {
  /** readout: of all logits, from the prior's mean; numbers: normal ones; null where they are too few. */
  static of(readout, prior, numbers, low, high) {
    const { inputs, rank } = prior;
    const half = Math.min(DRAWS, Math.max(FEWEST_DRAWS, 2 * Math.floor(DRAWN / inputs / 2))) / 2;
    return rank && numbers?.length >= half * rank ? new Shown(readout, prior, numbers, half, low, high) : null;
  }

  constructor(readout, prior, numbers, half, low, high) {
    const { room, inputs, rank } = prior;
    Object.assign(this, { prior, rank, outputs: readout.k, count: 2 * half });
    room.within(() => {
      const draws = room.matrix(2 * half, rank);
      for (let draw = 0; draw < half; draw++) {
        draws.row(draw).set(numbers.subarray(draw * rank, (draw + 1) * rank));
        draws.row(half + draw).set(draws.row(draw).map((score) => -score));
      }
      const images = prior.spread(draws, room.matrix(2 * half, inputs));
      const scale = this.#scale(images, low, high);
      this.draws = Float64Array.from({ length: 2 * half * rank }, (_, place) => scale * draws.row(Math.floor(place / rank))[place % rank]);
      this.signals = new Float64Array(2 * half * readout.k);
      const [bottom, top] = [prior.whiten(low), prior.whiten(high)];
      const kept = readout.roomForSignals();
      for (let draw = 0; draw < 2 * half; draw++) {
        const row = images.row(draw);
        for (let k = 0; k < inputs; k++) row[k] = Math.min(Math.max(scale * row[k], bottom[k]), top[k]);
        this.signals.set(readout.values(images.only(draw), kept), draw * readout.k);
      }
    });
    this.#moments();
  }

  /** What makes the pixels that were drawn deviate by `SPREAD`, whatever the scale of the prior. */
  #scale(images, low, high) {
    let [drawn, box] = [0, 0];
    for (let draw = 0; draw < images.rows; draw++) {
      images.row(draw).forEach((value, pixel) => { drawn += (value * this.prior.deviation[pixel]) ** 2; });
    }
    low.forEach((bottom, pixel) => { box += (high[pixel] - bottom) ** 2; });
    return (SPREAD * Math.sqrt(box / low.length)) / Math.max(Math.sqrt(drawn / images.rows / low.length), Number.MIN_VALUE);
  }

  #moments() {
    const { signals, count, outputs } = this;
    this.mean = new Float64Array(outputs);
    signals.forEach((value, place) => { this.mean[place % outputs] += value / count; });
    this.covariance = new Float64Array(outputs * outputs);
    for (let draw = 0; draw < count; draw++) {
      for (let i = 0; i < outputs; i++) {
        for (let j = 0; j < outputs; j++) this.covariance[i * outputs + j] += (this.#centred(draw, i) * this.#centred(draw, j)) / count;
      }
    }
  }

  #centred(draw, output) {
    return this.signals[draw * this.outputs + output] - this.mean[output];
  }

  /** What a question's maps (k x outputs) make of the logits of a draw, from the mean of all. */
  #read(maps, draw) {
    return Float64Array.from({ length: maps.rows }, (_, i) =>
      maps.row(i).reduce((sum, share, output) => sum + share * this.#centred(draw, output), 0));
  }

  /** The image that goes with the answers asked for, by regression. */
  regressed(maps, asked) {
    const { rank, outputs, count } = this;
    const k = maps.rows;
    const turned = Array.from({ length: k }, (_, i) => times(this.covariance, maps.row(i), outputs));
    const spread = Float64Array.from({ length: k * k }, (_, place) =>
      maps.row(place % k).reduce((sum, share, output) => sum + share * turned[Math.floor(place / k)][output], 0));
    let unit = 0;
    for (let i = 0; i < k; i++) unit += spread[i * (k + 1)] / k;
    for (let i = 0; i < k; i++) spread[i * (k + 1)] += REGULAR * (unit > INERT ? unit : 1);
    const lacking = asked.map((value, i) => value - maps.row(i).reduce((sum, share, output) => sum + share * this.mean[output], 0));
    const weights = times(inverse(spread, k) ?? new Float64Array(k * k), lacking, k);
    const scores = new Float64Array(rank);
    for (let draw = 0; draw < count; draw++) {
      const share = this.#read(maps, draw).reduce((sum, value, i) => sum + value * weights[i], 0) / count;
      for (let n = 0; n < rank; n++) scores[n] += share * this.draws[draw * rank + n];
    }
    return this.#image(scores);
  }

  /** The draws whose answers come nearest to those asked for, nearest first. */
  nearest(maps, asked) {
    const lacking = asked.map((value, i) => value - maps.row(i).reduce((sum, share, output) => sum + share * this.mean[output], 0));
    const far = Array.from({ length: this.count }, (_, draw) => length(this.#read(maps, draw).map((value, i) => value - lacking[i])));
    const order = [...far.keys()].sort((one, other) => far[one] - far[other]);
    return order.slice(0, RETRIES).map((draw) => this.#image(this.draws.subarray(draw * this.rank, (draw + 1) * this.rank)));
  }

  #image(scores) {
    const { prior, prior: { room } } = this;
    return room.within(() => {
      const row = room.matrix(1, this.rank);
      row.row(0).set(scores);
      return prior.unwhiten(prior.spread(row, room.matrix(1, prior.inputs)).row(0));
    });
  }
}
