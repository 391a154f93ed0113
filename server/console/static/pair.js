// Answers of two models to the same windows, drawn over each other.

import { Component, html } from "./vendor/preact.js";
import { number, moment } from "./format.js";

const DARK = matchMedia("(prefers-color-scheme: dark)");
const HEIGHT = 150; // pixels
const LEFT = 64;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Properties: one, with gateway, champion, candidate, and answers as [milliseconds, champion's, candidate's]. */
export class Pair extends Component {
  componentDidMount() {
    this.redraw = () => this.make();
    DARK.addEventListener("change", this.redraw);
    this.frame = this.base.querySelector(".chart");
    this.sizes = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.sizes.observe(this.frame);
    this.make();
  }

  componentWillUnmount() {
    DARK.removeEventListener("change", this.redraw);
    this.sizes.disconnect();
    this.plot.destroy();
  }

  componentDidUpdate() {
    this.plot.setData(this.data());
  }

  render({ one }) {
    const { answers, champion, candidate, gateway } = one;
    const apart = answers.map(([, first, second]) => Math.abs(second - first));
    const most = answers[apart.indexOf(Math.max(...apart))];
    return html`<figure class="pair">
      <figcaption>
        ${gateway}: <span class="key key-champion">#${champion} serves</span>${" "}
        <span class="key key-candidate">#${candidate} in its shadow</span>${" "}
        <span class="quiet">furthest apart at ${moment(most[0])}: ${number(most[1])} and ${number(most[2])}</span>
      </figcaption>
      <div class="chart" role="img" aria-label=${`Answers of #${champion} and #${candidate} on ${gateway} over time`} />
    </figure>`;
  }

  data() {
    const { answers } = this.props.one;
    return [answers.map(([at]) => at / 1000), answers.map(([, first]) => first), answers.map(([, , second]) => second)];
  }

  size() {
    return { width: Math.max(200, this.frame.clientWidth), height: HEIGHT };
  }

  make() {
    this.plot?.destroy();
    const axis = { stroke: colour("quiet"), font: "12px system-ui", ticks: { show: false } };
    const line = { width: 1.6, points: { show: false } };
    const options = {
      ...this.size(),
      legend: { show: false },
      cursor: { show: false },
      axes: [
        { ...axis, grid: { show: false }, size: 28, space: 120, values: (_, splits) => splits.map((one) => moment(one * 1000)) },
        { ...axis, grid: { stroke: colour("line"), width: 1 }, size: LEFT },
      ],
      series: [{}, { ...line, stroke: colour("ink") }, { ...line, stroke: colour("red"), dash: [5, 3] }],
    };
    this.plot = new window.uPlot(options, this.data(), this.frame);
  }
}
