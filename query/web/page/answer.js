// The answer's line: what was found and how, the progress of a search, and what went wrong.

import { byId, tell } from "./elements.js";
import { howGot, howMany, howVerified } from "./wording.js";

const PATIENCE_MS = 200; // a search that is over sooner shows no progress
const STAGES = { wait: "Waiting", scan: "Comparing windows" };

/**
 * @param {{width: number, height: number}} info of the server
 */
export function createAnswerLine(info) {
  const [what, how, alert] = [byId("answer-what"), byId("answer-how"), byId("answer-alert")];
  const [verify, running, retry, progress] = ["verify", "running", "retry", "progress"].map(byId);
  const [earlier, back] = ["answer-earlier", "back"].map(byId);
  let timer = null;

  function settle() {
    clearTimeout(timer);
    const focused = running.contains(document.activeElement) || [retry, back].includes(document.activeElement);
    running.hidden = true;
    retry.hidden = true;
    earlier.hidden = true;
    back.hidden = true;
    byId("cards").removeAttribute("aria-busy");
    tell(alert);
    if (focused) byId("matches").focus();
  }

  function showRunning() {
    running.hidden = false;
    byId("cards").setAttribute("aria-busy", "true");
  }

  return {
    /** A search has begun; at once: show its progress without waiting whether it lasts. */
    start({ atOnce = false } = {}) {
      settle();
      byId("answer").hidden = false;
      const moveFocus = atOnce && document.activeElement === verify;
      verify.hidden = true;
      progress.removeAttribute("value");
      if (atOnce) showRunning();
      else timer = setTimeout(showRunning, PATIENCE_MS);
      if (moveFocus) byId("cancel").focus();
    },
    /** How far it has come. */
    step({ stage, done, total }) {
      if (total > 0) {
        progress.max = total;
        progress.value = done;
      } else progress.removeAttribute("value");
      const words = `${STAGES[stage] ?? "Searching"}…`;
      if (!running.hidden && how.textContent !== words) how.textContent = words;
    },
    /** The server is busy and will be asked again. */
    wait(seconds) {
      showRunning();
      how.textContent = `The server is busy; asking again in ${seconds} s.`;
    },
    /**
     * Show an answer.
     * @param {object} answer
     * @param {{verified: ?object, earlier: boolean}} about verified: the answer that this one was to verify;
     *   earlier: whether something else has been asked since
     */
    show(answer, { verified = null, earlier: isEarlier = false } = {}) {
      settle();
      earlier.hidden = !isEarlier;
      back.hidden = !isEarlier;
      what.textContent = howMany(answer, info.width * info.height);
      how.textContent = [howGot(answer), verified && howVerified(verified, answer)].filter(Boolean).join(" ");
      verify.hidden = answer.certified || isEarlier;
    },
    /** Nothing is asked. */
    clear() {
      settle();
      verify.hidden = true;
      what.textContent = "";
      how.textContent = "";
      byId("answer").hidden = true;
    },
    /** Tell what went wrong; the answer that is there, if any, stays. */
    fail(message, answer, about) {
      settle();
      if (answer) this.show(answer, about);
      else how.textContent = "";
      tell(alert, message);
      retry.hidden = false;
    },
  };
}
