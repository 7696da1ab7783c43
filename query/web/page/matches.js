// The matches as cards: picture, offset, distance, E-value, digits, and what can be done with each.

import { linkTo, readPointer } from "./address.js";
import { byId, copyOnClick, make, say } from "./elements.js";
import { drawSmall } from "./pictures.js";
import { formatExpected, formatNumber, inRows } from "./wording.js";

const SHOWN_AT_ONCE = 60;
const GAP = 6;

/**
 * The list of cards.
 * @param {object} info of the server
 * @param {{onCompare: (match: object, view: string) => void}} listeners
 */
export function createMatches(info, { onCompare }) {
  const [list, more] = [byId("cards"), byId("more")];
  let answer = null;
  let query = null;

  function showUpTo(count) {
    const matches = answer.matches.slice(list.children.length, count);
    const cards = matches.map((match) => makeCard(match, query, info, onCompare));
    list.append(...cards);
    const left = answer.matches.length - list.children.length;
    more.hidden = left === 0;
    more.textContent = `Show ${formatNumber(Math.min(left, SHOWN_AT_ONCE))} more`;
    return cards[0];
  }

  more.addEventListener("click", () => showUpTo(list.children.length + SHOWN_AT_ONCE)?.focus());

  return {
    /** Show an answer's matches in place of those that are there. */
    show(nextAnswer, nextQuery) {
      [answer, query] = [nextAnswer, nextQuery];
      list.replaceChildren();
      list.hidden = answer.matches.length === 0;
      showUpTo(SHOWN_AT_ONCE);
    },
    /** Show no matches. */
    clear() {
      answer = null;
      list.replaceChildren();
      list.hidden = true;
      more.hidden = true;
    },
    /** Bring the match that the address points at into view; false where it is not among them. */
    point() {
      list.querySelector(".pointed")?.classList.remove("pointed");
      const offset = readPointer(location.hash);
      if (answer === null || offset === null) return true;
      const place = answer.matches.findIndex((match) => match.offset === offset);
      if (place < 0) return false;
      showUpTo(place + 1);
      const card = list.children[place];
      card.classList.add("pointed");
      card.scrollIntoView({ block: "center" });
      card.focus({ preventScroll: true });
      return true;
    },
  };
}

function makeCard(match, query, info, onCompare) {
  const number = formatNumber(match.offset);
  const compare = (view) => () => onCompare(match, view);
  const picture = make("button", { type: "button", className: "card-picture", onclick: compare("beside") });
  picture.setAttribute("aria-label", `Compare match ${match.rank} with the picture`);
  picture.append(drawSmall(match.sequence, info));
  const heading = make(
    "h3",
    {},
    make("span", { className: "rank", textContent: match.rank }),
    " ",
    make("span", { className: "offset", textContent: number }),
  );
  const card = make(
    "li",
    { className: "card", id: `match-${match.offset}`, tabIndex: -1 },
    picture,
    make("div", { className: "card-words" },
      make("div", { className: "card-title" }, heading,
        copyButton("Copy", `Copy offset ${number}`, () => String(match.offset))),
      numbersOf(match),
      make("div", { className: "card-actions" },
        action("Compare", `Compare match ${match.rank}`, compare("overlaid")),
        action("In context", `Match ${match.rank} in context`, compare("context")),
        copyButton("Copy link", `Copy link to match ${match.rank}`, () => linkTo(query, match.offset))),
      digitsOf(match, info)),
  );
  card.setAttribute("aria-label", `Match ${match.rank}`);
  return card;
}

/** Distance and E-value of a match, the latter with its explanation at hand. */
export function numbersOf(match) {
  const about = make("button", { type: "button", className: "term", textContent: "E-value" });
  about.setAttribute("popovertarget", "about-expected");
  about.setAttribute("aria-describedby", "about-expected");
  about.addEventListener("click", () => placeBy(byId("about-expected"), about));
  return make("p", { className: "numbers" },
    `distance ${formatNumber(match.distance)} · `, about, ` ${formatExpected(match.expected)}`);
}

function placeBy(popover, button) {
  const { clientWidth, clientHeight } = document.documentElement;
  const box = button.getBoundingClientRect();
  const [onLeft, onTop] = [box.left < clientWidth / 2, box.bottom < clientHeight * 0.7];
  popover.style.left = onLeft ? `${box.left}px` : "auto";
  popover.style.right = onLeft ? "auto" : `${clientWidth - box.right}px`;
  popover.style.top = onTop ? `${box.bottom + GAP}px` : "auto";
  popover.style.bottom = onTop ? "auto" : `${clientHeight - box.top + GAP}px`;
}

function digitsOf(match, info) {
  const copy = copyButton("Copy digits", `Copy digits of match ${match.rank}`, () => match.sequence);
  const summary = make("summary", { textContent: "Digits" });
  summary.setAttribute("aria-label", `Digits of match ${match.rank}`);
  return make("details", { className: "card-digits" }, summary,
    make("pre", { textContent: inRows(match.sequence, info.width).join("\n") }), copy);
}

function action(text, label, onclick) {
  const button = make("button", { type: "button", className: "quiet", textContent: text, onclick });
  button.setAttribute("aria-label", label);
  return button;
}

const copyButton = (text, label, content) => copyOnClick(action(text, label, null), content);

/** Say which match the address points at where the answer has no such match. */
export function sayNotThere() {
  const offset = formatNumber(readPointer(location.hash));
  say(`Offset ${offset} is not among the matches`);
  return `The link points at offset ${offset}, which is not among these matches.`;
}
