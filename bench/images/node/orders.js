// What the pages show.
"use strict";

const { format } = require("util");

exports.page = (number) => {
  const items = Array.from({ length: number }, (_, index) => format("<li>article %d: %d</li>", index + 1, index + 1));
  return `<!doctype html><title>Order ${number}</title><ul>${items.join("")}</ul>`;
};
