// The services beside the actors: their methods, and how many calls of each are open.

import { $, element, number, put } from "./draw.js";
import { watch } from "./wire.js";

const section = $("#services"), list = $(".services", section);
let act = {};

function draw(rows) {
  const known = new Map([...list.querySelectorAll("li")].map((line) => [line.dataset.target, line]));
  if (known.size !== rows.length || rows.some((row) => !known.has(row.target))) {
    known.clear();
    const services = [...new Set(rows.map((row) => row.service))];
    list.replaceChildren(...services.map((service) => element("section", { className: "card" },
      element("h2", { textContent: service }),
      element("ul", {}, ...rows.filter((row) => row.service === service).map((row) => {
        const line = element("li", {}, element("button", { type: "button", textContent: row.name, onclick: () => act.call(row.service, row.name) }),
          element("small", { textContent: row.kind.replace("_", " ") }), element("span", { textContent: row.doc.split("\n")[0] }), element("b"));
        line.dataset.target = row.target;
        known.set(row.target, line);
        return line;
      })))));
  }
  for (const row of rows) {
    const count = known.get(row.target).lastChild;
    put(count, row.calls ? `${number(row.calls)} open` : "");
  }
  $(".empty", section).hidden = rows.length > 0;
}

export const services = { refresh: async () => draw(await watch("methods")), uses: (given) => { act = given; } };
