/** Loudness of what this browser decoded, where nobody told it: enough to bring renderings of one prompt to one level. */

const SILENCE = -70; // LUFS: below it nothing is brought anywhere
const CHANNEL_OFFSET = -0.691; // of ITU-R BS.1770

/** Return a buffer's loudness in LUFS, weighted as BS.1770 says and not gated; −70 and below for silence. */
async function loudnessOf(buffer) {
  const context = new OfflineAudioContext(buffer.numberOfChannels, buffer.length, buffer.sampleRate);
  const source = new AudioBufferSourceNode(context, { buffer });
  const shelf = new BiquadFilterNode(context, { type: "highshelf", frequency: 1500, gain: 4 });
  const high = new BiquadFilterNode(context, { type: "highpass", frequency: 38, Q: -6 });
  source.connect(shelf).connect(high).connect(context.destination);
  source.start();
  const heard = await context.startRendering();
  let power = 0;
  for (let channel = 0; channel < heard.numberOfChannels; channel++) {
    let sum = 0;
    for (const sample of heard.getChannelData(channel)) sum += sample * sample;
    power += sum / heard.length;
  }
  return power > 0 ? CHANNEL_OFFSET + 10 * Math.log10(power) : -Infinity;
}

/** Return the gain in dB for each buffer that brings all of them to the loudness of the quietest that is not silent. */
export async function matchingGains(buffers) {
  const found = await Promise.all(buffers.map(loudnessOf));
  const quietest = Math.min(...found.filter((loudness) => loudness > SILENCE));
  return found.map((loudness) => (loudness > SILENCE ? quietest - loudness : 0));
}
