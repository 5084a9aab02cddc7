// What images look like before any network is asked: N(mean, F F' + diag(d)), in whitened coordinates I + F F'.

import { inverse } from "./room.js";

export class Prior {
  /** mean, diagonal: (inputs); factor: (inputs x rank), row by row. */
  constructor(room, name, mean, factor, diagonal, rank) {
    const inputs = mean.length;
    Object.assign(this, { room, name, mean, inputs, rank });
    this.deviation = Float64Array.from(diagonal, Math.sqrt);
    if (!rank) return;
    this.whitened = room.matrix(inputs, rank);
    this.spreading = room.matrix(rank, inputs);
    for (let pixel = 0; pixel < inputs; pixel++) {
      const row = this.whitened.row(pixel);
      for (let k = 0; k < rank; k++) {
        row[k] = factor[pixel * rank + k] / this.deviation[pixel];
        this.spreading.row(k)[pixel] = row[k];
      }
    }
    const sums = room.productByRows(this.spreading, this.spreading, room.matrix(rank, rank));
    for (let k = 0; k < rank; k++) sums.row(k)[k] += 1;
    const packed = new Float64Array(rank * rank);
    for (let k = 0; k < rank; k++) packed.set(sums.row(k), k * rank);
    this.inner = room.matrix(rank, rank).fill(inverse(packed, rank));
  }

  /** Every pixel alone, all alike, around blank paper. */
  static flat(room, low, high) {
    const spans = Float64Array.from(low, (bottom, pixel) => Math.abs(high[pixel] - bottom) || 1);
    return new Prior(room, "flat", low, null, spans.map((span) => span * span), 0);
  }

  /** F u for each row u of `scores`. */
  spread(scores, images) {
    return this.room.productByRows(scores, this.whitened, images);
  }

  /** F' y for each row y. */
  gather(images, scores) {
    return this.room.product(images, this.whitened, scores);
  }

  whiten(image, origin = this.mean) {
    return Float64Array.from(image, (value, pixel) => (value - origin[pixel]) / this.deviation[pixel]);
  }

  unwhiten(y, origin = this.mean) {
    return Float64Array.from(y, (value, pixel) => origin[pixel] + this.deviation[pixel] * value);
  }

  /** The scores that explain an image y best, left in `u`; and half its squared distance from the origin. */
  explained(y, u) {
    const data = y.row(0);
    let squares = 0;
    for (let pixel = 0; pixel < data.length; pixel++) squares += data[pixel] * data[pixel];
    if (!this.rank) return squares / 2;
    return this.room.within(() => {
      const along = this.gather(y, this.room.matrix(1, this.rank));
      this.room.product(along, this.inner, u);
      const [seen, scores] = [along.row(0), u.row(0)];
      for (let k = 0; k < this.rank; k++) squares -= seen[k] * scores[k];
      return squares / 2;
    });
  }

  /** C y for each row y, in whitened coordinates. */
  covary(images, covaried) {
    if (!this.rank) return covaried.copy(images);
    return this.room.within(() => {
      this.spread(this.gather(images, this.room.matrix(images.rows, this.rank)), covaried);
      const [from, to] = [images.data, covaried.data];
      for (let k = 0; k < to.length; k++) to[k] += from[k];
      return covaried;
    });
  }
}
