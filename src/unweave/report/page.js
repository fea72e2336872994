"use strict";
(() => {
  const data = JSON.parse(document.getElementById("turn-data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const centre = new Float32Array(bytes(data.centre));
  const away = new Int16Array(bytes(data.away));
  const size = centre.length;
  const channels = data.channels.length;
  const unit = data.reach.map((r) => r / 32767);
  const canvas = document.getElementById("stage");
  const inputs = [...document.querySelectorAll("#turn input[type=range]")];
  const scores = inputs.map(() => 0);

  // x(z) = centre + the sum of each latent's own deviation, linear between two shown steps
  function decode() {
    const x = Float32Array.from(centre);
    scores.forEach((score, latent) => {
      if (score === 0) return;
      const place = ((score - data.low) / (data.high - data.low)) * (data.steps - 1);
      const before = Math.min(Math.floor(place), data.steps - 2);
      const part = place - before;
      const from = (latent * data.steps + before) * size;
      for (let i = 0; i < size; i++) {
        const whole = away[from + i] * (1 - part) + away[from + size + i] * part;
        x[i] += whole * unit[i % channels];
      }
    });
    return x;
  }

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function ticks(low, high, most) {
    const rough = (high - low) / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step);
    return found;
  }

  function label(value) {
    return String(Number(value.toPrecision(6))).replace("-", "−");
  }

  function drawSeries(x) {
    const width = canvas.clientWidth;
    const narrow = width < 480;
    const columns = channels === 1 ? 1 : Math.min(channels, narrow ? 2 : 4);
    const rows = Math.ceil(channels / columns);
    const tall = channels === 1 ? (narrow ? 210 : 270) : channels <= 4 ? 190 : 124;
    const foot = 34;
    const height = rows * tall + foot;
    const ratio = window.devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const samples = size / channels;
    const start = data.origin;
    const end = data.origin + data.step * (samples - 1);
    for (let c = 0; c < channels; c++) {
      const channel = data.channels[c];
      let { low, high } = channel;
      for (let i = c; i < size; i += channels) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
      }
      if (!(high > low)) high = low + 1;
      const left = (c % columns) * (width / columns) + 34;
      const right = (c % columns + 1) * (width / columns) - 6;
      const top = Math.floor(c / columns) * tall + 24;
      const bottom = (Math.floor(c / columns) + 1) * tall - 4;
      const across = (t) => left + ((t - start) / (end - start || 1)) * (right - left);
      const up = (v) => bottom - ((v - low) / (high - low)) * (bottom - top);
      pen.fillStyle = colour("--ink");
      pen.textAlign = "left";
      pen.fillText(channel.unit ? `${channel.name} (${channel.unit})` : channel.name, left, top - 9);
      pen.lineWidth = 1;
      pen.strokeStyle = colour("--rule");
      pen.fillStyle = colour("--muted");
      pen.textAlign = "right";
      for (const v of ticks(low, high, channels === 1 ? 5 : 4)) {
        pen.beginPath();
        pen.moveTo(left, up(v));
        pen.lineTo(right, up(v));
        pen.stroke();
        pen.fillText(label(v), left - 6, up(v) + 4);
      }
      if (c + columns >= channels) {
        pen.textAlign = "center";
        for (const t of ticks(start, end, columns === 1 ? 7 : 4)) {
          pen.fillText(label(t), across(t), bottom + 15);
        }
        if (c % columns === 0) {
          pen.fillText(data.xLabel, (left + right) / 2, bottom + 31);
        }
      }
      curve(pen, centre, c, across, up, colour("--faint"), 1.25);
      curve(pen, x, c, across, up, colour("--accent"), 2);
    }
  }

  function curve(pen, x, c, across, up, ink, width) {
    pen.beginPath();
    pen.strokeStyle = ink;
    pen.lineWidth = width;
    pen.lineJoin = "round";
    let drawing = false;
    for (let i = c, k = 0; i < size; i += channels, k++) {
      const seen = Number.isFinite(x[i]);
      const place = [across(data.origin + data.step * k), up(x[i])];
      if (seen && drawing) pen.lineTo(...place);
      if (seen && !drawing) pen.moveTo(...place);
      drawing = seen;
    }
    pen.stroke();
  }

  function drawImage(x) {
    const [height, width] = data.shape;
    canvas.width = width;
    canvas.height = height;
    const pen = canvas.getContext("2d");
    const picture = pen.createImageData(width, height);
    const low = Math.min(...data.channels.map((c) => c.low));
    const high = Math.max(...data.channels.map((c) => c.high));
    for (let i = 0; i < width * height; i++) {
      for (let k = 0; k < 3; k++) {
        const v = x[i * channels + (channels === 3 ? k : 0)];
        picture.data[4 * i + k] = (255 * (v - low)) / (high - low || 1);
      }
      picture.data[4 * i + 3] = 255;
    }
    pen.putImageData(picture, 0, 0);
  }

  let waiting = false;
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      (data.image ? drawImage : drawSeries)(decode());
    });
  }

  function set(latent, score) {
    scores[latent] = Math.min(data.high, Math.max(data.low, score));
    const input = inputs[latent];
    input.value = scores[latent];
    const sign = scores[latent] > 0.004 ? "+" : scores[latent] < -0.004 ? "−" : "";
    const words = sign ? sign + Math.abs(scores[latent]).toFixed(2) : "0";
    input.parentElement.querySelector("output").textContent = words;
    draw();
  }

  function normal() {
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
    return radius * Math.cos(2 * Math.PI * Math.random());
  }

  inputs.forEach((input, latent) => {
    input.addEventListener("input", () => set(latent, Number(input.value)));
    set(latent, 0);
  });
  document.getElementById("reset").addEventListener("click", () => inputs.forEach((_, i) => set(i, 0)));
  document.getElementById("random").addEventListener("click", () => inputs.forEach((_, i) => set(i, normal())));
  window.addEventListener("resize", draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
