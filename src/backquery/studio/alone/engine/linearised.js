// One linearised back query inside its box: see `inversion/linearised.py`, whose rules these are.

import { inverse } from "./room.js";

const ROUNDING = 1e-12; // damping that is always there
const FLAT = 1e-30; // where constraints do not depend on the pixels at all

/** The sums I + F_B' F_B, brought up to date as pixels reach or leave their bounds. */
export class BoundPixels {
  constructor(prior) {
    const { room, rank } = prior;
    [this.prior, this.room] = [prior, room];
    this.free = new Uint8Array(prior.inputs).fill(1);
    if (!rank) return;
    [this.sums, this.factors] = [room.matrix(rank, rank), room.matrix(rank, rank)];
    for (let k = 0; k < rank; k++) this.sums.row(k)[k] = 1;
  }

  /** Solutions for each row of `sides`, in its place, where only the pixels `free` are not in B. */
  solve(free, sides) {
    if (!this.prior.rank) return;
    for (let pixel = 0; pixel < free.length; pixel++) {
      if (free[pixel] !== this.free[pixel]) this.room.addSquare(this.sums, this.prior.whitened, pixel, free[pixel] ? -1 : 1);
    }
    this.free.set(free);
    this.room.solvePositive(this.factors.copy(this.sums), sides);
  }
}

/** What a step of one image needs room for, taken once for a whole search. */
export class Workplace {
  constructor(prior, k) {
    const { room, inputs, rank } = prior;
    Object.assign(this, { prior, room, k, bound: new BoundPixels(prior) });
    this.free = new Uint8Array(inputs);
    for (const name of ["likeliest", "pull", "clipped", "change", "target"]) this[name] = room.matrix(1, inputs);
    this.inside = room.matrix(k, inputs);
    this.gain = room.matrix(k, k);
    this.weights = room.matrix(1, k);
    if (!rank) return;
    for (const name of ["along", "scores"]) this[name] = room.matrix(1, rank);
    [this.mixed, this.solved] = [room.matrix(k, rank), room.matrix(k + 1, rank)];
    this.response = room.matrix(k, rank);
    this.shared = room.matrix(k, k);
  }
}

/** One semismooth Newton step; its target stays in the workplace until the next. */
export class Linearised {
  constructor(place, here) {
    [this.place, this.prior, this.room] = [place, place.prior, place.room];
    const { jacobian, residual, image, u, low, high, damping, restore } = here;
    const { k, free, inside, prior } = place;
    const multipliers = restore ? new Float64Array(k) : here.multipliers;
    if (prior.rank) prior.spread(u, place.likeliest);
    const [likeliest, pull, clipped, y] = [place.likeliest.row(0), place.pull.row(0), place.clipped.row(0), image.row(0)];
    if (restore) {
      pull.set(this.#released(jacobian, residual, y, low, high));
    } else {
      this.#pulled(jacobian, multipliers, place.pull);
      for (let pixel = 0; pixel < pull.length; pixel++) pull[pixel] += likeliest[pixel];
    }
    for (let pixel = 0; pixel < pull.length; pixel++) {
      clipped[pixel] = Math.min(Math.max(pull[pixel], low[pixel]), high[pixel]);
      free[pixel] = clipped[pixel] === pull[pixel] ? 1 : 0;
    }
    if (restore) clipped.set(y);
    for (let i = 0; i < k; i++) {
      const [from, to] = [jacobian.row(i), inside.row(i)];
      for (let pixel = 0; pixel < to.length; pixel++) to[pixel] = free[pixel] ? from[pixel] : 0;
    }
    const gain = this.#gain(u, restore);
    const unit = lifted(gain, k, damping + ROUNDING);
    this.inverse = inverse(gain, k) ?? new Float64Array(k * k);
    const wish = this.#wish(jacobian, residual, y, multipliers, damping, (damping + ROUNDING) * unit, restore);
    const step = times(this.inverse, wish, k);
    this.multipliers = multipliers.map((value, i) => value + step[i]);
    this.#move(jacobian, step, y, low, high, restore);
  }

  get target() {
    return this.place.target;
  }

  /** The likeliest change of the free pixels that makes up for a residual, put into the matrix `change`. */
  correction(residual, change) {
    const { place, prior, room } = this;
    place.weights.row(0).set(times(this.inverse, residual, place.k));
    room.product(place.weights, place.inside, change);
    if (!prior.rank) return;
    room.product(place.weights, place.response, place.scores);
    const [spread, moved] = [prior.spread(place.scores, place.change).row(0), change.row(0)];
    for (let pixel = 0; pixel < moved.length; pixel++) {
      if (place.free[pixel]) moved[pixel] += spread[pixel];
    }
  }

  /** J' l. */
  #pulled(jacobian, multipliers, image) {
    this.place.weights.row(0).set(multipliers);
    return this.room.product(this.place.weights, jacobian, image);
  }

