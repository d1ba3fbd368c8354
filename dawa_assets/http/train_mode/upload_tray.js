/** What is on its way: a small panel over every view, with progress, cancel and reasons; and the two ways to send. */

import { progress } from "./artist_state.js";
import { at, get, post } from "./api.js";
import { note } from "./dialogs.js";
import { button, fill, h, icon, named } from "./dom.js";
import { count, size } from "./format.js";
import { session } from "./session.js";
import { Upload } from "./uploads.js";

const tray = document.getElementById("tray");
const uploads = new Set();
const pairs = new Map(); // artist id and parse id → the upload of a set's bounce
let isDrawn = true;

/** Ask before a reload cuts what is on its way. */
export function startUploads() {
  addEventListener("beforeunload", (event) => {
    if ([...uploads].some((upload) => upload.isActive)) event.preventDefault();
  });
}

/** Send sets and bounces to the inbox, and have them taken in. */
export async function sendToInbox(artist, files) {
  const { mostFiles } = session();
  const wanted = files.filter(({ file }) => isMusic(file.name));
  const left = files.length - wanted.length;
  if (!wanted.length) return note("Nothing of that is a Live Set or audio that can be read.", { kind: "error" });
  if (left) note(`${count(left, "file")} left out: neither a Live Set nor audio.`);
  const batches = [];
  for (let start = 0; start < wanted.length; start += mostFiles) batches.push(wanted.slice(start, start + mostFiles));
  for (const batch of batches)
    await follow(
      new Upload(artist, "inbox", batch),
      batch.length === 1 ? batch[0].file.name : count(batch.length, "file"),
    );
}

/** Begin to send a bounce for a set; what is under way for that set is replaced. Returns the upload. */
export function sendToSet(artist, entry, file) {
  const before = pairOf(artist, entry.parseId);
  const isSame = before?.state === "cut" && before.files[0].path === file.name && before.files[0].size === file.size;
  if (!isSame) before?.cancel();
  const upload = new Upload(artist, "pair", [{ path: file.name, file }]);
  pairs.set(`${artist.id} ${entry.parseId}`, upload);
  upload.addEventListener("change", () => upload.id && localStorage.setItem(sentKey(artist, entry.parseId), upload.id));
  follow(upload, file.name, entry);
  return upload;
}

/** Return the upload of a set's bounce, if there is one. */
export function pairOf(artist, parseId) {
  const upload = pairs.get(`${artist.id} ${parseId}`);
  return upload && upload.state !== "cancelled" ? upload : null;
}

/** Return what a reload left of a set's bounce: an upload that arrived whole, or was cut; null where there is none. */
export async function leftOver(artist, entry) {
  const id = localStorage.getItem(sentKey(artist, entry.parseId));
  if (!id) return null;
  const { uploads: open } = await get(at(artist)("uploads"));
  const known = open.find((upload) => upload.id === id && upload.state === "open" && upload.files.length === 1);
  if (!known) {
    localStorage.removeItem(sentKey(artist, entry.parseId));
    return null;
  }
  const [file] = known.files;
  const upload = new Upload(artist, "pair", [{ path: file.path, file: { size: file.size } }]);
  Object.assign(upload, { id, name: file.path, entry, state: file.state === "whole" ? "complete" : "cut" });
  Object.assign(upload.files[0], { file: null, number: file.file, received: file.received, state: file.state });
  pairs.set(`${artist.id} ${entry.parseId}`, upload);
  return upload;
}

const sentKey = (artist, parseId) => `dawa.sent.${artist.id}.${parseId}`;

/** Forget the upload of a set's bounce: it is saved. */
export function forgetPair(artist, parseId) {
  localStorage.removeItem(sentKey(artist, parseId));
  const upload = pairs.get(`${artist.id} ${parseId}`);
  pairs.delete(`${artist.id} ${parseId}`);
  if (upload) uploads.delete(upload);
  draw();
}

/** Whether a file's name says that it is a set or audio. */
export function isMusic(name) {
  return isAudio(name) || endsWith(name, session().setSuffixes);
}

/** Whether a file's name says that it is audio. */
export function isAudio(name) {
  return endsWith(name, session().audioSuffixes);
}

const endsWith = (name, suffixes) => suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));

async function follow(upload, name, entry = null) {
  upload.name = name;
  upload.entry = entry;
  uploads.add(upload);
  upload.addEventListener("change", drawSoon);
  drawSoon();
  await upload.run();
  if (upload.purpose === "inbox" && upload.state === "complete") {
    for (const file of upload.refused) note(`${file.path}: ${file.reason}`, { kind: "error" });
    uploads.delete(upload);
    await takeIn(upload.artist);
  }
  drawSoon();
}

/** Have the inbox taken in now, and say what came of it. */
export async function takeIn(artist) {
  try {
    await post(at(artist)("intake"));
  } catch (error) {
    return note(`The files arrived, but are not taken in yet: ${error.message}`, { kind: "error" });
  }
  note("The files arrived and are being taken in.");
  const asked = Date.now() - 5000;
  const life = new AbortController();
  progress.watch((now) => {
    const activity = now?.activities.find((each) => each.name === "intake" && Date.parse(each.startedAt) > asked);
    if (!activity || activity.state === "running") return;
    life.abort();
    if (activity.error) note(activity.error, { kind: "error" });
    else note(activity.headline);
  }, life.signal);
  setTimeout(() => life.abort(), 600_000);
}

function drawSoon() {
  if (!isDrawn) return;
  isDrawn = false;
  requestAnimationFrame(() => ((isDrawn = true), draw()));
}

function draw() {
  const shown = [...uploads].filter(
    (upload) => upload.state !== "cancelled" && !(upload.purpose === "pair" && upload.state === "complete"),
  );
  tray.hidden = !shown.length;
  if (!shown.length) return fill(tray);
  fill(
    tray,
    h("section", { "aria-label": "Uploads" }, h("h2", {}, icon("upload"), "On its way"), h("ul", {}, shown.map(line))),
  );
}

function line(upload) {
  const share = upload.size ? upload.received / upload.size : 0;
  const gone = () => (uploads.delete(upload), draw());
  const words = {
    starting: "starting …",
    sending: upload.isWaiting
      ? "The line is down – goes on by itself"
      : `${size(upload.received)} of ${size(upload.size)}`,
    failed: upload.error,
    refused: upload.refused[0]?.reason ?? "refused",
    complete: "arrived",
  }[upload.state];
  return h(
    "li",
    { data: { state: upload.state } },
    h(
      "div.row",
      {},
      h("strong", {}, named(upload.name)),
      upload.isActive
        ? button(`Cancel ${upload.name}`, { icon: "close", hide: true, on: { click: () => upload.cancel() } })
        : button("Dismiss", { icon: "close", hide: true, on: { click: gone } }),
    ),
    upload.isActive ? h("progress", { max: 1, value: share, "aria-label": `Upload of ${upload.name}` }) : null,
    h(
      "div.row",
      {},
      h("span.words", { dir: "auto" }, words),
      upload.state === "failed" ? button("Try again", { kind: "quiet", on: { click: () => upload.again() } }) : null,
    ),
  );
}
