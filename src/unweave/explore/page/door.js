// Where questions go: to the server that gave this page, or in a notebook to the kernel.

const AGAIN = 1500;

// The server of `unweave explore`; the state stands in the address.
class Server {
  constructor() {
    addEventListener("hashchange", () => location.reload());
  }

  async describe() {
    return (await fetch("/describe")).json();
  }

  get fragment() {
    return location.hash;
  }

  set fragment(text) {
    history.replaceState(null, "", text);
  }

  async file(body) {
    const answer = await fetch("/export", { method: "POST", body });
    return answer.ok ? answer.blob() : null;
  }

  open(hooks) {
    this.socket = new WebSocket(`ws://${location.host}/socket`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => hooks.open();
    this.socket.onclose = () => {
      hooks.closed();
      setTimeout(() => this.open(hooks), AGAIN);
    };
    this.socket.onmessage = (event) => hooks.receive(event.data);
  }

  send(text) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(text);
  }
}

// The kernel of a notebook, whose document holds this page in a frame and passes all on.
class Kernel {
  constructor() {
    this.calls = new Map();
    addEventListener("message", (event) => {
      if (event.source === parent) this.passed(event.data);
    });
  }

  passed({ call, id, body, bytes }) {
    if (call === "frame") this.hooks?.receive(bytes ?? body);
    else this.calls.get(id)?.(bytes ? { ...body, bytes } : body);
    this.calls.delete(id);
  }

  call(call, body) {
    const id = Math.random().toString(36).slice(2);
    return new Promise((done) => {
      this.calls.set(id, done);
      parent.postMessage({ call, id, body }, "*");
    });
  }

  async describe() {
    const { info, fragment } = await this.call("describe", "");
    this.begun = fragment;
    return info;
  }

  get fragment() {
    return this.begun;
  }

  set fragment(text) {
    parent.postMessage({ call: "state", body: text }, "*");
  }

  async file(body) {
    const { type, bytes } = await this.call("export", body);
    return bytes ? new Blob([bytes], { type }) : null;
  }

  open(hooks) {
    this.hooks = hooks;
    // the page has yet to say what an open connection means to it
    queueMicrotask(() => hooks.open());
  }

  send(text) {
    parent.postMessage({ call: "ask", body: text }, "*");
  }
}

export const door =
  document.documentElement.dataset.door === "kernel" ? new Kernel() : new Server();
