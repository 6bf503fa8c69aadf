// The drawing: puts numbers into its boxes, lights boxes and arrows, and lets the keyboard walk through it.

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

class GraphView {
  constructor(root, model, onSelect) {
    this.root = root;
    this.model = model;
    this.boxes = [...root.querySelectorAll(".box")];
    this.arrows = [...root.querySelectorAll(".arrow, .back")];
    this.valuesOf = this.boxes.map(() => []);
    model.data.values.forEach((value, index) => this.valuesOf[value.box].push(index));
    this.boxes.forEach((box, number) => {
      box.setAttribute("role", "button");
      box.setAttribute("tabindex", number === 0 ? "0" : "-1");
      box.addEventListener("click", () => onSelect(number));
      box.addEventListener("keydown", (event) => this.key(event, number, onSelect));
    });
  }

  // One stop for Tab; ↑ and ↓ go through the boxes in the order of computation.
  key(event, number, onSelect) {
    const to = { ArrowUp: number - 1, ArrowDown: number + 1 }[event.key];
    if (to !== undefined && this.boxes[to]) {
      this.focus(to);
      event.preventDefault();
    } else if (event.key === "Enter") {
      onSelect(number);
      event.preventDefault();
    }
  }

  focus(number) {
    this.boxes.forEach((box, k) => box.setAttribute("tabindex", k === number ? "0" : "-1"));
    this.boxes[number].focus();
  }

  // `state`: which values are computed, their gradients so far, and which of these are wrong.
  show(state) {
    this.boxes.forEach((box, number) => {
      const values = this.valuesOf[number], texts = [...box.querySelectorAll(".value")], bars = [...box.querySelectorAll(".gradient")];
      const shown = values.filter((index) => this.model.data.values[index].differentiable);
      values.forEach((index, i) => {
        const value = this.model.data.values[index];
        if (value.numbers) texts[i].textContent = state.computed.has(index) ? brief(value, this.model.values[index], null) : "·";
      });
      shown.forEach((index, i) => {
        if (!bars[i]) return;
        const value = this.model.data.values[index], bar = state.bars.get(index);
        if (!value.numbers && state.isEnd) return;
        const text = bar ? brief(value, bar.numbers, bar.present) : state.isBackward && !value.reached ? ABSENT : "·";
        bars[i].textContent = text + (state.wrong.has(index) ? " ✗" : "");
        bars[i].classList.toggle("wrong", state.wrong.has(index));
      });
      box.setAttribute("aria-label", [box.querySelector(".name").textContent, ...texts.map((t) => `value ${t.textContent}`), ...bars.map((t) => `gradient ${t.textContent}`)].join(", "));
    });
  }

  light({ current = null, arrows = () => false, dimmed = false }) {
    this.boxes.forEach((box, number) => box.classList.toggle("current", number === current));
    this.root.classList.toggle("dimmed", dimmed);
    for (const arrow of this.arrows) arrow.classList.toggle("lit", arrows(arrow));
  }

  lightPath(numbers) {
    const pairs = new Set(numbers.slice(1).map((arrow) => String(arrow)));
    this.root.classList.toggle("dimmed", pairs.size > 0);
    for (const arrow of this.arrows) arrow.classList.toggle("lit", pairs.has(arrow.dataset.arrow));
  }

  // Keeps a box in sight of the reader without moving the page.
  reveal(number) {
    const frame = this.root.closest(".drawing"), box = this.boxes[number].getBoundingClientRect(), view = frame.getBoundingClientRect();
    if (box.top < view.top || box.bottom > view.bottom) frame.scrollTop += box.top - view.top - (view.height - box.height) / 2;
    if (box.left < view.left || box.right > view.right) frame.scrollLeft += box.left - view.left - (view.width - box.width) / 2;
  }
}
