// A curve over time by uPlot: threshold, quality as shading, exchanges of the model as marks.

import { Component, html } from "./vendor/preact.js";
import { moment, number } from "./format.js";

const SYNC = window.uPlot.sync("time");
const DARK = matchMedia("(prefers-color-scheme: dark)");
const GAP_TIMES = 8; // of the usual distance: then there was no prediction in between
const LEAST_GAP_S = 10;
const LEFT = 74; // pixels of the axis, the same for all, so that curves below each other agree

/** A colour of app.css. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/**
 * Properties: times (seconds), values, quality (0 to 2 each, or null), threshold and limitName, marks, labels (text of
 * whole values, or null), range (seconds: begin and end), height, text (for screen readers), tell (is
 * called with the index under the pointer, or null).
 */
export class Chart extends Component {
  componentDidMount() {
    this.redraw = () => this.make();
    DARK.addEventListener("change", this.redraw);
    this.sizes = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.sizes.observe(this.base);
    this.make();
  }

  componentWillUnmount() {
    DARK.removeEventListener("change", this.redraw);
    this.sizes.disconnect();
    this.plot.destroy();
  }

  shouldComponentUpdate() {
    return true;
  }

  componentDidUpdate(before) {
    if (before.labels !== this.props.labels || before.height !== this.props.height) {
      this.make();
      return;
    }
    this.plot.setData(this.data(), false);
    this.scale();
  }

  render({ text }) {
    return html`<div class="chart" role="img" aria-label=${text} />`;
  }

  size() {
    return { width: Math.max(200, this.base.clientWidth), height: this.props.height };
  }

  make() {
    this.plot?.destroy();
    this.ink = Object.fromEntries(
      ["text", "quiet", "line", "ink", "red", "amber", "ground"].map((one) => [one, colour(one === "amber" ? "amber-fill" : one)]),
    );
    this.plot = new window.uPlot(this.options(), this.data(), this.base);
    this.scale();
  }

  /** The data with gaps where no prediction has come. */
  data() {
    const { times, values } = this.props;
    const distances = times.slice(1).map((one, index) => one - times[index]);
    const usual = distances.length ? [...distances].sort((a, b) => a - b)[distances.length >> 1] : 0;
    const gap = Math.max(LEAST_GAP_S, GAP_TIMES * usual);
    const [x, y] = [[], []];
    times.forEach((time, index) => {
      if (index && time - times[index - 1] > gap) {
        x.push(times[index - 1] + gap / 2);
        y.push(null);
      }
      x.push(time);
      y.push(values[index]);
    });
    this.gap = gap;
    return [x, y];
  }

  scale() {
    const [min, max] = this.props.range;
    this.plot.setScale("x", { min, max });
  }

  options() {
    const { labels } = this.props;
    const { ink } = this;
    const axis = { stroke: ink.quiet, font: "12px system-ui", ticks: { show: false } };
    const grid = { stroke: ink.line, width: 1 };
    const values = labels
      ? { splits: () => labels.map((_, index) => index), values: (_, splits) => splits.map((one) => short(labels[one])) }
      : {};
    return {
      ...this.size(),
      legend: { show: false },
      cursor: { sync: { key: SYNC.key, setSeries: false }, drag: { x: false, y: false }, y: false },
      scales: { x: { time: true }, y: { range: (_, low, high) => this.range(low, high) } },
      axes: [
        { ...axis, grid: { show: false }, size: 28, values: CLOCK },
        { ...axis, grid, size: LEFT, ...values },
      ],
      series: [
        {},
        {
          stroke: (plot) => this.stroke(plot),
          width: 1.6,
          paths: labels ? window.uPlot.paths.stepped({ align: 1 }) : undefined,
          points: { show: (plot) => plot.data[1].length < 3, size: 5, fill: ink.ink },
        },
      ],
      hooks: {
        drawClear: [(plot) => this.shade(plot)],
        draw: [(plot) => this.annotate(plot)],
        setCursor: [(plot) => this.tell(plot)],
      },
    };
  }

  range(low, high) {
    const { threshold, labels } = this.props;
    if (labels) return [-0.4, labels.length - 0.6];
    const ends = [low, high, threshold].filter((one) => one !== null && Number.isFinite(one));
    if (!ends.length) return [0, 1];
    const [least, most] = [Math.min(...ends), Math.max(...ends)];
    const room = (most - least || Math.abs(most) || 1) * 0.08;
    return [least >= 0 && least - room < 0 ? 0 : least - room, most + room];
  }

