// Small things the modules of the page share: making elements, telling, copying, saving.

const COPIED_MS = 1500;

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * A new element.
 * @param {string} name
 * @param {Record<string, unknown>} properties set on it as they are
 * @param {...(Node|string)} children
 */
export function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Let a screen reader say it. */
export function say(text) {
  byId("spoken").textContent = text;
}

/** Show lines in an alert, or hide it where there are none. */
export function tell(alert, ...lines) {
  alert.hidden = lines.length === 0;
  alert.replaceChildren(...lines.map((line) => make("p", { textContent: line })));
}

/** A button that copies what `text()` gives when it is pressed, and says so. */
export function copyOnClick(button, text) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const done = await copy(text());
    button.style.minWidth = `${button.offsetWidth}px`;
    button.textContent = done ? "Copied" : "No access";
    say(done ? "Copied" : "The browser allows no access to its clipboard");
    setTimeout(() => {
      button.textContent = label;
    }, COPIED_MS);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // navigator.clipboard is there on HTTPS and on this machine alone
  }
}

function copyBySelection(text) {
  const field = make("textarea", { value: text, className: "visually-hidden", readOnly: true });
  const focused = document.activeElement;
  (focused?.closest("dialog") ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return done;
}

/** Save text as a file. */
export function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
