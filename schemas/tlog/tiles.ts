import { concat } from '../bytes.ts'
import { hashBytes } from './digest.ts'
import type { HashReader } from './merkle.ts'

/** C2SP tlog-tiles: the log as static files, 256 hashes or entries wide. */
export const tileWidth = 256

export interface TileId {
  /** Tile level, or `entries` for entry bundles. */
  readonly level: number | 'entries'
  readonly index: number
  /** 1 to 256; below 256 it is a partial tile. */
  readonly width: number
}

/** `tile/<L>/<N>[.p/<W>]`, N in groups of three digits with `x` before all but the last. */
export function tilePath({ level, index, width }: TileId): string {
  let rest = index
  let name = String(rest % 1000).padStart(3, '0')
  rest = Math.floor(rest / 1000)
  while (rest > 0) {
    name = `x${String(rest % 1000).padStart(3, '0')}/${name}`
    rest = Math.floor(rest / 1000)
  }
  return `tile/${level}/${name}${width === tileWidth ? '' : `.p/${width}`}`
}

/** Strict inverse of {@link tilePath}; undefined for anything that it would not write. */
export function parseTilePath(path: string): TileId | undefined {
  const match = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/)*\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path)
  const [, level, name, width] = match ?? []
  if (level === undefined || name === undefined) return undefined
  const index = Number(name.replaceAll(/[x/]/g, ''))
  const tile: TileId = {
    level: level === 'entries' ? level : Number(level),
    index,
    width: width === undefined ? tileWidth : Number(width),
  }
  if (!Number.isSafeInteger(index) || tile.width < 1) return undefined
  return tilePath(tile) === path ? tile : undefined
}

/** Hashes of a tile: level L of the tiles are the subtrees of height 8 L. */
export function tileBytes(
  reader: HashReader,
  level: number,
  index: number,
  width: number,
): Uint8Array {
  const bytes = new Uint8Array(width * hashBytes)
  for (let i = 0; i < width; i++) {
    bytes.set(reader.hash(level * 8, index * tileWidth + i), i * hashBytes)
  }
  return bytes
}

/** Entry bundle: each entry as big-endian uint16 length and bytes. */
export function encodeEntryBundle(entries: readonly Uint8Array[]): Uint8Array {
  return concat(
    ...entries.flatMap((entry) => {
      if (entry.length > 0xffff) throw new RangeError('an entry is longer than 65535 bytes')
      return [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry]
    }),
  )
}

/** Strict decode of exactly `count` entries. @throws RangeError */
export function decodeEntryBundle(bytes: Uint8Array, count: number): Uint8Array[] {
  const entries: Uint8Array[] = []
  let at = 0
  for (let i = 0; i < count; i++) {
    const high = bytes[at]
    const low = bytes[at + 1]
    if (high === undefined || low === undefined) throw new RangeError('the bundle ends early')
    const until = at + 2 + (high << 8) + low
    if (until > bytes.length) throw new RangeError('an entry ends beyond the bundle')
    entries.push(bytes.subarray(at + 2, until))
    at = until
  }
  if (at !== bytes.length) throw new RangeError('the bundle has bytes left over')
  return entries
}
