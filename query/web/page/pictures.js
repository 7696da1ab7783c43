// Bitmaps drawn: small on a canvas, large in SVG with their digits, and differences in orange.

import { inRows } from "./wording.js";

const SVG = "http://www.w3.org/2000/svg";
const CELL = 20;
const ACCENT = [255, 85, 0];
const DARK = "#1a1817";
const READABLE = 4.6; // a contrast a little above what AA asks of small letters

/**
 * The colour of a grey of 0 to 255.
 * @returns {string}
 */
export const colourOf = (grey) => `rgb(${grey} ${grey} ${grey})`;

/** The grey, nearest to the one it stands on, in which small digits can still be read. */
export function inkOn(grey) {
  const light = luminance(grey);
  const darker = (light + 0.05) / READABLE - 0.05;
  const wanted = darker >= 0 ? darker : (light + 0.05) * READABLE - 0.05;
  return Math.round(255 * (wanted <= 0.0031308 ? 12.92 * wanted : 1.055 * wanted ** (1 / 2.4) - 0.055));
}

function luminance(grey) {
  const value = grey / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

/**
 * A canvas with one pixel a digit, for CSS to enlarge; digits may be more or fewer rows than a picture has,
 * a space is left clear.
 * @param {{width: number, greys: number[]}} shape
 */
export function drawSmall(digits, { width, greys }) {
  const canvas = document.createElement("canvas");
  canvas.className = "picture";
  canvas.width = width;
  canvas.height = Math.ceil(digits.length / width);
  canvas.setAttribute("aria-hidden", "true");
  const pen = canvas.getContext("2d");
  [...digits].forEach((digit, place) => {
    if (digit === " ") return;
    pen.fillStyle = colourOf(greys[digit]);
    pen.fillRect(place % width, Math.floor(place / width), 1, 1);
  });
  return canvas;
}

/** A picture in SVG with its digits in the pixels. */
export function drawLarge(digits, { width, greys }, label) {
  return drawCells(digits, width, label, (digit) => [colourOf(greys[digit]), colourOf(inkOn(greys[digit]))]);
}

/** How far two pictures are apart, pixel by pixel: white where they are equal, orange where they are opposite. */
export function drawDifference(digits, others, { width, greys }, label) {
  return drawCells(differences(digits, others), width, label, (difference) => [tint(difference, greys), DARK]);
}

/** The scale of drawDifference. */
export function drawScale({ greys }) {
  const scale = [...greys.keys()].join("");
  const label = `Scale: white is no difference, orange is ${greys.length - 1}`;
  return drawCells(scale, greys.length, label, (difference) => [tint(difference, greys), DARK]);
}

/** |d - r| of each pixel, as digits. */
export function differences(digits, others) {
  return [...digits].map((digit, place) => Math.abs(digit - others[place])).join("");
}

function tint(difference, greys) {
  const part = difference / (greys.length - 1);
  return `rgb(${ACCENT.map((channel) => Math.round(255 + (channel - 255) * part)).join(" ")})`;
}

function drawCells(digits, width, label, coloursOf) {
  const rows = inRows(digits, width);
  const picture = element("svg", { class: "picture", viewBox: `0 0 ${width * CELL} ${rows.length * CELL}` });
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", label);
  rows.forEach((row, down) =>
    [...row].forEach((digit, across) => {
      const [fill, ink] = coloursOf(digit);
      const [x, y] = [across * CELL, down * CELL];
      const text = element("text", { x: x + CELL / 2, y: y + CELL / 2, fill: ink });
      text.textContent = digit;
      picture.append(element("rect", { x, y, width: CELL, height: CELL, fill }), text);
    }),
  );
  return picture;
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