  /** Grey below the threshold, red above it. */
  stroke(plot) {
    const { threshold } = this.props;
    if (threshold === null || !plot.bbox.height) return this.ink.ink;
    const { top, height } = plot.bbox;
    const at = (plot.valToPos(threshold, "y", true) - top) / height;
    if (!(at > 0)) return this.ink.ink;
    if (at >= 1) return this.ink.red;
    const gradient = plot.ctx.createLinearGradient(0, top, 0, top + height);
    gradient.addColorStop(0, this.ink.red);
    gradient.addColorStop(at, this.ink.red);
    gradient.addColorStop(at, this.ink.ink);
    gradient.addColorStop(1, this.ink.ink);
    return gradient;
  }

  /** Shade the times in which the quality was not GOOD: half for UNCERTAIN, all for BAD. */
  shade(plot) {
    const { times, quality } = this.props;
    if (!quality) return;
    const { ctx, bbox } = plot;
    inside(plot, () => {
      ctx.fillStyle = this.ink.amber;
      for (let begin = 0; begin < times.length; ) {
        let end = begin;
        while (end < times.length && quality[end] === quality[begin]) end += 1;
        if (quality[begin]) {
          const until = end < times.length ? Math.min(times[end], times[end - 1] + this.gap) : times[end - 1];
          const from = plot.valToPos(times[begin], "x", true);
          const width = Math.max(2, plot.valToPos(until, "x", true) - from);
          const isBad = quality[begin] === 2;
          const height = isBad ? bbox.height : bbox.height / 2;
          ctx.globalAlpha = isBad ? 0.3 : 0.18;
          ctx.fillRect(from, bbox.top + bbox.height - height, width, height);
        }
        begin = end;
      }
    });
  }

  annotate(plot) {
    const { threshold, limitName, marks } = this.props;
    const { ctx, bbox } = plot;
    const unit = devicePixelRatio;
    inside(plot, () => {
      ctx.lineWidth = unit;
      ctx.font = `${11 * unit}px system-ui`;
      if (threshold !== null) {
        const y = Math.round(plot.valToPos(threshold, "y", true)) + 0.5;
        ctx.strokeStyle = ctx.fillStyle = this.ink.red;
        ctx.setLineDash([5 * unit, 4 * unit]);
        line(ctx, bbox.left, y, bbox.left + bbox.width, y);
        ctx.textAlign = "left";
        const isTop = y < bbox.top + 16 * unit;
        ctx.fillText(`${limitName ?? "threshold"} ${number(threshold)}`, bbox.left + 4 * unit, y + (isTop ? 13 : -4) * unit);
      }
      ctx.strokeStyle = ctx.fillStyle = this.ink.text;
      ctx.setLineDash([2 * unit, 3 * unit]);
      for (const mark of marks ?? []) {
        const x = Math.round(plot.valToPos(mark.timestamp / 1000, "x", true)) + 0.5;
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        line(ctx, x, bbox.top, x, bbox.top + bbox.height);
        const isRight = x > bbox.left + bbox.width - 60 * unit;
        ctx.textAlign = isRight ? "right" : "left";
        ctx.fillText(`#${mark.seq}`, x + (isRight ? -4 : 4) * unit, bbox.top + 12 * unit);
      }
    });
  }

  tell(plot) {
    const { times, tell } = this.props;
    if (!tell) return;
    const { left, idx } = plot.cursor;
    if (left < 0 || idx === null || idx === undefined) {
      tell(null);
      return;
    }
    const at = plot.data[0][idx];
    const found = times.indexOf(at);
    tell(found < 0 ? null : found);
  }
}

const CLOCK = (_, splits) => {
  const isLong = splits.length > 1 && splits[1] - splits[0] >= 60;
  return splits.map((one) => moment(one * 1000).slice(0, isLong ? -3 : undefined));
};

const short = (text) => (text && text.length > 11 ? `${text.slice(0, 10)}…` : (text ?? ""));

function inside(plot, draw) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  draw();
  ctx.restore();
}

function line(ctx, x, y, toX, toY) {
  ctx.beginPath();
  ctx.moveTo(x, y);
  ctx.lineTo(toX, toY);
  ctx.stroke();
}
