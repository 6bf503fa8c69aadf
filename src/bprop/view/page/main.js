// Puts a figure together: drawing, card, steps, sliders, paths; and the keys and the theme of the page.

class Figure {
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
    this.model = new Model(data);
    const { agrees, worst } = this.model.verify();
    const canSlide = this.model.canCompute && agrees;
    if (!canSlide && this.model.canCompute) {  // what Python computed stands
      this.model.canCompute = false;
      this.model.reset();
    }
    this.cards = new Cards(this.model);
    this.graph = new GraphView(root.querySelector("svg"), this.model, (box) => this.select(box));
    this.steps = new Steps(this);
    this.paths = new PathList(this.part("paths"), this);
    this.sweeps = new Sweeps(this.part("sweeps"), this);
    this.sliders = new Sliders(this.part("sliders"), this);
    this.sliders.build(canSlide ? data.too_many : data.reason || "this browser computes other numbers than the library did");
    this.badge(canSlide, agrees, worst);
    this.notes();
    this.buttons();
    this.steps.go(this.steps.at);
    this.paths.refresh();
    this.sweeps.refresh();
  }

  badge(canSlide, agrees, worst) {
    const badge = this.part("badge");
    badge.dataset.agrees = String(canSlide);
    badge.textContent = canSlide ? "✓ page = library" : this.model.data.reason ? "numbers by the library" : "✗ page ≠ library";
    badge.title = canSlide ? `This page computed all of Python's numbers again; the largest relative difference is ${short(worst)}, which is rounding.`
      : this.model.data.reason ? `Computed by Python: ${this.model.data.reason}.` : "This page computed other numbers than Python: it shows Python's, and nothing can be changed.";
  }

  notes() {
    const { conditions } = this.model.data, parts = [];
    for (const condition of conditions) parts.push(element("li", {}, `Python decided on ${this.condition(condition)}, which was ${condition.value ? "true" : "false"}.`));
    if (this.model.canCompute) parts.push(element("li", {}, "The graph is that of one run: a Python if or for that read numbers by float(), int() or .item() cannot be seen here, and would not be decided anew."));
    this.part("notes").replaceChildren(...parts);
  }

  condition(condition) {
    const inputs = this.model.data.values.filter((value) => value.source === "input");
    return condition.text.replace(/⟦(\d+)⟧/g, (_, position) => inputs[Number(position)].name);
  }

  buttons() {
    const actions = {
      home: () => this.steps.toForward(), back: () => this.steps.move(-1), next: () => this.steps.move(1), end: () => this.steps.toEnd(),
      forward: () => this.steps.toForward(), backward: () => this.steps.toBackward(), play: () => this.steps.play(),
    };
    this.actions = actions;
    for (const [name, action] of Object.entries(actions)) this.part(name).addEventListener("click", action);
    const order = this.part("order");
    order.addEventListener("change", () => {
      const breaks = this.steps.setOrder(order.checked);
      this.part("order-note").textContent = order.checked && !breaks ? "Here no value is used twice on the way: every order gives the same numbers." : "";
    });
    if (this.model.data.result === null || !this.model.canCompute) {
      order.disabled = true;
      order.parentElement.title = "needs a scalar result, and rules that the page can compute";
    }
  }

  key(event) {
    const typing = event.target.matches("select, textarea, input:not([type=checkbox])");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = { ArrowRight: "next", ArrowLeft: "back", Home: "home", End: "end", f: "forward", b: "backward" }[event.key];
    if (event.key === " " && !event.target.matches("button, summary, input")) {
      this.actions.play();
    } else if (action) {
      this.actions[action]();
    } else {
      return;
    }
    event.preventDefault();
  }

  select(box) {
    const [index] = this.graph.valuesOf[box];
    this.graph.boxes.forEach((other, k) => other.setAttribute("tabindex", k === box ? "0" : "-1"));
    this.part("paths").closest("details").open = true;
    this.paths.select(index);
  }

  // An input has changed: everything follows.
  changed() {
    this.model.refresh();
    const others = this.model.otherBranches();
    this.root.classList.toggle("stale", others.length > 0);
    this.part("stale").textContent = others.length ? `Other branch: ${others.map((condition) => this.condition(condition)).join(", ")} is decided otherwise at these inputs. Run Python again: the graph below is not that of these numbers.` : "";
    if (this.steps.early.length) this.steps.early = this.model.tooEarly(this.steps.order);
    this.refresh();
    this.sweeps.refresh();
  }

  refresh() {
    const state = this.steps.state();
    this.graph.show(state);
    this.steps.light(state);
    this.part("card").replaceChildren(...this.steps.card(state).filter(Boolean));
    this.part("position").textContent = `${this.steps.at + 1}/${state.list.length}`;
    this.part("play").setAttribute("aria-pressed", String(Boolean(this.steps.timer)));
    this.part("play").textContent = this.steps.timer ? "❚❚ pause" : "▶ play";
    if (this.paths && this.paths.from !== null) this.paths.refresh();
  }
}

function theme() {
  const button = document.querySelector('[data-part="theme"]'), root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const show = () => { button.setAttribute("aria-pressed", String(isDark())); };
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; show(); });
  show();
}

theme();
const FIGURES = [...document.querySelectorAll("section.figure")].filter((root) => root.querySelector('script[type="application/json"]')).map((root) => new Figure(root));
let active = FIGURES[0];
for (const figure of FIGURES) {
  for (const kind of ["focusin", "pointerdown"]) figure.root.addEventListener(kind, () => { active = figure; });
}
document.addEventListener("keydown", (event) => active && active.key(event));
document.documentElement.dataset.ready = "true";
