"use strict";
(function () {
  var root = document.documentElement;
  root.classList.add("js-on");

  // Whatever a model or a user wrote becomes text of a node, never markup.
  window.makeNode = function (tag, classes, text) {
    var made = document.createElement(tag);
    if (classes) { made.className = classes; }
    if (text !== undefined) { made.textContent = text; }
    return made;
  };

  window.saveFile = function (name, data, kind) {
    var address = URL.createObjectURL(new Blob([data], { type: kind })), link = document.createElement("a");
    link.href = address;
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(function () { URL.revokeObjectURL(address); }, 10000);
  };

  var theme = document.getElementById("theme"), themes = ["system", "light", "dark"];
  function paint(name) {
    if (name === "system") { root.removeAttribute("data-theme"); } else { root.dataset.theme = name; }
    theme.textContent = "Colours: " + name;
    theme.setAttribute("aria-label", "Colours: " + (name === "system" ? "as the system" : name));
  }
  theme.addEventListener("click", function () {
    paint(themes[(themes.indexOf(root.dataset.theme || "system") + 1) % themes.length]);
  });
})();
