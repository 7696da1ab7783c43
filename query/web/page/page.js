// The page: wires the picture, the options, the search, the matches and the address bar.

import { linkTo, readAddress, readPointer, toSearch } from "./address.js";
import { createAnswerLine } from "./answer.js";
import { addressOf, getJson } from "./api.js";
import { createComparison } from "./compare.js";
import { byId, copyOnClick, make, save, say, tell } from "./elements.js";
import { createGrid } from "./grid.js";
import { createMatches, sayNotThere } from "./matches.js";
import { createOdds } from "./odds.js";
import { createOptions } from "./options.js";
import { colourOf, drawSmall, inkOn } from "./pictures.js";
import { createSearch } from "./search.js";
import { createSource } from "./source.js";
import { formatNumber, inRows, symbolOf, whereFrom } from "./wording.js";

const PAUSE_MS = 250;

async function begin() {
  let info;
  try {
    info = await getJson("info");
  } catch (error) {
    tell(byId("page-alert"), error.message);
    byId("page-alert").append(make("button", { type: "button", textContent: "Try again", onclick: begin }));
    return;
  }
  tell(byId("page-alert"));
  open(info);
}

function open(info) {
  const pixels = info.width * info.height;
  const answerLine = createAnswerLine(info);
  const comparison = createComparison(info);
  const odds = createOdds(info);
  let shown = null; // {answer, query} on the page
  let verifying = null; // the answer that a running search is to verify
  let timer = null;

  const matches = createMatches(info, {
    onCompare: (match, view) => comparison.open(shown.answer, match, view),
  });
  const grid = createGrid(byId("grid"), info, {
    onSay: say,
    onChange() {
      showPicture();
      ask();
    },
  });
  const options = createOptions(info, { onChange: () => ask({ alsoBlank: shown !== null }), onSubmit: searchAndShow });
  const source = createSource(info, {
    onBitmap(digits, name) {
      options.name = name;
      grid.replace(digits, { settle: true });
      say("The picture was read");
    },
  });
  const search = createSearch({
    started(query) {
      setAddress(query, shown === null ? readPointer(location.hash) : null);
      byId("start").hidden = true;
      answerLine.start({ atOnce: verifying !== null });
    },
    progressed: answerLine.step,
    waiting: answerLine.wait,
    answered(answer, query) {
      shown = { answer, query };
      answerLine.show(answer, { verified: verifying });
      verifying = null;
      matches.show(answer, query);
      if (!matches.point()) tell(byId("page-alert"), sayNotThere());
      odds.show(query);
      byId("take").hidden = answer.matches.length === 0;
      byId("sheet").href = addressOf("sheet", toSearch(query));
      byId("sheet").download = `${fileName()}.png`;
    },
    failed(error) {
      if (verifying !== null) setAddress(shown.query);
      verifying = null;
      answerLine.fail(error.message, shown?.answer, { earlier: isEarlier() });
    },
    cancelled() {
      fallBack();
      say("Cancelled");
    },
  });

  /** Show the answer that there is, or none. */
  function fallBack() {
    verifying = null;
    if (shown === null) return reset();
    setAddress(shown.query);
    answerLine.show(shown.answer, { earlier: isEarlier() });
  }

  /** What the grid and the form ask, or null where an option is wrong. */
  function asked() {
    const chosen = options.read();
    return chosen && { bitmap: grid.digits, ...chosen };
  }

  /** Whether the answer on the page is not one to what the grid and the form ask. */
  function isEarlier() {
    const query = asked();
    if (query === null || shown === null) return shown !== null;
    const { certified } = shown.answer;
    const names = ["bitmap", "metric", "top", "distinct", ...(certified ? [] : ["exact", "missed"])];
    return names.some((name) => query[name] !== shown.query[name]);
  }

  /** Put the question of the answer on the page back on the grid and in the form. */
  function goBack() {
    source.forget();
    options.write(shown.query);
    grid.replace(shown.query.bitmap, { settle: true });
    ask({ alsoBlank: true });
  }

  function setAddress(query, offset = null) {
    history.replaceState(null, "", query ? linkTo(query, offset) : location.pathname);
  }

  /** Search after a pause, unless the answer is there; a picture that was painted blank is none. */
  function ask({ alsoBlank = false } = {}) {
    clearTimeout(timer);
    search.drop();
    tell(byId("page-alert"));
    const query = shown && asked();
    if (query && toSearch(query) === toSearch(shown.query)) fallBack();
    else if (grid.isBlank && !alsoBlank) reset();
    else timer = setTimeout(searchNow, PAUSE_MS);
  }

  function searchNow() {
    clearTimeout(timer);
    const query = asked();
    if (query === null) return fallBack();
    verifying = null;
    search.run(query);
  }

  /** Search, and bring the answer into view where it stands below the form. */
  function searchAndShow() {
    searchNow();
    const heading = byId("matches");
    if (heading.getBoundingClientRect().top > innerHeight * 0.4) heading.scrollIntoView();
  }

  function reset() {
    search.drop();
    clearTimeout(timer);
    shown = null;
    setAddress(null);
    matches.clear();
    odds.hide();
    answerLine.clear();
    byId("take").hidden = true;
    byId("start").hidden = false;
  }

  function showPicture() {
    byId("undo").disabled = !grid.canUndo;
    byId("redo").disabled = !grid.canRedo;
    if (document.activeElement !== byId("digits")) {
      byId("digits").value = inRows(grid.digits, info.width).join("\n");
      byId("digits-note").textContent = "";
    }
  }

  const fileName = () => `pilogo-${shown.query.logo.replace(/\.\w+$/, "").replace(/[^\w-]+/g, "-") || "picture"}`;

  function takeExample({ name, bitmap }) {
    source.forget();
    options.name = name;
    grid.replace(bitmap, { settle: true });
  }

  fillPage(info, grid, takeExample);
  byId("undo").addEventListener("click", grid.undo);
  byId("redo").addEventListener("click", grid.redo);
  byId("invert").addEventListener("click", () => grid.invert());
  byId("clear").addEventListener("click", () => {
    source.forget();
    options.name = "";
    grid.clear();
  });
  byId("verify").addEventListener("click", () => {
    verifying = shown.answer;
    search.run({ ...shown.query, exact: true });
  });
  byId("cancel").addEventListener("click", search.cancel);
  byId("retry").addEventListener("click", searchNow);
  byId("back").addEventListener("click", goBack);
  byId("save-json").addEventListener("click", () =>
    save(`${fileName()}.json`, "application/json", `${JSON.stringify(shown.answer, null, 2)}\n`));
  byId("save-digits").addEventListener("click", () =>
    save(`${fileName()}.txt`, "text/plain", shown.answer.matches.map((match) => `${match.sequence}\n`).join("")));
  copyOnClick(byId("copy-page-link"), () => linkTo(shown.query));
  copyOnClick(byId("copy-digits"), () => grid.digits);
  byId("digits").addEventListener("input", ({ target }) => {
    const typed = target.value.replace(/\s/g, "");
    const right = typed.length === pixels && /^\d+$/.test(typed);
    byId("digits-note").textContent = right ? "" : `${typed.length} characters; ${pixels} digits are needed.`;
    if (right && typed !== grid.digits) grid.replace(typed);
  });
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.target.matches("input, textarea")) return;
    const key = event.shiftKey && event.key.toLowerCase() === "z" ? "y" : event.key.toLowerCase();
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    (key === "z" ? grid.undo : grid.redo)();
  });
  window.addEventListener("hashchange", () => tell(byId("page-alert"), ...(matches.point() ? [] : [sayNotThere()])));

  const { query, given, complaints } = readAddress(location.search, info);
  options.write(query);
  tell(byId("page-alert"), ...complaints);
  showPicture();
  if (given) {
    grid.load(query.bitmap);
    showPicture();
    searchNow();
  }
}

