// The studio: its regions over one connection, with words, paper and links. It runs in a page and in a notebook.

import { Ask } from "./ask.js";
import { Backwards } from "./backwards.js";
import { download, element, partsOf, rested } from "./dom.js";
import { turnPaper } from "./ink.js";
import { Inside } from "./inside.js";
import { Learning } from "./learning.js";
import { fragmentOf, stateOf } from "./share.js";
import { encode, Live } from "./socket.js";
import { chosen, LANGUAGES, Words } from "./words.js";

const ALONE = /^(127\.[\d.]+|localhost|\[::1\])$/; // addresses that mean each computer itself
const SPEAK = 700; // milliseconds of rest before a screen reader is told

/** Bring the page under `root` to life. carrier: see `Live`; fetchWords(language): its sentences. */
export async function mount(root, { carrier, fetchWords }) {
  const studio = new Studio(root, carrier, fetchWords);
  await studio.start();
  return studio;
}

class Studio {
  #fails = new Map(); #restored = false;

  constructor(root, carrier, fetchWords) {
    [this.root, this.part] = [root, partsOf(root)];
    this.words = new Words(fetchWords);
    this.live = new Live(carrier);
    this.speak = rested((text) => { this.voice.textContent = text; }, SPEAK);
    this.voice = element("div", { className: "unseen" });
    this.voice.setAttribute("aria-live", "polite");
    root.append(this.voice);
  }

  async start() {
    this.#paper();
    await this.words.use(stored("language") ?? chosen(navigator.languages));
    this.#language();
    const region = (name) => this.root.querySelector(`[data-region="${name}"]`);
    this.ask = new Ask(this, region("ask"));
    this.backwards = new Backwards(this, region("back"));
    this.inside = new Inside(this, region("inside"));
    this.learning = new Learning(this, region("learn"));
    this.#listen();
    this.#wire();
    this.#translated();
    this.words.tell(this.part("model"), "waiting");
    this.live.connect();
  }

