/** A file that is not saved yet: decoded here, so that it is seen and heard before it is anywhere else. */

const LARGEST = 200_000_000; // bytes: decoded it takes several times as much memory,
const LARGEST_CODED = 30_000_000; // and many times as much where it is an mp3 or the like

/**
 * Decode a file for looking at it.
 *
 * @returns {Promise<{seconds: number, shape: Function}|null>} null where this browser can't, or it is too large
 */
export async function decodeLocally(file) {
  const isPlain = /\.(wave?|w64|caf|aiff?|flac)$/i.test(file.name);
  if (file.size > (isPlain ? LARGEST : LARGEST_CODED)) return null;
  const context = new OfflineAudioContext(1, 1, 44100);
  let buffer;
  try {
    buffer = await context.decodeAudioData(await file.arrayBuffer());
  } catch {
    return null;
  }
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, n) => buffer.getChannelData(n));
  const shape = async (from, to, points) => shapeOf(channels, buffer.sampleRate, from, to, points);
  return { seconds: buffer.duration, shape };
}

/** Return what a waveform is drawn from, as the server's routes give it. Of long files, every bucket is sampled. */
export function shapeOf(channels, rate, from, to, points) {
  const low = new Array(points);
  const high = new Array(points);
  const rms = new Array(points);
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
