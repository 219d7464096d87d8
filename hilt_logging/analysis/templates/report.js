"use strict";
(() => {
  const list = document.querySelector(".list");
  const find = document.querySelector(".find");

  if (list && find) {
    const rows = Array.from(list.children);
    const texts = new Map();
    const textOf = (row) => {
      if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
      return texts.get(row);
    };
    const input = find.querySelector("input");
    const shown = find.querySelector("output");
    const all = find.querySelector("button[name=all]");
    let most = 100;
    const search = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = rows.filter((row) => words.every((word) => textOf(row).includes(word)));
      rows.forEach((row) => (row.hidden = true));
      found.slice(0, most).forEach((row) => (row.hidden = false));
      all.hidden = found.length <= most;
      const count = Math.min(found.length, most);
      shown.value = `${count} of ${found.length}${words.length ? " found" : ""}`;
    };
    all.addEventListener("click", () => {
      most = rows.length;
      search();
    });
    const cell = (row, column) => Number(row.querySelector(".row").children[column].textContent.replace(/\D/g, ""));
    const values = {
      last: (row) => -Number(row.id.slice(1)),
      cost: (row) => Number(row.dataset.cost),
      tokens: (row) => Number(row.dataset.tokens),
      events: (row) => cell(row, 4),
      failed: (row) => cell(row, 8),
    };
    let timer;
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(search, 120);
    });
    find.querySelector("select").addEventListener("change", (event) => {
      const [name, way] = event.target.value.split("-");
      const value = values[name];
      rows.sort((a, b) => (way === "up" ? value(a) - value(b) : value(b) - value(a)));
      list.append(...rows);
      search();
    });
    for (const button of find.querySelectorAll("button[name=open], button[name=close]")) {
      button.addEventListener("click", () => {
        for (const row of rows) {
          const inner = row.querySelector("details");
          if (inner && !row.hidden) inner.open = button.name === "open";
        }
      });
    }
    const open = () => {
      const target = /^#c\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
      if (!target) return;
      target.hidden = false;
      const inner = target.querySelector("details");
      if (inner) inner.open = true;
      target.scrollIntoView();
    };
    addEventListener("hashchange", open);
    find.hidden = false;
    search();
    open();
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      if (!head.textContent) return;
      const button = document.createElement("button");
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const isNumber = head.classList.contains("n");
        const isDown = head.ariaSort ? head.ariaSort === "ascending" : isNumber;
        const value = (row) => {
          const cell = row.cells[column];
          return isNumber ? Number(cell.dataset.v || -1) : cell.textContent;
        };
        const compare = (a, b) => (isNumber ? a - b : a.localeCompare(b));
        const rows = Array.from(table.tBodies[0].rows);
        rows.sort((a, b) => compare(value(a), value(b)) * (isDown ? -1 : 1));
        table.tBodies[0].append(...rows);
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.ariaSort = isDown ? "descending" : "ascending";
      });
    });
  }
})();
