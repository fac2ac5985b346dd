"use strict";
// Draws every figure of the page with the page's own colours, and again when light turns to dark.
(function () {
  var THEME = { ink: 1, faint: 1, grid: 1, page: 1, blue: 1, sky: 1, vermillion: 1, green: 1, purple: 1, orange: 1 };

  // Replaces the words for page colours, in colour keys only: a task may be named "ink".
  function themed(value, key, colors) {
    if (Array.isArray(value)) {
      return value.map(function (item) { return themed(item, key, colors); });
    }
    if (value && typeof value === "object") {
      var copy = {};
      Object.keys(value).forEach(function (name) { copy[name] = themed(value[name], name, colors); });
      return copy;
    }
    return /color$/.test(key) && THEME.hasOwnProperty(value) ? colors[value] : value;
  }

  function pageColors() {
    var style = getComputedStyle(document.documentElement), colors = {};
    Object.keys(THEME).forEach(function (name) { colors[name] = style.getPropertyValue("--" + name).trim(); });
    return colors;
  }

  function draw(source) {
    var colors = pageColors();
    var figure = themed(JSON.parse(source.textContent), "", colors);
    figure.layout.font.family = getComputedStyle(document.body).fontFamily;
    var target = document.getElementById(source.dataset.for);
    Plotly.react(target, figure.data, figure.layout, { displayModeBar: false, responsive: true });
  }

  function drawAll() { sources.forEach(draw); }

  var sources = Array.prototype.slice.call(document.querySelectorAll("script.figure"));
  drawAll();
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  if (dark.addEventListener) { dark.addEventListener("change", drawAll); }
})();
