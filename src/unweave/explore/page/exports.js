// What is shown, as files.

import { door } from "./door.js";

const WORDS = {
  "figure.svg": "Figure, SVG",
  "figure.png": "Figure, PNG",
  "signals.csv": "Signals, CSV",
  "latents.csv": "Latents, CSV",
  "reproduce.py": "Python lines",
};

export class Exports {
  constructor(info, state) {
    this.state = state;
    const box = document.getElementById("exports");
    box.replaceChildren(
      ...info.exports.map((kind) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = WORDS[kind] ?? kind;
        button.dataset.kind = kind;
        button.addEventListener("click", () => this.keep(kind));
        return button;
      }),
    );
  }

  async fetch(kind) {
    return door.file(JSON.stringify({ kind, ...this.state() }));
  }

  async keep(kind) {
    const blob = await this.fetch(kind);
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = kind;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}
