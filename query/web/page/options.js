// The form of the search: metric, number of matches, and how the answer is got.

import { byId, make, tell } from "./elements.js";
import { formatNumber, metricLabel } from "./wording.js";

/**
 * @param {object} info of the server
 * @param {{onChange: Function, onSubmit: Function}} listeners
 */
export function createOptions(info, { onChange, onSubmit }) {
  const form = byId("options");
  const [metric, top, missed, exact] = ["metric", "top", "missed", "exact"].map(byId);
  const [distinct, logo] = ["distinct", "logo"].map(byId);
  metric.replaceChildren(
    ...info.metrics.map((name) => make("option", { value: name, textContent: metricLabel(name) })),
  );
  top.max = info.most_matches;

  function complaint() {
    if (!(top.value !== "" && top.checkValidity())) {
      return `How many: a whole number from 1 to ${formatNumber(info.most_matches)} is needed.`;
    }
    return Number(missed.value) > 0 ? null : "May lack: a number above 0 is needed.";
  }

  function check() {
    const wrong = complaint();
    tell(byId("options-alert"), ...(wrong ? [wrong] : []));
    return wrong === null;
  }

  const showMissed = () => {
    byId("missed-field").hidden = !info.index;
    missed.disabled = exact.checked;
  };

  form.addEventListener("input", () => {
    showMissed();
    if (check()) onChange();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (check()) onSubmit();
  });

  return {
    /** The options as fields of a query, or null where one of them is wrong. */
    read: () =>
      check()
        ? {
            metric: metric.value,
            top: Number(top.value),
            exact: exact.checked,
            missed: Number(missed.value),
            distinct: distinct.checked,
            logo: logo.value.trim(),
          }
        : null,
    /** Show the options of a query. */
    write(query) {
      metric.value = query.metric;
      top.value = query.top;
      exact.checked = query.exact;
      missed.value = query.missed;
      distinct.checked = query.distinct;
      logo.value = query.logo;
      showMissed();
    },
    /** Set the picture's name alone. */
    set name(text) {
      logo.value = text;
    },
  };
}
