// What every page shares: times in the viewer's zone, the stale banner, keys. It shows what the
// server said and when; it never makes a state up.
(() => {
  "use strict";
  // Fragments come from this server over its own stream, and templates escaped them there. Nothing
  // that is a script can pass: there is no way to make one.
  if (window.trustedTypes && trustedTypes.createPolicy) {
    trustedTypes.createPolicy("default", { createHTML: (html) => html });
  }

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const today = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const near = Math.abs(Date.now() - at.getTime()) < 20 * 3600 * 1000;
      const words = "day" in time.dataset ? (near ? today : day) : clock;
      const text = words.format(at);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // The stream says something at least every five seconds, or the page is old and says so.
  const QUIET_MS = 12000;
  const banner = document.getElementById("stale");
  let heard = Date.now();
  let over = false;
  let cut = false;

  function fresh() {
    heard = Date.now();
    cut = false;
    if (banner) banner.hidden = true;
  }

  function age() {
    if (over || !banner || !document.querySelector("[sse-connect]")) return;
    const quiet = Date.now() - heard;
    if (quiet < QUIET_MS && !(cut && quiet > 2000)) return;
    banner.hidden = false;
    banner.textContent = `This page is ${Math.round(quiet / 1000)} s old: the server is not heard. It asks again by itself.`;
  }

  document.addEventListener("DOMContentLoaded", () => localTimes(document));
  document.addEventListener("htmx:afterSwap", (event) => localTimes(event.target));
  document.addEventListener("htmx:sseOpen", fresh);
  document.addEventListener("htmx:sseError", () => { cut = true; });
  document.addEventListener("htmx:sseBeforeMessage", fresh);
  document.addEventListener("htmx:sseOpen", (event) => {
    const source = event.detail.source;
    source.addEventListener("beat", fresh);
    source.addEventListener("end", () => { fresh(); over = true; source.close(); });
  });
  setInterval(age, 1000);

  // Keys lead where a link or a button leads: nothing works by a key alone.
  let before = "";
  document.addEventListener("keydown", (event) => {
    const field = event.target.closest && event.target.closest("input, textarea, select, [contenteditable]");
    if (field || event.ctrlKey || event.metaKey || event.altKey) return;
    const pair = `${before} ${event.key}`;
    before = event.key === "g" ? "g" : "";
    const go = document.querySelector(`[data-go="${CSS.escape(pair)}"]`) || document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (go) { event.preventDefault(); go.click(); return; }
    if (event.key === "j" || event.key === "k") {
      const rows = [...document.querySelectorAll("[data-row]")];
      const at = rows.indexOf(document.activeElement);
      const next = rows[at + (event.key === "j" ? 1 : -1)] || rows[event.key === "j" ? 0 : rows.length - 1];
      if (next) next.focus();
    }
    if (event.key === "?") {
      const help = document.getElementById("keys");
      if (help && help.showModal) help.showModal();
    }
  });
})();
