"use strict";
(function () {
  var place = document.getElementById("fact-list");
  if (!place) { return; }
  var STEP = 6, limit = STEP, data = null, all = [], found = [];
  var count = document.getElementById("fact-count"), more = document.getElementById("fact-more");
  function field(name) { return document.getElementById("fact-" + name); }

  var node = window.makeNode;
  function hidden(text) { return node("span", "hidden", text); }
  function chosen(name, otherwise) {
    var input = document.querySelector('input[name="' + name + '"]:checked, select[name="' + name + '"]');
    return input ? input.value : otherwise;
  }
  function budget() { return Number(chosen("budget", data.budget)); }
  function words(number) { return data.texts[number]; }
  function read(fact) {
    return {
      subject: words(fact[0]), kind: words(fact[1]), asked: words(fact[2]), answer: words(fact[3]), picture: fact[4],
      pictures: fact[5], questions: fact[6], tries: fact[7]
    };
  }
  // Where the answer stands in the list of candidates, 0 for nowhere, null where nobody tried.
  function position(fact, model, attack) {
    var made = fact.tries[model] && fact.tries[model][attack];
    return made ? made[chosen("found", "first") === "first" ? 2 : 3] : null;
  }
  function hits(fact, model, attack) {
    var at = position(fact, model, attack);
    return at !== null && at > 0 && at <= budget();
  }
  function attacks() {
    var one = field("attack").value;
    return one === "" ? data.attacks.map(function (_, number) { return number; }) : [Number(one)];
  }
  function outcome(fact, model, wanted) {
    function some(number) { return attacks().some(function (attack) { return hits(fact, number, attack); }); }
    var tried = attacks().some(function (attack) { return position(fact, model, attack) !== null; });
    if (wanted === "") { return true; }
    if (!tried) { return false; }
    if (wanted === "found") { return some(model); }
    if (wanted === "hidden") { return !some(model); }
    return !some(model) && data.vanilla >= 0 && some(data.vanilla);
  }
  function haystack(fact, model) {
    var parts = [fact.subject, fact.kind, fact.asked, fact.answer];
    attacks().forEach(function (attack) {
      var made = fact.tries[model] && fact.tries[model][attack];
      if (made) { parts = parts.concat(made[0].map(words)); }
    });
    return parts.join("\n").toLowerCase();
  }
  function search() {
    var text = field("text").value.trim().toLowerCase(), model = Number(field("model").value), wanted = field("outcome").value;
    found = all.filter(function (fact) {
      return outcome(fact, model, wanted) && (!text || haystack(fact, model).indexOf(text) >= 0);
    });
    draw();
  }
  function picture(number, size, text) {
    if (number < 0) { return node("span", "no-picture", "no picture"); }
    var image = node("img");
    image.src = data.pictures[number];
    image.alt = text;
    image.width = image.height = size;
    return image;
  }
  function sign(right) {
    var made = node("span", "sign", right ? "\u2713" : "\u2717");
    made.setAttribute("aria-hidden", "true");
    return made;
  }
  function verdict(fact, model, attack, whole) {
    var made = node("span", "verdict"), at = position(fact, model, attack);
    if (at === null) { made.append("not tried"); return made; }
    var right = hits(fact, model, attack);
    made.classList.add(right ? "right" : "wrong");
    made.append(sign(right), right ? " found at " + at : at ? " hidden: only at " + at : " hidden");
    var refused = whole ? fact.tries[model][attack][5] : 0;
    if (refused) { made.append(", " + refused + (refused === 1 ? " prompt" : " prompts") + " held the answer, not asked"); }
    return made;
  }
  function candidate(text, number, right, late) {
    var made = node("li", right ? "hit" : late ? "late" : "");
    made.value = number;
    made.append(node("span", "number", String(number)));
    if (right) { made.append(sign(true), hidden("right: ")); }
    made.append(node("span", "said", text.trim() || "(blank)"));
    return made;
  }
  function attempt(fact, model, attack) {
    var made = node("div", "attempt"), head = node("p", "head"), tried = fact.tries[model] && fact.tries[model][attack];
    head.append(node("strong", "", data.attacks[attack]), " ", verdict(fact, model, attack, true));
    if (data.vanilla >= 0 && model !== data.vanilla && position(fact, data.vanilla, attack) !== null) {
      var before = node("span", "quiet", "vanilla: ");
      before.append(verdict(fact, data.vanilla, attack, false));
      head.append(before);
    }
    made.append(head);
    if (!tried) { return made; }
    var list = node("ol", "candidates"), at = tried[2], most = budget();
    tried[0].forEach(function (text, number) { list.append(candidate(words(text), number + 1, number + 1 === at, number >= most)); });
    if (at > tried[0].length) {
      list.append(node("li", "gap", "\u2026"));
      list.append(candidate(words(tried[4]), at, true, at > most));
    }
    if (Math.max(at, tried[0].length) < tried[1]) { list.append(node("li", "gap", "\u2026 " + tried[1] + " in all")); }
    made.append(list);
    return made;
  }
  // Every model against every attack, for one fact.
  function overview(fact) {
    var table = node("table", "plain"), top = node("tr"), body = node("tbody"), head = node("thead");
    top.append(node("td"));
    data.short.forEach(function (title) { var cell = node("th", "", title); cell.scope = "col"; top.append(cell); });
    head.append(top);
    data.models.forEach(function (title, model) {
      var row = node("tr"), name = node("th", "", title);
      name.scope = "row";
      row.append(name);
      data.attacks.forEach(function (_, attack) {
        var cell = node("td"), at = position(fact, model, attack), right = hits(fact, model, attack);
        if (at === null) { cell.append("\u2013", hidden(" not tried")); } else {
          cell.className = right ? "right" : "wrong";
          cell.append(sign(right), at ? " " + at : "", hidden(right ? " found" : " hidden"));
        }
        row.append(cell);
      });
      body.append(row);
    });
    table.append(head, body);
    var scroll = node("div", "scroll");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "All defences, " + fact.subject);
    scroll.append(table);
    return scroll;
  }
  function fold(title, fill) {
    var made = node("details", "others");
    made.append(node("summary", "", title));
    made.addEventListener("toggle", function () { if (made.open && made.children.length === 1) { made.append(fill()); } });
    return made;
  }
  function card(fact, model) {
    var made = node("article", "entry"), body = node("div", "body"), line = node("p", "who");
    made.append(picture(fact.picture, 72, "Picture shown with the question"));
    line.append(node("strong", "", fact.subject), node("span", "quiet", fact.kind));
    var truth = node("p", "answer");
    truth.append(node("span", "quiet", "Answer "), node("b", "", fact.answer));
    body.append(line, node("p", "asked", fact.asked), truth);
    if (fact.pictures.length) {
      var strip = node("div", "disguises");
      strip.append(node("span", "quiet", "In disguise"));
      fact.pictures.forEach(function (pair) {
        var one = node("figure"), level = words(pair[0]);
        one.append(picture(pair[1], 56, "Picture in disguise, " + level), node("figcaption", "", level));
        strip.append(one);
      });
      body.append(strip);
    }
    attacks().forEach(function (attack) { body.append(attempt(fact, model, attack)); });
    if (fact.questions.length) {
      body.append(fold("The question in disguise", function () {
        var list = node("ul", "replies");
        fact.questions.forEach(function (pair) {
          var item = node("li");
          item.append(node("span", "model", words(pair[0])), node("span", "said", words(pair[1])));
          list.append(item);
        });
        return list;
      }));
    }
    body.append(fold("All defences, all attacks", function () { return overview(fact); }));
    made.append(body);
    return made;
  }
  function draw() {
    var model = Number(field("model").value);
    place.replaceChildren.apply(place, found.slice(0, limit).map(function (fact) { return card(fact, model); }));
    count.textContent = found.length === 0 ? "No fact fits." : found.length + (found.length === 1 ? " fact" : " facts") + " of " + all.length + ", B = " + budget();
    more.hidden = found.length <= limit;
    more.textContent = "Show more (" + Math.max(0, found.length - limit) + " left)";
  }

  var form = document.getElementById("fact-filters");
  function restart() { limit = STEP; search(); }
  form.addEventListener("input", restart);
  document.addEventListener("change", function (event) {
    if (data && (form.contains(event.target) || event.target.name === "budget" || event.target.name === "found")) { restart(); }
  });
  more.addEventListener("click", function () {
    var at = limit;
    limit += STEP;
    draw();
    var next = place.children[at];
    if (next) { next.tabIndex = -1; next.focus({ preventScroll: true }); }
  });
  window.unpack(place.dataset.packed).then(function (text) {
    place.removeAttribute("data-packed");
    data = JSON.parse(text);
    all = data.facts.map(read);
    search();
  });
})();
