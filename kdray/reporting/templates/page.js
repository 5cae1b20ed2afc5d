"use strict";
(() => {
  const root = document.documentElement;
  const page = JSON.parse(document.getElementById("page").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const phone = matchMedia("(max-width: 40rem)");
  const drawn = new Set();
  let picked = null;

  // Figures come in colours for white; each colour has a twin for dark pages.
  const themed = (value) => {
    if (typeof value === "string") return (dark.matches && page.dark[value]) || value;
    if (Array.isArray(value)) return value.map(themed);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, themed(inner)]));
  };

  const plot = (name) => document.querySelector(`#chart-${name} .plot`);

  const place = (id) => {
    for (const { customdata, x, y } of page.figures.front.data) {
      const at = customdata ? customdata.indexOf(id) : -1;
      if (at >= 0) return [x[at], y[at]];
    }
    return null;
  };

  // A ring about the student that is picked.
  const ring = () => {
    const at = picked && place(picked);
    const marker = { symbol: "circle-open", size: 19, color: "#1c2430", line: { width: 2 } };
    const [x, y] = at ? [[at[0]], [at[1]]] : [[], []];
    return { type: "scatter", mode: "markers", x, y, marker, hoverinfo: "skip", showlegend: false };
  };

  const draw = (name) => {
    const figure = page.figures[name];
    const { data, layout } = themed(name === "front" ? { ...figure, data: [...figure.data, ring()] } : figure);
    if (phone.matches) {
      Object.assign(layout.font, { size: 11 });
      layout.dragmode = false;
    }
    const config = {
      responsive: true,
      displaylogo: false,
      displayModeBar: phone.matches ? false : "hover",
      modeBarButtons: [["toImage", "pan2d", "zoom2d", "resetScale2d"]],
    };
    drawn.add(name);
    return Plotly.react(plot(name), data, layout, config);
  };

  const unpacked = async (id) => {
    const text = atob(document.getElementById(id).textContent);
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  const drawAll = async () => {
    const script = document.createElement("script");
    script.textContent = await unpacked("plotly");
    document.head.append(script);
    for (const name of Object.keys(page.figures)) {
      await draw(name);
      // Lets the reader scroll meanwhile.
      await new Promise((done) => setTimeout(done));
    }
  };

  const redraw = () => drawn.forEach(draw);

{% include "picker.js" %}

  // Paper has no folds.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details:not([open])")];
    unfolded.forEach((fold) => { fold.open = true; });
  });
  addEventListener("afterprint", () => unfolded.forEach((fold) => { fold.open = false; }));
  dark.addEventListener("change", redraw);
  phone.addEventListener("change", redraw);
  drawAll().then(
    () => { root.dataset.figures = "drawn"; },
    (error) => {
      // An old browser, or none that unpacks: the pictures stay.
      root.classList.add("unplotted");
      root.dataset.figures = String(error);
    },
  );
})();
