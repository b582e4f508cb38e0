"use strict";
(function () {
  document.documentElement.classList.add("js-on");
  var form = document.getElementById("switches");
  function show() {
    var wanted = new FormData(form);
    document.querySelectorAll(".panel").forEach(function (panel) {
      var fits = true;
      wanted.forEach(function (value, name) { fits = fits && panel.dataset[name] === value; });
      panel.hidden = !fits;
    });
  }
  if (form) {
    form.addEventListener("change", show);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    show();
  }
  var person = document.getElementById("person");
  if (person) {
    person.addEventListener("change", function () {
      var value = person.value;
      document.querySelectorAll(".person").forEach(function (card) {
        var forgotten = card.dataset.set === "forget";
        var one = value === "person:" + card.dataset.person;
        card.hidden = !(value === "" || one || (value === "set:forget" && forgotten) || (value === "set:others" && !forgotten));
        if (one) { card.open = true; }
      });
    });
  }
})();
