/* Keeps this page's cart, and the order it tells of, the same as everywhere else: by socket, or by asking now and then. */
(() => {
  "use strict";
  const body = document.body;
  let known = { cart: body.dataset.cart || "", version: Number(body.dataset.cartVersion) || 0 };
  let socket = null;
  let tries = 0;
  let polling = 0;
  let waiting = false;
  let repriced = false;

  /* After an order the customer has another cart, whose versions begin anew: a version counts only beside its cart. */
  const isNewer = (one, other) => one.cart !== other.cart || one.version > other.version;
  const onPage = () => {
    const shown = document.querySelector("[data-version]");
    return { cart: shown?.dataset.cart || "", version: Number(shown?.dataset.version) || 0 };
  };

  const showCount = (count) => {
    const badge = document.getElementById("cart-badge");
    if (!badge || badge.dataset.count === String(count)) return;
    badge.dataset.count = count;
    for (const part of badge.children) part.textContent = part.textContent.replace(/\d+/, count);
    badge.classList.remove("badge--fresh");
    requestAnimationFrame(() => badge.classList.add("badge--fresh"));
  };

  /* Another device, or a price, changed the cart: fetch it, but never from under a request or a half-typed word. */
  const refetch = () => {
    const cart = document.querySelector("[data-live-cart]");
    if (!cart || !(repriced || isNewer(known, onPage()))) { waiting = false; return; }
    const typing = cart.contains(document.activeElement) && document.activeElement.matches("input:not([type=hidden])") && document.activeElement.value !== document.activeElement.defaultValue;
    if (typing || document.querySelector(".htmx-request")) {
      if (!waiting) { waiting = true; }
      setTimeout(refetch, 250);
      return;
    }
    waiting = repriced = false;
    body.dispatchEvent(new Event("cart-changed"));
  };

  const learn = (cart, version, count) => {
    const told = { cart, version };
    if (!cart || !isNewer(told, known)) return;
    known = told;
    if (Number.isInteger(count)) showCount(count);
    if (!waiting) refetch();
  };

  /* What happens to an order is shown to whoever looks at it. Only what reads otherwise is put in, so nothing moves for nothing. */
  const story = () => document.querySelector("[data-order]");
  const reread = async () => {
    const shown = story();
    if (!shown || document.hidden) return;
    try {
      const answer = await fetch(location.href, { headers: { "HX-Request": "true" } });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
      if (fresh.textContent.trim() === shown.textContent.trim()) return;
      const at = shown.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      const unfolded = Array.from(shown.querySelectorAll("details[open] > summary"), (summary) => summary.textContent);
      for (const summary of fresh.querySelectorAll("details > summary")) summary.parentElement.open = unfolded.includes(summary.textContent);
      const words = (page) => page.querySelector("h1").textContent;
      if (words(fresh) !== words(shown)) document.getElementById("live-region").textContent = words(fresh);
      shown.replaceChildren(...fresh.childNodes);
      if (at) shown.querySelector(`[href="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
    } catch { /* offline: the next news asks again */ }
  };
  let soon = 0;
  const rereadSoon = () => { clearTimeout(soon); soon = setTimeout(reread, 150); };
  if (story()?.hasAttribute("data-order-asks")) setInterval(reread, 20000);

  const retry = () => {
    const pause = Math.min(30000, 500 * 2 ** tries) * (0.5 + Math.random());
    tries += 1;
    if (tries >= 3) poll();
    setTimeout(connect, pause);
  };

  const connect = () => {
    if (socket || document.hidden) return;
    try {
      socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/cart`, ["cart.v1"]);
    } catch { return poll(); }
    socket.onopen = () => { clearTimeout(polling); polling = 0; if (tries) rereadSoon(); };
    socket.onmessage = (event) => {
      let message;
      try { message = JSON.parse(event.data); } catch { return; }
      tries = 0;
      if (message.type === "cart.snapshot" || message.type === "cart.changed") {
        learn(message.cart?.id, message.version, message.cart?.totals?.itemCount);
        /* What the same cart costs may change without a new version of it. */
        if (message.event?.startsWith("pricing.")) { repriced = true; if (!waiting) refetch(); }
      }
      else if (message.type === "hold.expired") body.dispatchEvent(new Event("cart-changed"));
      else if (message.type === "order.changed" && message.number === story()?.dataset.order) rereadSoon();
    };
    socket.onclose = (event) => {
      socket = null;
      if (event.code === 4401 || event.code === 4403) return poll();
      retry();
    };
  };

  /* The browser keeps the ETag: an unchanged cart costs an empty 304. */
  const poll = () => {
    if (polling) return;
    const ask = async () => {
      polling = setTimeout(ask, 15000);
      if (document.hidden) return;
      reread();
      try {
        const answer = await fetch("/cart/state/", { cache: "no-cache", headers: { Accept: "application/json" } });
        if (answer.ok) { const state = await answer.json(); learn(state.cart, state.version, state.count); }
      } catch { /* offline: the next round asks again */ }
    };
    polling = setTimeout(ask, 5000);
  };

  /* The answer to our own change says its version, so that the socket's echo changes nothing. */
  body.addEventListener("cart-version", (event) => {
    if (event.detail.cart && isNewer(event.detail, known)) known = { cart: event.detail.cart, version: event.detail.version };
    connect();
  });
  addEventListener("visibilitychange", () => {
    if (document.hidden || !(known.cart || story())) return;
    connect();
    reread();
  });
  if (known.cart || story()) connect();
})();
