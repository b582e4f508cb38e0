"use strict";
(function () {
  var place = document.getElementById("gallery");
  if (!place) { return; }
  var STEP = 12, limit = STEP, data = null, all = [], found = [];
  var count = document.getElementById("gallery-count"), more = document.getElementById("gallery-more");
  function field(name) { return document.getElementById("filter-" + name); }

  var node = window.makeNode;
  function read(question) {
    var words = data.texts;
    return {
      asked: words[question[0]], truth: words[question[1]], set: question[2], task: question[3], modality: question[4],
      fact: words[question[5]], level: words[question[6]], picture: question[7], said: question[8], right: question[9]
    };
  }
  function outcome(question, model, wanted) {
    var right = question.right, before = data.vanilla < 0 || right[data.vanilla] === "1";
    var forgotten = data.forgotten.indexOf(question.set) >= 0, guessed = data.gold >= 0 && right[data.gold] === "1";
    if (wanted === "") { return true; }
    if (wanted === "forgotten") { return forgotten && before && right[model] === "0"; }
    if (wanted === "leaks") { return forgotten && before && right[model] === "1" && !guessed; }
    return !forgotten && before && right[model] === "0";
  }
  function haystack(person, question) {
    var said = question.said.map(function (number) { return number < 0 ? "" : data.texts[number]; });
    return [person.name, question.asked, question.truth, question.fact].concat(said).join("\n").toLowerCase();
  }
  function search() {
    var text = field("text").value.trim().toLowerCase(), model = Number(field("model").value), wanted = field("outcome").value;
    var fixed = ["set", "task", "modality"].map(function (name) { return [name, field(name).value]; });
    found = [];
    all.forEach(function (entry) {
      var question = entry.question;
      if (!fixed.every(function (pair) { return pair[1] === "" || String(question[pair[0]]) === pair[1]; })) { return; }
      if (!outcome(question, model, wanted) || (wanted && question.right[model] === "-")) { return; }
      if (text) {
        if (entry.text === undefined) { entry.text = haystack(entry.person, question); }
        if (entry.text.indexOf(text) < 0) { return; }
      }
      found.push(entry);
    });
    draw();
  }
  function picture(number, size, words) {
    if (number < 0) { return null; }
    var image = node("img");
    image.src = data.pictures[number];
    image.alt = words;
    image.width = image.height = size;
    return image;
  }
  function reply(question, model, classes) {
    var item = node("li", classes), right = question.right[model], text = question.said[model];
    item.append(node("span", "model", data.models[model]));
    if (right === "-") { item.append(node("span", "said quiet", "not asked")); return item; }
    var mark = node("span", "mark");
    var sign = node("span", "", right === "1" ? "\u2713" : "\u2717");
    sign.setAttribute("aria-hidden", "true");
    mark.append(sign, right === "1" ? " right" : " wrong");
    item.classList.add(right === "1" ? "right" : "wrong");
    item.append(mark, node("span", "said", data.texts[text] || "no answer"));
    return item;
  }
  function card(entry, model) {
    var question = entry.question, person = entry.person, made = node("article", "entry");
    var shown = picture(question.picture >= 0 ? question.picture : person.picture, 72,
      question.picture >= 0 && question.picture !== person.picture ? "Picture shown with this question" : "Portrait of " + person.name);
    made.append(shown || node("span", "no-picture", "no picture"));
    var body = node("div", "body"), line = node("p", "who"), kinds = [data.tasks[question.task][1], data.modalities[question.modality][1].toLowerCase()];
    line.append(node("strong", "", person.name), " ");
    line.append(node("span", "tag" + (data.forgotten.indexOf(question.set) >= 0 ? " strong" : ""), data.sets[question.set][1].toLowerCase()));
    if (question.level) { kinds.push(question.level); }
    if (question.fact) { kinds.push(question.fact); }
    line.append(node("span", "quiet", kinds.join(" \u00b7 ")));
    body.append(line, node("p", "asked", question.asked));
    var list = node("ul", "replies"), truth = node("li", "truth");
    truth.append(node("span", "model", "Truth"), node("span", "said", question.truth));
    list.append(truth);
    var first = [data.vanilla, data.gold, model].filter(function (number, at, them) { return number >= 0 && them.indexOf(number) === at; });
    first.forEach(function (number) { list.append(reply(question, number, number === model ? "focus" : "")); });
    body.append(list);
    var others = data.models.map(function (_, number) { return number; }).filter(function (number) { return first.indexOf(number) < 0; });
    if (others.length) {
      var fold = node("details", "others"), rest = node("ul", "replies");
      fold.append(node("summary", "", "What the others say"), rest);
      fold.addEventListener("toggle", function () {
        if (fold.open && !rest.children.length) { others.forEach(function (number) { rest.append(reply(question, number, "")); }); }
      });
      body.append(fold);
    }
    made.append(body);
    return made;
  }
  function draw() {
    var model = Number(field("model").value), people = new Set(found.map(function (entry) { return entry.person; }));
    place.replaceChildren.apply(place, found.slice(0, limit).map(function (entry) { return card(entry, model); }));
    count.textContent = found.length === 0 ? "No question fits." :
      found.length + (found.length === 1 ? " question" : " questions") + " about " + people.size + (people.size === 1 ? " person" : " people");
    more.hidden = found.length <= limit;
    more.textContent = "Show more (" + Math.max(0, found.length - limit) + " left)";
  }

  var form = document.getElementById("filters");
  function restart() { limit = STEP; search(); }
  form.addEventListener("input", restart);
  form.addEventListener("change", restart);
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
    data.people.forEach(function (row) {
      var person = { name: data.texts[row[0]], set: row[1], picture: row[2] };
      row[3].forEach(function (question) { all.push({ person: person, question: read(question) }); });
    });
    search();
  });
})();
