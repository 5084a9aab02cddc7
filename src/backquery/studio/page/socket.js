// One connection to whoever computes: questions as JSON, answers as binary frames, the latest value of a lane wins.

const TYPES = { f4: Float32Array, i4: Int32Array, u1: Uint8Array };
const padded = (bytes) => Math.ceil(bytes / 8) * 8;

/** A frame as one object: the header's plain values, and each array as {data, shape} under its name. */
export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const message = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let offset = padded(4 + length);
  for (const { name, dtype, shape } of message.arrays ?? []) {
    const data = new TYPES[dtype](buffer, offset, shape.reduce((product, side) => product * side, 1));
    message[name] = { data, shape };
    offset += padded(data.byteLength);
  }
  return message;
}

/** Bytes as base64 text. */
export function encode(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Base64 text as bytes. */
export const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/**
 * Questions and answers over any carrier. A lane has one question under way; of those asked meanwhile only the
 * last waits. A carrier is a function that takes {frame, open, closed} and returns {send, close}.
 */
export class Live {
  #carrier; #line = null; #lanes = new Map(); #handlers = new Map(); #number = 0; #wait = 250; #ended = false;

  constructor(carrier) {
    this.#carrier = carrier;
  }

  connect() {
    this.#line = this.#carrier({
      frame: (buffer) => this.#receive(decode(buffer)),
      open: () => { this.#wait = 250; this.#lanes.clear(); this.#tell("open", {}); },
      closed: () => this.#lost(),
    });
  }

  /** Ask; answers come to the handlers of `kind`, errors to those of "error" as well. */
  ask(kind, fields = {}, lane = kind) {
    const question = { id: ++this.#number, lane, ask: kind, ...fields };
    const busy = this.#lanes.get(lane);
    if (busy) busy.next = question;
    else this.#send(question);
    return question.id;
  }

  /** Call `handler` with each answer to `kind`; returns how to stop that. */
  on(kind, handler) {
    const handlers = this.#handlers.get(kind) ?? new Set();
    this.#handlers.set(kind, handlers.add(handler));
    return () => handlers.delete(handler);
  }

  end() {
    this.#ended = true;
    this.#line?.close();
  }

  #send(question) {
    this.#lanes.set(question.lane, { id: question.id, next: null });
    this.#line.send(JSON.stringify(question));
  }

  #receive(message) {
    const lane = this.#lanes.get(message.lane);
    if (lane && message.id >= lane.id) {
      this.#lanes.delete(message.lane);
      if (lane.next) this.#send(lane.next);
    }
    if ("code" in message) this.#tell("error", message);
    else this.#tell(message.ask, message);
  }

  #lost() {
    if (this.#ended) return;
    this.#tell("closed", {});
    setTimeout(() => this.connect(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, 4000);
  }

  #tell(kind, message) {
    for (const handler of [...(this.#handlers.get(kind) ?? [])]) handler(message);
  }
}

/** The carrier of the page: a WebSocket on the server that sent it. */
export function overSocket(address) {
  return ({ frame, open, closed }) => {
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = open;
    socket.onclose = closed;
    socket.onmessage = (event) => frame(event.data);
    return {
      send: (text) => socket.readyState === WebSocket.OPEN && socket.send(text),
      close: () => socket.close(),
    };
  };
}
