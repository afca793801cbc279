/** A manifest's backtest scores by who forecast, and what each score says. */

const FORECASTERS = {
  "": "model", seasonal_naive: "seasonal naive", naive: "naive", drift: "drift", markov_chain: "Markov chain", holt_winters: "Holt-Winters",
  arima: "ARIMA", markov_switching: "Markov switching", most_frequent: "most frequent",
};

/** In the order in which they are offered; `isHigh` where more is better. */
export const METRICS = {
  mase: { title: "MASE", words: "Mean absolute error, over that of repeating the season before in the training part. Below 1 is better than that." },
  mae: { title: "MAE", words: "Mean absolute error of the median, in the unit of the target." },
  rmse: { title: "RMSE", words: "Root of the mean squared error of the median, in the unit of the target." },
  mse: { title: "MSE", words: "Mean squared error of the median." },
  smape: { title: "sMAPE", words: "Symmetric percentage error of the median, 0 to 200." },
  weighted_quantile_loss: { title: "wQL", words: "Quantile loss of all levels, over the size of the target." },
  crps: { title: "CRPS", words: "Continuous ranked probability score of all levels, in the unit of the target." },
  accuracy: { title: "Accuracy", words: "The share of rows whose likeliest label came.", isHigh: true },
  log_loss: { title: "Log loss", words: "Minus the logarithm of what the label that came had been given, in nats." },
};

/**
 * @param {Object<string, number>} backtest such as {mae: 1, drift_mae: 2}.
 * @returns {{name: string, isModel: boolean, scores: Object<string, number>}[]} the model first.
 */
export function byForecaster(backtest) {
  const found = new Map([["", { name: "model", isModel: true, scores: {} }]]);
  for (const [name, value] of Object.entries(backtest)) {
    const [prefix, metric] = parts(name);
    if (!found.has(prefix)) found.set(prefix, { name: FORECASTERS[prefix], isModel: false, scores: {} });
    found.get(prefix).scores[metric] = value;
  }
  return [...found.values()];
}

/** Those that have a score, the best first. */
export function ranked(forecasters, metric) {
  const sign = METRICS[metric].isHigh ? -1 : 1;
  return forecasters.filter(({ scores }) => Number.isFinite(scores[metric]))
    .sort((one, other) => sign * (one.scores[metric] - other.scores[metric]));
}

/** Whose score it is, and which: of `drift_mae`, the drift's mae. */
function parts(name) {
  const whose = Object.keys(FORECASTERS).find((prefix) => prefix && name.startsWith(`${prefix}_`));
  return whose ? [whose, name.slice(whose.length + 1)] : ["", name];
}
