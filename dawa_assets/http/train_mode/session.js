/**
 * Who works here: nobody in particular (an open server on this machine), the shared password, or a signed-in user.
 *
 * Passwords and tokens are kept in memory alone: a reload asks again, and nothing of them is ever stored or in a URL.
 */

const REFRESH_AHEAD = 0.8; // of a token's life
const AUTHOR = "dawa.author";

let facts = null;
let password = null;
let token = null;
let refreshing = null;
let timer = 0;
let email = null;

/** What the server says of itself; see `loadSession`. */
export function session() {
  return facts;
}

/** Ask the server who may use it, what it takes and how large. */
export async function loadSession() {
  const answer = await fetch("/api/session", { headers: { Accept: "application/json" }, cache: "no-store" });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  facts = await answer.json();
  return facts;
}

/** Return the headers that say who asks. */
export function credentials() {
  if (token) return { Authorization: `Bearer ${token.access}` };
  return password === null ? {} : { "x-train-password": password };
}

/** Whether somebody has to sign in before anything else. */
export function needsSignIn() {
  return !facts.isOpen && token === null && password === null;
}

/** Who is signed in, in words; null where nobody has to. */
export function whoIsHere() {
  return token ? email : password !== null ? "shared password" : null;
}

/** Whether the server knows the author itself: a signed-in user's id is the author of what they write. */
export function authorIsKnown() {
  return token !== null;
}

/** The name that texts and choices are signed with where no user is signed in; "" where none was given. */
export function author() {
  return authorIsKnown() ? "" : (localStorage.getItem(AUTHOR) ?? "");
}

/** Remember that name in this browser. */
export function setAuthor(name) {
  localStorage.setItem(AUTHOR, name.trim().slice(0, 100));
}

/** Use the shared password; whether it is right is the next answer's to say. */
export function usePassword(given) {
  forget();
  // A header holds single bytes; the server reads other letters as UTF-8.
  password = Array.from(new TextEncoder().encode(given), (byte) => String.fromCharCode(byte)).join("");
}

/** Sign in by e-mail and password; throws an `Error` with the service's reason. */
export async function signIn(address, secret) {
  const answer = await ask("password", { email: address, password: secret });
  forget();
  email = address;
  keep(answer);
}

/** Get a fresh token in time, or after a refusal; false where that is over and somebody has to sign in anew. */
export async function refresh() {
  if (!token) return false;
  refreshing ??= ask("refresh_token", { refresh_token: token.refresh })
    .then((answer) => (keep(answer), true))
    .catch((error) => {
      if (error.status >= 400 && error.status < 500) {
        forget();
        return false;
      }
      timer = setTimeout(refresh, 10_000); // not there just now
      return true;
    })
    .finally(() => (refreshing = null));
  return refreshing;
}

/** Forget who was here. */
export function forget() {
  clearTimeout(timer);
  token = password = email = null;
}

function keep({ access_token: access, refresh_token: renewal, expires_in: seconds }) {
  token = { access, refresh: renewal };
  clearTimeout(timer);
  timer = setTimeout(refresh, Math.max(5, (seconds ?? 3600) * REFRESH_AHEAD) * 1000);
}

async function ask(grant, body) {
  const { url, key } = facts.signIn;
  let answer;
  try {
    answer = await fetch(`${url}/token?grant_type=${grant}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", apikey: key },
      body: JSON.stringify(body),
      referrerPolicy: "no-referrer",
    });
  } catch {
    throw new Error("The sign-in service can't be reached. Check the connection and try again.");
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok && said.access_token) return said;
  const error = new Error(
    said.msg ?? said.error_description ?? said.message ?? `The sign-in service answered ${answer.status}.`,
  );
  error.status = answer.status;
  throw error;
}
