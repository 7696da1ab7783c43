// Pictures from outside: chosen, dropped or pasted, and read again when an option changes.

import { Problem, postBitmap } from "./api.js";
import { byId, make, tell } from "./elements.js";
import { fitLabel, formatNumber } from "./wording.js";

const LONGEST_NAME = 200;

/**
 * Listens for pictures on the whole page.
 * @param {object} info of the server
 * @param {{onBitmap: (digits: string, name: string) => void}} listeners
 * @returns {{forget: () => void}} forget drops the picture, so that its options go away
 */
export function createSource(info, { onBitmap }) {
  const [alert, reading, original] = [byId("source-alert"), byId("reading"), byId("original")];
  let kept = null;
  let running = null;
  byId("fit").replaceChildren(...info.fits.map((fit) => make("option", { value: fit, textContent: fitLabel(fit) })));

  async function read(picture, name) {
    running?.abort();
    const controller = new AbortController();
    running = controller;
    const options = { name: name.slice(0, LONGEST_NAME) };
    if (picture === kept) {
      Object.assign(options, { fit: byId("fit").value, trim: byId("trim").checked, invert: byId("swap").checked });
    }
    try {
      if (picture.size > info.most_upload_bytes) {
        const most = formatNumber(info.most_upload_bytes);
        throw new Problem({ detail: `${name} has ${formatNumber(picture.size)} bytes; ${most} are allowed` });
      }
      const { bitmap } = await postBitmap(picture, options, controller);
      if (running !== controller) return;
      tell(alert);
      reading.hidden = picture !== kept;
      onBitmap(bitmap, picture === kept ? options.name : "");
    } catch (error) {
      if (running !== controller) return;
      tell(alert, error.message);
      if (error instanceof Problem) reading.hidden = true;
    }
  }

  function keep(file, name) {
    forget();
    kept = file;
    byId("reading-name").textContent = name;
    original.src = URL.createObjectURL(file);
    return read(file, name);
  }

  function forget() {
    running?.abort();
    running = null;
    kept = null;
    reading.hidden = true;
    original.hidden = true;
    URL.revokeObjectURL(original.src);
    tell(alert);
  }

  function take(transfer, nameOf) {
    const file = [...transfer.files][0];
    const text = transfer.getData("text/plain").trim();
    if (file) keep(file, nameOf(file));
    else if (/\d/.test(text)) {
      forget();
      read(text, "the text");
    } else tell(alert, "There is neither a picture nor digits in it.");
  }

  original.addEventListener("load", () => {
    original.hidden = false;
  });
  original.addEventListener("error", () => {
    original.hidden = true;
  });
  reading.addEventListener("change", () => read(kept, byId("reading-name").textContent));
  byId("file").addEventListener("change", ({ target }) => {
    if (target.files.length > 0) keep(target.files[0], target.files[0].name);
    target.value = "";
  });
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("input, textarea, select, dialog")) return;
    event.preventDefault();
    take(event.clipboardData, () => "pasted");
  });
  listenForDrops((transfer) => take(transfer, (file) => file.name));
  return { forget };
}

function listenForDrops(onDrop) {
  const veil = byId("veil");
  let depth = 0;
  const lift = () => {
    depth = 0;
    veil.hidden = true;
  };
  document.addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth += 1;
    veil.hidden = false;
  });
  document.addEventListener("dragleave", () => {
    depth -= 1;
    if (depth <= 0) lift();
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    lift();
    onDrop(event.dataTransfer);
  });
}
