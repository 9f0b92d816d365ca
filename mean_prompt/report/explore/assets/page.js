// The map, suggestions that are applied, and tables that stay open while their column changes.
"use strict";
(() => {
  const MARKS = { A: "#e6007e", B: "#7a3cff", C: "#b30000", D: "#00706b" };
  const DARK_MARKS = { A: "#ff6ab8", B: "#b79bff", C: "#ff8a80", D: "#4fd8cf" };
  const open = new Map();
  let drawn = null;
  let marked = "";

  const isDark = () => document.body.classList.contains("dark")
    || document.documentElement.classList.contains("dark");

  function layout(explained) {
    const ink = isDark() ? "#e4e4e7" : "#27272a";
    const line = isDark() ? "#52525b" : "#d4d4d8";
    const axis = (title) => ({
      title: { text: title }, zeroline: false, gridcolor: line, linecolor: line, fixedrange: false,
    });
    const narrow = window.innerWidth < 700;
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, family: "system-ui, sans-serif", size: 12 },
      margin: { l: 48, r: 8, t: 8, b: 40 },
      height: narrow ? 760 : 520,
      xaxis: axis(narrow ? "" : "first principal component"), yaxis: axis(narrow ? "" : "second"),
      legend: narrow ? { orientation: "h", y: -0.08, yanchor: "top" } : { itemsizing: "constant" },
      hoverlabel: { align: "left" }, uirevision: "map",
    };
  }

  // On a dark ground the same colours need to be stronger.
  const trace = (row) => (isDark() ? { ...row, opacity: 0.9 } : row);

  function landmark([name, [x, y]], number) {
    const ink = isDark() ? "#fafafa" : "#18181b";
    return {
      type: "scatter", mode: "markers", name, x: [x], y: [y], text: [name], hoverinfo: "text",
      marker: { symbol: ["cross", "star"][number], size: 14, color: ink, line: { width: 1, color: ink } },
    };
  }

  function marks() {
    return [...document.querySelectorAll(".mp-look[data-place]")].map((look) => {
      const [x, y] = JSON.parse(look.dataset.place);
      const letter = look.dataset.column;
      const colour = (isDark() ? DARK_MARKS : MARKS)[letter];
      return {
        type: "scatter", mode: "markers+text", name: `string ${letter}`, x: [x], y: [y],
        text: [`<b>${letter}</b>`], textposition: "middle center", hoverinfo: "name",
        textfont: { size: 14, color: isDark() ? "#18181b" : "#ffffff" },
        marker: { color: colour, size: 24, line: { width: 2, color: isDark() ? "#18181b" : "#fff" } },
      };
    });
  }

  function describe(element, found) {
    const places = found.map((row) =>
      `${row.name} at ${row.x[0].toFixed(2)}, ${row.y[0].toFixed(2)}`);
    element.setAttribute("aria-label", `Map of the corpus with ${places.join("; ") || "no string"}`);
  }

  async function draw(element) {
    drawn = element;
    const figure = await (await fetch("./explorer/map.json")).json();
    const title = document.createElement("h2");
    title.textContent = "Where the strings lie among the prompts";
    const note = document.createElement("p");
    note.textContent = `${figure.prompts.toLocaleString("en")} prompts in two dimensions, which hold `
      + `${(100 * figure.explained).toFixed(0)} % of the variance of their vectors. Strings that `
      + "lie apart here may score alike: most of the space is not seen.";
    const plot = document.createElement("div");
    plot.id = "mp-plot";
    plot.setAttribute("role", "img");
    element.replaceChildren(title, note, plot);
    const show = () => {
      const traces = [...figure.traces.map(trace), ...Object.entries(figure.landmarks).map(landmark)];
      const found = marks();
      marked = JSON.stringify(found);
      describe(plot, found);
      return Plotly.react(plot, [...traces, ...found], layout(figure.explained),
        { responsive: true, displaylogo: false, displayModeBar: false });
    };
    await show();
    plot.dataset.ready = "yes";
    const again = () => { show(); };
    new MutationObserver(again).observe(document.body, { attributeFilter: ["class"] });
    window.matchMedia("(max-width: 699px)").addEventListener("change", again);
    element.mark = () => {
      const found = marks();
      if (JSON.stringify(found) === marked) return;
      show();
    };
  }

  function apply(button) {
    const column = button.closest("[data-column]").dataset.column;
    const box = document.querySelector(`#mp-text-${column} textarea`);
    const set = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;
    set.call(box, button.dataset.text);
    box.dispatchEvent(new Event("input", { bubbles: true }));
    box.focus();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".mp-apply");
    if (button) apply(button);
  });
  document.addEventListener("toggle", (event) => {
    const key = event.target.dataset?.key;
    if (key) open.set(key, event.target.open);
  }, true);

  function settle() {
    for (const part of document.querySelectorAll("details[data-key]:not([data-settled])")) {
      part.dataset.settled = "yes";
      if (open.has(part.dataset.key)) part.open = open.get(part.dataset.key);
    }
    const element = document.getElementById("mp-map");
    if (element && element !== drawn && window.Plotly) draw(element);
    drawn?.mark?.();
  }

  const script = document.createElement("script");
  script.src = "./explorer/plotly.js";
  script.addEventListener("load", settle);
  document.head.append(script);
  new MutationObserver(settle).observe(document.documentElement, { childList: true, subtree: true });
})();
