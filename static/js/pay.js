/* The provider's own fields on the page that pays: cards and wallets never pass through this shop. */
(() => {
  "use strict";
  const box = document.getElementById("card");
  const form = document.getElementById("card-form");
  if (!box || !form) return;
  const button = form.querySelector("button");
  const problem = document.getElementById("card-error");

  const say = (text) => {
    problem.textContent = text || "";
    problem.hidden = !text;
  };
  if (typeof window.Stripe !== "function") {
    say(box.dataset.sorry);
    return;
  }

  const dark = document.documentElement.dataset.theme === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const stripe = window.Stripe(box.dataset.key);
  const elements = stripe.elements({ clientSecret: box.dataset.secret, appearance: { theme: dark ? "night" : "stripe" } });

  /* One press at a time. What the bank decides is read from the provider by the shop, whatever happens here. */
  const pay = async () => {
    say("");
    button.disabled = true;
    const { error } = await stripe.confirmPayment({ elements, confirmParams: { return_url: box.dataset.back } });
    if (error) say(error.message);
    button.disabled = false;
  };

  const express = elements.create("expressCheckout");
  express.on("confirm", pay);
  express.mount("#card-express");

  const fields = elements.create("payment");
  fields.on("ready", () => { button.disabled = false; });
  fields.on("loaderror", () => say(box.dataset.sorry));
  fields.mount("#card-fields");

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!button.disabled) pay();
  });
})();
