// The faithful back query of one question: see `inversion/gauss_newton.py`, whose rules and numbers these are.

import { Prior } from "./prior.js";
import { Chain, Readout } from "./readout.js";
import { largest } from "./room.js";
import { Search } from "./search.js";
import { likeliestAnswer, Seen, Shown } from "./starts.js";
import { constraints, toleranceOf } from "./targets.js";

const USUAL = { tolerance: 1e-3, optimality: 1e-2, steps: 400, confirming: true };
const HURRIED = { ...USUAL, steps: 15, confirming: false };

/** What a network and a prior make of one another, worked out once and kept for as long as both are asked. */
export class Asked {
  #seen = null; #shown; #chains = new Map();

  /** numbers: normal ones, of which images are drawn. */
  constructor(network, prior, numbers = null) {
    Object.assign(this, { network, prior, numbers, room: network.room });
    this.flat = Prior.flat(this.room, network.low, network.high);
    for (const one of [prior, this.flat]) this.#chains.set(one, new Chain(network, one.deviation));
  }

  chain(prior) {
    return this.#chains.get(prior);
  }

  /** Whether the first layer is no wider than the image. */
  get narrow() {
    return this.chain(this.prior).first.rows <= this.prior.inputs;
  }

  get seen() {
    return (this.#seen ??= new Seen(this.chain(this.prior), this.prior));
  }

  /** Draws from the prior; null where there are no numbers to draw them by. */
  get shown() {
    const { network, prior, room, numbers } = this;
    if (this.#shown === undefined) {
      this.#shown = room.within(() => {
        const every = room.matrix(network.outputs, network.outputs);
        for (let output = 0; output < network.outputs; output++) every.row(output)[output] = 1;
        return Shown.of(new Readout(this.chain(prior), every, prior.mean), prior, numbers, network.low, network.high);
      });
    }
    return this.#shown;
  }
}

/**
 * The image of a question. near: an input vector to change as little as possible; start: one to begin at; hurried: a few
 * steps alone. Gives image, c, cost, holds, outcome, steps.
 */
export function search(asked, question, { near = null, start = null, hurried = false } = {}) {
  if (asked.narrow) asked.seen; // what outlasts this question takes its room before it
  return asked.room.within(() => {
    const { maps, values } = constraints(asked.network, question);
    const effort = hurried ? HURRIED : USUAL;
    const { prior, room } = asked;
    const problem = { asked, prior, room, maps, values, near, effort, tolerance: toleranceOf(maps, effort.tolerance) };
    const found = start ? answerFrom(problem, start) : answer(problem);
    const outcome = found.holds ? "converged" : found.trapped || found.impossible ? "not found" : "stalled";
    return { ...found, outcome };
  });
}

function answer(problem, used = 0) {
  if (problem.near) return answerNear(problem, used);
  const [guess, trusting] = firstGuess(problem);
  const found = searchFrom(problem, problem.prior, guess, { used, trusting });
  return fromOthers(problem, freed(problem, found));
}

/** The likeliest answer of all images; where the first layer is wider than the image, what goes with it by regression. */
function firstGuess(problem) {
  const { asked, prior, maps, values, room } = problem;
  if (!asked.narrow) return [asked.shown?.regressed(maps, values) ?? prior.mean, false];
  return room.within(() => {
    const readout = new Readout(asked.chain(prior), maps, prior.mean);
    return [prior.unwhiten(likeliestAnswer(readout, values, asked.seen)), true];
  });
}

const lost = ({ effort }, found) => !found.holds && !found.impossible && found.steps < effort.steps;

/** Where the prior's shape kept a search from the answer: there without it, and on from there with it. */
function freed(problem, found) {
  const { asked, prior } = problem;
  if (!lost(problem, found) || !prior.rank) return found;
  const aside = searchFrom(problem, asked.flat, found.image, { used: found.steps, improving: false });
  if (!aside.holds) return found;
  return better(found, searchFrom(problem, prior, aside.image, { used: aside.steps, trusting: true }));
}

/** Where that was in vain too: from what goes with the answers by regression, the mean, and draws. */
function fromOthers(problem, found) {
  for (const start of otherStarts(problem)) {
    if (!lost(problem, found)) break;
    found = better(found, searchFrom(problem, problem.prior, start(), { used: found.steps }));
  }
  return found;
}

/** How to make each start: none is made before it is tried. */
function* otherStarts({ asked, prior, maps, values }) {
  if (asked.narrow && prior.rank) yield () => asked.shown?.regressed(maps, values) ?? prior.mean;
  yield () => prior.mean;
  for (const image of asked.shown?.nearest(maps, values) ?? []) yield () => image;
}

/** Search from the start that was given, and without it where that was in vain. */
function answerFrom(problem, start) {
  const found = searchFrom(problem, problem.prior, start, { trusting: true });
  if (found.holds || found.steps >= problem.effort.steps) return found;
  return better(found, answer(problem, found.steps));
}

/** The smallest change of `near`, searched for from `near` itself and from the likeliest answer of all. */
function answerNear(problem, used) {
  const found = searchFrom(problem, problem.prior, problem.near, { used });
  if (found.holds && !(found.cost > 0)) return found;
  const anywhere = answer({ ...problem, near: null });
  return better(found, searchFrom(problem, problem.prior, anywhere.image, { trusting: true }));
}

/** What a search from an image comes to, when `used` of the steps are gone. */
function searchFrom(problem, prior, start, { used = 0, trusting = false, improving = true } = {}) {
  const { room, asked, asked: { network }, maps, values, near, effort, tolerance } = problem;
  return room.within(() => {
    const origin = near ?? prior.mean;
    const readout = new Readout(asked.chain(prior), maps, origin);
    const [low, high, begin] = [network.low, network.high, start].map((image) => prior.whiten(image, origin));
    const ended = new Search({
      readout, prior, asked: values, low, high, start: begin, tolerance, used, trusting, improving,
      optimality: effort.optimality, steps: effort.steps, confirming: effort.confirming,
    }).run();
    const reached = prior.unwhiten(ended.image.y.row(0), origin);
    const image = reached.map((value, pixel) => Math.min(Math.max(value, network.low[pixel]), network.high[pixel]));
    const { c } = ended.image;
    const holds = largest(values.map((value, i) => value - c[i])) < tolerance;
    return {
      image, c, holds, cost: ended.cost, error: largest(values.map((value, i) => value - c[i])),
      trapped: ended.trapped, impossible: !holds && beyond(readout, low, high, values), steps: ended.steps,
    };
  });
}

function beyond(readout, low, high, values) {
  const [lowest, highest] = readout.limits(low, high);
  return values.some((value, i) => value < lowest[i] || value > highest[i]);
}

/** What was found, or what was found again where that is better; steps add up. */
function better(found, again) {
  const likelier = found.holds && again.holds ? again.cost < found.cost : again.error < found.error;
  const chosen = found.holds === again.holds ? likelier : again.holds;
  return { ...(chosen ? again : found), steps: again.steps };
}
