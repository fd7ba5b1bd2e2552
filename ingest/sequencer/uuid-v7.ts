/**
 * UUID version 7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, 12 bits of counter, 62 random bits. Monotone
 * within one generator: the counter orders ids of one millisecond, and time never goes back.
 */
export function uuidV7Generator(random: (bytes: number) => Uint8Array): (nowMs: number) => string {
  let lastMs = 0
  let counter = 0
  let pool: Uint8Array = new Uint8Array(0)
  let used = 0
  return (nowMs) => {
    if (nowMs > lastMs) {
      lastMs = nowMs
      counter = 0
    } else if (++counter > 0xfff) {
      lastMs++
      counter = 0
    }
    if (used + 8 > pool.length) {
      pool = random(4096)
      used = 0
    }
    const bytes = pool.subarray(used, used + 8)
    used += 8
    const time = lastMs.toString(16).padStart(12, '0')
    const tail = Buffer.from(bytes).toString('hex')
    const variant = (0x8 | (Number.parseInt(tail[0] ?? '0', 16) & 0x3)).toString(16)
    return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, '0')}-${variant}${tail.slice(1, 4)}-${tail.slice(4)}`
  }
}
