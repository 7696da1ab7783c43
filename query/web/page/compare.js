// The dialog that compares a match with the picture, and shows it among the decimals around it.

import { getJson } from "./api.js";
import { byId, make, tell } from "./elements.js";
import { numbersOf } from "./matches.js";
import { differences, drawDifference, drawLarge, drawScale, drawSmall } from "./pictures.js";
import { formatNumber, inRows, symbolOf } from "./wording.js";

const ROWS_AROUND = 5;

/**
 * @param {object} info of the server
 * @returns {{open: (answer: object, match: object, view: string) => void}}
 */
export function createComparison(info) {
  const [dialog, body] = [byId("compare"), byId("compare-body")];
  const [previous, next] = [byId("compare-previous"), byId("compare-next")];
  const views = { beside: showBeside, overlaid: showOverlaid, difference: showDifference, context: showContext };
  let answer = null;
  let place = 0;
  let fetching = null;

  const viewNow = () => byId("compare-views").querySelector(":checked").value;

  function show() {
    fetching?.abort();
    fetching = new AbortController();
    const match = answer.matches[place];
    byId("compare-heading").replaceChildren(
      make("span", { className: "rank", textContent: match.rank }), " ",
      make("span", { className: "offset", textContent: formatNumber(match.offset) }));
    byId("compare-numbers").replaceChildren(...numbersOf(match).childNodes);
    previous.disabled = place === 0;
    next.disabled = place === answer.matches.length - 1;
    views[viewNow()](body, match, answer.bitmap, info, fetching.signal);
  }

  function go(step) {
    const target = place + step;
    if (target < 0 || target >= answer.matches.length) return;
    place = target;
    show();
    if (document.activeElement === document.body || document.activeElement?.disabled) byId("compare-heading").focus();
  }

  previous.addEventListener("click", () => go(-1));
  next.addEventListener("click", () => go(1));
  byId("compare-close").addEventListener("click", () => dialog.close());
  byId("compare-views").addEventListener("change", show);
  dialog.addEventListener("close", () => fetching?.abort());
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input")) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) go(step);
  });

  return {
    open(nextAnswer, match, view) {
      answer = nextAnswer;
      place = answer.matches.indexOf(match);
      dialog.querySelector(`[value=${view}]`).checked = true;
      show();
      dialog.showModal();
      byId("compare-heading").focus();
    },
  };
}

const captioned = (picture, caption) => make("figure", {}, picture, make("figcaption", {}, caption));
const pictureOf = (bitmap, info) => drawLarge(bitmap, info, "The picture");
const matchOf = (match, info) => drawLarge(match.sequence, info, `Match ${match.rank}`);

function showBeside(body, match, bitmap, info) {
  body.replaceChildren(make("div", { className: "beside" },
    captioned(pictureOf(bitmap, info), "The picture"),
    captioned(matchOf(match, info), `Match ${match.rank}`)));
}

function showOverlaid(body, match, bitmap, info) {
  const over = drawSmall(match.sequence, info);
  const slider = make("input", { type: "range", min: 0, max: 100, value: 50, className: "fade" });
  slider.setAttribute("aria-label", "Fade from the picture to the match");
  const fade = () => {
    over.style.opacity = slider.value / 100;
    slider.setAttribute("aria-valuetext", `${slider.value} % match`);
  };
  slider.addEventListener("input", fade);
  fade();
  body.replaceChildren(
    make("div", { className: "stack" }, drawSmall(bitmap, info), over),
    make("div", { className: "fade-row" }, make("span", { textContent: "The picture" }), slider,
      make("span", { textContent: `Match ${match.rank}` })));
}

function showDifference(body, match, bitmap, info) {
  const apart = differences(match.sequence, bitmap);
  const sum = [...apart].reduce((total, difference) => total + Number(difference), 0);
  const equal = apart.split("0").length - 1;
  const words =
    `Shades apart, pixel by pixel: ${formatNumber(sum)} in all; ${equal} of ${apart.length} pixels are equal.`;
  body.replaceChildren(
    captioned(drawDifference(match.sequence, bitmap, info, words), words),
    make("div", { className: "scale" }, make("span", { textContent: "equal" }), drawScale(info),
      make("span", { textContent: "opposite" })));
}

async function showContext(body, match, bitmap, info, signal) {
  const { width, height } = info;
  const wanted = match.offset - ROWS_AROUND * width;
  const start = Math.max(info.first_offset, wanted);
  const length = Math.min(info.most_digits, wanted + (2 * ROWS_AROUND + height) * width - start);
  const frame = make("div", { className: "context" });
  frame.setAttribute("aria-busy", "true");
  body.replaceChildren(frame);
  try {
    const stretch = await getJson("digits", new URLSearchParams({ offset: start, length }).toString(), signal);
    const before = Math.floor((start - wanted) / width) * width; // whole rows before the first decimal
    const digits = " ".repeat(start - wanted - before) + stretch.digits;
    fillContext(frame, digits, wanted + before, match, info);
  } catch (error) {
    if (signal.aborted) return;
    const alert = make("div", { className: "alert" });
    alert.setAttribute("role", "alert");
    frame.replaceChildren(alert);
    tell(alert, error.message);
  }
  frame.removeAttribute("aria-busy");
}

/** Rows of digits from the offset first on, those of the match marked, and the same as pixels. */
function fillContext(frame, digits, first, match, info) {
  const rows = inRows(digits, info.width);
  const marked = (match.offset - first) / info.width;
  const lines = rows.map((row, down) => {
    const inside = down >= marked && down < marked + info.height;
    return make("tr", { className: inside ? "inside" : "" },
      make("th", { scope: "row", textContent: formatNumber(Math.max(info.first_offset, first + down * info.width)) }),
      make("td", {}, inside ? make("mark", { textContent: row }) : row));
  });
  const last = match.offset + match.sequence.length - 1;
  const caption =
    `Decimals of ${symbolOf(info.constant)}; the match is ${formatNumber(match.offset)} to ${formatNumber(last)}`;
  const strip = make("div", { className: "strip" }, drawSmall(digits, info));
  const window = make("div", { className: "strip-window" });
  window.style.top = `${(marked / rows.length) * 100}%`;
  window.style.height = `${(info.height / rows.length) * 100}%`;
  strip.append(window);
  const table = make("table", {}, make("caption", { textContent: caption }), make("tbody", {}, ...lines));
  frame.replaceChildren(strip, table);
}
