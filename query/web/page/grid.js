// The painting grid: cells painted by pointer and keyboard, and the picture's history.

import { colourOf, inkOn } from "./pictures.js";

const MOST_STEPS = 200;
const SETTLE_MS = 700;

/**
 * A grid of width × height cells inside root.
 * @param {HTMLElement} root an element with role grid
 * @param {{width: number, height: number, greys: number[]}} shape
 * @param {{onChange: Function, onSay: Function}} listeners onChange follows every change of the picture; onSay
 *   gets what a screen reader should say
 */
export function createGrid(root, { width, height, greys }, { onChange, onSay }) {
  const blank = "0".repeat(width * height);
  let digits = blank;
  let shade = String(greys.length - 1);
  let stroke = null; // the picture before it, and the cell the pointer was in
  let past = [];
  let future = [];
  const cells = makeCells(root, width, height);
  cells.forEach((cell, place) => {
    cell.style.transitionDelay = `${(place % width) * 20}ms`;
  });
  show(blank, true);

  function show(next, all = false) {
    const before = digits;
    digits = next;
    cells.forEach((cell, place) => {
      const digit = next[place];
      if (!all && digit === before[place]) return;
      cell.textContent = digit;
      cell.style.backgroundColor = colourOf(greys[digit]);
      cell.style.color = colourOf(inkOn(greys[digit]));
      cell.setAttribute("aria-label", describe(place));
    });
  }

  function describe(place) {
    return `row ${Math.floor(place / width) + 1}, column ${(place % width) + 1}: shade ${digits[place]}`;
  }

  function remember(before) {
    if (before === digits) return;
    past = [...past, before].slice(-MOST_STEPS);
    future = [];
    onChange();
  }

  function paint(places, digit) {
    const next = [...digits];
    for (const place of places) next[place] = digit;
    show(next.join(""));
  }

  function paintOne(place, digit) {
    const before = digits;
    paint([place], digit);
    remember(before);
    onSay(describe(place));
  }

  function step(from, to) {
    if (from.length === 0) return;
    to.push(digits);
    show(from.pop());
    onChange();
  }

  function focusCell(place) {
    root.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    cells[place].tabIndex = 0;
    cells[place].focus();
  }

  function placeAt({ clientX, clientY }) {
    const box = root.getBoundingClientRect();
    const column = Math.floor(((clientX - box.left) / box.width) * width);
    const row = Math.floor(((clientY - box.top) / box.height) * height);
    return column >= 0 && column < width && row >= 0 && row < height ? row * width + column : null;
  }

  root.addEventListener("pointerdown", (event) => {
    const place = placeAt(event);
    if (event.button !== 0 || !event.isPrimary || place === null) return;
    event.preventDefault();
    focusCell(place);
    root.setPointerCapture(event.pointerId);
    stroke = { before: digits, last: place };
    paint([place], shade);
  });
  root.addEventListener("pointermove", (event) => {
    if (stroke === null || !event.isPrimary) return;
    const place = placeAt(event);
    if (place !== null && place !== stroke.last) {
      paint(cellsBetween(stroke.last ?? place, place, width), shade);
      onChange();
    }
    stroke.last = place;
  });
  const endStroke = () => {
    if (stroke === null) return;
    const { before } = stroke;
    stroke = null;
    remember(before);
  };
  root.addEventListener("pointerup", endStroke);
  root.addEventListener("lostpointercapture", endStroke);

  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const place = cells.indexOf(event.target);
    if (place < 0) return;
    const target = moved(event.key, place, width, height);
    if (target !== null) focusCell(target);
    else if (/^\d$/.test(event.key) && event.key < greys.length) paintOne(place, event.key);
    else if (event.key === " " || event.key === "Enter") paintOne(place, shade);
    else return;
    event.preventDefault();
  });

  return {
    /** The picture as digits. */
    get digits() {
      return digits;
    },
    get canUndo() {
      return past.length > 0;
    },
    get canRedo() {
      return future.length > 0;
    },
    /** Whether every pixel is white. */
    get isBlank() {
      return digits === blank;
    },
    set shade(value) {
      shade = value;
    },
    /** Show a first picture: nothing to undo, and nobody is told. */
    load: (next) => show(next),
    /** Show another picture; settle lets it come column by column. */
    replace(next, { settle = false } = {}) {
      const before = digits;
      if (settle) {
        root.classList.add("settling");
        setTimeout(() => root.classList.remove("settling"), SETTLE_MS);
      }
      show(next);
      remember(before);
    },
    clear() {
      this.replace(blank, { settle: true });
    },
    invert() {
      this.replace([...digits].map((digit) => greys.length - 1 - digit).join(""), { settle: true });
    },
    undo: () => step(past, future),
    redo: () => step(future, past),
  };
}

function makeCells(root, width, height) {
  const cells = [];
  root.style.setProperty("--columns", width);
  root.replaceChildren();
  for (let down = 0; down < height; down++) {
    const row = document.createElement("div");
    row.setAttribute("role", "row");
    row.setAttribute("aria-label", `row ${down + 1}`); // not the names of all its cells
    for (let across = 0; across < width; across++) {
      const cell = document.createElement("div");
      cell.setAttribute("role", "gridcell");
      cell.tabIndex = cells.length === 0 ? 0 : -1;
      cells.push(cell);
      row.append(cell);
    }
    root.append(row);
  }
  return cells;
}

/** The cells on the straight line between two, both included: a fast pointer skips some. */
function cellsBetween(from, to, width) {
  const [column, row] = [from % width, Math.floor(from / width)];
  const [across, down] = [(to % width) - column, Math.floor(to / width) - row];
  const steps = Math.max(Math.abs(across), Math.abs(down), 1);
  return Array.from({ length: steps + 1 }, (_, step) => {
    const part = step / steps;
    return Math.round(row + down * part) * width + Math.round(column + across * part);
  });
}

/** Where a key leads from a cell, or null for a key that does not move. */
function moved(key, place, width, height) {
  const column = place % width;
  const targets = {
    ArrowLeft: column > 0 ? place - 1 : place,
    ArrowRight: column < width - 1 ? place + 1 : place,
    ArrowUp: place >= width ? place - width : place,
    ArrowDown: place < width * (height - 1) ? place + width : place,
    Home: place - column,
    End: place - column + width - 1,
  };
  return targets[key] ?? null;
}
