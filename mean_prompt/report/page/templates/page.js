"use strict";
(() => {
  const POLL = 1000, PATIENCE = 5000;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const palette = read("palette");
  let figures = read("figures");

  // Figures name light colours; in the dark each stands for another one.
  const coloured = (value) => {
    if (typeof value === "string") return dark.matches ? palette[value] ?? value : value;
    if (Array.isArray(value)) return value.map(coloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, coloured(inner)]));
  };

  const themed = (layout) => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), automargin: true };
    return {
      ...coloured(layout),
      autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("--ink"), family: "system-ui, sans-serif", size: 13 },
      hoverlabel: { ...layout.hoverlabel, bgcolor: colour("--shade"), font: { color: colour("--ink") } },
      xaxis: { ...coloured(layout.xaxis), ...axis },
      yaxis: { ...coloured(layout.yaxis), ...axis },
    };
  };

  // A figure with several x axes is drawn over the one that its switch chooses.
  const axes = new Map();
  const over = ({ data, layout, axes: all }, id) => {
    if (!all) return { data, layout };
    const { title, x } = all[axes.get(id)] ?? Object.values(all)[0];
    return {
      data: data.map((trace, number) => ({ ...trace, x: x[number] })),
      layout: { ...layout, xaxis: { ...layout.xaxis, title: { text: title }, uirevision: title } },
    };
  };
  const draw = (id) => {
    const place = document.getElementById(id);
    if (!place || !figures[id]) return;
    const { data, layout } = over(figures[id], id);
    Plotly.react(place, data.map(coloured), themed(layout), { displayModeBar: false, responsive: true });
  };
  document.addEventListener("change", ({ target }) => {
    const id = target.closest(".switch")?.dataset.plot;
    if (!id) return;
    axes.set(id, target.value);
    draw(id);
  });
  const drawAll = () => Object.keys(figures).forEach(draw);

  const copy = (text) => {
    const put = (event) => {
      event.clipboardData.setData("text/plain", text);
      event.preventDefault();
    };
    document.addEventListener("copy", put, { once: true });
    const done = document.execCommand("copy");
    document.removeEventListener("copy", put);
    return done;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    const text = JSON.parse(button.dataset.copy);
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      done = copy(text);
    }
    button.parentElement.querySelector(".copied").textContent = done ? "Copied." : "Copying is not allowed here.";
  });

  const shown = new Map();
  const show = (id, html) => {
    const section = document.getElementById(id);
    const body = section.querySelector(".body");
    const link = document.querySelector(`nav [data-of="${id}"]`);
    section.hidden = html === undefined;
    if (link) link.hidden = html === undefined;
    if (html === undefined || html === shown.get(id)) return;
    const open = [...body.querySelectorAll("details")].map((details) => details.open);
    body.querySelectorAll(".plot").forEach((place) => Plotly.purge(place));
    body.innerHTML = html;
    shown.set(id, html);
    body.querySelectorAll(".switch input").forEach((input) => {
      const chosen = axes.get(input.closest(".switch").dataset.plot);
      if (chosen) input.checked = input.value === chosen;
    });
    body.querySelectorAll("details").forEach((details, number) => {
      if (open[number] !== undefined) details.open = open[number];
    });
  };

  const follow = () => {
    const away = document.getElementById("away");
    let version = "", answered = Date.now();
    const ask = async () => {
      try {
        const answer = await fetch(`parts.json?after=${encodeURIComponent(version)}`, { cache: "no-store" });
        if (answer.status === 200) {
          const parts = await answer.json();
          ({ version, figures } = parts);
          document.querySelectorAll("main section").forEach(({ id }) => show(id, parts.sections[id]));
          drawAll();
        } else if (answer.status !== 204) {
          throw new Error(`the server answered ${answer.status}`);
        }
        answered = Date.now();
        away.hidden = true;
      } catch {
        if (Date.now() - answered > PATIENCE) {
          away.textContent = "The server of this page does not answer. You see what it showed last; the page asks it every second.";
          away.hidden = false;
        }
      }
      setTimeout(ask, POLL);
    };
    ask();
  };

  drawAll();
  dark.addEventListener("change", drawAll);
  if ("live" in document.body.dataset) follow();
})();