/** Everything of the page that follows from what the server is, once. */
function fillPage(info, grid, onExample) {
  const symbol = symbolOf(info.constant);
  for (const place of document.querySelectorAll("[data-constant]")) place.textContent = symbol;
  document.title = `pilogo: a picture in ${symbol}`;
  const { width, height, greys } = info;
  byId("lead").textContent =
    `A picture of ${width} × ${height} pixels in ${greys.length} shades is ${width * height} digits. Somewhere in ` +
    `${whereFrom(info)} of ${symbol} stand the ${width * height} that look most like it.`;
  byId("server-line").textContent =
    `pilogo ${info.version} · ${formatNumber(info.digits)} decimals of ${symbol} · ` +
    (info.index ? "with an index" : "no index: every window is compared");
  const swatches = greys.map((grey, shade) => {
    const radio = make("input", { type: "radio", name: "shade", value: shade, checked: shade === greys.length - 1 });
    const face = make("span", { textContent: shade });
    face.style.backgroundColor = colourOf(grey);
    face.style.color = colourOf(inkOn(grey));
    radio.setAttribute("aria-label", `Shade ${shade}`);
    return make("label", {}, radio, face);
  });
  byId("palette").append(...swatches);
  byId("palette").addEventListener("change", ({ target }) => {
    grid.shade = target.value;
  });
  byId("examples").replaceChildren(...info.examples.map((example) =>
    make("button", { type: "button", className: "quiet", textContent: `${example.name} logo`,
      onclick: () => onExample(example) })));
  byId("start-examples").replaceChildren(...info.examples.map((example) =>
    make("button", { type: "button", className: "start-example", onclick: () => onExample(example) },
      drawSmall(example.bitmap, info), make("span", { textContent: `Try the ${example.name} logo` }))));
}

begin();