  #listen() {
    const { live } = this;
    live.on("open", () => { live.ask("hello"); });
    live.on("closed", () => { this.lost = true; this.notice("lost"); });
    live.on("hello", (model) => this.#greeted(model));
    live.on("news", (news) => this.#news(news));
    live.on("adopt", (model) => { this.#begin(model); this.notice("learn.adopted"); });
    live.on("load", (model) => { this.#begin(model); this.notice("opened", { name: model.name }); });
    live.on("reset", (model) => { this.#begin(model); this.notice("restored"); });
    live.on("code", ({ lines }) => this.#showCode(lines));
    for (const kind of ["save", "page"]) live.on(kind, ({ file, name }) => download(new Blob([file.data]), name));
    live.on("error", (failure) => {
      const handler = this.#fails.get(failure.ask);
      if (handler) handler(failure);
      else this.excuse(failure);
    });
  }

  #wire() {
    this.part("open").onchange = async ({ target: { files: [file] } }) => {
      if (file) this.live.ask("load", { file: encode(new Uint8Array(await file.arrayBuffer())), name: file.name });
      this.part("open").value = "";
    };
    this.part("save").onclick = () => this.live.ask("save");
    this.part("save-page").onclick = () => this.live.ask("page");
    this.part("reset").onclick = () => this.live.ask("reset");
    this.part("link").onclick = () => this.#copyLink();
    this.part("copy-code").onclick = () => this.#toggleCode();
    window.addEventListener("hashchange", () => this.#restore());
  }

  /** What to do when a question of this kind goes wrong. */
  fails(kind, handler) {
    this.#fails.set(kind, handler);
  }

  /** After a lost connection the server knows nothing of this page: the damage is told it again. */
  #greeted(model) {
    const off = this.lost ? this.inside.off : [];
    this.#begin(model);
    if (this.lost) this.notice("found");
    if (off.length) this.inside.restore(off);
    this.lost = false;
  }

  #begin(told) {
    const model = { ...told, classes: told.classes.map(visible) };
    this.model = model;
    this.root.classList.toggle("black", model.black);
    this.root.dataset.lacks = (model.lacks ?? []).join(" ");
    this.#legends();
    this.#describe();
    this.notice("");
    for (const region of [this.ask, this.backwards, this.inside, this.learning]) region.begin(model);
    this.root.dataset.ready = "yes";
    if (!this.#restored) this.#restore();
    this.#restored = true;
  }

  #news(news) {
    Object.assign(this.model, news);
    this.#describe();
    if ("data" in news && news.data) [this.ask, this.backwards].forEach((region) => region.data(news.data));
    this.backwards.news(news);
    this.inside.news(news);
    this.learning.news(news);
  }

  #describe() {
    const { name, sizes, performance, data } = this.model;
    const known = typeof performance === "number" && data ? ".right" : "";
    this.words.tell(this.part("model"), (sizes ? "model" : "model.closed") + known, {
      name, sizes: sizes?.join("-") ?? "", performance, images: data?.test,
    });
  }

  get modelWords() {
    return this.part("model").textContent;
  }

  get method() {
    return this.backwards.method;
  }

  /** The network answers otherwise than before: ask everything again. */
  changed() {
    this.ask.ask();
    this.backwards.changed();
    this.inside.askScans();
  }

  methodChanged() {
    this.inside.askScans();
  }

  adopt() {
    this.live.ask("adopt");
  }

  /** One line for the visitor, until the next. */
  notice(key, values = {}) {
    this.part("notice").hidden = !key;
    this.words.tell(this.part("notice"), key, values);
  }

  /** Say what went wrong: in the visitor's language where the kind of error has words, else as it was told. */
  excuse({ code, error }) {
    this.notice(this.words.has(`error.${code}`) ? `error.${code}` : "error", { reason: error });
  }

  /** Tell a screen reader what stands in `line`, once it has come to rest. */
  announce(line) {
    this.speak(line.textContent);
  }

  #language() {
    const select = this.part("language");
    select.replaceChildren(...Object.entries(LANGUAGES).map(([tag, name]) => element("option", { value: tag, textContent: name, lang: tag })));
    select.value = this.words.language;
    select.onchange = async () => {
      await this.words.use(select.value);
      store("language", select.value);
      this.#translated();
    };
  }

  #translated() {
    this.root.lang = this.words.language;
    if (this.root.ownerDocument.body.contains(this.root)) this.root.ownerDocument.documentElement.lang = this.words.language;
    this.words.apply(this.root);
    for (const region of [this.backwards, this.learning]) region.redraw();
  }

  #paper() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const select = this.part("theme");
    const turn = () => {
      this.dark = select.value === "dark" || (select.value === "auto" && system.matches);
      this.root.classList.toggle("dark", this.dark);
      this.#legends();
      turnPaper();
      this.ask?.pad.paint();
      this.ask?.turnPaper();
      this.backwards?.turnPaper();
    };
    select.value = stored("theme") ?? "auto";
    select.onchange = () => { store("theme", select.value); turn(); };
    system.addEventListener("change", turn);
    turn();
  }

  /** What ink looks like depends on the paper; colours are always themselves. */
  #legends() {
    const { black, shape } = this.model ?? {};
    const kind = shape?.length === 3 ? ".colour" : black ? ".black" : this.dark ? ".dark" : "";
    for (const line of this.root.querySelectorAll("[data-shade]")) {
      const { shade } = line.dataset;
      this.words.tell(line, this.words.has(shade + kind) ? shade + kind : shade);
    }
  }

  /** The page as plain values: the drawing, the question, the damage, and which network they belong to. */
  get state() {
    const { ask, backwards, inside } = this;
    return { model: this.#identity, drawing: ask.pad.state, turned: ask.turnedTo, back: backwards.state, off: inside.off };
  }

  get #identity() {
    const { name, sizes, digest } = this.model;
    return digest ?? `${name} ${sizes?.join("-")}`;
  }

  /** The lines of Python for the picture of the back query, shown until the button is pressed again. */
  #toggleCode() {
    if (this.part("code").hidden) this.live.ask("code", this.backwards.question);
    else this.#hideCode();
  }

  #hideCode() {
    this.part("code").hidden = true;
    this.part("copy-code").setAttribute("aria-expanded", "false");
    this.notice("");
  }

  async #showCode(lines) {
    this.part("code").textContent = lines;
    this.part("code").hidden = false;
    this.part("copy-code").setAttribute("aria-expanded", "true");
    this.notice(await copied(lines) ? "code.copied" : "code.here");
  }

  async #copyLink() {
    const fragment = fragmentOf(this.state);
    history.replaceState(null, "", fragment);
    const [taken, shown] = location.protocol === "file:" ? ["link.copied.file", "link.here.file"]
      : ALONE.test(location.hostname) ? ["link.copied.alone", "link.here.alone"] : ["link.copied", "link.here"];
    const framed = window.top !== window; // where no address bar shows the link
    this.notice(await copied(location.href) ? taken : framed ? "link.framed" : shown, { address: location.host });
  }

  #restore() {
    const state = stateOf(location.hash);
    if (!state) return;
    const same = state.model === this.#identity;
    try {
      this.ask.pad.restore(state.drawing);
      if (same) this.backwards.restore(state.back);
      if (same) this.ask.turnWhenRead(state.turned);
      if (same && (state.off.length || this.inside.off.length)) this.inside.restore(state.off);
      this.notice(same ? "" : "link.other");
    } catch {
      this.notice("link.broken");
    }
  }
}

/** Put a text on the clipboard; whether that was allowed. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** A label's name, or its number where the name shows nothing. */
function visible(name, label) {
  return /[^\s\p{C}]/u.test(name) ? name : `#${label}`;
}

function stored(name) {
  try {
    return localStorage.getItem(`backquery.${name}`);
  } catch {
    return null; // a browser that keeps nothing
  }
}

function store(name, value) {
  try {
    localStorage.setItem(`backquery.${name}`, value);
  } catch {
    // a browser that keeps nothing
  }
}
