// The studio in a notebook: its modules, its markup and its words come from the kernel, and so do the answers.

const IMPORT = /(\bfrom\s*|\bimport\s*)"\.\/([\w-]+\.js)"/g;

/** The address of a module that is kept as text, with those that it imports. */
function addresses(modules) {
  const known = new Map();
  const address = (name) => {
    if (!known.has(name)) {
      const text = modules[name].replace(IMPORT, (_, word, other) => `${word}"${address(other)}"`);
      known.set(name, URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
    }
    return known.get(name);
  };
  return address;
}

/** The carrier of a notebook: messages to the kernel. One model can be shown more than once. */
function overKernel(model) {
  const view = Math.random().toString(36).slice(2);
  return ({ frame, open }) => {
    const heard = (message, [view_of_bytes] = []) => {
      if (message.view !== view) return;
      const { buffer, byteOffset, byteLength } = view_of_bytes;
      frame(buffer.slice(byteOffset, byteOffset + byteLength));
    };
    model.on("msg:custom", heard);
    queueMicrotask(open);
    return {
      send: (text) => model.send({ view, ask: text }),
      close: () => { model.off("msg:custom", heard); model.send({ view, close: true }); },
    };
  };
}

async function render({ model, el }) {
  const { modules, markup, styles, words } = model.get("_parts");
  const place = el.attachShadow({ mode: "open" });
  const sheet = document.createElement("style");
  sheet.textContent = styles;
  place.innerHTML = markup;
  place.prepend(sheet);
  place.querySelector('[data-part="link"]').hidden = true; // an address of a notebook leads nowhere else
  const { mount } = await import(addresses(modules)("studio.js"));
  const root = place.querySelector(".studio");
  const studio = await mount(root, { carrier: overKernel(model), fetchWords: async (language) => words[language] });
  return () => studio.live.end();
}

export default { render };
