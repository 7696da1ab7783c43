// One search at a time: a newer one ends the older, and what comes late from the older is not heard.

import { find } from "./api.js";

/**
 * @param {{started: Function, progressed: Function, waiting: Function, answered: Function, failed: Function,
 *   cancelled: Function}} listeners each is called for the newest search alone
 */
export function createSearch(listeners) {
  let running = null;

  async function run(query) {
    running?.abort();
    const controller = new AbortController();
    running = controller;
    const ifNewest = (listener) => (...values) => running === controller && listener(...values);
    const finish = (listener, ...values) => {
      if (running !== controller) return;
      running = null;
      listener(...values);
    };
    listeners.started(query);
    try {
      const answer = await find(query, {
        signal: controller.signal,
        onProgress: ifNewest(listeners.progressed),
        onWait: ifNewest(listeners.waiting),
      });
      finish(listeners.answered, answer, query);
    } catch (error) {
      if (controller.signal.aborted) finish(listeners.cancelled);
      else finish(listeners.failed, error, query);
    }
  }

  return {
    run,
    /** End the search; cancelled is told. */
    cancel: () => running?.abort(),
    /** End the search and tell nobody. */
    drop() {
      running?.abort();
      running = null;
    },
  };
}
