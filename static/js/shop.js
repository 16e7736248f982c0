/* What the pages do beyond plain forms. Everything here is an extra: without it each form is an ordinary POST. */
(() => {
  "use strict";
  const root = document.documentElement;
  const $$ = (selector, within = document) => within.querySelectorAll(selector);

  /* --- announcements: one polite region for the whole page --------------------------------- */
  const say = (text) => {
    const region = document.getElementById("live-region");
    if (region) region.textContent = text;
  };

  /* --- light and dark ----------------------------------------------------------------------- */
  const night = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : night.matches);
  const showTheme = () => {
    for (const source of $$("source[data-night]")) source.media = root.dataset.theme ? (isDark() ? "all" : "not all") : "(prefers-color-scheme: dark)";
    for (const button of $$("[data-theme-switch]")) button.value = isDark() ? "light" : "dark";
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-switch]");
    if (!button) return;
    event.preventDefault();
    root.dataset.theme = isDark() ? "light" : "dark";
    document.cookie = `theme=${root.dataset.theme};path=/;max-age=31536000;samesite=lax${location.protocol === "https:" ? ";secure" : ""}`;
    showTheme();
  });

  /* --- dialogs: links that have a page of their own when there is no script ------------------ */
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    const dialog = opener && document.getElementById(opener.dataset.dialog);
    if (!dialog || !dialog.showModal) return;
    event.preventDefault();
    dialog.showModal();
  });
  document.addEventListener("click", (event) => {
    if (event.target.nodeName === "DIALOG") event.target.close(); // a click beside it
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.hasAttribute("data-close-dialog")) form.closest("dialog").close();
    if (form.hasAttribute("data-once")) {
      // The button's own name and value must still be sent, so it is disabled only after the form has left.
      if (form.dataset.sent) return event.preventDefault();
      form.dataset.sent = "yes";
      setTimeout(() => { for (const button of $$("button", form)) button.setAttribute("aria-disabled", "true"); });
    }
  });
  /* A form that stays on the page after its deed, or comes back with it, gets a fresh key: pressing again is meant. */
  const renew = (form) => {
    for (const input of $$("input[name=key]", form)) input.value = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.elt;
    if (form instanceof HTMLFormElement && event.detail.xhr && event.detail.xhr.status) renew(form);
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) renew(document);
    for (const form of $$("[data-once][data-sent]")) {
      delete form.dataset.sent;
      for (const button of $$("button", form)) button.removeAttribute("aria-disabled");
    }
  });

  /* --- pictures of a product: the link scrolls the strip, not the page ------------------------ */
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-picture]");
    const picture = link && document.getElementById(link.hash.slice(1));
    if (!picture) return;
    event.preventDefault();
    picture.parentElement.scrollTo({ left: picture.offsetLeft - picture.parentElement.firstElementChild.offsetLeft });
  });

  /* --- steppers ----------------------------------------------------------------------------- */
  const timers = new WeakMap();
  const clamp = (input) => {
    const most = Number(input.dataset.most) || 100;
    const value = Math.min(most, Math.max(1, parseInt(input.value, 10) || 1));
    const [less, more] = $$("button[data-step]", input.parentElement);
    less.disabled = value <= 1;
    more.disabled = value >= most;
    return value;
  };
  const send = (input, wait) => {
    const form = input.form;
    if (!form || !form.hasAttribute("hx-trigger")) return;
    clearTimeout(timers.get(form));
    timers.set(form, setTimeout(() => form.dispatchEvent(new Event("step")), wait));
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-step]");
    if (!button) return;
    const input = button.parentElement.querySelector("input");
    event.preventDefault();
    input.value = (parseInt(input.value, 10) || 1) + Number(button.dataset.step);
    input.value = clamp(input);
    send(input, 350);
  });
  document.addEventListener("change", (event) => {
    const input = event.target;
    if (!input.closest || !input.closest("[data-stepper]")) return;
    input.value = clamp(input);
    send(input, 0);
  });

  /* --- holds: the ring empties, the words count down, the end is looked up ------------------- */
  const deadlines = new WeakMap();
  const tick = () => {
    let over = false;
    for (const hold of $$("[data-hold]")) {
      if (!deadlines.has(hold)) deadlines.set(hold, performance.now() + Number(hold.dataset.hold) * 1000);
      const left = Math.max(0, Math.ceil((deadlines.get(hold) - performance.now()) / 1000));
      const total = Number(hold.dataset.holdTotal) || 900;
      hold.querySelector("circle:last-of-type").setAttribute("stroke-dashoffset", String(100 - Math.min(100, (100 * left) / total)));
      hold.classList.toggle("hold--soon", left <= 180);
      const time = left > 180 ? String(Math.ceil(left / 60)) : `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      const words = left ? (left > 180 ? hold.dataset.held : hold.dataset.soon).replace("%s", time) : hold.dataset.over;
      const text = hold.querySelector("[data-hold-text]");
      if (text.textContent !== words) text.textContent = words;
      if (!left && !hold.dataset.done) { hold.dataset.done = "yes"; over = true; say(words); }
    }
    if (over) document.body.dispatchEvent(new Event("cart-changed"));
  };
  setInterval(tick, 1000);

  /* --- after each swap ----------------------------------------------------------------------- */
  const prepare = () => {
    showTheme();
    tick();
    for (const button of $$("[data-stepper] button[type=submit]")) {
      button.type = "button"; // the quantity is sent, not the step
      button.removeAttribute("name");
    }
    for (const element of $$("[data-no-script]")) element.hidden = true;
  };
  /* Folds that are open stay open when they are swapped in again. */
  const open = new Set();
  document.addEventListener("htmx:beforeSwap", (event) => {
    open.clear();
    for (const fold of $$("details[id][open]", event.detail.target)) open.add(fold.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    open.clear();
    prepare();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-closes]");
    if (!button) return;
    event.preventDefault(); // what was chosen is there already
    const fold = document.getElementById(button.dataset.closes);
    fold.removeAttribute("open");
    fold.querySelector("summary").focus();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    const target = event.detail.target;
    const bad = target && target.querySelector && target.querySelector("[aria-invalid='true']");
    if (bad) return bad.focus();
    if (target && target.id === "browse") {
      const count = document.getElementById("result-count");
      say(count.textContent);
      if (document.activeElement === document.body) count.focus({ preventScroll: true });
    }
    if (target && target.id === "checkout") {
      const open = (what) => target.querySelector(`.part--open ${what}`);
      const field = open("input:checked") || open("input:not([type=hidden])") || open("button");
      if (field) field.focus({ preventScroll: true });
      const part = target.querySelector(".part--open");
      if (part && part.getBoundingClientRect().top < 0) part.scrollIntoView({ block: "start" });
    }
  });
  /* What went wrong before any of our answers: said where it can be seen and heard. */
  const toast = document.getElementById("toast");
  const sorry = () => {
    toast.hidden = false;
    toast.textContent = toast.dataset.sorry;
    setTimeout(() => { toast.hidden = navigator.onLine; }, 6000);
  };
  /* Without a line that is said for as long as it lasts. What was pressed waits with its key, so that it is done once. */
  const unsent = new Map(); // a form, or what else asks, and the button that was pressed
  const line = () => {
    toast.hidden = navigator.onLine;
    toast.textContent = navigator.onLine ? "" : toast.dataset.offline;
    if (!navigator.onLine) return;
    const again = [...unsent];
    unsent.clear();
    for (const [element, button] of again) element.requestSubmit ? element.requestSubmit(button) : element.click();
  };
  addEventListener("online", line);
  addEventListener("offline", line);
  document.addEventListener("htmx:responseError", sorry);
  document.addEventListener("htmx:sendError", (event) => {
    if (navigator.onLine) return sorry();
    unsent.set(event.detail.elt, event.detail.requestConfig.triggeringEvent?.submitter);
    line();
  });
  root.classList.add("scripted");
  prepare();
})();
