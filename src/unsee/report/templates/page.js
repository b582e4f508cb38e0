"use strict";
(function () {
  // Packed panels hold HTML that was escaped when the page was written.
  window.unpack = function (packet) {
    var bytes = Uint8Array.from(atob(packet), function (letter) { return letter.charCodeAt(0); });
    var stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  function choices() {
    var found = {};
    document.querySelectorAll("[data-switch]").forEach(function (input) {
      if (input.type !== "radio" || input.checked) { found[input.name] = input.value; }
    });
    return found;
  }
  function fits(panel, chosen) {
    return Object.keys(chosen).every(function (name) {
      var mine = panel.dataset[name], wanted = chosen[name];
      // What shows no protocols side by side stays with the first of them.
      if (wanted === "both" && !panel.closest(".paper")) { wanted = document.getElementById("switches").dataset.main; }
      return mine === undefined || wanted === "" || mine.split(" ").indexOf(wanted) >= 0;
    });
  }
  function showRequests(place, chosen) {
    place.querySelectorAll("tbody[data-scope]").forEach(function (body) {
      body.hidden = Boolean(chosen.scope) && body.dataset.scope.split(" ").indexOf(chosen.scope) < 0;
    });
  }
  function open(panel, chosen) {
    var packet = panel.dataset.packed;
    panel.hidden = false;
    if (packet === undefined) { showRequests(panel, chosen); return; }
    panel.removeAttribute("data-packed");
    panel.setAttribute("aria-busy", "true");
    window.unpack(packet).then(function (html) {
      panel.innerHTML = html;
      panel.removeAttribute("aria-busy");
      showRequests(panel, choices());
    });
  }
  function show() {
    var chosen = choices();
    document.querySelectorAll(".panels").forEach(function (group) {
      var some = false;
      group.querySelectorAll(":scope > .panel").forEach(function (panel) {
        var wanted = fits(panel, chosen);
        some = some || wanted;
        if (wanted) { open(panel, chosen); } else { panel.hidden = true; }
      });
      group.querySelector(":scope > .nothing").hidden = some;
    });
  }
  document.addEventListener("submit", function (event) { event.preventDefault(); });
  document.addEventListener("change", function (event) {
    if (event.target.matches("[data-switch]")) { show(); }
  });

  // A heading sorts downwards, upwards, and back to the order of the page; each request on its own.
  function sort(button) {
    var heading = button.closest("th"), table = button.closest("table"), column = Number(heading.dataset.c);
    var next = { none: "descending", descending: "ascending", ascending: "none" }[heading.getAttribute("aria-sort") || "none"];
    table.querySelectorAll("th[aria-sort]").forEach(function (other) { other.removeAttribute("aria-sort"); });
    if (next !== "none") { heading.setAttribute("aria-sort", next); }
    var sign = next === "ascending" ? 1 : -1;
    Array.from(table.tBodies).forEach(function (body) {
      var rows = Array.from(body.rows).filter(function (row) { return !row.classList.contains("request"); });
      rows.forEach(function (row, number) { if (!row.dataset.n) { row.dataset.n = number + 1; } });
      function value(row) {
        var cell = row.cells[column];
        return cell && cell.dataset.v !== undefined ? Number(cell.dataset.v) : null;
      }
      rows.sort(function (a, b) {
        var x = value(a), y = value(b), given = Number(a.dataset.n) - Number(b.dataset.n);
        if (next === "none" || (x === null && y === null) || x === y) { return given; }
        if (x === null || y === null) { return x === null ? 1 : -1; }
        return sign * (x - y);
      });
      rows.forEach(function (row) { body.append(row); });
    });
    table.classList.toggle("sorted", next !== "none");
  }
  document.addEventListener("click", function (event) {
    var button = event.target.closest("button.sort");
    if (button) { sort(button); }
  });

  if (document.querySelector("[data-switch]")) { show(); }
})();
