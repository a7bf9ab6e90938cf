"use strict";
(() => {
  const MOST_ROWS = 20;
  const PAUSE_MS = 1000;
  const part = () => document.querySelector("[data-fresh]");
  const rows = document.querySelector("[data-live]");
  const state = document.querySelector("[data-state]");
  if (!part() && !rows) return;

  let planned = false;
  const refresh = () => {
    if (planned || !part()) return;
    planned = true;
    setTimeout(async () => {
      planned = false;
      try {
        const answer = await fetch(location.href, { headers: { accept: "text/html" } });
        if (!answer.ok) return;
        const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-fresh]");
        if (next) part().replaceWith(next);
      } catch {
        // The next event or pulse tries again.
      }
    }, PAUSE_MS);
  };

  const cell = (text) => {
    const made = document.createElement("td");
    made.textContent = text;
    return made;
  };
  const row = (event) => {
    const made = document.createElement("tr");
    const town = cell("");
    const link = document.createElement("a");
    link.href = "/console/towns/" + encodeURIComponent(event.townId);
    link.textContent = event.town;
    town.append(link);
    const at = cell("");
    const time = document.createElement("time");
    time.dateTime = event.at;
    time.textContent = event.at.replace("T", " ").replace("Z", "");
    at.append(time);
    const outcome = cell(event.outcome);
    if (event.failed) outcome.className = "bad";
    made.append(at, town, cell(event.actor), cell(event.action), outcome, cell(event.cause));
    return made;
  };

  const source = new EventSource("/console/live");
  const show = (text) => { if (state) state.textContent = text; };
  source.onopen = () => show("live");
  source.onerror = () => show("connecting");
  source.addEventListener("latest", (message) => {
    if (rows) rows.replaceChildren(...JSON.parse(message.data).map(row));
  });
  source.addEventListener("new", (message) => {
    if (rows) {
      rows.prepend(...JSON.parse(message.data).map(row));
      while (rows.children.length > MOST_ROWS) rows.lastChild.remove();
    }
    refresh();
  });
  source.addEventListener("pulse", refresh);
})();
