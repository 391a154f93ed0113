// One stream: an asset's curve, and all that helps to decide whether to believe it.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { Chart } from "./chart.js";
import { condition } from "./condition.js";
import { Curve } from "./curve.js";
import { count, duration, many, moment, number, words } from "./format.js";
import { address, Empty, Sign } from "./parts.js";
import { Answer } from "./plant.js";
import { Reasons } from "./reasons.js";
import { changed, key, state, streamNamed } from "./store.js";

const MINUTE = 60_000;
const SPANS = [
  [5 * MINUTE, "5 min"],
  [60 * MINUTE, "1 h"],
  [6 * 60 * MINUTE, "6 h"],
  [24 * 60 * MINUTE, "24 h"],
];
const QUALITY = ["GOOD", "UNCERTAIN", "BAD"];
const COLLATOR = new Intl.Collator("en", { numeric: true });

export function Streams({ rest: [stream, asset], now }) {
  const names = [...new Set([...state.streams.map((one) => one.stream), ...seen()])].sort(COLLATOR.compare);
  if (!names.length) return html`<h1 tabindex="-1">Streams</h1>${none()}`;
  const chosen = stream || names[0];
  const assets = assetsOf(chosen);
  return html`<${Stream} names=${names} stream=${chosen} assets=${assets} asset=${asset || assets[0] || ""} now=${now} />`;
}

const seen = () => [...state.assets.values()].map((one) => one.stream);

function assetsOf(stream) {
  const found = [...state.assets.values()].filter((one) => one.stream === stream);
  return found.map((one) => one.asset).sort(COLLATOR.compare);
}

function none() {
  if (!state.isLoaded) return html`<p class="quiet">Asking the server…</p>`;
  return html`<${Empty} title="No stream yet">
    <p>This server serves none, and no prediction has arrived that would name one.</p>
  <//>`;
}

function Stream({ names, stream, assets, asset, now }) {
  const [span, setSpan] = useState(SPANS[1][0]);
  const curve = useCurve(stream, asset, span);
  const model = streamNamed(stream);
  const newest = state.assets.get(key(stream, asset));
  const options = assets.includes(asset) || !asset ? assets : [asset, ...assets];
  return html`
    <div class="head">
      <h1 tabindex="-1">${stream}${asset && html` <span class="quiet">${asset}</span>`}</h1>
      <div class="choices">
        <label>Stream <${Select} name="stream" value=${stream} options=${names} choose=${(one) => go(one)} /></label>
        ${options.length > 0 &&
        html`<label>Asset <${Select} name="asset" value=${asset} options=${options} choose=${(one) => go(stream, one)} /></label>`}
        <div class="spans" role="group" aria-label="Time shown">
          ${SPANS.map(
            ([one, text]) => html`<button
              type="button"
              key=${text}
              aria-pressed=${String(one === span)}
              onClick=${() => setSpan(one)}
            >
              ${text}
            </button>`,
          )}
        </div>
      </div>
    </div>
    <div class="columns">
      <div class="wide">
        ${asset
          ? html`<${Newest} asset=${newest} now=${now} /><${Curves} curve=${curve} model=${model} asset=${newest} />`
          : html`<${Empty} title="No prediction yet">
              <p>
                No prediction of this stream has arrived from the broker.
                ${model?.served && html`${" "}Its model can be asked by hand: <a href=${address("try", stream)}>Try it</a>.`}
              </p>
            <//>`}
      </div>
      <div class="narrow">
        <${Model} stream=${stream} model=${model} />
        <${Drifting} stream=${stream} curve=${curve} />
        <${Counters} stream=${stream} curve=${curve} />
      </div>
    </div>
  `;
}

const go = (...parts) => {
  location.hash = address("stream", ...parts).slice(1);
};

function useCurve(stream, asset, span) {
  const held = useRef(null);
  useEffect(() => {
    if (!asset) return undefined;
    const curve = new Curve(stream, asset, span);
    held.current = curve;
    changed();
    return () => curve.close();
  }, [stream, asset, span]);
  const curve = held.current;
  return curve && curve.stream === stream && curve.asset === asset && curve.span === span ? curve : null;
}

function Select({ name, value, options, choose }) {
  return html`<select name=${name} onChange=${(event) => choose(event.currentTarget.value)}>
    ${options.map((one) => html`<option key=${one} value=${one} selected=${one === value}>${one}</option>`)}
  </select>`;
}

function Newest({ asset, now }) {
  if (!asset) return html`<p class="quiet">No prediction of this asset is known any more.</p>`;
  const { kind, why, isStale } = condition(asset, now);
  return html`<dl class="facts newest newest-${kind}">
    <div><dt>State</dt><dd><${Sign} kind=${kind} />${why && html` <span class="why">${why}</span>`}</dd></div>
    <div><dt>Answer</dt><dd class="big"><${Answer} asset=${asset} /></dd></div>
    ${asset.score !== null &&
    html`<div>
      <dt>Score</dt>
      <dd class="big num">${number(asset.score)}${asset.threshold !== null && html`<span class="of"> of ${number(asset.threshold)}</span>`}</dd>
    </div>`}
    <${Reasons} asset=${asset} model=${streamNamed(asset.stream)} />
    <div><dt>Quality</dt><dd class="quality-${asset.quality}">${asset.quality}${asset.reason && html` <span class="why">${words(asset.reason)}</span>`}</dd></div>
    <div><dt>Age</dt><dd class="num">${isStale && html`<span class="late">stale</span> `}${duration(now - (asset.timestamp ?? asset.received))}</dd></div>
    <div><dt>Model</dt><dd class="num">${asset.version} <span class="seq">#${asset.seq}</span></dd></div>
  </dl>`;
}

function Curves({ curve, model, asset }) {
  const [at, setAt] = useState(null);
  if (!curve || !curve.isLoaded) return html`<p class="quiet">Asking for the history…</p>`;
  if (curve.error) return html`<p class="problem">The history cannot be shown: ${curve.error}</p>`;
  if (!curve.times.length) {
    return html`<${Empty} title="Nothing in this time"><p>No prediction is known of it. Choose a longer time.</p><//>`;
  }
  const threshold = asset?.threshold ?? model?.threshold ?? null;
  const hasScore = curve.scores.some((one) => one !== null);
  const labels = model?.classes?.length ? model.classes : null;
  const shared = { times: curve.times, quality: curve.quality, marks: curve.marks, range: curve.range, tell: setAt };
  const unit = asset?.unit ? `, ${asset.unit}` : "";
  return html`
    <div class="panel">
      ${hasScore &&
      html`<h2>Score</h2>
        <${Chart} ...${shared} values=${curve.scores} threshold=${threshold} labels=${null} height=${260} text=${inWords("score", curve.scores, curve)} />`}
      <h2>${labels ? "Answer" : `Value${unit}`}</h2>
      <${Chart}
        ...${shared}
        values=${curve.values}
        threshold=${hasScore ? null : threshold}
        labels=${labels}
        height=${hasScore ? 130 : 300}
        text=${inWords("value", curve.values, curve)}
      />
      <p class="readout num" aria-hidden="true">${at === null || at >= curve.times.length ? KEY : point(curve, at, labels)}</p>
    </div>
    <${Points} curve=${curve} labels=${labels} />
  `;
}

