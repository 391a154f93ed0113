// What the page knows: the newest of each asset and gateway, and whether it is still told.
//
// One EventSource tells of changes. After each connection everything is asked for once, so that
// nothing that was missed stays wrong. Whoever shows something is called at most once a frame.

const API = "/console/api";
const RETRY_MS = 3000;
const TOKEN_USED = "millhand-token-used"; // in the browser's storage: that there is one, not which
const SILENCE_MS = 20_000; // then the server is asked whether it is there
const ANSWER_MS = 8000;
const RENEW_MS = 60_000; // what no event tells of is asked for again

export const state = {
  assets: new Map(), // by key: the newest prediction of an asset
  usual: new Map(), // by key: milliseconds between two predictions, as seen so far
  gateways: new Map(), // by id
  streams: [],
  broker: null,
  history: null, // whether it is kept
  ignored: {}, // messages that are no predictions, by reason
  hasRollouts: false, // whether the server decides on rollouts
  hasRetraining: false, // whether the server proposes trainings
  isLoaded: false,
  isLive: false,
  lostAt: null, // when the connection to the server was lost, by the clock of the browser
  lostWhy: "",
  needsToken: false,
  aheadMs: 0, // the clock of the server, less that of the browser
};

const watchers = new Set(); // are told of each event, and of "open" once events come
let source = null;
let heardAt = 0;
let loadedAt = 0;
let isDue = false;
let show = () => {};

export const key = (stream, asset) => `${stream}\n${asset}`;
export const serverNow = () => Date.now() + state.aheadMs;
export const streamNamed = (name) => state.streams.find((one) => one.stream === name);

/** Begin, and have a function called whenever there is something new to show. */
export function begin(render) {
  show = render;
  setInterval(tick, 1000);
  connect();
  // A browser keeps a page that was left for the way back, and its connection with it. It has six
  // for a server, so that the seventh page would wait for a minute.
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => event.persisted && connect());
}

/** Have a function called with each event's name and content, and with "open"; returns what ends that. */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Show what is new with the next frame. */
export function changed() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    show();
  });
}

/** Ask the server; an answer of 401 leads to the form for the token. */
export async function ask(path, options = {}) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(ANSWER_MS), ...options });
  if (answer.status === 401) {
    state.needsToken = true;
    changed();
  }
  const document = await answer.json().catch(() => null);
  if (answer.ok && document !== null) return document;
  const error = new Error(document?.error ?? `The server answers ${answer.status}.`);
  throw Object.assign(error, { status: answer.status });
}

/** Give the server a token; it answers with a cookie. */
export async function present(token) {
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ token });
  const answer = await fetch("/console/session", { method: "POST", headers, body });
  if (!answer.ok) {
    const document = await answer.json().catch(() => null);
    throw new Error(document?.error ?? `The server answers ${answer.status}.`);
  }
  localStorage.setItem(TOKEN_USED, "yes");
  state.needsToken = false;
  connect();
}

/** Whether this server has asked for a token, as far as this browser knows. */
export const hasToken = () => localStorage.getItem(TOKEN_USED) !== null;

async function connect() {
  source?.close();
  source = null;
  try {
    await load();
  } catch (error) {
    lose(error);
    if (!state.needsToken) setTimeout(connect, RETRY_MS);
    return;
  }
  listen();
}

function listen() {
  let isFirst = true;
  source = new EventSource(`${API}/events`);
  source.onopen = () => {
    alive();
    changed();
    for (const watcher of watchers) watcher("open");
    if (!isFirst) load().catch(lose);
    isFirst = false;
  };
  source.onerror = async () => {
    const isOver = source?.readyState === EventSource.CLOSED;
    lose(isOver ? await whyRefused() : null);
    // A browser gives up where the answer is no stream of events, such as 401, 429 or 503.
    if (isOver && !state.needsToken) setTimeout(connect, RETRY_MS);
  };
  for (const [name, take] of Object.entries(TAKE)) {
    source.addEventListener(name, (event) => {
      const content = JSON.parse(event.data);
      alive();
      take(content);
      for (const watcher of watchers) watcher(name, content);
      changed();
    });
  }
}

/** What the server says where it gives no events. */
async function whyRefused() {
  const end = new AbortController();
  try {
    const answer = await fetch(`${API}/events`, { signal: end.signal });
    state.needsToken = answer.status === 401;
    return answer.ok ? null : new Error((await answer.json()).error);
  } catch {
    return null;
  } finally {
    end.abort();
  }
}

const TAKE = {
  plant: (content) => {
    state.aheadMs = content.now - Date.now();
    content.assets.forEach(takeAsset);
  },
  gateways: (content) => {
    for (const one of content.gateways) {
      if (one.gone) state.gateways.delete(one.gateway);
      else state.gateways.set(one.gateway, one);
    }
  },
  broker: (content) => {
    state.broker = { ...state.broker, ...content };
  },
  mark: () => {
    // The model of a stream is another one: so may be its threshold, its versions and its report.
    ask(`${API}/streams`).then(takeStreams, () => {});
  },
};

async function load() {
  const paths = ["plant", "gateways", "streams"];
  const [plant, gateways, streams] = await Promise.all(paths.map((one) => ask(`${API}/${one}`)));
  state.aheadMs = plant.now - Date.now();
  loadedAt = Date.now();
  state.broker = plant.broker;
  state.history = plant.history ?? null;
  state.ignored = plant.ignored ?? {};
  state.hasRollouts = plant.rollouts;
  state.hasRetraining = plant.retraining;
  state.gateways = new Map(gateways.gateways.map((one) => [one.gateway, one]));
  takeStreams(streams);
  const known = new Set(plant.assets.map((one) => key(one.stream, one.asset)));
  for (const old of [...state.assets.keys()]) if (!known.has(old)) state.assets.delete(old);
  plant.assets.forEach(takeAsset);
  state.isLoaded = true;
  state.needsToken = false;
  changed();
}

function takeStreams(document) {
  state.streams = document.streams;
  changed();
}

function takeAsset(asset) {
  const name = key(asset.stream, asset.asset);
  const before = state.assets.get(name);
  if (before && before.received > asset.received) return;
  const passed = before ? asset.received - before.received : 0;
  if (passed > 0) {
    const usual = state.usual.get(name);
    // An outage is no interval: it counts as a part of itself only.
    const next = usual ? 0.8 * usual + 0.2 * Math.min(passed, 4 * usual) : passed;
    state.usual.set(name, next);
  }
  state.assets.set(name, asset);
  if (!streamNamed(asset.stream)) askForStream(asset.stream);
}

const asked = new Set();
function askForStream(stream) {
  if (asked.has(stream) || !state.isLoaded) return;
  asked.add(stream);
  ask(`${API}/streams`).then(takeStreams, () => {});
}

function alive() {
  heardAt = Date.now();
  state.isLive = true;
  state.lostAt = null;
  state.lostWhy = "";
}

function lose(error) {
  state.isLive = false;
  state.lostAt ??= Date.now();
  state.lostWhy = error instanceof TypeError || !error ? "" : error.message;
  changed();
}

function tick() {
  // A connection that was cut without a word looks like a quiet plant.
  const now = Date.now();
  if (state.isLive && (now - heardAt > SILENCE_MS || now - loadedAt > RENEW_MS)) {
    heardAt = loadedAt = now;
    load().catch((error) => {
      lose(error);
      setTimeout(connect, RETRY_MS);
    });
  }
  changed();
}
