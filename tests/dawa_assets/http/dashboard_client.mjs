// The dashboard's whole sequence by an independent client: fetch, FormData, data URLs, nothing beside Node itself.
// Told by its environment whom to ask; tells what it got as one line of JSON. A line `202` says that a job is running:
// whoever started this lets it end then, and answers with a line.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

const { BASE, HEADERS, ARTIST_ID, PARSE_IDS, AUDIO, PRODUCER, PASSWORD } = process.env;
const headers = JSON.parse(HEADERS);
const told = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function post(path, body) {
  const answer = await fetch(BASE + path, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return [answer, await answer.json()];
}

async function good(path, body) {
  const [answer, content] = await post(path, body);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${content.error}`);
  return content;
}

// What FileReader.readAsDataURL gives.
const asDataUrl = (bytes, type) => `data:${type};base64,${Buffer.from(bytes).toString("base64")}`;

async function toItsEnd(answer) {
  let asked = 0;
  while (answer.status === 202) {
    const running = await answer.clone().json();
    if (Object.keys(running)[0] !== "status" || running.status !== "running") throw new Error(JSON.stringify(running));
    if (asked++ === 0) {
      console.log("202");
      await told.next();
    }
    await new Promise((next) => setTimeout(next, 50 * Number(answer.headers.get("Retry-After"))));
    answer = await fetch(new URL(answer.headers.get("Location"), answer.url), { headers });
  }
  const content = await answer.json();
  if (!answer.ok) throw new Error(`${answer.url}: ${answer.status} ${content.error}`);
  return { asked, content };
}

const items = [];
for (const [number, parseId] of JSON.parse(PARSE_IDS).entries()) {
  const written = await good("/api/train", { artistId: ARTIST_ID, parseId });
  const saved = await good("/api/train/save", {
    artistId: ARTIST_ID,
    parseId,
    alsFilename: `Süß ${number} 夜.als`,
    projectName: "Song",
    audioBase64: asDataUrl(await readFile(JSON.parse(AUDIO)[number]), "audio/wav"),
    promptText: written.prompt,
  });
  items.push({ ...written, ...saved });
}
const exported = await good("/api/train/export", { artistId: ARTIST_ID });
const again = await good("/api/train/export", { artistId: ARTIST_ID });
const zip = new Uint8Array(await (await fetch(exported.datasetUrl)).arrayBuffer());

const form = new FormData();
form.set("file", new Blob([await readFile(JSON.parse(AUDIO)[0])], { type: "audio/wav" }), "Süß 夜.wav");
form.set("producerId", PRODUCER);
if (PASSWORD) form.set("x-train-password", PASSWORD);
const withoutHeader = PASSWORD ? {} : headers;
const trained = await toItsEnd(
  await fetch(`${BASE}/api/producer/upload-and-train`, { method: "POST", headers: withoutHeader, body: form }),
);

const rendered = await toItsEnd(
  await fetch(`${BASE}/api/artist/generate`, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify({
      artistId: ARTIST_ID,
      loraId: `${PRODUCER}:${trained.content.model_name}`,
      prompt: "808 trap beat, dark synth",
      durationSeconds: 0.5,
    }),
  }),
);
const sound = new Uint8Array(await (await fetch(rendered.content.audioUrl)).arrayBuffer());
const [refused, refusal] = await post("/api/train", { artistId: ARTIST_ID, parseId: "none" });

console.log(
  JSON.stringify({
    items,
    exported: exported.itemCount,
    again: new URL(again.datasetUrl).pathname === new URL(exported.datasetUrl).pathname,
    zip: Buffer.from(zip.slice(0, 2)).toString("latin1"),
    trained,
    asked: rendered.asked,
    sound: Buffer.from(sound.slice(0, 4)).toString("latin1"),
    refused: [refused.status, Object.keys(refusal)],
  }),
);
process.exit(0);
