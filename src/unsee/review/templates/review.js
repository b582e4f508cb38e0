"use strict";
(function () {
  function at(id) { return document.getElementById(id); }
  var data = JSON.parse(at("data").textContent), store = null, annotator = "";
  var order = [], places = new Map(), current = -1, pending = null, undone = [], own = at("own");
  var seen = 0, since = null;
  var SIGNS = { keep: "\u2713", reject: "\u2717", unsure: "?" }, SAID = { keep: "kept", reject: "rejected", unsure: "unsure" };
  var HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/;
  var LONGEST_COMPARED = 300;

  var node = window.makeNode;
  function words(text) { return text.split(/(\s+)/); }
  function tag(text, classes) {
    var made = node("span", "tag" + (classes ? " " + classes : ""), text);
    made.dir = "auto";
    return made;
  }
  function tell(text) {
    at("trouble").textContent = text;
    at("trouble").hidden = !text;
  }
  function say(text) { at("status").textContent = text; }

  // FNV-1a over the letters, then mixed, so that alike texts lie far apart.
  function hash(text) {
    var value = 0x811c9dc5;
    for (var i = 0; i < text.length; i += 1) { value = Math.imul(value ^ text.charCodeAt(i), 0x01000193); }
    value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
    value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
    return (value ^ (value >>> 16)) >>> 0;
  }
  // Facts in an order of the annotator's own, and the variants of each as well.
  function shuffled() {
    var salt = data.seed + "\n" + annotator + "\n";
    var keys = data.judged.map(function (number) {
      var item = data.items[number];
      return [hash(salt + data.facts[item.fact].id), item.fact, hash(salt + item.id), number];
    });
    keys.sort(function (a, b) { return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3]; });
    return keys.map(function (key) { return key[3]; });
  }
  function verdictOf(number) { return store.get(data.items[number].id); }

  // Words of the variant that the original does not have in this order.
  function changed(before, after) {
    var a = words(before).filter(function (word) { return word.trim(); }), b = words(after), count = b.length;
    if (a.length > LONGEST_COMPARED || count > 2 * LONGEST_COMPARED) { return b.map(function () { return false; }); }
    var best = Array.from({ length: a.length + 1 }, function () { return new Array(count + 1).fill(0); });
    for (var i = a.length - 1; i >= 0; i -= 1) {
      for (var j = count - 1; j >= 0; j -= 1) {
        best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
      }
    }
    var marks = [], left = 0;
    b.forEach(function (word, right) {
      while (left < a.length && a[left] !== word && best[left + 1][right] === best[left][right]) { left += 1; }
      var same = left < a.length && a[left] === word;
      if (same) { left += 1; }
      marks.push(Boolean(word.trim()) && !same);
    });
    return marks;
  }
  function said(text, before) {
    var made = node("div", "said");
    made.dir = "auto";
    made.tabIndex = text.length > 600 ? 0 : -1;
    if (before === undefined || before === text) { made.textContent = text || "(blank)"; return made; }
    var marks = changed(before, text);
    words(text).forEach(function (word, number) { made.append(marks[number] ? node("mark", "", word) : word); });
    return made;
  }
  function picture(number, alt, classes) {
    var address = data.pictures[number];
    if (address === null) { return node("span", "no-picture " + (classes || ""), "picture cannot be shown"); }
    var image = node("img", classes);
    image.alt = alt;
    image.decoding = "async";
    image.addEventListener("error", function () {
      image.replaceWith(node("span", "no-picture " + (classes || ""), "picture cannot be shown"));
      if (data.served) { store.look(); }
    });
    image.src = data.served ? address + "?token=" + encodeURIComponent(new URLSearchParams(location.search).get("token")) : address;
    return image;
  }
  function row(title, value, classes) {
    var made = node("div", "row " + (classes || ""));
    made.append(node("span", "quiet", title), value);
    return made;
  }
  function side(place, title, face, before) {
    var head = node("h2", "", title), same = before && before.picture === face.picture;
    place.replaceChildren(head, picture(face.picture, title + ": picture"));
    if (same) { place.append(node("p", "quiet same", "the original's picture")); }
    place.append(row("Question", said(face.question, before && before.question), before && before.question === face.question ? "alike" : ""));
    place.append(row("Answer", said(face.answer, before && before.answer), "answer"));
    if (HIDDEN.test(face.question + face.answer)) { place.append(tag("holds hidden characters", "broken")); }
  }
  function details(item) {
    var fold = node("details", "made"), list = node("dl");
    fold.append(node("summary", "", "How it was made"));
    [["generator", item.generator], ["prompt", item.prompt], ["seed", String(item.seed)], ["made from", item.parent], ["id", item.id]].forEach(function (pair) {
      if (pair[1]) {
        var line = node("div"), value = node("dd", "", pair[1]);
        value.dir = "auto";
        line.append(node("dt", "", pair[0]), value);
        list.append(line);
      }
    });
    fold.append(list);
    return fold;
  }

  function tile(number) {
    var item = data.items[number], made = node("button", "tile"), decided = verdictOf(number), open = places.has(number);
    made.type = "button";
    made.dataset.number = number;
    if (number === current) { made.setAttribute("aria-current", "true"); }
    if (item.kind === "image" || item.kind === "neighbour_image") { made.append(picture(item.picture, "")); } else { made.append(said(item.question.slice(0, 160))); }
    made.firstChild.tabIndex = -1;
    var line = node("span", "line"), state = decided ? decided.verdict : open ? "" : "out";
    line.append(node("b", "sign " + state, decided ? SIGNS[decided.verdict] : open ? "" : "\u2013"));
    var name = node("span", "name", data.kinds[item.kind][0] + ", " + item.grade), by = node("bdi", "by", item.generator.slice(0, 60));
    line.append(name, node("span", "by", " \u00b7 "), by);
    line.append(node("span", "hidden", decided ? SAID[decided.verdict] : open ? "not decided" : "left out by automatic checks"));
    made.append(line);
    if (item.failed.length) { made.append(node("span", "failed", item.failed.join(", ").replace(/_/g, " "))); }
    made.addEventListener("click", function () { show(number); });
    var holder = node("li");
    holder.append(made);
    return holder;
  }
  function drawTiles() {
    var fact = data.items[current].fact, rank = data.order, grades = ["easy", "medium", "hard"];
    var mates = data.items.map(function (_, number) { return number; }).filter(function (number) { return data.items[number].fact === fact; });
    mates.sort(function (a, b) {
      var x = data.items[a], y = data.items[b];
      return rank.indexOf(x.kind) - rank.indexOf(y.kind) || grades.indexOf(x.grade) - grades.indexOf(y.grade) || a - b;
    });
    at("siblings-title").textContent = mates.length === 1 ? "The only variant of this fact" : "All " + mates.length + " variants of this fact";
    at("tiles").replaceChildren.apply(at("tiles"), mates.map(tile));
  }
  function minutes(seconds) {
    if (seconds < 90) { return Math.max(5, Math.round(seconds / 5) * 5) + " s"; }
    return seconds < 5400 ? Math.round(seconds / 60) + " min" : Math.round(seconds / 360) / 10 + " h";
  }
  function drawProgress() {
    var counts = { keep: 0, reject: 0, unsure: 0 }, times = [], total = order.length;
    order.forEach(function (number) {
      var decided = verdictOf(number);
      if (decided) { counts[decided.verdict] += 1; times.push(decided.seconds); }
    });
    var done = times.length, text = done + " of " + total + " judged";
    Object.keys(counts).forEach(function (name) { at("track").querySelector("." + name).style.width = 100 * counts[name] / total + "%"; });
    at("track").setAttribute("aria-valuenow", done);
    at("track").setAttribute("aria-valuemax", total);
    times.sort(function (a, b) { return a - b; });
    var shares = done ? " \u00b7 " + counts.keep + " kept, " + counts.reject + " rejected, " + counts.unsure + " unsure" : "";
    var left = done > 2 && done < total ? " \u00b7 about " + minutes(times[done >> 1] * (total - done)) + " left" : "";
    at("counts").textContent = text + shares + left + (store.unsent() ? " \u00b7 saving " + store.unsent() + "\u2026" : "");
    at("undo").disabled = !undone.length;
    return counts;
  }
  function drawReasons() {
    var names = { keep: "Keep: why?", reject: "Reject: why?", unsure: "Unsure: why?" };
    at("why").textContent = pending ? names[pending] : "Reject for a reason";
    at("reasons").classList.toggle("waiting", Boolean(pending));
    at("none").hidden = at("cancel").hidden = !pending;
    document.querySelectorAll("[data-verdict]").forEach(function (button) {
      button.setAttribute("aria-pressed", String(button.dataset.verdict === pending));
    });
  }
  function show(number) {
    var item = data.items[number], fact = data.facts[item.fact], kind = data.kinds[item.kind], decided = verdictOf(number);
    var open = places.has(number);
    current = number;
    pending = null;
    own.value = "";
    own.blur();
    seen = 0;
    since = document.hidden ? null : performance.now();
    at("desk").hidden = at("actions").hidden = false;
    at("finished").hidden = true;
    at("kind").textContent = kind[0];
    at("tags").replaceChildren(tag(item.grade, "strong"), tag(item.generator));
    item.failed.forEach(function (code) { at("tags").append(tag("failed: " + code.replace(/_/g, " "), "broken")); });
    if (decided) { at("tags").append(tag(SIGNS[decided.verdict] + " " + SAID[decided.verdict] + (decided.reason ? ": " + reasonWords(decided.reason) : ""), decided.verdict)); }
    var parts = kind[1].split("{answer}"), answer = node("bdi", "", "\u201c" + (fact.answer.length > 120 ? fact.answer.slice(0, 120) + "\u2026" : fact.answer) + "\u201d");
    at("asked").replaceChildren(parts[0], answer, parts[1]);
    if (!open) { at("asked").textContent = "Left out by automatic checks, shown for comparison only."; }
    side(at("original"), "Original", fact);
    side(at("variant"), "Variant", item, fact);
    at("variant").append(details(item));
    document.querySelectorAll("[data-verdict], #reasons button, #own").forEach(function (control) { control.disabled = !open; });
    drawReasons();
    drawTiles();
    drawProgress();
    window.scrollTo(0, 0);
  }
  function finish() {
    var counts = drawProgress();
    pending = null;
    at("desk").hidden = at("actions").hidden = true;
    at("finished").hidden = false;
    at("finished-text").textContent = counts.keep + " kept, " + counts.reject + " rejected, " + counts.unsure + " unsure. " +
      (data.served ? "They are in " + data.served + "." : "Download them now: that file goes into unsee data filter.");
    at("finished-title").focus();
  }
  // From a place on, around the end; the first of all where there is none.
  function nextOpen(from) {
    for (var step = 0; step < order.length; step += 1) {
      var number = order[(from + step) % order.length];
      if (!verdictOf(number)) { return number; }
    }
    return -1;
  }
  function proceed() {
    var place = places.has(current) ? places.get(current) + 1 : 0, number = nextOpen(place);
    if (number < 0) { finish(); } else { show(number); }
  }
  function step(by) {
    if (!places.has(current)) { proceed(); return; }
    var place = places.get(current) + by;
    if (place >= 0 && place < order.length) { show(order[place]); }
  }
  function reasonWords(reason) {
    var found = data.reasons.filter(function (pair) { return pair[0] === reason; });
    return found.length ? found[0][1] : reason;
  }
  function record(verdict, reason) {
    var item = data.items[current], before = store.get(item.id);
    undone.push([current, before && before.verdict, before && before.reason]);
    store.put(item.id, verdict, reason, seen + (since === null ? 0 : (performance.now() - since) / 1000));
    say(data.kinds[item.kind][0] + " " + SAID[verdict]);
    proceed();
  }
  function begin(verdict) {
    pending = verdict;
    drawReasons();
  }
  function choose(verdict, ask) {
    if (at("desk").hidden || !places.has(current)) { return; }
    if (verdict === "keep" && !ask) { record("keep", ""); } else { begin(verdict); }
  }
  function because(number) { if (data.reasons[number] && places.has(current)) { record(pending || "reject", data.reasons[number][0]); } }
  function cancel() { pending = null; own.value = ""; own.blur(); drawReasons(); }
  function undo() {
    var last = undone.pop();
    if (!last) { return; }
    store.put(data.items[last[0]].id, last[1], last[2] || "", 0);
    show(last[0]);
    say("undone");
  }
  function download() {
    var name = annotator.replace(/[^\p{L}\p{N}_-]+/gu, "-").replace(/^-+|-+$/g, "") || "annotator";
    window.saveFile("decisions-" + name + ".jsonl", store.lines(), "application/jsonl;charset=utf-8");
  }
  function takeUp(text) {
    var counts = store.take(text), parts = [counts.taken + " decisions taken up"];
    if (counts.older) { parts.push(counts.older + " older than what is here"); }
    if (counts.others) { parts.push(counts.others + " of other annotators left out"); }
    if (counts.unfit) { parts.push(counts.unfit + " lines do not fit this review and were left out"); }
    resume();
    tell(parts.join(", ") + ".");
  }
  function resume() {
    undone = store.standing().map(function (row) { return [numbers.get(row.item), null, null]; }).filter(function (one) { return places.has(one[0]); });
    drawProgress();
    var number = nextOpen(0);
    if (number < 0) { finish(); } else { show(number); }
  }
  var numbers = new Map(data.items.map(function (item, number) { return [item.id, number]; }));

  function open(name) {
    annotator = name;
    store = window.reviewStore(data, annotator, tell, drawProgress);
    order = shuffled();
    order.forEach(function (number, place) { places.set(number, place); });
    at("annotator").textContent = annotator;
    at("who").hidden = at("progress").hidden = false;
    at("start").hidden = true;
    store.ready.then(function () {
      at("download").disabled = false;
      if (at("import")) { at("import").disabled = false; }
      resume();
      document.documentElement.dataset.ready = "true";
    }, function (error) { tell("Decisions cannot be read from the server: " + error.message); });
  }

  data.reasons.forEach(function (pair, number) {
    var chip = node("button", "chip"), key = node("kbd", "", String(number + 1));
    chip.type = "button";
    chip.append(key, " " + pair[1]);
    chip.addEventListener("click", function () { because(number); });
    at("chips").append(chip);
  });
  document.querySelectorAll("[data-verdict]").forEach(function (button) {
    button.addEventListener("click", function () { choose(button.dataset.verdict, false); });
  });
  [["undo", undo], ["back", function () { step(-1); }], ["on", function () { step(1); }], ["open", proceed], ["cancel", cancel],
    ["none", function () { record(pending, ""); }], ["download", download], ["finished-download", download],
    ["finished-back", function () { show(order[0]); }], ["help", function () { at("keys").showModal(); }]
  ].forEach(function (pair) { at(pair[0]).addEventListener("click", pair[1]); });
  if (at("import")) {
    at("import").addEventListener("click", function () { at("file").click(); });
    at("file").addEventListener("change", function () {
      var file = at("file").files[0];
      if (file) { file.text().then(takeUp); }
      at("file").value = "";
    });
  }
  own.addEventListener("focus", function () { if (!pending) { begin("reject"); } });
  own.addEventListener("keydown", function (event) {
    if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); record(pending || "reject", own.value.trim()); }
    if (event.key === "Escape") { cancel(); }
  });
  document.addEventListener("keydown", function (event) {
    var key = event.key, typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (!store || typing || at("keys").open || event.altKey || event.metaKey || (event.ctrlKey && key.toLowerCase() !== "z")) { return; }
    if (event.repeat || (key === "Enter" && event.target.closest("button, summary"))) { return; }
    var deeds = {
      k: function () { choose("keep", event.shiftKey); }, r: function () { choose("reject", true); }, u: function () { choose("unsure", true); },
      z: undo, backspace: undo, arrowleft: function () { step(-1); }, arrowright: function () { step(1); }, n: proceed,
      "0": function () { if (places.has(current) && !at("desk").hidden) { begin(pending || "reject"); own.focus(); } },
      enter: function () { if (pending) { record(pending, ""); } }, escape: cancel, "?": function () { at("keys").showModal(); }
    };
    var deed = deeds[key.toLowerCase()];
    if (/^[1-9]$/.test(key) && !at("desk").hidden) { deed = function () { because(Number(key) - 1); }; }
    if (deed) { event.preventDefault(); deed(); }
  });
  document.addEventListener("visibilitychange", function () {
    if (document.hidden && since !== null) { seen += (performance.now() - since) / 1000; since = null; }
    if (!document.hidden && since === null) { since = performance.now(); }
  });
  window.addEventListener("beforeunload", function (event) { if (store && store.unsent()) { event.preventDefault(); } });
  at("start").addEventListener("submit", function (event) {
    event.preventDefault();
    var name = at("name").value.trim();
    if (name) { open(name); }
  });
  if (data.annotator) { open(data.annotator); } else { at("start").hidden = false; at("name").focus(); }
})();
