// Linear maps of a network's logits, and their derivatives, in whitened coordinates x = origin + deviation y.

/** A network's layers for a search, the first one also with the whitening multiplied in. */
export class Chain {
  constructor(network, deviation) {
    const { room } = network;
    [this.room, this.network, this.layers] = [room, network, network.layers];
    const weights = network.layers[0].weights;
    this.first = room.matrix(weights.rows, weights.columns);
    for (let node = 0; node < weights.rows; node++) {
      const [from, to] = [weights.row(node), this.first.row(node)];
      for (let k = 0; k < to.length; k++) to[k] = from[k] * deviation[k];
    }
  }
}

/** Constraints c(y) = maps z of one question, z being the last layer's pre-activations. maps: (k x outputs). */
export class Readout {
  constructor(chain, maps, origin) {
    [this.chain, this.room, this.k, this.depth] = [chain, chain.room, maps.rows, chain.layers.length - 1];
    this.base = chain.network.sums(origin);
    const last = chain.layers[this.depth];
    [this.head, this.offset] = [maps, new Float64Array(maps.rows)];
    if (!this.depth) return;
    this.head = this.room.product(maps, last.weights, this.room.matrix(maps.rows, last.weights.columns));
    for (let i = 0; i < maps.rows; i++) {
      maps.row(i).forEach((share, node) => { this.offset[i] += share * last.biases[node]; });
    }
  }

  /** Room for what `values` keeps of an image. */
  roomForSignals() {
    return this.chain.layers.slice(0, Math.max(this.depth, 1)).map(({ weights }) => this.room.matrix(1, weights.rows));
  }

  /** c (k) of an image y, its signals being left in `kept`. */
  values(y, kept) {
    this.room.productByRows(y, this.chain.first, kept[0]);
    return this.valuesOfSums(kept);
  }

  /** The same from what the image adds to the first layer's pre-activations, which lies in `kept[0]`. */
  valuesOfSums(kept) {
    const { room, chain, depth } = this;
    const sums = kept[0].row(0);
    for (let node = 0; node < sums.length; node++) sums[node] += this.base[node];
    for (let layer = 0; layer < depth; layer++) {
      if (layer) {
        const { weights, biases } = chain.layers[layer];
        const z = room.productByRows(kept[layer - 1], weights, kept[layer]).row(0);
        for (let node = 0; node < z.length; node++) z[node] += biases[node];
      }
      room.activate(chain.layers[layer].activation, kept[layer]);
    }
    return room.within(() => {
      const c = room.productByRows(kept.at(-1), this.head, room.matrix(1, this.k)).row(0);
      return Float64Array.from(c, (value, i) => value + this.offset[i]);
    });
  }

  /** The derivatives (k x inputs) at the image that left its signals in `kept`, put into `jacobian`. */
  jacobian(kept, jacobian) {
    const { room, chain } = this;
    return room.within(() => room.product(this.jacobianBySums(kept), chain.first, jacobian));
  }

  /** The derivatives (k x nodes) by the first layer's pre-activations, in room of its own. */
  jacobianBySums(kept) {
    const { room, chain, k } = this;
    let gradients = room.matrix(k, this.head.columns).copy(this.head);
    // From the few constraints back to the pixels: the other way, every layer would carry all pixels.
    for (let layer = this.depth - 1; layer >= 0; layer--) {
      const { activation, weights } = chain.layers[layer];
      const slopes = Float64Array.from(kept[layer].row(0), activation.slope);
      for (let i = 0; i < k; i++) {
        const row = gradients.row(i);
        for (let node = 0; node < row.length; node++) row[node] *= slopes[node];
      }
      if (layer) gradients = room.product(gradients, weights, room.matrix(k, weights.columns));
    }
    return gradients;
  }

  /** Bounds that c cannot leave while y stays between `low` and `high`: interval arithmetic, layer by layer. */
  limits(low, high) {
    const { chain } = this;
    let bounds = interval(chain.first, low, high, this.base);
    for (let layer = 0; layer < this.depth; layer++) {
      const { activation } = chain.layers[layer];
      bounds = bounds.map((values) => chain.network.activated(activation, values));
      if (layer + 1 < this.depth) bounds = interval(chain.layers[layer + 1].weights, ...bounds, chain.layers[layer + 1].biases);
    }
    return interval(this.head, ...bounds, this.offset);
  }
}

/** Where weights h + offset lies for all h between `low` and `high`. */
function interval(weights, low, high, offset) {
  const [lowest, highest] = [new Float64Array(weights.rows), new Float64Array(weights.rows)];
  for (let node = 0; node < weights.rows; node++) {
    let [centre, spread] = [offset[node], 0];
    const row = weights.row(node);
    for (let k = 0; k < row.length; k++) {
      centre += (row[k] * (low[k] + high[k])) / 2;
      spread += (Math.abs(row[k]) * (high[k] - low[k])) / 2;
    }
    [lowest[node], highest[node]] = [centre - spread, centre + spread];
  }
  return [lowest, highest];
}
