// The plant: every asset in one table, what is abnormal first.

import { Component, html, useState } from "./vendor/preact.js";
import { condition, KINDS } from "./condition.js";
import { duration, many, moment, number, words } from "./format.js";
import { address, Empty, Gauge, Shape, Sign, Sparkline } from "./parts.js";
import { key, state, streamNamed } from "./store.js";

const STEP = 250; // rows that are added at a time; more would be slow to draw, and nobody reads them
const CALM_MS = 5000;
const UNSEEN_MS = 5000;
const SHOWN = ["asset", "kind", "why", "isStale", "age"];
const COLLATOR = new Intl.Collator("en", { numeric: true });

export function Plant({ now }) {
  const [text, setText] = useState("");
  const [kind, setKind] = useState("");
  const [limit, setLimit] = useState(STEP);
  const all = [...state.assets.values()].map((asset) => ({ asset, ...condition(asset, now) }));
  const sought = text.toLowerCase().split(/\s+/).filter(Boolean);
  const named = all.filter(({ asset }) => sought.every((one) => haystack(asset).includes(one)));
  const shown = named.filter((one) => !kind || one.kind === kind).sort(byUrgency);
  if (!all.length) return html`<h1 tabindex="-1">Plant</h1><${Nothing} />`;
  return html`
    <div class="head">
      <h1 tabindex="-1">Plant</h1>
      <${Counts} rows=${named} kind=${kind} choose=${setKind} />
      <input
        type="search"
        name="filter"
        class="filter"
        placeholder="Filter by asset, stream, label…"
        aria-label="Filter by text"
        value=${text}
        onInput=${(event) => setText(event.currentTarget.value)}
      />
    </div>
    <p class="unseen" aria-live="polite">${calm(all)}</p>
    ${shown.length
      ? html`<${Table} rows=${shown.slice(0, limit)} now=${now} />`
      : html`<${Empty} title="No asset matches">
          <p>Of ${many(all.length, "asset")}, none has what is asked for.</p>
          <button type="button" onClick=${() => (setText(""), setKind(""))}>Show all</button>
        <//>`}
    ${shown.length > limit &&
    html`<p class="more">
      ${many(shown.length - limit, "more asset")}, all less urgent. ${" "}
      <button type="button" onClick=${() => setLimit(limit + STEP)}>Show ${STEP} more</button>
    </p>`}
  `;
}

function byUrgency(one, other) {
  return (
    KINDS[one.kind].rank - KINDS[other.kind].rank ||
    COLLATOR.compare(one.asset.asset, other.asset.asset) ||
    COLLATOR.compare(one.asset.stream, other.asset.stream)
  );
}

function haystack(asset) {
  return `${asset.asset} ${asset.stream} ${asset.label ?? ""} ${asset.gateway} ${words(asset.reason)}`.toLowerCase();
}

let said = { text: "", at: 0 };

/** What a screen reader says by itself: how many are abnormal, and seldom. */
function calm(rows) {
  const amount = rows.filter((one) => one.kind !== "normal").length;
  const text = amount ? `${many(amount, "asset")} not normal` : "All assets normal";
  if (text !== said.text && Date.now() - said.at > CALM_MS) said = { text, at: Date.now() };
  return said.text;
}

function Counts({ rows, kind, choose }) {
  const amounts = Object.keys(KINDS).map((one) => [one, rows.filter((row) => row.kind === one).length]);
  return html`<div class="counts" role="group" aria-label="Show only">
    ${amounts.map(
      ([one, amount]) => html`<button
        type="button"
        key=${one}
        class="count ${amount ? `count-${one}` : ""}"
        aria-pressed=${String(kind === one)}
        onClick=${() => choose(kind === one ? "" : one)}
      >
        <${Shape} kind=${one} /><b>${amount}</b> ${KINDS[one].name.toLowerCase()}
      </button>`,
    )}
  </div>`;
}

// The roles are those that the elements have by themselves; on a small screen, where the rows are laid
// out as a grid, some browsers would forget them.
function Table({ rows, now }) {
  return html`<table class="assets" role="table">
    <caption class="unseen">
      The newest prediction of each asset, what is abnormal first
    </caption>
    <thead role="rowgroup">
      <tr role="row">
        <th role="columnheader" scope="col">State</th>
        <th role="columnheader" scope="col">Asset</th>
        <th role="columnheader" scope="col">Stream</th>
        <th role="columnheader" scope="col">Answer</th>
        <th role="columnheader" scope="col">Score</th>
        <th role="columnheader" scope="col">Quality</th>
        <th role="columnheader" scope="col">Trend</th>
        <th role="columnheader" scope="col" class="right">Age</th>
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map(
        (one) => html`<${Row}
          key=${key(one.asset.stream, one.asset.asset)}
          asset=${one.asset}
          kind=${one.kind}
          why=${one.why}
          isStale=${one.isStale}
          age=${duration(now - (one.asset.timestamp ?? one.asset.received))}
        />`,
      )}
    </tbody>
  </table>`;
}

const rows = new WeakMap();
const sight = new IntersectionObserver(
  (entries) => entries.forEach((one) => rows.get(one.target)?.see(one.isIntersecting)),
  { rootMargin: "200px" },
);

/**
 * One asset. It is drawn anew only if something that it shows has changed; outside of what can be
 * seen, for a change of its kind at once and for all others every few seconds.
 */
class Row extends Component {
  componentDidMount() {
    this.drawn = Date.now();
    rows.set(this.base, this);
    sight.observe(this.base);
  }

  componentWillUnmount() {
    sight.unobserve(this.base);
  }

  see(isSeen) {
    this.isSeen = isSeen;
    if (isSeen) this.forceUpdate();
  }

  shouldComponentUpdate(next) {
    const now = this.props;
    const isDue = this.isSeen || next.kind !== now.kind || Date.now() - this.drawn > UNSEEN_MS;
    return isDue && SHOWN.some((one) => next[one] !== now[one]);
  }

  componentDidUpdate() {
    this.drawn = Date.now();
  }

  render({ asset, kind, why, isStale, age }) {
    return html`<tr role="row" class="row-${kind} ${isStale ? "is-stale" : ""}">
      <td role="cell" class="c-state"><${Sign} kind=${kind} />${why && html` <span class="why">${why}</span>`}</td>
      <th role="rowheader" scope="row" class="c-asset">
        <a href=${address("stream", asset.stream, asset.asset)}>${asset.asset}</a>
      </th>
      <td role="cell" class="c-stream">${asset.stream}<span class="seq"> ${asset.version}</span></td>
      <td role="cell" class="c-answer"><${Answer} asset=${asset} /></td>
      <td role="cell" class="c-score">
        ${asset.score !== null &&
        (asset.threshold !== null
          ? html`<${Gauge} score=${asset.score} threshold=${asset.threshold} />
              <span class="num">${number(asset.score)}</span><span class="of"> of ${number(asset.threshold)}</span>`
          : html`<span class="num">${number(asset.score)}</span>`)}
      </td>
      <td role="cell" class="c-quality quality-${asset.quality}">${asset.quality}</td>
      <td role="cell" class="c-spark"><${Sparkline} values=${asset.sparkline} limit=${asset.threshold} ends=${hasClasses(asset) ? SHARE : []} /></td>
      <td role="cell" class="c-age right" title="measured ${moment(asset.timestamp)}, arrived ${moment(asset.received)}">
        ${isStale && html`<span class="late">stale</span> `}${age}
      </td>
    </tr>`;
  }
}

const SHARE = [0, 1]; // between which the probability of a class is

const hasClasses = (asset) => Boolean(asset.label ?? streamNamed(asset.stream)?.classes?.length);

/** The answer in words, where the model has a word for it, else the number with its unit. */
export function Answer({ asset }) {
  if (asset.label) return html`<span class="label">${asset.label}</span>`;
  return html`<span class="num">${number(asset.value)}</span>${asset.unit &&
    asset.value !== null &&
    html`<span class="unit"> ${asset.unit}</span>`}`;
}

function Nothing() {
  const { broker, isLoaded, streams } = state;
  if (!isLoaded) return html`<p class="quiet">Asking the server…</p>`;
  const topics = broker.topics ?? [];
  const ignored = Object.entries(state.ignored);
  return html`<${Empty} title="No prediction yet">
    ${broker.connected
      ? html`<p>
          The server is connected to the broker ${broker.address} and waits
          ${topics.length ? html` for predictions on ${topics.map((one) => html`<code>${one}</code> `)}` : ""}.
          An asset appears here with its first prediction.
        </p>`
      : html`<p>The server has no connection to the broker ${broker.address}: ${broker.reason}.</p>`}
    <ul>
      <li>
        Does a gateway run? <a href="#/gateways">Gateways</a> shows
        ${" "}${many(state.gateways.size, "gateway")}.
      </li>
      ${ignored.length > 0 &&
      html`<li>Messages have arrived that are no predictions: ${ignored.map(([one, amount]) => `${words(one)} ${amount}`).join(", ")}.</li>`}
      <li>
        Are the predictions on other topics? <code>console.predictions</code> in server.toml names those that
        are read.
      </li>
      ${streams.some((one) => one.served) &&
      html`<li>A model can be asked by hand at once: <a href="#/try">Try it</a>.</li>`}
    </ul>
  <//>`;
}