  /** The system of the constraints with the scores eliminated, row by row; what eliminates them is kept. */
  #gain(u, restore) {
    const { place, prior, room } = this;
    const { k, inside, mixed, solved, response } = place;
    const gain = new Float64Array(k * k);
    room.productByRows(inside, inside, place.gain);
    for (let i = 0; i < k; i++) gain.set(place.gain.row(i), i * k);
    if (!prior.rank) return gain;
    prior.gather(inside, mixed);
    for (let i = 0; i < k; i++) solved.row(i).set(mixed.row(i));
    const lacking = solved.row(k);
    lacking.fill(0);
    if (!restore) {
      const [clipped, likeliest, away] = [place.clipped.row(0), place.likeliest.row(0), place.change.row(0)];
      for (let pixel = 0; pixel < away.length; pixel++) away[pixel] = clipped[pixel] - likeliest[pixel];
      const along = prior.gather(place.change, place.along).row(0);
      u.row(0).forEach((score, n) => { lacking[n] = score - along[n]; });
    }
    place.bound.solve(place.free, solved);
    for (let i = 0; i < k; i++) response.row(i).set(solved.row(i));
    room.productByRows(mixed, response, place.shared);
    for (let i = 0; i < k; i++) {
      const row = place.shared.row(i);
      for (let j = 0; j < k; j++) gain[i * k + j] += row[j];
    }
    return gain;
  }

  /** What the multipliers' change has to make up for. */
  #wish(jacobian, residual, y, multipliers, damping, damped, restore) {
    const { place, prior } = this;
    const { k } = place;
    const wish = Float64Array.from(residual);
    const clipped = place.clipped.row(0);
    if (!restore) {
      const away = place.change.row(0);
      for (let pixel = 0; pixel < away.length; pixel++) away[pixel] = clipped[pixel] - y[pixel];
      product(jacobian, away).forEach((value, i) => { wish[i] -= value; });
    }
    if (damping) {
      const fitting = restore ? new Float64Array(k) : times(this.inverse, product(place.inside, y), k);
      for (let i = 0; i < k; i++) wish[i] -= damped * (multipliers[i] - fitting[i]);
    }
    if (prior.rank) product(place.mixed, place.solved.row(k)).forEach((value, i) => { wish[i] += value; });
    return wish;
  }

  /** The pull moves, not the clipped image: a pixel leaves its bound as soon as its pull has come inside. */
  #move(jacobian, step, y, low, high, restore) {
    const { place, prior, room } = this;
    const [target, pull, change] = [place.target.row(0), place.pull.row(0), place.change.row(0)];
    this.#pulled(jacobian, step, place.target);
    if (prior.rank) {
      const scores = room.product(place.weights, place.response, place.scores).row(0);
      const shift = place.solved.row(place.k);
      for (let n = 0; n < scores.length; n++) scores[n] -= shift[n];
      prior.spread(place.scores, place.change);
    } else change.fill(0);
    for (let pixel = 0; pixel < target.length; pixel++) {
      const moved = target[pixel] + change[pixel];
      const aimed = restore ? y[pixel] + (place.free[pixel] ? moved : 0) : pull[pixel] + moved;
      target[pixel] = Math.min(Math.max(aimed, low[pixel]), high[pixel]);
    }
  }

  /** The image, with the pixels at a bound that cannot help to make up for the residual moved beyond it. */
  #released(jacobian, residual, y, low, high) {
    const { place, prior } = this;
    this.#pulled(jacobian, residual, place.change);
    prior.covary(place.change, place.target);
    const wish = place.target.row(0);
    return Float64Array.from(y, (value, pixel) => {
      const stuck = (value <= low[pixel] && wish[pixel] < 0) || (value >= high[pixel] && wish[pixel] > 0);
      return value + (stuck ? wish[pixel] : 0);
    });
  }
}

/** The mean diagonal of a small square matrix, after `share` of it was added to the diagonal. */
export function lifted(gain, size, share) {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += gain[i * size + i];
  const unit = Math.max(sum / size, FLAT);
  for (let i = 0; i < size; i++) gain[i * size + i] += share * unit;
  return unit;
}

/** A small square matrix, row by row, times a vector. */
export function times(matrix, vector, size) {
  const result = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) result[i] += matrix[i * size + j] * vector[j];
  }
  return result;
}

/** A matrix times a vector, which lies anywhere. */
export function product(matrix, vector) {
  return Float64Array.from({ length: matrix.rows }, (_, i) => {
    const row = matrix.row(i);
    let sum = 0;
    for (let k = 0; k < row.length; k++) sum += row[k] * vector[k];
    return sum;
  });
}
