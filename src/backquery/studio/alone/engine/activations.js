// What must be known of activations beside the kernels' own function: slopes, inverses, ranges. The numbers are theirs.

const LEAK = 0.01;
const SLOPED = "leaky-relu:";

const logit = (y) => Math.log(y) - Math.log1p(-y);

const KNOWN = {
  sigmoid: { code: 0, low: 0, high: 1, slope: (h) => h * (1 - h), inverse: logit },
  tanh: { code: 1, low: -1, high: 1, slope: (h) => 1 - h * h, inverse: Math.atanh },
  relu: { code: 2, low: 0, high: Infinity, slope: (h) => (h > 0 ? 1 : 0), inverse: null },
  identity: { code: 4, low: -Infinity, high: Infinity, slope: () => 1, inverse: (y) => y },
  softmax: { code: 5, low: 0, high: 1, slope: (h) => h * (1 - h), inverse: Math.log }, // up to a constant
};

const sloped = (leak) => ({
  code: 3, low: -Infinity, high: Infinity, leak,
  slope: (h) => (h > 0 ? 1 : leak), inverse: (y) => (y > 0 ? y : y / leak),
});

/** The activation of a name such as "relu" or "leaky-relu:0.2"; undefined for one that is not known. */
export function activationNamed(name) {
  const own = Object.hasOwn(KNOWN, name) ? KNOWN[name] : null;
  const leak = name === "leaky-relu" ? LEAK : name.startsWith(SLOPED) ? Number(name.slice(SLOPED.length)) : NaN;
  const found = own ?? (leak >= 0 ? sloped(leak) : undefined);
  return found && { leak: 0, name, bounded: found.low > -Infinity && found.high < Infinity, ...found };
}
