// A page of one file: the studio over a worker that is in the file itself.

import { mount } from "./studio.js";

const text = (id) => document.getElementById(id).textContent;
const root = document.querySelector(".studio");
const words = JSON.parse(text("words"));

/** The carrier: a worker, which is told once what the file holds. */
function overWorker(told) {
  return ({ frame, open }) => {
    const address = URL.createObjectURL(new Blob([text("engine")], { type: "text/javascript" }));
    const worker = new Worker(address);
    worker.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) frame(data);
      else if (data === "open") open();
      else told("page.damaged");
    };
    worker.onerror = () => told("page.failed");
    worker.postMessage({ content: text("content").trim(), check: Number(document.getElementById("content").dataset.check) });
    return { send: (question) => worker.postMessage(question), close: () => worker.terminate() };
  };
}

let studio = null;
const told = (sentence) => (studio ? studio.notice(sentence) : setTimeout(told, 50, sentence));
document.getElementById("silent").remove();
root.hidden = false;
studio = await mount(root, { carrier: overWorker(told), fetchWords: async (language) => words[language] });
