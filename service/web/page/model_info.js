/** What a model's message and its manifest say, with the defaults that JSON leaves out. */

import { Frequency } from "./frequency.js";

/** @param {Object} model a `Model` in JSON. */
export function modelInfo(model) {
  let manifest = {};
  try {
    manifest = JSON.parse(model.manifest_json || "{}");
  } catch {
    // A model is shown without what its manifest would add.
  }
  const labels = model.labels ?? [];
  const levels = (model.quantile_levels ?? []).map(Number);
  const features = (model.features ?? []).map((feature) => ({
    name: feature.name, required: feature.required ?? false, categories: feature.categories ?? [], role: feature.role ?? "ROLE_PAST",
  }));
  return {
    name: model.name, version: Number(model.version ?? 0), cell: model.cell ?? "", task: model.task ?? "regression",
    features, levels, labels, numColumns: labels.length || levels.length, horizon: Number(model.horizon ?? 1),
    frequency: new Frequency(model.frequency), season: Number(model.season_length ?? 1),
    scores: model.scores_anomalies ?? false, calibrated: model.calibrated ?? false,
    /** Whether a forecast is about the row at hand ("row", "series") and not about those to come ("ahead"). */
    predicts: manifest.predicts ?? "ahead",
    manifest,
  };
}

/** Pairs of columns about the middle, the widest first: {low, high, share}, `share` the nominal coverage. */
export function intervals(levels) {
  const found = [];
  for (let low = 0, high = levels.length - 1; low < high; low += 1, high -= 1) {
    found.push({ low, high, share: levels[high] - levels[low] });
  }
  return found;
}

/** The column of the median, or of the level nearest to it. */
export function middle(levels) {
  let best = 0;
  levels.forEach((level, column) => {
    if (Math.abs(level - 0.5) < Math.abs(levels[best] - 0.5)) best = column;
  });
  return best;
}
