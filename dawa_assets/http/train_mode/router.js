/** Which view stands, by the address's hash: `#/nova-kite/set/3f2a9c0b7d41`. Leaving can be asked about. */

const guards = new Set();
let shown = "";
let handler = () => {};

/** Return the address of a view: `to("nova", "set", parseId)`. */
export function to(...parts) {
  return `#/${parts
    .filter((part) => part !== null && part !== undefined)
    .map(encodeURIComponent)
    .join("/")}`;
}

/** Go to a view; `replace` leaves no step back. */
export function go(...parts) {
  location.hash = to(...parts);
}

/** Return the parts of the address that stands. */
export function place() {
  return location.hash
    .replace(/^#\/?/, "")
    .split("/")
    .filter(Boolean)
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
}

/** Have leaving asked about: `ask()` resolves to whether it may go on. Returns what takes the guard away. */
export function guard(ask, signal) {
  guards.add(ask);
  signal.addEventListener("abort", () => guards.delete(ask));
}

/** Start: `show(parts)` is called for every place. */
export function startRouter(show) {
  handler = show;
  shown = location.hash;
  addEventListener("hashchange", changed);
  show(place());
}

/** Show the same place anew. */
export function again() {
  handler(place());
}

async function changed() {
  if (location.hash === shown) return;
  const wanted = location.hash;
  if (guards.size) {
    history.replaceState(null, "", shown || "#/");
    for (const ask of [...guards]) if (!(await ask(wanted))) return;
    history.pushState(null, "", wanted);
  }
  shown = wanted;
  handler(place());
}
