// Charts with a crosshair in place of the still drawings. Points come from the server; a gap stays
// a gap. Without this script the drawings and the tables say the same.
(() => {
  "use strict";
  const place = document.getElementById("charts");
  if (!place || !window.uPlot) return;
  const HEIGHT = 168;
  const parts = new Map();
  const sync = uPlot.sync("deployment");

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const number = (value) => value === null || value === undefined ? "–"
    : value === 0 ? "0" : Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 1 ? value.toFixed(1) : value.toFixed(2);

  // Steps of traffic as bands, limits of the rules as dashed lines, behind the lines.
  function behind(chart, part) {
    return (plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      ctx.fillStyle = color("--accent");
      part.steps.forEach(([at, share], index) => {
        const next = part.steps[index + 1];
        const from = plot.valToPos(at, "x", true);
        const to = next ? plot.valToPos(next[0], "x", true) : bbox.left + bbox.width;
        ctx.globalAlpha = 0.02 + share / 1000;
        ctx.fillRect(from, bbox.top, to - from, bbox.height);
      });
      ctx.globalAlpha = 1;
      ctx.setLineDash([4, 5]);
      for (const [limit, tone] of [[chart.advance, "--warn"], [chart.rollback, "--bad"]]) {
        if (limit === null || limit === undefined || limit > plot.scales.y.max) continue;
        const y = plot.valToPos(limit, "y", true);
        ctx.strokeStyle = color(tone);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
      }
      ctx.restore();
    };
  }

  function read(figure, chart, index) {
    const last = (values) => { for (let at = values.length - 1; at >= 0; at--) if (values[at] !== null) return values[at]; return null; };
    const value = (values) => number(index === null || index === undefined ? last(values) : values[index]);
    figure.querySelector(".read").textContent = `live ${value(chart.live)} · new ${value(chart.candidate)} ${chart.unit}`;
  }

  function draw(figure, part, chart) {
    const plot = figure.querySelector(".plot");
    const axis = { stroke: color("--faint"), font: "11px Inter, sans-serif", grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
    const options = {
      width: plot.clientWidth, height: HEIGHT, legend: { show: false }, padding: [8, 4, 0, 0],
      cursor: { sync: { key: sync.key }, y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { x: { time: true }, y: { range: (_plot, _low, high) => {
        let top = Math.max(high || 0, chart.advance || 0);
        if (chart.rollback && chart.rollback <= top * 4) top = Math.max(top, chart.rollback);
        return [0, (top || 1) * 1.12];
      } } },
      axes: [{ ...axis, size: 26, space: 90, values: (_plot, values) => values.map((at) => clock.format(at * 1000)) }, { ...axis, size: 44, values: (_plot, values) => values.map(number) }],
      series: [{}, { stroke: color("--live"), width: 1.75, points: { show: false } }, { stroke: color("--candidate"), width: 2, points: { show: false } }],
      hooks: { drawClear: [behind(chart, part)], setCursor: [(drawn) => read(figure, chart, drawn.cursor.idx)] },
    };
    plot.textContent = "";
    chart.plot = new uPlot(options, [part.at, chart.live, chart.candidate], plot);
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", `${chart.name} over time; the table below has the values`);
    read(figure, chart, null);
  }

  function build(part) {
    const grid = [...place.querySelectorAll("[data-part]")].find((found) => found.dataset.part === part.part);
    if (!grid) return false;
    for (const chart of part.charts) {
      const figure = [...grid.querySelectorAll("[data-chart]")].find((found) => found.dataset.chart === chart.name);
      if (!figure) return false;
      draw(figure, part, chart);
    }
    return true;
  }

  // What came before the first new point stays; what is in the message replaces the rest.
  function merge(known, news) {
    const cut = news.at.length ? known.at.findIndex((at) => at >= news.at[0]) : known.at.length;
    const keep = cut < 0 ? known.at.length : cut;
    known.at = known.at.slice(0, keep).concat(news.at);
    known.steps = news.steps;
    news.charts.forEach((chart, index) => {
      const mine = known.charts[index];
      mine.live = mine.live.slice(0, keep).concat(chart.live);
      mine.candidate = mine.candidate.slice(0, keep).concat(chart.candidate);
    });
  }

  function take(series) {
    for (const news of series) {
      const known = parts.get(news.part);
      const same = known && known.width_s === news.width_s && known.charts.length === news.charts.length;
      if (!same) {
        // A grid that changed, or a first point: the drawings of the server have the frame for it.
        return whole();
      }
      merge(known, news);
      for (const chart of known.charts) {
        if (!chart.plot) continue;
        chart.steps = known.steps;
        chart.plot.setData([known.at, chart.live, chart.candidate]);
        read(figureOf(chart), chart, chart.plot.cursor.idx);
      }
    }
  }

  const figureOf = (chart) => chart.plot.root.closest("figure");
  let asking = false;

  async function whole() {
    if (asking) return;
    asking = true;
    try {
      const drawn = await fetch(`${place.dataset.series}?drawn=1`, { headers: { Accept: "text/html" } });
      const data = await fetch(place.dataset.series);
      if (!drawn.ok || !data.ok) return;
      const frame = new DOMParser().parseFromString(await drawn.text(), "text/html");
      place.replaceChildren(...frame.body.childNodes);
      parts.clear();
      for (const part of await data.json()) if (build(part)) parts.set(part.part, part);
    } finally {
      asking = false;
    }
  }

  place.addEventListener("htmx:sseBeforeMessage", (event) => {
    event.preventDefault();
    take(JSON.parse(event.detail.data));
  });
  addEventListener("resize", () => {
    for (const part of parts.values()) for (const chart of part.charts) {
      if (chart.plot) chart.plot.setSize({ width: chart.plot.root.parentElement.clientWidth, height: HEIGHT });
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", whole);
  whole();
})();
