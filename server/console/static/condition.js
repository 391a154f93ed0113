// What is to be said about an asset, and how urgent it is.
//
// Red is for the plant: the model's answer is abnormal. Amber is for the data: the answer cannot
// be believed, or none comes any more. Everything else is grey.

import { key, state, streamNamed } from "./store.js";
import { words } from "./format.js";

const LEAST_STALE_MS = 5000;
const UNKNOWN_STALE_MS = 60_000;
const TIMES_USUAL = 3;

export const KINDS = {
  abnormal: { rank: 0, name: "Abnormal" },
  bad: { rank: 1, name: "Bad" },
  uncertain: { rank: 2, name: "Uncertain" },
  stale: { rank: 3, name: "Stale" },
  normal: { rank: 4, name: "Normal" },
};

/** The kind of an asset, and why, at a time of the server's clock. */
export function condition(asset, now) {
  const isStale = now - asset.received > staleAfter(asset);
  if (isAbnormal(asset)) return { kind: "abnormal", why: whyAbnormal(asset), isStale };
  if (asset.quality === "BAD") return { kind: "bad", why: words(asset.reason), isStale };
  if (asset.quality === "UNCERTAIN") return { kind: "uncertain", why: words(asset.reason), isStale };
  if (isStale) return { kind: "stale", why: "no newer prediction", isStale };
  return { kind: "normal", why: "", isStale };
}

/** Milliseconds without a prediction after which an asset is stale: three times the usual. */
export function staleAfter(asset) {
  const usual = state.usual.get(key(asset.stream, asset.asset)) ?? planned(asset.stream);
  return usual ? Math.max(LEAST_STALE_MS, TIMES_USUAL * usual) : UNKNOWN_STALE_MS;
}

function planned(stream) {
  const window = streamNamed(stream)?.window;
  return window?.hop && window.sample_period_ms ? window.hop * window.sample_period_ms : null;
}

function isAbove(asset) {
  return asset.threshold !== null && asset.score !== null && asset.score >= asset.threshold;
}

function isAbnormal(asset) {
  if (isAbove(asset)) return true;
  const normal = streamNamed(asset.stream)?.classes?.[0];
  if (asset.label && normal) return asset.label !== normal;
  return asset.abnormal && asset.quality === "GOOD";
}

function whyAbnormal(asset) {
  const what = isAbove(asset) ? "threshold reached" : (asset.label ?? "");
  const first = asset.reasons[0];
  return first?.share > 0 ? `${what}, first by ${first.signal}` : what;
}
