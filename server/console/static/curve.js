// What happened to one asset: asked for once, and continued by what the server tells.

import { ask, changed, key, serverNow, state, watch } from "./store.js";

const RENEW_MS = 5 * 60_000;
const MOST = 3600;
const QUALITIES = { GOOD: 0, UNCERTAIN: 1, BAD: 2 };

/** Several gateways that connect to the broker at once may be noticed in the same millisecond. */
const same = (mark) => (other) => mark.timestamp === other.timestamp && mark.gateway === other.gateway;

/** The history of an asset over some milliseconds up to now. */
export class Curve {
  constructor(stream, asset, span) {
    Object.assign(this, { stream, asset, span, error: "", isLoaded: false, counters: {} });
    this.times = []; // seconds since 1970
    this.values = [];
    this.scores = [];
    this.quality = [];
    this.marks = [];
    this.drift = [];
    this.end = watch((name, content) => this.hear(name, content));
    this.load();
    this.timer = setInterval(() => this.load(), RENEW_MS);
  }

  close() {
    this.end();
    clearInterval(this.timer);
  }

  get range() {
    const end = serverNow();
    return [(end - this.span) / 1000, end / 1000];
  }

  async load() {
    const from = Math.ceil(serverNow()) - this.span;
    try {
      const found = await ask(`/console/api/history?${new URLSearchParams({ stream: this.stream, asset: this.asset, from })}`);
      const { timestamp, value, score, quality } = found.points;
      const times = timestamp.map((one) => one / 1000);
      // What was told since the server has written its last point is kept.
      const last = times.at(-1) ?? -1;
      const first = this.times.findIndex((one) => one > last);
      const later = (column) => (first < 0 ? [] : column.slice(first));
      this.values = [...value, ...later(this.values)];
      this.scores = [...score, ...later(this.scores)];
      this.quality = [...quality, ...later(this.quality)];
      this.times = [...times, ...later(this.times)];
      this.marks = [...found.marks, ...this.marks.filter((one) => !found.marks.some(same(one)))];
      this.drift = found.drift;
      this.counters = found.counters ?? {};
      this.error = "";
      // The newest is not in the history yet, and was told before this curve has listened.
      const newest = state.assets.get(key(this.stream, this.asset));
      if (newest) this.add(newest);
    } catch (error) {
      this.error = error.message;
    }
    this.isLoaded = true;
    changed();
  }

  hear(name, content) {
    if (name === "open") this.load(); // no event tells of what happened before
    if (name === "mark" && content.stream === this.stream) {
      if (!this.marks.some(same(content))) this.marks.push(content);
    }
    if (name !== "plant") return;
    for (const one of content.assets) {
      if (one.stream === this.stream && one.asset === this.asset) this.add(one);
    }
  }

  add(asset) {
    const time = (asset.timestamp ?? asset.received) / 1000;
    if (time <= (this.times.at(-1) ?? -1)) return;
    this.times.push(time);
    this.values.push(asset.value);
    this.scores.push(asset.score);
    this.quality.push(QUALITIES[asset.quality] ?? 2);
    const oldest = this.range[0];
    const columns = [this.times, this.values, this.scores, this.quality];
    while (this.times.length > MOST || this.times[0] < oldest) columns.forEach((one) => one.shift());
  }
}
