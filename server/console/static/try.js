// Ask a model by hand: a form from its manifest, its answer, and the same request as a curl line.

import { html, useEffect, useState } from "./vendor/preact.js";
import { number, words } from "./format.js";
import { address, Copyable, Empty, Gauge } from "./parts.js";
import { range } from "./stream.js";
import { hasToken, state } from "./store.js";

const ANSWER_MS = 30_000;

export function TryIt({ rest: [stream] }) {
  const served = state.streams.filter((one) => one.served);
  if (!served.length) {
    return html`<h1 tabindex="-1">Try it</h1>
      ${state.isLoaded
        ? html`<${Empty} title="No model to ask yet">
            <p>This server serves no stream that has a model. <code>[[streams]]</code> in server.toml names those that it serves.</p>
          <//>`
        : html`<p class="quiet">Asking the server…</p>`}`;
  }
  const model = served.find((one) => one.stream === stream) ?? served[0];
  const names = served.map((one) => one.stream);
  return html`
    <div class="head">
      <h1 tabindex="-1">Try it <span class="quiet">${model.stream}</span></h1>
      <label>Stream
        <select name="stream" onChange=${(event) => (location.hash = address("try", event.currentTarget.value).slice(1))}>
          ${names.map((one) => html`<option key=${one} selected=${one === model.stream}>${one}</option>`)}
        </select>
      </label>
    </div>
    <${Started} key=${model.stream} model=${model} />
  `;
}

/** The form, once its first values are known: they do not change under the hands of who types. */
function Started({ model }) {
  const [rows, setRows] = useState(null);
  useEffect(() => {
    example(model.stream).then((found) => setRows(found ?? middle(model)));
  }, []);
  return rows ? html`<${Form} model=${model} first=${rows} />` : html`<p class="quiet">Asking the server…</p>`;
}

function Form({ model, first }) {
  const { stream } = model;
  const [rows, setRows] = useState(first);
  const [isAll, setAll] = useState(true);
  const [texts, setTexts] = useState({}); // as typed: "1." is a number that is not finished
  const [answer, setAnswer] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const [token, setToken] = useState("");
  const [isAsked, setAsked] = useState(hasToken); // whether there is a field for a token
  const change = ({ name, states }, text) => {
    const value = text.trim() === "" ? null : states.length ? text : Number(text);
    setTexts((now) => ({ ...now, [name]: text }));
    setRows((now) => now.map((row, index) => (isAll || index === now.length - 1 ? { ...row, [name]: value } : row)));
  };
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    const found = await predict(stream, rows, token);
    setAnswer(found);
    setBusy(false);
    if (found.isClosed) setAsked(true);
  };
  useEffect(() => {
    if (answer?.isClosed) document.getElementById("asking").focus();
  }, [answer]);
  const newest = rows.at(-1);
  return html`
    <div class="columns even">
      <form class="panel" onSubmit=${send}>
        <h2>Readings</h2>
        <p class="quiet">
          ${rows.length === 1 ? "One row is one window." : `The model looks at the last ${model.window.length} samples, so ${rows.length} rows are sent.`}
          ${" "}They come from an example of the bundle. An empty field is a missing value.
        </p>
        <div class="fields">
          ${model.signals.map(
            (one) => html`<${Field} key=${one.name} signal=${one} value=${newest[one.name] ?? null} text=${texts[one.name]} change=${change} />`,
          )}
        </div>
        ${rows.length > 1 &&
        html`<fieldset class="which">
          <legend>A change is for</legend>
          <label><input type="radio" name="which" checked=${isAll} onChange=${() => setAll(true)} /> all ${rows.length} rows</label>
          <label><input type="radio" name="which" checked=${!isAll} onChange=${() => setAll(false)} /> the newest row alone</label>
        </fieldset>`}
        ${isAsked && html`<${Token} value=${token} change=${setToken} />`}
        <button type="submit" class="primary" disabled=${isBusy}>${isBusy ? "Asking…" : "Ask the model"}</button>
      </form>
      <div>
        <section class="panel" aria-live="polite">
          <h2>Answer</h2>
          <${Answer} answer=${answer} model=${model} />
        </section>
        <section class="panel">
          <h2>The same from a shell</h2>
          <${Copyable} text=${curl(stream, rows, isAsked)} label="The request as a curl line" />
        </section>
      </div>
    </div>
  `;
}

function Field({ signal, value, text, change }) {
  const id = `signal-${signal.name}`;
  const typed = (event) => change(signal, event.currentTarget.value);
  const isOutside =
    value !== null && ((signal.low !== null && value < signal.low) || (signal.high !== null && value > signal.high));
  return html`<div class="field ${isOutside ? "is-outside" : ""}">
    <label for=${id}>${signal.name} ${signal.unit && html`<span class="unit">${signal.unit}</span>`}</label>
    ${signal.states.length
      ? html`<select id=${id} name=${signal.name} aria-describedby="${id}-range" onChange=${typed}>
          <option value="" selected=${value === null}>no value</option>
          ${signal.states.map((one) => html`<option key=${one} value=${one} selected=${one === value}>${one}</option>`)}
        </select>`
      : html`<input id=${id} name=${signal.name} type="number" step="any" inputmode="decimal" value=${text ?? value ?? ""} aria-describedby="${id}-range" onInput=${typed} />`}
    <span id="${id}-range" class="hint">${isOutside ? "outside " : ""}${range(signal)}${MISSING[signal.missing] ?? ""}</span>
  </div>`;
}

/** The session of the page may read, not ask models; the token for that stays in this form. */
function Token({ value, change }) {
  return html`<div class="field asked">
    <label for="asking">Token with the scope infer</label>
    <input id="asking" type="password" autocomplete="off" aria-describedby="asking-hint" value=${value} onInput=${(event) => change(event.currentTarget.value.trim())} />
    <span id="asking-hint" class="hint">The session of this page may only read. The token is kept in this field alone.</span>
  </div>`;
}

const MISSING = { require: ", needed" };

function Answer({ answer, model }) {
  if (!answer) return html`<p class="quiet">None yet: ask the model.</p>`;
  if (answer.isClosed) {
    return html`<p class="problem">
      <b>Asking a model needs a token with the scope infer.</b>
      ${" "}${answer.isKnown ? `This one does not do: ${answer.error}.` : "The session of this page may only read."}
    </p>
    <p>Put such a token into the field above “Ask the model”. Whoever looks after this server gives out tokens.</p>`;
  }
  if (answer.error) return html`<p class="problem"><b>${answer.status}</b> ${answer.error}</p>`;
  const found = answer.document.predictions?.at(-1);
  return html`
    ${found ? html`<${Prediction} one=${found} model=${model} />` : html`<p>No window was complete, so there is no prediction.</p>`}
    <details><summary>The answer as it was sent</summary><pre tabindex="0" aria-label="The answer as JSON">${JSON.stringify(answer.document, null, 2)}</pre></details>
  `;
}

function Prediction({ one, model }) {
  const limit = model.threshold;
  const score = one.score ?? null;
  return html`<dl class="facts">
    <div>
      <dt>${one.label ? "Label" : "Value"}</dt>
      <dd class="big">${one.label ?? number(one.value)}${!one.label && one.unit && html`<span class="unit"> ${one.unit}</span>`}</dd>
    </div>
    ${score !== null &&
    html`<div>
      <dt>Score</dt>
      <dd class="big num">${number(score)}${limit !== null && html` <span class="of">of ${number(limit)}</span> <${Gauge} score=${score} threshold=${limit} />`}</dd>
    </div>`}
    <div><dt>Quality</dt><dd class="quality-${one.quality}">${one.quality}${one.reason && html` <span class="why">${words(one.reason)}</span>`}</dd></div>
    <div><dt>Model</dt><dd class="num">${one.version} <span class="seq">#${one.seq}</span></dd></div>
  </dl>`;
}

/** The rows of the bundle's own example; null where there is none, or no answer in time. */
async function example(stream) {
  try {
    const found = await fetch(`/v1/streams/${encodeURIComponent(stream)}`, { signal: AbortSignal.timeout(ANSWER_MS) });
    const readings = (await found.json()).example?.request?.readings;
    if (!readings) return null;
    return Array.isArray(readings) ? readings : [readings];
  } catch {
    return null;
  }
}

/** Rows in the middle of each range. */
function middle(model) {
  const value = ({ low, high, states }) => states[0] ?? (low === null || high === null ? (low ?? high ?? 0) : (low + high) / 2);
  const row = Object.fromEntries(model.signals.map((one) => [one.name, value(one)]));
  return Array.from({ length: model.window?.length ?? 1 }, () => ({ ...row }));
}

const body = (rows) => JSON.stringify({ readings: rows.length === 1 ? rows[0] : rows });
const path = (stream) => `/v1/streams/${encodeURIComponent(stream)}/predict`;

function curl(stream, rows, isAsked) {
  const access = isAsked ? ` -H "Authorization: Bearer $TOKEN"` : "";
  return `curl -s ${location.origin}${path(stream)}${access} -d '${body(rows).replaceAll("'", "'\\''")}'`;
}

async function predict(stream, rows, token) {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const headers = { "content-type": "application/json" };
    if (token) headers.authorization = `Bearer ${token}`;
    const found = await fetch(path(stream), { method: "POST", headers, body: body(rows), signal });
    const document = await found.json().catch(() => ({ error: "The answer is not JSON." }));
    // The server names the scope that it asks for, unless it refuses for another reason (RFC 6750, 3).
    const isClosed = found.headers.has("www-authenticate");
    if (isClosed) return { isClosed, isKnown: Boolean(token), error: document.error };
    return found.ok ? { document } : { status: found.status, error: document.error ?? "" };
  } catch (error) {
    return { status: "", error: `The server gives no answer: ${error.message}` };
  }
}
