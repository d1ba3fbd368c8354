/** A file that is not saved yet: decoded here, so that it is seen and heard before it is anywhere else. */

import { decodedSize } from "./decoded_size.js";

const LARGEST = 200_000_000; // bytes of a file, which lies in memory while it is decoded,
const LARGEST_DECODED = 450_000_000; // and of what comes of it: some twenty minutes in stereo
const RATE = 44100; // that it is decoded to
const POINTS = 1000; // a second, of the shape that is kept when the samples are let go

/**
 * Decode a file for looking at it and listening to it.
 *
 * @returns {Promise<{seconds: number, shape: Function, exact: Blob|null}|null>} `exact`: the same as WAV, where browsers
 *   find no place exactly in the file itself; null where this browser can't decode it, or it would fill the memory
 */
export async function decodeLocally(file) {
  if (file.size > LARGEST) return null;
  const content = await file.arrayBuffer();
  const size = decodedSize(new Uint8Array(content));
  if (!size || !(size.seconds * size.channels * RATE * 4 <= LARGEST_DECODED)) return null; // also what is no number
  let buffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(content);
  } catch {
    return null;
  }
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, n) => buffer.getChannelData(n));
  const seconds = buffer.duration;
  const whole = shapeOf(channels, buffer.sampleRate, 0, seconds, Math.max(Math.ceil(seconds * POINTS), 1), Int8Array);
  const shape = async (from, to, points) => partOf(whole, from, to, points);
  return { seconds, shape, exact: size.isPlain ? null : wavOf(channels, buffer.sampleRate) };
}

/** Return a stretch of a shape in so many points. */
function partOf(whole, from, to, points) {
  const each = (to - from) / points / ((whole.to - whole.from) / whole.low.length);
  const first = from / ((whole.to - whole.from) / whole.low.length);
  const [low, high, rms] = [new Array(points), new Array(points), new Array(points)];
  for (let n = 0; n < points; n++) {
    const start = Math.min(Math.floor(first + n * each), whole.low.length - 1);
    const end = Math.min(Math.max(Math.ceil(first + (n + 1) * each), start + 1), whole.low.length);
    let [least, most, sum] = [127, -127, 0];
    for (let i = start; i < end; i++) {
      if (whole.low[i] < least) least = whole.low[i];
      if (whole.high[i] > most) most = whole.high[i];
      sum += whole.rms[i];
    }
    [low[n], high[n], rms[n]] = [least, most, Math.round(sum / (end - start))];
  }
  return { low, high, rms, from, to };
}

/** Return samples as a WAV file of 16 bit, in stereo at most. */
function wavOf(channels, rate) {
  const heard = channels.slice(0, 2);
  const frames = heard[0].length;
  const bytes = frames * heard.length * 2;
  const samples = new Int16Array(frames * heard.length);
  heard.forEach((channel, n) => {
    for (let i = 0; i < frames; i++)
      samples[i * heard.length + n] = Math.max(-32768, Math.min(32767, Math.round(channel[i] * 32768)));
  });
  const header = new DataView(new ArrayBuffer(44));
  const write = (at, text) => [...text].forEach((letter, n) => header.setUint8(at + n, letter.charCodeAt(0)));
  write(0, "RIFF");
  header.setUint32(4, 36 + bytes, true);
  write(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, heard.length, true);
  header.setUint32(24, rate, true);
  header.setUint32(28, rate * heard.length * 2, true);
  header.setUint16(32, heard.length * 2, true);
  header.setUint16(34, 16, true);
  write(36, "data");
  header.setUint32(40, bytes, true);
  return new Blob([header, samples], { type: "audio/wav" });
}

/** Return what a waveform is drawn from, as the server's routes give it. Of long files, every bucket is sampled. */
export function shapeOf(channels, rate, from, to, points, Kind = Array) {
  const low = new Kind(points);
  const high = new Kind(points);
  const rms = new Kind(points);
  const start = from * rate;
  const each = ((to - from) * rate) / points;
  const step = Math.max(1, Math.floor(each / 400));
  for (let n = 0; n < points; n++) {
    let least = 0;
    let most = 0;
    let sum = 0;
    let seen = 0;
    const end = Math.min(start + (n + 1) * each, channels[0].length);
    for (const samples of channels) {
      for (let i = Math.floor(start + n * each); i < end; i += step) {
        const value = samples[i];
        if (value < least) least = value;
        if (value > most) most = value;
        sum += value * value;
        seen++;
      }
    }
    low[n] = Math.max(-127, Math.round(least * 127));
    high[n] = Math.min(127, Math.round(most * 127));
    rms[n] = seen ? Math.min(127, Math.round(Math.sqrt(sum / seen) * 127)) : 0;
  }
  return { low, high, rms, from, to };
}
