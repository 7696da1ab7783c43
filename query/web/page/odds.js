// What to expect of the picture: a table and a plot, loaded when they are asked for.

import { addressOf, getJson } from "./api.js";
import { byId, make, tell } from "./elements.js";
import { formatNumber, formatPower, symbolOf } from "./wording.js";

/**
 * @param {object} info of the server
 * @returns {{show: (query: import("./address.js").Query) => void, hide: () => void}}
 */
export function createOdds(info) {
  const [box, plot] = [byId("odds"), byId("odds-plot")];
  let wanted = null;
  let shown = null;
  let fetching = null;

  async function load() {
    if (!box.open || wanted === null || wanted === shown) return;
    fetching?.abort();
    const controller = new AbortController();
    fetching = controller;
    const search = wanted;
    shown = search;
    try {
      const odds = await getJson("odds", search, controller.signal);
      if (fetching !== controller) return;
      tell(byId("odds-alert"));
      fill(odds, info);
      plot.src = addressOf("odds.png", search);
      plot.alt = "Expected distance of the best and the tenth best window against the decimals searched";
    } catch (error) {
      if (fetching !== controller) return;
      shown = null;
      tell(byId("odds-alert"), error.message);
    }
  }

  box.addEventListener("toggle", load);
  plot.addEventListener("error", () => tell(byId("odds-alert"), "The plot did not come."));

  return {
    show({ bitmap, metric, logo }) {
      wanted = new URLSearchParams({ bitmap, metric, logo }).toString();
      box.hidden = false;
      load();
    },
    hide() {
      wanted = null;
      box.hidden = true;
    },
  };
}

function fill(odds, info) {
  byId("odds-rows").replaceChildren(...odds.odds.map((row) =>
    make("tr", { className: row.digits === info.digits ? "here" : "" },
      make("th", { scope: "row", textContent: formatPower(Math.log10(row.digits)) }),
      make("td", { textContent: formatNumber(row.best) }),
      make("td", { textContent: formatNumber(row.tenth) }))));
  const perfect = odds.needed.find((need) => need.distance === 0);
  const symbol = symbolOf(info.constant);
  byId("odds-needed").textContent = perfect
    ? `A perfect copy is to be expected within ${formatPower(perfect.log10_digits)} decimals of ${symbol}.`
    : "";
}
