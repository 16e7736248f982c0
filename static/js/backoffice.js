// Counting by keyboard: Enter goes to the next number instead of sending half a sheet; at the last one it sends.
"use strict";
document.addEventListener("keydown", (event) => {
  const field = event.target;
  if (event.key !== "Enter" || !(field instanceof HTMLInputElement) || !field.matches("[data-enter] tbody input")) return;
  const fields = [...field.form.querySelectorAll("tbody input:not([type=hidden])")];
  const next = fields[fields.indexOf(field) + (event.shiftKey ? -1 : 1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.select();
});
