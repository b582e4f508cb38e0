"use strict";
// Decisions of one annotator: in the browser's memory, and where the page is served, on their way to the disk.
window.reviewStore = function (data, annotator, tell, moved) {
  var KEYS = ["item", "annotator", "verdict", "reason", "seconds", "time", "extension"];
  var prefix = "unsee-review/" + data.digest + "/" + annotator + "/";
  var token = new URLSearchParams(location.search).get("token") || "";
  var notes = { unsaved: "", warning: "" };
  var known = new Map(), queue = [], sending = false, last = 0, keeps = true, timer = null;
  var items = new Set(data.items.map(function (item) { return item.id; }));

  // What is not on disk stays told, whatever else is.
  function note(name, text) {
    notes[name] = text;
    tell([notes.unsaved, notes.warning].filter(Boolean).join(" "));
  }
  function sane(row) {
    return row && typeof row === "object" && items.has(row.item) && row.annotator === annotator && row.extension === data.digest &&
      (row.verdict === null || ["keep", "reject", "unsure"].indexOf(row.verdict) >= 0) && typeof row.reason === "string" &&
      typeof row.seconds === "number" && row.seconds >= 0 && !isNaN(Date.parse(row.time));
  }
  function bare(row) {
    var made = {};
    KEYS.forEach(function (key) { made[key] = row[key]; });
    return made;
  }
  function keep(row, unsent) {
    try {
      localStorage.setItem(prefix + row.item, JSON.stringify(unsent ? Object.assign({ unsent: true }, row) : row));
    } catch (error) {
      if (keeps && !data.served) { note("warning", "This browser keeps nothing between visits: download your decisions before you close the page."); }
      keeps = false;
    }
  }
  // The later of two decisions about a variant counts.
  function take(row) {
    var mine = known.get(row.item);
    if (mine && Date.parse(mine.time) >= Date.parse(row.time)) { return false; }
    known.set(row.item, bare(row));
    last = Math.max(last, Date.parse(row.time));
    return true;
  }
  function ask(method, body) {
    return fetch("decisions", { method: method, body: body, headers: { "X-Unsee-Token": token }, cache: "no-store" }).then(function (reply) {
      return reply.json().catch(function () { return {}; }).then(function (said) {
        if (!reply.ok) { throw new Error(said.error || "the server refused (" + reply.status + ")"); }
        return said;
      });
    });
  }
  function unsaved(error) {
    var why = error instanceof TypeError ? "The server does not answer." : error.message;
    var own = queue.length === 1 ? "1 decision is" : queue.length + " decisions are";
    note("unsaved", why + " " + own + " not on disk yet, kept in this page and tried again; Download saves all of them.");
  }
  function send() {
    if (sending || !queue.length) { return; }
    sending = true;
    clearTimeout(timer);
    var row = queue[0];
    ask("POST", JSON.stringify(row)).then(function (said) {
      queue.shift();
      // A later decision about the same variant may wait behind this one.
      if (!queue.some(function (other) { return other.item === row.item; })) { keep(row, false); }
      note("warning", said.warning);
      sending = false;
      if (queue.length === 0) { note("unsaved", ""); }
      moved();
      send();
    }, function (error) {
      sending = false;
      unsaved(error);
      timer = setTimeout(send, 3000);
    });
  }

  function remembered() {
    var found = [];
    try {
      for (var number = 0; number < localStorage.length; number += 1) {
        var key = localStorage.key(number);
        if (key.indexOf(prefix) === 0) { found.push(JSON.parse(localStorage.getItem(key))); }
      }
    } catch (error) {
      return found;
    }
    return found.filter(sane);
  }
  var stored = remembered();
  stored.sort(function (a, b) { return Date.parse(a.time) - Date.parse(b.time); });
  stored.forEach(function (row) {
    if (data.served && !row.unsent) { return; } // the server knows better
    if (take(row) && data.served) { queue.push(bare(row)); }
  });

  return {
    // Resolves when what the server has is known.
    ready: data.served ? ask("GET").then(function (said) {
      said.decisions.filter(sane).forEach(take);
      note("warning", said.warning);
      send();
    }) : Promise.resolve(),
    get: function (item) {
      var row = known.get(item);
      return row && row.verdict !== null ? row : null;
    },
    put: function (item, verdict, reason, seconds) {
      last = Math.max(Date.now(), last + 1);
      var row = {
        item: item, annotator: annotator, verdict: verdict, reason: reason, seconds: Math.round(seconds * 10) / 10,
        time: new Date(last).toISOString(), extension: data.digest
      };
      known.set(item, row);
      keep(row, Boolean(data.served));
      if (data.served) { queue.push(row); send(); }
    },
    // Verdicts that count, oldest first.
    standing: function () { return this.rows().filter(function (row) { return row.verdict !== null; }); },
    rows: function () {
      return Array.from(known.values()).sort(function (a, b) { return Date.parse(a.time) - Date.parse(b.time); });
    },
    lines: function () { return this.rows().map(function (row) { return JSON.stringify(row) + "\n"; }).join(""); },
    unsent: function () { return queue.length; },
    look: function () { return ask("GET").then(function (said) { note("warning", said.warning); }, function () { return null; }); },
    take: function (text) {
      var counts = { taken: 0, older: 0, others: 0, unfit: 0 };
      text.split("\n").forEach(function (line) {
        if (!line.trim()) { return; }
        var row = null;
        try { row = JSON.parse(line); } catch (error) { row = null; }
        if (row && row.annotator !== undefined && row.annotator !== annotator) { counts.others += 1; return; }
        if (!sane(row)) { counts.unfit += 1; return; }
        if (take(row)) { counts.taken += 1; keep(bare(row), false); } else { counts.older += 1; }
      });
      return counts;
    }
  };
};
