/**
 * A form made from the profile's JSON Schema: the interface's fields and no others. What a profile holds beyond them
 * stays where it is; a field that is emptied is left out.
 */

import { button, fill, h, icon } from "./dom.js";
import { inWords } from "./facts.js";

const LONG = new Set(["description"]);
let numbers = 0;

/** The form; it changes `data` in place and calls `changed()`. */
export class ProfileForm {
  #fields = new Map(); // path → {input, problem}

  constructor(schema, data, changed) {
    Object.assign(this, { schema, data, changed });
    this.element = h("form.profile-form", { novalidate: true, on: { submit: (event) => event.preventDefault() } });
    fill(
      this.element,
      Object.entries(this.#resolved(schema).properties).map(([name, part]) => this.#part(name, part, [name], true)),
    );
  }

  /** Show problems at their fields; those of no field that stands are shown at the nearest one above. */
  showProblems(problems) {
    for (const { input, problem } of this.#fields.values()) {
      problem.textContent = "";
      input.removeAttribute("aria-invalid");
    }
    this.first = null;
    for (const each of problems) {
      const path = [...each.path];
      while (path.length && !this.#fields.has(key(path))) path.pop();
      const field = this.#fields.get(key(path));
      if (!field) continue;
      field.problem.textContent = field.problem.textContent || each.message;
      field.input.setAttribute("aria-invalid", "true");
      this.first ??= field.input;
    }
  }

  focusProblem() {
    for (let parent = this.first?.closest("details"); parent; parent = parent.parentElement?.closest("details"))
      parent.open = true;
    this.first?.focus();
  }

  #resolved(part) {
    if (part?.$ref) return this.#resolved(this.schema.$defs[part.$ref.split("/").at(-1)]);
    if (part?.allOf?.length === 1) return this.#resolved(part.allOf[0]);
    return part ?? {};
  }

  #part(name, given, path, isTop = false) {
    const part = this.#resolved(given);
    const label = inWords(name);
    const item = part.items ? this.#resolved(part.items) : null;
    if (part.properties) return this.#group(label, part, path, isTop);
    if (part.type === "array" && item?.properties) return this.#list(label, item, path, isTop);
    if (part.type === "object" && part.additionalProperties?.$ref)
      return this.#named(label, this.#resolved(part.additionalProperties), path);
    if (part.type === "array") return this.#lines(label, item, path);
    if (part.enum) return this.#choice(label, part, path);
    if (part.type === "number" || part.type === "integer") return this.#number(label, part, path);
    return this.#text(label, path, LONG.has(name));
  }

  #group(label, part, path, isTop) {
    const fields = Object.entries(part.properties).map(([name, each]) => this.#part(name, each, [...path, name]));
    const text = part.description && isTop ? h("p.hint", {}, part.description) : null;
    if (isTop)
      return h(
        "details.part",
        { open: path[0] === "artist" || path[0] === "creative_policy" },
        h("summary", {}, icon("forward"), h("h2", {}, label)),
        text,
        h("div.fields", {}, fields),
      );
    return h("fieldset.part", {}, h("legend", {}, label), h("div.fields", {}, fields));
  }

