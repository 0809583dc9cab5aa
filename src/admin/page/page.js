"use strict";
// Every few seconds the same page again; only what differs from second to second is worked out here.
(() => {
  const numbers = () => {
    const found = { at: performance.now() };
    for (const element of document.querySelectorAll("[data-counter]")) {
      found[element.dataset.counter] = Number(element.dataset.value);
    }
    return found;
  };
  const rate = (number) => (number >= 100 ? number.toFixed(0) : number.toFixed(1));
  let before = numbers();
  const refresh = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(4000) });
      if (!answer.ok) throw new Error(String(answer.status));
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.querySelector("main").replaceWith(document.adoptNode(next.querySelector("main")));
      document.title = next.title;
      const now = numbers();
      const seconds = (now.at - before.at) / 1000;
      const requests = now.requests - before.requests;
      const cacheable = now.cacheable - before.cacheable;
      if (requests >= 0 && seconds > 0) {
        document.getElementById("now").textContent =
          rate(requests / seconds) + " requests/s, " + rate((now.bytes - before.bytes) / seconds / 1e6) + " MB/s" +
          (cacheable > 0 ? ", " + rate((100 * (now.hits - before.hits)) / cacheable) + " % from the cache" : "");
      }
      before = now;
      document.body.className = "";
    } catch {
      document.body.className = "lost";
    }
  };
  setInterval(refresh, 5000);
})();
