// Where a search begins: the likeliest answer of all images, whether or not the box holds them. See
// `inversion/signal_space.py`, whose rules and numbers these are.

import { lifted, product, times } from "./linearised.js";
import { inverse, largest, length } from "./room.js";

const [UPDATES, NEAR, DAMPING] = [12, 0.1, 3e-3];
const SHARES = [1, 0.5, 0.25, 0.125];

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
