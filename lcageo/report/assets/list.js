// A list of any length, and the buttons that sort it.

/** Rows in #list; only the visible ones exist as elements. */
class List {
  /** `fill(row, position)` fills a row, `pick(position)` is called when the user selects it, `open` on Enter. */
  constructor({ fill, pick, open }) {
    Object.assign(this, { root: element("list"), fill, pick, open, count: 0, selected: -1 });
    this.root.addEventListener("scroll", () => this.render());
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row !== null && event.target.closest("a") === null) this.go(Number(row.dataset.position));
    });
    new ResizeObserver(() => this.render()).observe(this.root);
  }

  /** Shows `count` rows, one of them selected, or none (-1). */
  update(count, selected) {
    this.count = count;
    this.selected = selected;
    element("spacer").style.height = `${count * List.ROW}px`;
    this.render();
  }

  select(position) {
    this.selected = position;
    const top = position * List.ROW;
    if (top < this.root.scrollTop) this.root.scrollTop = top;
    const above = top + List.ROW - this.root.clientHeight;
    if (above > this.root.scrollTop) this.root.scrollTop = above;
    this.render();
  }

  go(position) {
    if (position < 0 || position >= this.count) return;
    this.select(position);
    this.pick(position);
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (event.key === "Enter" && event.target === this.root && this.selected >= 0) this.open(this.selected);
    if (step === undefined) return;
    event.preventDefault();
    this.go(Math.max(0, Math.min(this.count - 1, this.selected + step)));
  }

  render() {
    for (const row of this.root.querySelectorAll(".row")) row.remove();
    const first = Math.max(0, Math.floor(this.root.scrollTop / List.ROW) - 4);
    const last = Math.min(this.count, first + Math.ceil(this.root.clientHeight / List.ROW) + 8);
    for (let position = first; position < last; position++) {
      const row = node("div", "row");
      row.id = `row-${position}`;
      row.dataset.position = position;
      row.style.top = `${position * List.ROW}px`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", position === this.selected);
      this.fill(row, position);
      this.root.append(row);
    }
    this.root.setAttribute("aria-activedescendant", this.selected < 0 ? "" : `row-${this.selected}`);
  }
}
List.ROW = 24; // pixels; page.css has the same value

/** Buttons for the sort keys of a list; `sort(key)` is called with the one that is pressed. */
function sortButtons(keys, sort) {
  for (const key of keys) {
    const button = node("button", "", key);
    button.setAttribute("aria-pressed", key === keys[0]);
    button.addEventListener("click", () => {
      for (const other of element("sorting").children) other.setAttribute("aria-pressed", other === button);
      sort(key);
    });
    element("sorting").append(button);
  }
}
