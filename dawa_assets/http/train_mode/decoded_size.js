/**
 * How much a file holds once it is decoded, at most, told from its frames before anything is decoded.
 *
 * Headers may claim anything, and a megabyte of FLAC may hold days of silence: what a decoder would give is counted
 * from the frames, pages and tables that it goes by. Whatever else a file is, it is not for this browser to decode.
 */

const FLAC_BLOCKS = [0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768];
const FLAC_RATES = [0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000];
const MP3_RATES = [44100, 48000, 32000];
const MP3_KBIT = [
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
const AAC_RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
const AAC_FRAME = 1024; // at the core's rate, whatever is made of it

/**
 * Count what a file decodes to.
 *
 * @param {Uint8Array} bytes the whole file
 * @returns {{seconds: number, channels: number, isPlain: boolean}|null} upper bounds; plain is what a browser finds
 *   every place in; null: of no kind whose frames are known here
 */
export function decodedSize(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = afterTag(bytes);
  try {
    if (isAt(bytes, 0, "RIFF") && isAt(bytes, 8, "WAVE")) return wav(bytes, view);
    if (isAt(bytes, start, "fLaC")) return flac(bytes, start + 4);
    if (isAt(bytes, 0, "OggS")) return ogg(bytes, view);
    if (isAt(bytes, 4, "ftyp")) return mp4(bytes, view);
    return mp3(bytes, start);
  } catch (error) {
    if (error instanceof RangeError) return null; // it ends in the middle of a header
    throw error;
  }
}

const isAt = (bytes, at, name) => [...name].every((letter, n) => bytes[at + n] === letter.charCodeAt(0));

/** Return where a file begins behind its ID3 tag. */
function afterTag(bytes) {
  if (!isAt(bytes, 0, "ID3")) return 0;
  return 10 + ((bytes[6] << 21) | (bytes[7] << 14) | (bytes[8] << 7) | bytes[9]);
}

function wav(bytes, view) {
  for (let at = 12; at + 24 <= bytes.length; at += 8 + view.getUint32(at + 4, true) + (bytes[at + 4] & 1)) {
    if (!isAt(bytes, at, "fmt ")) continue;
    const kind = view.getUint16(at + 8, true);
    const [channels, rate, bits] = [view.getUint16(at + 10, true), view.getUint32(at + 12, true), bytes[at + 22]];
    const coded = kind === 0xfffe ? view.getUint16(at + 32, true) : kind;
    if (![1, 3].includes(coded) || !channels || !rate || bits < 8) return null;
    return { seconds: bytes.length / ((channels * bits) / 8) / rate, channels, isPlain: true };
  }
  return null;
}

/** By every frame's header; the checksum of each tells it from music that looks alike. */
function flac(bytes, start) {
  let [seconds, channels] = [0, 0];
  const rateOfStream = (bytes[start + 14] << 12) | (bytes[start + 15] << 4) | (bytes[start + 16] >> 4);
  for (let at = bytes.indexOf(0xff, start); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    if ((bytes[at + 1] & 0xfe) !== 0xf8 || bytes[at + 3] & 1) continue;
    const [blockCode, rateCode] = [bytes[at + 2] >> 4, bytes[at + 2] & 15];
    let end = at + 5 + Math.max(Math.clz32(~(bytes[at + 4] << 24)) - 1, 0); // the frame's number, coded as in UTF-8
    let block = FLAC_BLOCKS[blockCode];
    let rate = FLAC_RATES[rateCode] || rateOfStream;
    if (blockCode === 6) block = bytes[end++] + 1;
    else if (blockCode === 7) [block, end] = [((bytes[end] << 8) | bytes[end + 1]) + 1, end + 2];
    if (rateCode === 12) rate = bytes[end++] * 1000;
    else if (rateCode > 12) [rate, end] = [((bytes[end] << 8) | bytes[end + 1]) * (rateCode === 14 ? 10 : 1), end + 2];
    if (!block || rateCode === 15 || checksum(bytes, at, end) !== bytes[end]) continue;
    seconds += block / Math.min(rate || 1, rateOfStream || rate);
    channels = Math.max(channels, bytes[at + 3] >> 4 > 7 ? 2 : (bytes[at + 3] >> 4) + 1);
  }
  return seconds ? { seconds, channels, isPlain: true } : null;
}

function checksum(bytes, start, end) {
  let sum = 0;
  for (let at = start; at < end; at++) {
    sum ^= bytes[at];
    for (let bit = 0; bit < 8; bit++) sum = sum & 0x80 ? (sum << 1) ^ 0x107 : sum << 1;
  }
  return sum;
}

/** By every packet: of Vorbis each gives a long block at most, of Opus its first byte says how much. */
function ogg(bytes, view) {
  const vorbis = isAt(bytes, 29, "vorbis");
  if (!vorbis && !isAt(bytes, 28, "OpusHead")) return null;
  const channels = bytes[vorbis ? 39 : 37];
  const each = vorbis ? 2 ** ((bytes[56] >> 4) - 1) / view.getUint32(40, true) : 0;
  let seconds = 0;
  let headers = vorbis ? 3 : 2; // packets that come first
  let isBegun = false; // a packet goes on from the page before
  for (let at = 0; at + 27 <= bytes.length; ) {
    if (!isAt(bytes, at, "OggS")) {
      at = bytes.indexOf(0x4f, at + 1);
      if (at < 0) break;
      continue;
    }
    if (at && bytes[at + 5] & 2) return null; // another stream begins, of who knows what
    const count = bytes[at + 26];
    let body = at + 27 + count;
    for (let n = 0; n < count; n++) {
      const size = bytes[at + 27 + n];
      if (!isBegun && headers-- <= 0) seconds += vorbis ? each : opus(bytes, body);
      isBegun = size === 255;
      body += size;
    }
    at = body;
  }
  return { seconds, channels, isPlain: false };
}

function opus(bytes, at) {
  const kind = bytes[at] >> 3;
  const each = kind < 12 ? [10, 20, 40, 60][kind % 4] : kind < 16 ? [10, 20][kind % 2] : [2.5, 5, 10, 20][kind % 4];
  return (each * [1, 2, 2, bytes[at + 1] & 63][bytes[at] & 3]) / 1000;
}

/** By the tables of its tracks; what is fragmented has none. */
function mp4(bytes, view) {
  const tracks = [];
  let isFragmented = false;
  const walk = (start, end, track) => {
    for (let at = start; at + 8 <= end; ) {
      const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
      let size = view.getUint32(at);
      if (size === 1) size = Number(view.getBigUint64(at + 8));
      const limit = size ? Math.min(at + size, end) : end;
      if (limit < at + 8) return;
      if (name === "moof") isFragmented = true;
      if (["moov", "mdia", "minf", "stbl"].includes(name)) walk(at + 8, limit, track);
      if (name === "trak") {
        tracks.push({ frames: 0 });
        walk(at + 8, limit, tracks.at(-1));
      }
      if (name === "stsz" && track) track.frames = view.getUint32(at + 16);
      if (name === "stsd" && track) Object.assign(track, codecOf(bytes, view, at, limit));
      at = limit;
    }
  };
  walk(0, bytes.length, null);
  if (!tracks.length || isFragmented || tracks.some((track) => !track.rate)) return null;
  return {
    seconds: tracks.reduce((sum, { frames, frame, rate }) => sum + (frames * frame) / rate, 0),
    channels: Math.max(...tracks.map((track) => track.channels)),
    isPlain: false,
  };
}

/** Return what one frame of an MP4's track is; nothing for a codec that is not known here. */
function codecOf(bytes, view, at, limit) {
  const channels = Math.max(view.getUint16(at + 40), 2);
  if (isAt(bytes, at + 20, "alac")) return { channels, frame: view.getUint32(at + 64), rate: view.getUint32(at + 84) };
  let place = at + 52;
  while (place < limit && !isAt(bytes, place, "esds")) place++;
  place += 8;
  const skip = (tag, more) => {
    if (bytes[place++] !== tag) return false;
    while (bytes[place++] & 0x80);
    place += more;
    return place < limit;
  };
  if (!isAt(bytes, at + 20, "mp4a") || !skip(3, 3) || bytes[place - 1] || !skip(4, 13) || !skip(5, 0)) return {};
  const layout = (bytes[place + 1] >> 3) & 15;
  const rate = AAC_RATES[((bytes[place] & 7) << 1) | (bytes[place + 1] >> 7)];
  return { channels: Math.max(channels, layout === 7 ? 8 : layout), frame: AAC_FRAME, rate };
}

/** Frame by frame, as their headers say how long each is. */
function mp3(bytes, start) {
  let [seconds, frames] = [0, 0];
  for (let at = bytes.indexOf(0xff, start); at >= 0 && at + 4 <= bytes.length; ) {
    const version = (bytes[at + 1] >> 3) & 3; // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    const [layer, rateCode, kbitCode] = [(bytes[at + 1] >> 1) & 3, (bytes[at + 2] >> 2) & 3, bytes[at + 2] >> 4];
    const isFrame = bytes[at + 1] >> 5 === 7 && layer === 1 && version !== 1 && rateCode < 3 && kbitCode % 15;
    if (!isFrame) {
      at = bytes.indexOf(0xff, at + 1);
      continue;
    }
    const rate = MP3_RATES[rateCode] >> { 3: 0, 2: 1, 0: 2 }[version];
    const samples = version === 3 ? 1152 : 576;
    const kbit = MP3_KBIT[version === 3 ? 0 : 1][kbitCode];
    seconds += samples / rate;
    frames++;
    at = bytes.indexOf(0xff, at + Math.floor((samples * kbit * 125) / rate) + ((bytes[at + 2] >> 1) & 1));
  }
  return frames > 2 ? { seconds, channels: 2, isPlain: false } : null;
}
