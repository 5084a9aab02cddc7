// Small helpers for elements.

/** A new element with properties, and children after them. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(made.dataset, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** The parts of a section by their names: part("pad") is the element with data-part="pad". */
export const partsOf = (section) => (name) => section.querySelector(`[data-part="${name}"]`);

/** Call `action` once `wait` milliseconds have passed without another call. */
export function rested(action, wait) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(action, wait, ...values);
  };
}

/** Show that a part still says what it said before, until what is due of it has come. */
export function late(part, due) {
  part.classList.toggle("behind", Boolean(due));
  part.setAttribute("aria-busy", String(Boolean(due)));
}

/** Hand bytes to the visitor as a file. */
export function download(blob, name) {
  const address = URL.createObjectURL(blob);
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
