// The search behind the faithful back query, for one question: `inversion/search.py`, whose rules and numbers these
// are. A test asks both the same questions and compares every step.

import { Linearised, lifted, product, times, Workplace } from "./linearised.js";
import { inverse, largest, length } from "./room.js";

const [SLACK, PRICE, NEARER] = [0.1, 3.0, 0.7];
const [STRETCH, STALE, PATIENCE] = [8, 0.9, 3];
const [COLD, WARM] = [0.1, 1e-3];
const [SMALL, DETOUR, TINY, DOUBT] = [2.0, 5.0, 1e-300, 1e-6];
const [LEAST_LATEST, MOST_LATEST] = [0.25, 0.5];
const [TURNING, LONGER, BORNE_OUT] = [0.2, 2.0, 0.5];
const [CORRECTIONS, HALVINGS] = [3, 6];

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const minus = (one, other) => one.map((value, i) => value - other[i]);

/** An image on its way, with what the model makes of it. */
class Image {
  constructor(readout, inputs) {
    [this.y, this.kept, this.c] = [readout.room.matrix(1, inputs), readout.roomForSignals(), null];
  }

  copy(other) {
    this.y.copy(other.y);
    this.kept.forEach((signals, layer) => signals.copy(other.kept[layer]));
    this.c = other.c;
  }
}

export class Search {
  #damping; #restoring = false; #bent = false; #shares = [1, 1]; #stray = false; #answer = null; #answerCost = Infinity;
  #refused = 0; #gained = Infinity; #since = 0; #mark = 0; #known = false; #small; #finished; #unknown; #lacked = null;

