"use strict";
// Unpacks plotly, draws every figure of the page with the page's own colours, and again when light turns to dark.
// A figure in a folded part is drawn when the part is opened: before, it has no width.
(function () {
  var THEME = {
    ink: 1, faint: 1, grid: 1, page: 1, bar: 1, blue: 1, sky: 1, vermillion: 1, green: 1, purple: 1, orange: 1
  };
  var sources = Array.prototype.slice.call(document.querySelectorAll("script.figure"));
  var drawn = [];

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
    var looks = document.getElementById("looks").textContent, colors = pageColors();
    var figure = themed(JSON.parse(source.textContent), "", colors);
    figure.layout.template = themed(JSON.parse(looks), "", colors);
    figure.layout.template.layout.font.family = getComputedStyle(document.body).fontFamily;
    var target = document.getElementById(source.dataset.for);
    Plotly.react(target, figure.data, figure.layout, { displayModeBar: false, responsive: true });
    drawn.push(source);
  }

  function drawOpen() {
    sources.forEach(function (source) {
      if (drawn.indexOf(source) < 0 && !source.closest("details:not([open])")) { draw(source); }
    });
  }

  // A link into a folded part opens it.
  function openTarget() {
    var target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    var folded = target && target.closest("details");
    if (folded && !folded.open) { folded.open = true; target.scrollIntoView(); }
  }

  function begin() {
    document.querySelectorAll("details").forEach(function (part) { part.addEventListener("toggle", drawOpen); });
    window.addEventListener("beforeprint", function () {
      document.querySelectorAll("details").forEach(function (part) { part.open = true; });
      drawOpen();
    });
    var dark = window.matchMedia("(prefers-color-scheme: dark)");
    if (dark.addEventListener) {
      dark.addEventListener("change", function () { drawn.splice(0).forEach(draw); });
    }
    drawOpen();
  }

  function unpack() {
    var text = atob(document.getElementById("plotly").textContent.trim()), bytes = new Uint8Array(text.length);
    for (var i = 0; i < text.length; i += 1) { bytes[i] = text.charCodeAt(i); }
    var plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(plain).text();
  }

  function tell(words) {
    document.querySelectorAll(".plot").forEach(function (plot) { plot.textContent = words; });
  }

  window.addEventListener("hashchange", openTarget);
  openTarget();
  if (typeof DecompressionStream === "undefined") {
    tell("This browser is too old to draw the picture (it needs one of 2023 or later). The tables hold its numbers.");
    return;
  }
  unpack().then(function (code) {
    var script = document.createElement("script");
    script.textContent = code;  // runs only if its hash is the one that the page's policy names
    document.head.appendChild(script);
    begin();
  });
})();
