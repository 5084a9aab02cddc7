// What can go wrong: a sentence for a person, and the code of its kind, as `studio/protocol.py` has them.

export class Failure extends Error {
  constructor(message, code = "request") {
    super(message);
    this.code = code;
  }
}
