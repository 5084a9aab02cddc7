// The page's words: one JSON file a language, put into every element that names a sentence.

export const LANGUAGES = { en: "English", ru: "Русский", zh: "中文" };

const ATTRIBUTES = { wordsLabel: "aria-label", wordsTitle: "title", wordsText: "aria-valuetext" };

const TURNS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g; // what turns the direction of what follows
const LEFTWARDS = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

const NOTHING = { sentence: "read.nothing" };

/** What was read and how surely, for a sentence; where no label was, -1, that it is nothing. */
export const readAs = (classes, answers, read) => ({ read: classes[read] ?? NOTHING, sure: answers[read] ?? Math.max(...answers) });

/** A name as it may stand in a sentence: what it holds must not turn the words around it. */
export function isolated(name) {
  const plain = name.replace(TURNS, "");
  return plain !== name || LEFTWARDS.test(plain) ? `\u2068${plain}\u2069` : name;
}

/** The first of the visitor's languages that there are words for. */
export function chosen(wanted) {
  const known = wanted.map((tag) => tag.toLowerCase().split("-")[0]).filter((tag) => tag in LANGUAGES);
  return known[0] ?? "en";
}

export class Words {
  #values = new WeakMap(); #sentences = {}; #plurals; #formats;

  /** `fetchWords` gives the sentences of a language. */
  constructor(fetchWords) {
    this.fetchWords = fetchWords;
  }

  async use(language) {
    this.#sentences = await this.fetchWords(language);
    this.#formats = new Map();
    this.#plurals = new Intl.PluralRules(language);
    this.language = language;
  }

  has(key) {
    return key in this.#sentences;
  }

  /** A sentence with its values: {name} as it is, {name:2} with two decimals, {name:%1} as a percentage. */
  say(key, values = {}) {
    let sentence = this.#sentences[key] ?? key;
    if (typeof sentence === "object") sentence = sentence[this.#plurals.select(values.count)] ?? sentence.other;
    return sentence.replace(/\{(\w+)(?::(%?)(\d))?\}/g, (_, name, percent, digits) =>
      this.number(values[name], digits && Number(digits), percent));
  }

  number(value, digits, percent) {
    if (value === NOTHING) return this.say(NOTHING.sentence);
    if (typeof value !== "number") return isolated(String(value ?? ""));
    const name = `${percent}${digits}`;
    if (!this.#formats.has(name)) {
      const decimals = digits === undefined ? {} : { minimumFractionDigits: digits, maximumFractionDigits: digits };
      this.#formats.set(name, new Intl.NumberFormat(this.language, { ...decimals, ...(percent && { style: "percent" }) }));
    }
    const written = this.#formats.get(name).format(value);
    return this.language === "ru" ? written.replace("-", "\u2212") : written; // a minus as wide as a plus
  }

  /** Put a sentence into an element, where it stays when the language changes. */
  tell(element, key, values = {}) {
    element.dataset.words = key;
    this.#values.set(element, values);
    const text = key ? this.say(key, values) : "";
    if (element.textContent !== text) element.textContent = text;
    return element;
  }

  /** The same for the name that a screen reader speaks. */
  label(element, key, values = {}, attribute = "wordsLabel") {
    element.dataset[attribute] = key;
    this.#values.set(element, { ...this.#values.get(element), ...values });
    element.setAttribute(ATTRIBUTES[attribute], this.say(key, values));
    return element;
  }

  /** Say everything under `root` anew. */
  apply(root) {
    for (const element of root.querySelectorAll("[data-words]")) {
      this.tell(element, element.dataset.words, this.#values.get(element));
    }
    for (const [name, attribute] of Object.entries(ATTRIBUTES)) {
      const selector = `[data-${name.replace(/[A-Z]/g, (letter) => "-" + letter.toLowerCase())}]`;
      for (const element of root.querySelectorAll(selector)) {
        element.setAttribute(attribute, this.say(element.dataset[name], this.#values.get(element)));
      }
    }
  }
}
