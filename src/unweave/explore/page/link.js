// The connection: frames out as JSON, answers in as a header and arrays; stale answers are dropped.

import { door } from "./door.js";

const MOVES = new Set(["turn", "encode", "between", "swap", "sample"]);

export function lane(ask, model) {
  return `${MOVES.has(ask) ? "move" : ask} ${model}`;
}

export function unpack(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  const arrays = {};
  let place = 4 + size;
  for (const [name, shape] of header.arrays) {
    const count = shape.reduce((a, b) => a * b, 1);
    arrays[name] = { shape, values: new Float64Array(buffer.slice(place, place + 8 * count)) };
    place += 8 * count;
  }
  return { header, arrays };
}

export class Link {
  constructor({ answer, refuse, state }) {
    this.newest = new Map();
    this.waiting = new Map();
    this.seq = 0;
    this.hooks = { answer, refuse, state };
    door.open({
      open: () => {
        this.isOpen = true;
        this.hooks.state("open");
        for (const frame of this.waiting.values()) door.send(JSON.stringify(frame));
      },
      closed: () => {
        this.isOpen = false;
        this.hooks.state("closed");
      },
      receive: (data) => this.receive(data),
    });
  }

  // Sends a question; of every lane only the answer to the last one counts.
  ask(ask, model, fields, stamp) {
    const frame = { ask, seq: ++this.seq, model, ...fields };
    const key = lane(ask, model);
    this.newest.set(key, { seq: frame.seq, stamp });
    this.waiting.set(key, frame);
    if (this.isOpen) door.send(JSON.stringify(frame));
    return frame.seq;
  }

  // Whatever was asked of that kind is not wanted any more.
  forget(ask, model) {
    this.newest.delete(lane(ask, model));
    this.waiting.delete(lane(ask, model));
  }

  get pending() {
    return [...this.waiting.values()];
  }

  receive(data) {
    const { header, arrays } =
      typeof data === "string" ? { header: JSON.parse(data), arrays: {} } : unpack(data);
    if (header.ask === undefined) {
      this.hooks.refuse(header);
      return;
    }
    const key = lane(header.ask, header.model);
    const newest = this.newest.get(key);
    if (newest === undefined || header.seq !== newest.seq) return;
    this.waiting.delete(key);
    if (header.refused !== undefined) this.hooks.refuse(header);
    else this.hooks.answer(header, arrays, newest.stamp);
  }
}
