"use strict";
(function () {
  // The pictures of a figure in one, row by row, in the colours they were drawn in (the light ones).
  window.figurePicture = function (figure) {
    var space = "http://www.w3.org/2000/svg", gap = 24, columns = Number(figure.dataset.columns) || 1;
    var parts = Array.from(figure.querySelectorAll(".figure > svg")).map(function (part) { return part.cloneNode(true); });
    function size(part, name) { return Number(part.getAttribute(name)) || 0; }
    var widths = [], whole = document.createElementNS(space, "svg"), paper = document.createElementNS(space, "rect");
    parts.forEach(function (part, number) {
      var column = number % columns;
      widths[column] = Math.max(widths[column] || 0, size(part, "width"));
    });
    whole.append(paper);
    var top = gap;
    for (var start = 0; start < parts.length; start += columns) {
      var left = gap, tallest = 0;
      parts.slice(start, start + columns).forEach(function (part, number) {
        part.setAttribute("x", left);
        part.setAttribute("y", top);
        left += widths[number] + gap;
        tallest = Math.max(tallest, size(part, "height"));
        whole.append(part);
      });
      top += tallest + gap;
    }
    var width = widths.reduce(function (sum, one) { return sum + one; }, 0) + gap * (widths.length + 1);
    var given = { xmlns: space, width: width, height: top, viewBox: "0 0 " + width + " " + top, "font-family": "system-ui, sans-serif" };
    Object.keys(given).forEach(function (name) { whole.setAttribute(name, given[name]); });
    var sheet = { width: "100%", height: "100%", fill: "#fffffe" };
    Object.keys(sheet).forEach(function (name) { paper.setAttribute(name, sheet[name]); });
    return { text: new XMLSerializer().serializeToString(whole), width: width, height: top };
  };

  function savePng(name, picture) {
    var image = new Image(), canvas = document.createElement("canvas"), scale = 2;
    canvas.width = picture.width * scale;
    canvas.height = picture.height * scale;
    image.onload = function () {
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(function (blob) { window.saveFile(name, blob, "image/png"); }, "image/png");
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(picture.text);
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("button[data-file]");
    if (!button) { return; }
    if (button.dataset.text !== undefined) {
      window.saveFile(button.dataset.file, button.dataset.text, "text/plain;charset=utf-8");
      return;
    }
    var picture = window.figurePicture(button.closest("figure"));
    if (button.dataset.picture === "png") { savePng(button.dataset.file, picture); } else { window.saveFile(button.dataset.file, picture.text, "image/svg+xml"); }
  });
})();