const KEY = html`<span class="key"><i class="shade shade-uncertain" /> uncertain</span>
  <span class="key"><i class="shade shade-bad" /> bad</span>
  <span class="key"><i class="tick" /> another model (#seq)</span>`;

function point(curve, at, labels) {
  const value = curve.values[at];
  const score = curve.scores[at] === null ? "" : ` · score ${number(curve.scores[at])}`;
  const text = labels?.[value] ?? number(value);
  return html`<b>${moment(curve.times[at] * 1000)}</b> ${" "}${text}${score} · ${QUALITY[curve.quality[at]]}`;
}

/** A curve for those who do not see it. */
function inWords(name, values, curve) {
  const known = values.filter((one) => one !== null);
  if (!known.length) return `No ${name} in this time`;
  const bad = curve.quality.filter((one) => one > 0).length;
  return (
    `The ${name} over time: least ${number(Math.min(...known))}, greatest ${number(Math.max(...known))}, ` +
    `newest ${number(known.at(-1))}; ${many(bad, "point")} of ${known.length} not good; ` +
    `${many(curve.marks.length, "exchange")} of the model`
  );
}

function Points({ curve, labels }) {
  const last = curve.times.map((_, index) => index).slice(-20).reverse();
  const marks = [...curve.marks].sort((one, other) => other.timestamp - one.timestamp);
  return html`
    <details class="panel">
      <summary>The same as tables</summary>
      <div class="tables">
        <table class="plain">
          <caption>The last points</caption>
          <thead><tr><th scope="col">Time</th><th scope="col">Answer</th><th scope="col" class="right">Score</th><th scope="col">Quality</th></tr></thead>
          <tbody>
            ${last.map(
              (one) => html`<tr key=${curve.times[one]}>
                <td>${moment(curve.times[one] * 1000)}</td>
                <td>${labels?.[curve.values[one]] ?? number(curve.values[one])}</td>
                <td class="right">${number(curve.scores[one])}</td>
                <td>${QUALITY[curve.quality[one]]}</td>
              </tr>`,
            )}
          </tbody>
        </table>
        <table class="plain swaps">
          <caption>Exchanges of the model</caption>
          <thead><tr><th scope="col">Time</th><th scope="col">Version</th><th scope="col">Seq</th><th scope="col">Gateway</th></tr></thead>
          <tbody>
            ${marks.map(
              (one) => html`<tr key=${`${one.timestamp} ${one.gateway}`}><td>${moment(one.timestamp)}</td><td>${one.version}</td><td>#${one.seq}</td><td>${one.gateway ?? "–"}</td></tr>`,
            )}
            ${!marks.length && html`<tr><td colspan="4" class="quiet">None in this time.</td></tr>`}
          </tbody>
        </table>
      </div>
    </details>
  `;
}

function Model({ stream, model }) {
  if (!model?.served) {
    return html`<section class="panel">
      <h2>Model</h2>
      <p class="quiet">This server does not serve the stream itself, so it knows no manifest, threshold or report of it.</p>
    </section>`;
  }
  const { window: size } = model;
  return html`<section class="panel">
    <h2>Model</h2>
    <dl class="facts">
      <div><dt>Task</dt><dd>${words(model.task)}</dd></div>
      <div><dt>Versions here</dt><dd>${model.versions.join(", ") || "none yet"}</dd></div>
      ${size && html`<div><dt>Window</dt><dd>${many(size.length, "sample")}${size.sample_period_ms ? `, one every ${number(size.sample_period_ms / 1000)} s` : ""}</dd></div>`}
    </dl>
    <table class="plain">
      <caption class="unseen">Signals of the model</caption>
      <thead><tr><th scope="col">Signal</th><th scope="col">Unit</th><th scope="col" class="right">Range</th></tr></thead>
      <tbody>
        ${model.signals.map(
          (one) => html`<tr key=${one.name}><td>${one.name}</td><td>${one.unit || "–"}</td><td class="right num">${range(one)}</td></tr>`,
        )}
      </tbody>
    </table>
    <p class="links">
      ${model.report && html`<a href=${model.report} target="_blank" rel="noopener">Report of the model</a>`}
      <a href=${address("try", stream)}>Try it</a>
    </p>
  </section>`;
}

export function range({ low, high, states }) {
  if (states.length) return states.join(", ");
  return low === null && high === null ? "any" : `${number(low)} … ${number(high)}`;
}

function told(stream, what) {
  return [...state.gateways.values()].flatMap((gateway) =>
    gateway.streams
      .filter((one) => one.stream === stream && one[what])
      .map((one) => ({ gateway: gateway.gateway, ...one[what] })),
  );
}

function Drifting({ stream, curve }) {
  const now = told(stream, "drift");
  const drift = (curve?.drift ?? []).filter((one) => one.ratio !== null);
  return html`<section class="panel">
    <h2>Drift</h2>
    ${!now.length && !drift.length && html`<p class="quiet">No gateway compares the data of this stream with the training data.</p>`}
    ${now.map(
      (one) => html`<p key=${one.gateway} class=${one.alarm ? "problem" : ""}>
        <b>${one.gateway}</b>: ${one.ratio === null ? "nothing compared yet" : `${number(one.ratio)} of the limit`}
        ${one.worst && html`${" "}by ${one.worst}${one.asset ? ` of ${one.asset}` : ""}`}
        ${one.alarm ? html`. <b>Beyond the limit.</b>` : "."}
      </p>`,
    )}
    ${drift.length > 1 &&
    html`<${Chart}
      times=${drift.map((one) => one.timestamp / 1000)}
      values=${drift.map((one) => one.ratio)}
      quality=${null}
      threshold=${1}
      limitName="limit"
      labels=${null}
      marks=${[]}
      range=${curve.range}
      height=${120}
      text="Distance of the data from the training data, as a multiple of its limit"
    />`}
  </section>`;
}

function Counters({ stream, curve }) {
  const quality = told(stream, "counters");
  const rows = Object.entries(curve?.counters ?? {});
  return html`<section class="panel">
    <h2>Counters</h2>
    ${!rows.length && html`<p class="quiet">No gateway that runs this stream has told its counters yet.</p>`}
    ${rows.map(([gateway, one]) => html`<${Balance} key=${gateway} gateway=${gateway} counters=${one} />`)}
    ${quality.map(
      (one) => html`<p key=${one.gateway} class="quiet">
        ${one.gateway}, predictions of this stream:
        ${" "}${Object.entries(one.predictions ?? {}).map(([name, amount]) => `${count(amount)} ${name}`).join(", ") || "none"}.
      </p>`,
    )}
  </section>`;
}

function Balance({ gateway, counters }) {
  const live = state.gateways.get(gateway)?.counters ?? counters;
  const dropped = Object.entries(live.dropped ?? {}).filter(([, amount]) => amount);
  const rows = [
    ["predicted", live.predicted],
    ["only filled windows", live.windowed],
    ...dropped.map(([reason, amount]) => [`dropped: ${words(reason)}`, amount]),
    ["waiting", live.waiting],
  ];
  return html`<table class="plain sums">
    <caption>Messages of ${gateway}${live.since ? ` since ${moment(live.since)}` : ""}</caption>
    <thead class="unseen"><tr><th scope="col">Counter</th><th scope="col">Messages</th></tr></thead>
    <tbody>
      ${rows.map(([name, amount]) => html`<tr key=${name}><th scope="row">${name}</th><td class="right num">${count(amount)}</td></tr>`)}
    </tbody>
    <tfoot>
      <tr>
        <th scope="row">received <span class=${live.balances ? "balanced" : "problem"}>${live.balances ? "= the sum ✓" : "≠ the sum"}</span></th>
        <td class="right num">${count(live.received)}</td>
      </tr>
    </tfoot>
  </table>`;
}