  /**
   * task: readout, prior, asked (k), low, high, start (inputs, whitened), tolerance, optimality, steps, trusting,
   * confirming, improving, used.
   */
  constructor(task) {
    const { readout, prior, asked, trusting } = task;
    const { room, inputs, rank } = prior;
    Object.assign(this, { task, readout, prior, asked, room });
    this.place = new Workplace(prior, readout.k);
    [this.jacobian, this.mean] = [1, 2].map(() => room.matrix(readout.k, inputs));
    [this.image, this.tried, this.corrected] = [1, 2, 3].map(() => new Image(readout, inputs));
    this.change = room.matrix(1, inputs);
    [this.u, this.triedScores] = [room.matrix(1, Math.max(rank, 1)), room.matrix(1, Math.max(rank, 1))];
    this.image.y.row(0).set(task.start);
    this.#look(this.image);
    this.cost = prior.explained(this.image.y, this.u);
    [this.steps, this.trapped] = [task.used, false];
    this.multipliers = new Float64Array(readout.k);
    [this.#unknown, this.#damping] = [trusting, trusting ? WARM : COLD];
    this.#small = largest(this.#residual) < SMALL && trusting && !task.confirming;
    this.#finished = this.holds && this.cost <= 0;
  }

  get holds() {
    return largest(this.#residual) < this.task.tolerance;
  }

  get #residual() {
    return minus(this.asked, this.image.c);
  }

  run() {
    while (!this.#finished && this.steps < this.task.steps) this.room.within(() => this.#advance());
    this.#returnToAnswer();
    if (this.#stray && this.holds && this.cost > 0) {
      this.#unknown = true;
      this.#estimate(this.readout.jacobian(this.image.kept, this.jacobian));
    }
    return this;
  }

  #advance() {
    const jacobian = this.readout.jacobian(this.image.kept, this.jacobian);
    this.#estimate(jacobian);
    this.steps += 1;
    this.#lookBack();
    if (this.#step(this.#averaged(jacobian))) this.#step(jacobian);
  }

  /** The Jacobian, or of an image being restored the running mean. */
  #averaged(jacobian) {
    if (!this.#known || !this.#restoring) {
      this.#known = true;
      this.mean.copy(jacobian);
      return jacobian;
    }
    const latest = clamp(2 * this.#shares[0], LEAST_LATEST, MOST_LATEST);
    const [now, mean] = [jacobian.data, this.mean.data];
    for (let k = 0; k < mean.length; k++) mean[k] += latest * (now[k] - mean[k]);
    return this.mean;
  }

  /** One step, or none; whether the image is to be restored instead, being where it was. */
  #step(jacobian) {
    const { task, image } = this;
    const residual = this.#residual;
    const held = largest(residual) < task.tolerance;
    const ambition = this.#restoring && !held ? this.#shares[0] : 1;
    const goal = image.c.map((value, i) => value + ambition * residual[i]);
    const solution = new Linearised(this.place, {
      jacobian, residual: minus(goal, image.c), image: image.y, u: this.u, multipliers: this.multipliers,
      low: task.low, high: task.high, damping: held ? 0 : this.#damping, restore: this.#restoring,
    });
    const size = length(residual);
    const promised = this.#promised(size, residual, jacobian, solution);
    let share = this.#shares[Number(held)] / ambition;
    for (let halving = 0; halving < HALVINGS; halving++) {
      const promise = share * promised;
      this.#try(goal, solution, share);
      const error = minus(this.asked, this.tried.c);
      const nearer = size - length(error);
      const trial = {
        cost: this.prior.explained(this.tried.y, this.triedScores), share: share * ambition,
        multipliers: solution.multipliers, brought: nearer / Math.max(promise, TINY), error,
      };
      const good = held ? this.#improves(trial, share) : nearer > SLACK * promise || largest(error) < task.tolerance;
      if (good) {
        this.#accept(trial, held);
        return false;
      }
      share /= 2;
      if (share < TURNING && !held && !this.#restoring) {
        this.#restoring = this.#bent = true;
        this.#shares[0] = 1;
        return true;
      }
    }
    this.#refuse(solution.multipliers, held, share * ambition);
    return false;
  }

  /** The multipliers that come nearest to explaining a trusted start, which no step has led to. */
  #estimate(jacobian) {
    if (!this.#unknown) return;
    const { task, prior, room, place: { inside } } = this;
    const k = jacobian.rows;
    const y = this.image.y.row(0);
    for (let i = 0; i < k; i++) {
      const [from, to] = [jacobian.row(i), inside.row(i)];
      for (let n = 0; n < to.length; n++) to[n] = y[n] > task.low[n] && y[n] < task.high[n] ? from[n] : 0;
    }
    room.within(() => {
      const squares = room.productByRows(inside, inside, room.matrix(k, k));
      const gain = new Float64Array(k * k);
      for (let i = 0; i < k; i++) gain.set(squares.row(i), i * k);
      lifted(gain, k, DOUBT);
      const precise = Float64Array.from(y);
      if (prior.rank) prior.spread(this.u, this.change).row(0).forEach((value, n) => { precise[n] -= value; });
      this.multipliers = times(inverse(gain, k) ?? new Float64Array(k * k), product(inside, precise), k);
    });
    this.#unknown = false;
  }

  /** How much nearer a whole step should come: all the way, but for restoring what the linearisation says. */
  #promised(size, residual, jacobian, solution) {
    if (!this.#restoring) return size;
    const moved = minus(solution.target.row(0), this.image.y.row(0));
    return Math.max(size - length(minus(residual, product(jacobian, moved))), 0);
  }

  /** Go a share of the way to the solution's target, then correct what the goal then lacks. */
  #try(goal, solution, share) {
    const [from, to, way] = [this.image.y.row(0), solution.target.row(0), this.tried.y.row(0)];
    for (let n = 0; n < way.length; n++) way[n] = share === 1 ? to[n] : from[n] + share * (to[n] - from[n]);
    this.#look(this.tried);
    let residual = minus(goal, this.tried.c);
    for (let correction = 0; correction < CORRECTIONS; correction++) {
      if (!(largest(residual) > SLACK * this.task.tolerance)) break;
      solution.correction(residual, this.corrected.y);
      const [before, after] = [this.tried.y.row(0), this.corrected.y.row(0)];
      for (let n = 0; n < after.length; n++) after[n] += before[n];
      this.#look(this.corrected);
      const rest = minus(goal, this.corrected.c);
      if (!(length(rest) < NEARER * length(residual))) break;
      [this.tried, this.corrected, residual] = [this.corrected, this.tried, rest];
    }
  }

