// The page: the studio over a WebSocket to the server that sent it.

import { overSocket } from "./socket.js";
import { mount } from "./studio.js";

const words = async (language) => (await fetch(`/words/${language}.json`)).json();
const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`;

mount(document.querySelector(".studio"), { carrier: overSocket(address), fetchWords: words });
