"use strict";
// Two things: the slider over the preferences of a conditioned model, and lines across parallel axes with brushes.
(function () {
  var SVG = "http://www.w3.org/2000/svg";

  function data(box) { return JSON.parse(box.querySelector("script").textContent); }
  function shown(value) { return String(Number(value.toPrecision(4))); }

  function nearest(preferences, wanted) {
    var best = 0, least = Infinity;
    preferences.forEach(function (row, place) {
      var away = row.reduce(function (sum, value, i) { return sum + Math.abs(value - wanted[i]); }, 0);
      if (away < least) { least = away; best = place; }
    });
    return best;
  }

  function slide(box) {
    var found = data(box), inputs = Array.prototype.slice.call(box.querySelectorAll("input"));
    var rows = box.querySelectorAll("tbody tr");
    var order = found.preferences.map(function (row, place) { return place; });
    if (inputs.length === 1) { order.sort(function (a, b) { return found.preferences[a][0] - found.preferences[b][0]; }); }

    function chosen() {
      if (inputs.length === 1) { return order[Number(inputs[0].value)]; }
      var sum = inputs.reduce(function (all, input) { return all + Number(input.value); }, 0);
      return nearest(found.preferences, inputs.map(function (input) {
        return sum > 0 ? Number(input.value) / sum : 1 / inputs.length;
      }));
    }

    function move() {
      var place = chosen(), losses = found.losses[place];
      found.preferences[place].forEach(function (share, i) {
        rows[i].children[1].textContent = shown(share);
        rows[i].children[2].textContent = shown(losses[i]);
      });
      document.querySelectorAll(".parallel").forEach(function (other) { if (other.moveTo) { other.moveTo(losses); } });
      found.moved.forEach(function (entry) {
        var target = document.getElementById(entry.figure);
        if (window.Plotly && target && target.data) {
          window.Plotly.restyle(target, { x: [[losses[entry.pair[0]]]], y: [[losses[entry.pair[1]]]] }, [entry.trace]);
        }
      });
    }

    inputs.forEach(function (input) { input.addEventListener("input", move); });
    box.hidden = false;
    move();
  }

  function add(parent, kind, attributes, words) {
    var made = document.createElementNS(SVG, kind);
    Object.keys(attributes).forEach(function (name) { made.setAttribute(name, attributes[name]); });
    if (words !== undefined) { made.textContent = words; }
    parent.appendChild(made);
    return made;
  }

  function parallel(box) {
    var found = data(box), k = found.tasks.length, step = 150, top = 40, height = 290, width = step * k;
    var kept = box.nextElementSibling, brushes = {};
    var svg = add(box, "svg", { viewBox: "0 0 " + width + " 356", role: "img", "aria-label": "points across axes" });
    svg.style.minWidth = 6 * k + "rem";
    var ends = found.tasks.map(function (name, i) {
      var still = found.others.filter(function (other) { return other.kind !== "slider"; });
      var values = found.points.concat(still).map(function (point) { return point.losses[i]; });
      return [Math.min.apply(null, values), Math.max.apply(null, values)];
    });
    function across(i) { return step * (i + 0.5); }
    function up(i, value) {
      var size = ends[i][1] - ends[i][0];
      var share = size > 0 ? (value - ends[i][0]) / size : 0.5;
      return top + height * (1 - Math.max(0, Math.min(1, share)));
    }
    function path(losses) { return losses.map(function (value, i) { return across(i) + "," + up(i, value); }).join(" "); }
    function draw(point) {
      var kind = "line " + point.kind + (point.chosen ? " chosen" : "");
      var line = add(svg, "polyline", { points: path(point.losses), "class": kind });
      add(line, "title", {}, point.said);
      if (point.kind === "slider") { box.moveTo = function (losses) { line.setAttribute("points", path(losses)); }; }
      return line;
    }
    var lines = found.points.map(draw);
    found.others.forEach(draw);

    function keep() {
      var count = 0;
      found.points.forEach(function (point, place) {
        var inside = Object.keys(brushes).every(function (i) {
          var y = up(i, point.losses[i]);
          return y >= brushes[i].from - 1 && y <= brushes[i].to + 1;
        });
        lines[place].classList.toggle("off", !inside);
        count += inside;
      });
      kept.textContent = Object.keys(brushes).length ? count + " of " + lines.length + " points are in the ranges." : "";
    }

    function axis(i) {
      add(svg, "line", { x1: across(i), x2: across(i), y1: top, y2: top + height, "class": "axis" });
      var name = found.tasks[i];
      add(svg, "text", { x: across(i), y: 18 }, name.length > 18 ? name.slice(0, 17) + "…" : name);
      add(svg, "text", { x: across(i), y: top - 8, "class": "tick" }, shown(ends[i][1]));
      add(svg, "text", { x: across(i), y: top + height + 18, "class": "tick" }, shown(ends[i][0]));
      var brush = add(svg, "rect", { x: across(i) - 9, width: 18, y: 0, height: 0, "class": "brush" });
      var grip = add(svg, "rect", { x: across(i) - 16, width: 32, y: top, height: height, "class": "grip" });
      var start = null;
      function place(event) {
        var box_ = svg.getBoundingClientRect(), matrix = svg.getScreenCTM();
        var y = matrix ? (event.clientY - matrix.f) / matrix.d : event.clientY - box_.top;
        return Math.max(top, Math.min(top + height, y));
      }
      grip.addEventListener("pointerdown", function (event) {
        start = place(event);
        grip.setPointerCapture(event.pointerId);
        delete brushes[i];
        brush.setAttribute("height", 0);
        keep();
      });
      grip.addEventListener("pointermove", function (event) {
        if (start === null) { return; }
        var now = place(event), from = Math.min(start, now), to = Math.max(start, now);
        if (to - from < 3) { return; }
        brushes[i] = { from: from, to: to };
        brush.setAttribute("y", from);
        brush.setAttribute("height", to - from);
        keep();
      });
      grip.addEventListener("pointerup", function () { start = null; });
    }
    found.tasks.forEach(function (name, i) { axis(i); });
  }

  document.querySelectorAll("div.parallel").forEach(parallel);  // the slider moves a line of it
  document.querySelectorAll("div.slider").forEach(slide);
})();
