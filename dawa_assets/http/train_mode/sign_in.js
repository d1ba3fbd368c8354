/** Signing in: e-mail and password of the project's users, or the shared password, whichever the server takes. */

import { button, fill, h } from "./dom.js";
import { credentials, forget, session, signIn, usePassword } from "./session.js";

/** Show the form; `done()` is called when somebody is in. */
export function showSignIn(main, { signal, reason, done }) {
  const { takesPassword, signIn: project } = session();
  const ways = [
    project ? { name: "E-mail", form: () => emailForm(done, signal) } : null,
    takesPassword ? { name: "Shared password", form: () => passwordForm(done, signal) } : null,
  ].filter(Boolean);
  const place = h("div");
  const tabs =
    ways.length > 1
      ? h(
          "div.segmented",
          { role: "group", "aria-label": "Way in" },
          ways.map((way, n) =>
            h(
              "button",
              {
                type: "button",
                "aria-pressed": n === 0 ? "true" : "false",
                on: { click: (event) => choose(way, event.currentTarget) },
              },
              way.name,
            ),
          ),
        )
      : null;
  const choose = (way, pressed) => {
    for (const each of tabs?.children ?? []) each.setAttribute("aria-pressed", String(each === pressed));
    fill(place, way.form());
    place.querySelector("input").focus();
  };
  const nothing = h(
    "p",
    {},
    "This server takes users’ tokens, but names no project to sign in at: set SUPABASE_URL and " +
      "SUPABASE_PUBLISHABLE_KEY where it runs.",
  );
  fill(
    main,
    h(
      "section.sign-in",
      {},
      h("img", { src: "/train-mode/icon.svg", alt: "", width: 56, height: 56 }),
      h("h1", {}, "Train Mode"),
      h("p.lead", {}, "Pairs of audio and words, and a LoRA chosen by ear."),
      reason ? h("p.reason", { role: "alert" }, reason) : null,
      tabs,
      ways.length ? place : nothing,
    ),
  );
  if (ways.length) choose(ways[0], tabs?.children[0]);
}

function emailForm(done, signal) {
  const email = input("email", "E-mail", { type: "email", autocomplete: "username", inputmode: "email" });
  const password = input("password", "Password", { type: "password", autocomplete: "current-password" });
  return form([email, password], async () => {
    await signIn(email.field.value.trim(), password.field.value);
    await proved(signal);
    done();
  });
}

function passwordForm(done, signal) {
  const password = input("password", "Password", { type: "password", autocomplete: "current-password" });
  return form([password], async () => {
    usePassword(password.field.value);
    await proved(signal);
    done();
  });
}

/** Whether the server takes it; else the reason is thrown. */
async function proved(signal) {
  const answer = await fetch("/api/artists", { headers: credentials(), signal, cache: "no-store" }).catch(() => null);
  if (answer?.ok) return;
  forget();
  if (!answer) throw new Error("The server can’t be reached. Try again in a moment.");
  const said = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(said.error ?? `The server answered ${answer.status}.`), { status: answer.status });
}

function input(name, label, given) {
  const field = h("input", { name, required: true, "aria-describedby": "sign-in-problem", ...given });
  return { field, label: h("label.field", {}, h("span", {}, label), field) };
}

function form(inputs, submit) {
  const problem = h("p.problem", { id: "sign-in-problem", role: "alert" });
  const send = button("Sign in", { kind: "primary wide", type: "submit" });
  const element = h(
    "form",
    { novalidate: true },
    inputs.map((each) => each.label),
    problem,
    send,
  );
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    const missing = inputs.find((each) => !each.field.value);
    if (missing) {
      problem.textContent = inputs.length > 1 ? "Fill in both fields." : "Fill in the password.";
      return missing.field.focus();
    }
    problem.textContent = "";
    send.disabled = true;
    try {
      await submit();
    } catch (error) {
      problem.textContent = error.status === 401 ? "That is not right. Check it and try again." : error.message;
      inputs.at(-1).field.select();
    } finally {
      send.disabled = false;
    }
  });
  return element;
}