  /** A list of objects, the catalogue's works for instance. */
  #list(label, item, path) {
    const place = h("div.entries");
    const number = h("span.number");
    const draw = (open = -1) => {
      const list = this.#at(path) ?? [];
      number.textContent = list.length;
      this.#forget(path);
      fill(
        place,
        (Array.isArray(list) ? list : []).map((entry, n) => {
          const title = entry?.title || entry?.work_id || `${label} ${n + 1}`;
          return h(
            "details.entry",
            { open: n === open },
            h("summary", {}, icon("forward"), h("bdi", { dir: "auto" }, title)),
            h(
              "div.fields",
              {},
              Object.entries(item.properties).map(([name, each]) => this.#part(name, each, [...path, n, name])),
            ),
            button(`Remove ${title}`, {
              icon: "close",
              kind: "quiet danger",
              on: {
                click: () => {
                  list.splice(n, 1);
                  this.changed();
                  draw();
                },
              },
            }),
          );
        }),
        button("Add one", {
          icon: "add",
          on: {
            click: () => {
              const grown = [...(this.#at(path) ?? []), {}];
              this.#set(path, grown);
              draw(grown.length - 1);
              place.querySelector("details[open] input")?.focus();
            },
          },
        }),
      );
    };
    draw();
    return h("details.part", {}, h("summary", {}, icon("forward"), h("h2", {}, label), number), place);
  }

  /** Objects by names of the artist's own. */
  #named(label, item, path) {
    const place = h("div.entries");
    const draw = (open = null) => {
      const entries = Object.keys(this.#at(path) ?? {});
      this.#forget(path);
      fill(
        place,
        entries.map((name) =>
          h(
            "details.entry",
            { open: name === open },
            h("summary", {}, icon("forward"), h("bdi", { dir: "auto" }, inWords(name))),
            h(
              "div.fields",
              {},
              Object.entries(item.properties).map(([field, each]) => this.#part(field, each, [...path, name, field])),
            ),
            button(`Remove ${name}`, {
              icon: "close",
              kind: "quiet danger",
              on: {
                click: () => {
                  const { [name]: _gone, ...rest } = this.#at(path);
                  this.#set(path, rest);
                  draw();
                },
              },
            }),
          ),
        ),
        this.#adder(path, draw),
      );
    };
    draw();
    return h("fieldset.part", {}, h("legend", {}, label), place);
  }

  #adder(path, draw) {
    const input = h("input", {
      type: "text",
      maxlength: 100,
      placeholder: "Name of a new one",
      "aria-label": "Name of a new one",
    });
    const add = () => {
      const name = input.value.trim();
      if (!name || name in (this.#at(path) ?? {})) return input.focus();
      this.#set(path, { ...(this.#at(path) ?? {}), [name]: {} });
      return draw(name);
    };
    input.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), add()));
    return h("div.row", {}, input, button("Add", { icon: "add", on: { click: add } }));
  }

  /** A list of texts or numbers: one a line. */
  #lines(label, item, path) {
    const isNumber = item?.type === "number";
    const given = this.#at(path);
    const input = h("textarea", {
      rows: Math.min(Math.max(Array.isArray(given) ? given.length : 1, 2), 8),
      dir: "auto",
    });
    input.value = Array.isArray(given) ? given.join("\n") : "";
    input.addEventListener("input", () => {
      const lines = input.value
        .split("\n")
        .map((line) => line.trim())
        .filter(Boolean);
      this.#set(
        path,
        lines.length || given !== undefined
          ? lines.map((line) => (isNumber && Number.isFinite(Number(line)) ? Number(line) : line))
          : undefined,
      );
    });
    return this.#field(label, input, path, "one a line");
  }

  #text(label, path, isLong) {
    const input = isLong ? h("textarea", { rows: 3, dir: "auto" }) : h("input", { type: "text", dir: "auto" });
    const given = this.#at(path);
    input.value =
      typeof given === "string" ? given : given === undefined || given === null ? "" : JSON.stringify(given);
    input.addEventListener("input", () => this.#set(path, input.value || (given === undefined ? undefined : "")));
    return this.#field(label, input, path);
  }

  #number(label, part, path) {
    const input = h("input", { type: "text", inputmode: "decimal", dir: "auto" });
    const given = this.#at(path);
    input.value = given ?? "";
    input.addEventListener("input", () => {
      const text = input.value.trim().replace(",", ".");
      this.#set(path, text === "" ? undefined : Number.isFinite(Number(text)) ? Number(text) : input.value);
    });
    const range = part.minimum !== undefined ? `${part.minimum} to ${part.maximum}` : null;
    return this.#field(label, input, path, range);
  }

  #choice(label, part, path) {
    const given = this.#at(path);
    const known = given === undefined || part.enum.includes(given) ? part.enum : [...part.enum, given];
    const input = h(
      "select",
      {},
      given === undefined ? h("option", { value: "" }, "–") : null,
      known.map((value) => h("option", { value: String(value), selected: value === given }, inWords(String(value)))),
    );
    input.addEventListener("change", () => this.#set(path, input.value || undefined));
    return this.#field(label, input, path);
  }

  #field(label, input, path, hint = null) {
    const id = `profile-${++numbers}`;
    input.id = id;
    const problem = h("span.problem", { id: `${id}-problem`, role: "alert" });
    input.setAttribute("aria-describedby", `${id}-problem${hint ? ` ${id}-hint` : ""}`);
    this.#fields.set(key(path), { input, problem });
    return h(
      "div.field",
      {},
      h("label", { for: id }, label),
      hint ? h("span.hint", { id: `${id}-hint` }, hint) : null,
      input,
      problem,
    );
  }

  #at(path) {
    return path.reduce((value, step) => (value && typeof value === "object" ? value[step] : undefined), this.data);
  }

  #set(path, value) {
    let place = this.data;
    for (const [n, step] of path.slice(0, -1).entries()) {
      if (place[step] === null || typeof place[step] !== "object")
        place[step] = typeof path[n + 1] === "number" ? [] : {};
      place = place[step];
    }
    if (value === undefined) delete place[path.at(-1)];
    else place[path.at(-1)] = value;
    this.changed();
  }

  #forget(path) {
    const start = `${key(path)}\u0000`;
    for (const known of this.#fields.keys()) if (known.startsWith(start)) this.#fields.delete(known);
  }
}

const key = (path) => path.join("\u0000");
