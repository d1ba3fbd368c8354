/**
 * The queue: the sets that somebody chose to work through, in their order. It is kept in this browser, so that a reload
 * goes on where it stopped; what is done is what was saved from it.
 */

const key = (artist) => `dawa.queue.${artist.id}`;
const EMPTY = { sets: [], done: [] };

/** Return the artist's queue: `sets` and `done` are parse ids. */
export function queueOf(artist) {
  try {
    const found = JSON.parse(localStorage.getItem(key(artist)) ?? "null");
    const isList = (list) => Array.isArray(list) && list.every((each) => typeof each === "string");
    return found && isList(found.sets) && isList(found.done) ? found : { ...EMPTY };
  } catch {
    return { ...EMPTY };
  }
}

/** Begin a queue of these sets; one that was there is replaced. */
export function startQueue(artist, sets) {
  store(artist, { sets: [...new Set(sets)], done: [] });
}

/** Remember that a set of the queue was saved. */
export function markDone(artist, parseId, isDone = true) {
  const queue = queueOf(artist);
  if (!queue.sets.includes(parseId)) return;
  const done = queue.done.filter((each) => each !== parseId);
  store(artist, { ...queue, done: isDone ? [...done, parseId] : done });
}

/** Take a set out of the queue. */
export function dropFrom(artist, parseId) {
  const queue = queueOf(artist);
  store(artist, {
    sets: queue.sets.filter((each) => each !== parseId),
    done: queue.done.filter((each) => each !== parseId),
  });
}

/** End the queue. */
export function endQueue(artist) {
  localStorage.removeItem(key(artist));
  tell();
}

/** Return the next set that is not done after this one, from the start again at the end; null where all are done. */
export function nextInQueue(artist, parseId) {
  const { sets, done } = queueOf(artist);
  const start = sets.indexOf(parseId);
  const order = [...sets.slice(start + 1), ...sets.slice(0, Math.max(start, 0))];
  return order.find((each) => !done.includes(each)) ?? null;
}

/** Return the neighbour of a set in the queue, done or not; null at the ends. */
export function beside(artist, parseId, step) {
  const { sets } = queueOf(artist);
  const place = sets.indexOf(parseId);
  return place < 0 ? null : (sets[place + step] ?? null);
}

/** Call a listener whenever the queue changes, in another tab too. */
export function onQueue(listener, signal) {
  addEventListener("queuechange", listener, { signal });
  addEventListener("storage", (event) => event.key?.startsWith("dawa.queue.") && listener(), { signal });
}

function store(artist, queue) {
  if (queue.sets.length) localStorage.setItem(key(artist), JSON.stringify(queue));
  else localStorage.removeItem(key(artist));
  tell();
}

const tell = () => dispatchEvent(new Event("queuechange"));
