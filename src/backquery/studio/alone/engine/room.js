// Matrices in the memory of the compiled kernels. Rows are padded with zeros to whole lines, as the kernels have them.

const LINE = 64; // bytes
const PER_LINE = 8; // numbers of 64 bits
const PAGE = 65536;

export const padded = (count, line = PER_LINE) => Math.ceil(count / line) * line;

/** A matrix of 64-bit numbers; `data` has all its rows with their padding. */
export class Matrix {
  #data = null;

  constructor(room, pointer, rows, columns) {
    [this.room, this.pointer, this.rows, this.columns, this.pitch] = [room, pointer, rows, columns, padded(columns)];
  }

  /** All numbers, padding included: a view that is made anew where the memory has grown. */
  get data() {
    if (this.#data?.buffer !== this.room.buffer) {
      this.#data = new Float64Array(this.room.buffer, this.pointer, this.rows * this.pitch);
    }
    return this.#data;
  }

  row(number) {
    return this.data.subarray(number * this.pitch, number * this.pitch + this.columns);
  }

  /** The matrix of one of its rows alone. */
  only(number) {
    return new Matrix(this.room, this.pointer + 8 * number * this.pitch, 1, this.columns);
  }

  /** Take over the numbers (rows x columns), one row after the other. */
  fill(numbers) {
    for (let row = 0; row < this.rows; row++) {
      this.row(row).set(numbers.subarray(row * this.columns, (row + 1) * this.columns));
    }
    return this;
  }

  copy(other) {
    this.data.set(other.data);
    return this;
  }
}

/** The kernels with their memory, in which what is taken last is given back first. */
export class Room {
  #next; #kept;

  constructor(instance) {
    this.kernels = instance.exports;
    this.#next = Math.ceil(this.kernels.__heap_base.value / LINE) * LINE;
    this.#kept = this.#next;
  }

  /** What is taken from now on can be forgotten without what was taken before. */
  keep() {
    this.#kept = this.#next;
  }

  /** Give back all that was taken since `keep`. */
  forget() {
    this.#next = this.#kept;
  }

  get buffer() {
    return this.kernels.memory.buffer;
  }

  /** The place of so many bytes, all zero, at the beginning of a line. */
  bytes(count) {
    const pointer = this.#next;
    this.#next += Math.ceil(count / LINE) * LINE;
    const missing = this.#next - this.buffer.byteLength;
    if (missing > 0) this.kernels.memory.grow(Math.ceil(missing / PAGE));
    new Uint8Array(this.buffer, pointer, count).fill(0);
    return pointer;
  }

  /** The place of an array's numbers. */
  put(array) {
    const pointer = this.bytes(array.byteLength);
    new Uint8Array(this.buffer, pointer, array.byteLength).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return pointer;
  }

  matrix(rows, columns) {
    return new Matrix(this, this.bytes(8 * rows * padded(columns)), rows, columns);
  }

  /** What `work` returns; whatever room it took is given back. */
  within(work) {
    const before = this.#next;
    try {
      return work();
    } finally {
      this.#next = before;
    }
  }

  /** c = a b. */
  product(a, b, c) {
    this.kernels.product_float64(a.pointer, a.pitch, b.pointer, c.pointer, a.rows, a.columns, b.pitch);
    return c;
  }

  /** c = a b'. */
  productByRows(a, b, c) {
    this.kernels.product_by_rows_float64(a.pointer, b.pointer, c.pointer, a.rows, b.rows, a.pitch, c.pitch);
    return c;
  }

  /** sums += sign row row', for a row of a matrix. */
  addSquare(sums, matrix, row, sign) {
    const pointer = matrix.pointer + 8 * row * matrix.pitch;
    this.kernels.add_square_float64(sums.pointer, pointer, sign, sums.rows, sums.pitch);
  }

  /** The solutions x of a x = b for each row b of `sides`, in its place; of the positive matrix `a` nothing is left. */
  solvePositive(a, sides) {
    return this.kernels.solve_positive_float64(a.pointer, sides.pointer, a.rows, sides.rows, a.pitch) === 1;
  }

  /** Pre-activations to signals, in place. */
  activate(activation, matrix) {
    const { code, leak } = activation;
    for (let row = 0; row < matrix.rows; row++) {
      const pointer = matrix.pointer + 8 * row * matrix.pitch;
      this.kernels.activate_float64(code, leak, pointer, matrix.columns, matrix.pitch);
    }
    return matrix;
  }
}

/** The inverse of a small matrix (size x size), as rows one after the other; null where there is none. */
export function inverse(matrix, size) {
  const left = Float64Array.from(matrix);
  const right = new Float64Array(size * size);
  for (let i = 0; i < size; i++) right[i * size + i] = 1;
  for (let column = 0; column < size; column++) {
    let best = column;
    for (let row = column + 1; row < size; row++) {
      if (Math.abs(left[row * size + column]) > Math.abs(left[best * size + column])) best = row;
    }
    const pivot = left[best * size + column];
    if (!pivot) return null;
    for (let k = 0; k < size; k++) {
      for (const part of [left, right]) {
        const moved = part[best * size + k];
        part[best * size + k] = part[column * size + k];
        part[column * size + k] = moved / pivot;
      }
    }
    for (let row = 0; row < size; row++) {
      const share = left[row * size + column];
      if (row === column || !share) continue;
      for (let k = 0; k < size; k++) {
        left[row * size + k] -= share * left[column * size + k];
        right[row * size + k] -= share * right[column * size + k];
      }
    }
  }
  return right;
}

export function dot(one, other) {
  let sum = 0;
  for (let k = 0; k < one.length; k++) sum += one[k] * other[k];
  return sum;
}

export const length = (vector) => Math.sqrt(dot(vector, vector));

export function largest(vector) {
  let most = 0;
  for (const value of vector) {
    if (!(Math.abs(value) <= most)) most = Math.abs(value);
  }
  return most;
}
