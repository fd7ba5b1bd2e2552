/**
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4): tells torn writes from whole ones. No defence against tampering.
 *
 * Eight bytes a step, by eight tables (Kounavis and Berry, "A Systematic Approach to Building High Performance
 * Software-based CRC Generators", 2005): every stored byte is read at each start.
 */
const stepBytes = 8
const tables = new Int32Array(256 * stepBytes)
for (let n = 0; n < 256; n++) {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  tables[n] = c
}
for (let at = 256; at < tables.length; at++) {
  const before = tables[at - 256] ?? 0
  tables[at] = (tables[before & 0xff] ?? 0) ^ (before >>> 8)
}

export function crc32c(bytes: Uint8Array): number {
  let crc = -1
  let at = 0
  for (const until = bytes.length - stepBytes; at <= until; at += stepBytes) {
    const low = crc ^ at32(bytes, at)
    crc =
      entry(1792 + (low & 0xff)) ^
      entry(1536 + ((low >>> 8) & 0xff)) ^
      entry(1280 + ((low >>> 16) & 0xff)) ^
      entry(1024 + (low >>> 24)) ^
      entry(768 + byteAt(bytes, at + 4)) ^
      entry(512 + byteAt(bytes, at + 5)) ^
      entry(256 + byteAt(bytes, at + 6)) ^
      entry(byteAt(bytes, at + 7))
  }
  for (; at < bytes.length; at++) crc = entry((crc ^ byteAt(bytes, at)) & 0xff) ^ (crc >>> 8)
  return ~crc >>> 0
}

/** Little-endian. */
function at32(bytes: Uint8Array, at: number): number {
  return (
    byteAt(bytes, at) |
    (byteAt(bytes, at + 1) << 8) |
    (byteAt(bytes, at + 2) << 16) |
    (byteAt(bytes, at + 3) << 24)
  )
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}

function entry(index: number): number {
  return tables[index] ?? 0
}