  #improves({ cost, multipliers, error }, share) {
    if (largest(error) < this.task.tolerance && cost < this.cost) return true;
    const size = length(error);
    let worth = length(multipliers);
    if (size > SMALL) worth = Math.max(worth, this.cost / this.#lackedAtTheOrigin);
    return cost + PRICE * worth * size < (1 - SLACK * share) * this.cost;
  }

  /** How far the image that costs nothing is from what is asked. */
  get #lackedAtTheOrigin() {
    this.#lacked ??= this.room.within(() => {
      const origin = new Image(this.readout, this.prior.inputs);
      return length(minus(this.asked, this.readout.values(origin.y, origin.kept)));
    });
    return this.#lacked;
  }

  #accept(trial, held) {
    const { task } = this;
    const gained = this.cost - trial.cost;
    const holds = largest(trial.error) < task.tolerance;
    if (held && !holds) this.#keep();
    // Having left an answer for this one was hardly worth it, so it is enough.
    const back = holds && !held && this.#answerCost < Infinity;
    if (back && this.#answerCost - trial.cost < DETOUR * task.optimality * trial.cost) this.#finished = true;
    [this.image, this.tried] = [this.tried, this.image];
    [this.u, this.triedScores, this.cost] = [this.triedScores, this.u, trial.cost];
    this.#stray = this.#restoring;
    this.#restoring = !holds && this.#bent;
    const old = this.multipliers;
    const moved = old.map((value, i) => value + trial.share * (trial.multipliers[i] - value));
    this.multipliers = this.#restoring ? old.map(() => 0) : moved;
    const whole = trial.share === 1;
    const factor = whole ? 0.1 : trial.share < 0.5 ? 10 : 1;
    this.#damping = clamp(this.#damping * factor, 1e-10, 1);
    const longer = held || trial.brought > BORNE_OUT ? LONGER : 1;
    this.#shares[Number(held)] = Math.min(longer * trial.share, 1);
    this.#refused = 0;
    // If gains go on shrinking at this rate, they are a geometric series; its sum is all that is left to gain.
    const rate = clamp(gained / this.#gained, 0, 0.9);
    const expected = gained * Math.max(rate / (1 - rate), 1);
    this.#gained = held ? gained : Infinity;
    if (held && holds && expected < task.optimality * trial.cost) this.#finished = true;
    if (this.#small && holds && whole) this.#finished = true;
    if (!task.improving && holds) this.#finished = true;
  }

  /** No share of the step was good: try again with more damping, or with the multipliers just found. */
  #refuse(multipliers, held, share) {
    this.#refused += 1;
    const done = this.#refused >= PATIENCE;
    this.trapped = done && !this.holds;
    this.#finished = done;
    this.#damping = Math.min(this.#damping * 10, 1);
    if (this.#restoring) this.#shares[0] = share;
    this.multipliers = this.#restoring ? multipliers.map(() => 0) : multipliers;
  }

  /** End a search that has hardly come nearer in a stretch of steps. */
  #lookBack() {
    const residual = this.#residual;
    this.#since = largest(residual) < this.task.tolerance ? 0 : this.#since + 1;
    if (this.#since <= 1) this.#mark = length(residual);
    if (this.#since <= STRETCH) return;
    if (length(residual) > STALE * this.#mark) this.#finished = this.trapped = true;
    else this.#since = 0;
  }

  /** Keep an answer that improving leaves, in case that nothing better is found. */
  #keep() {
    if (!(this.cost < this.#answerCost)) return;
    [this.#answer, this.#answerCost] = [Float64Array.from(this.image.y.row(0)), this.cost];
  }

  /** Where the search ended at something worse than what it has had: back to that. */
  #returnToAnswer() {
    if (!this.#answer || (this.holds && this.cost <= this.#answerCost)) return;
    this.image.y.row(0).set(this.#answer);
    this.#look(this.image);
    [this.cost, this.trapped, this.#stray] = [this.#answerCost, false, true];
    this.prior.explained(this.image.y, this.u);
  }

  /** Bring an image into the box, and see what the model makes of it. */
  #look(image) {
    const { low, high } = this.task;
    const y = image.y.row(0);
    for (let n = 0; n < y.length; n++) y[n] = Math.min(Math.max(y[n], low[n]), high[n]);
    image.c = this.readout.values(image.y, image.kept);
  }
}
