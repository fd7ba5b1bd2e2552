/** Values that a column can hold, by {@link ColumnKind}. Timestamps are canonical text (schemas/event/timestamp.ts). */
export type ColumnValue =
  | string
  | number
  | boolean
  | Uint8Array
  | readonly string[]
  | readonly number[]

/** How a value of a column is written. Each has one encoding: ClickHouse's RowBinary. */
export type ColumnKind =
  | 'string'
  | 'strings'
  | 'uint64'
  | 'uint64s'
  | 'uint32'
  | 'int8'
  | 'hash'
  | 'time'
  | 'nullable_time'
  | 'nullable_int64'
  | 'nullable_float64'
  | 'nullable_bool'

/** Null where a column of the kind can hold it, else an empty text or list: one byte each. */
export function absentByte(kind: ColumnKind): number {
  return kind.startsWith('nullable') ? 1 : 0
}

/**
 * Appends values in ClickHouse's RowBinary format to one growing buffer. The Native format of native-block.ts has the
 * same bytes for a value, and other places for what is absent and how long a list is.
 */
export class RowBinaryWriter {
  private buffer: Buffer
  private length = 0
  /** Times of neighbouring events share their second, which is the dear part to parse. */
  private lastSecond = ''
  private lastSecondNanos = 0n

  constructor(capacityBytes = 65_536) {
    this.buffer = Buffer.allocUnsafe(capacityBytes)
  }

  get sizeBytes(): number {
    return this.length
  }

  /** Everything written from an offset on. Valid until the next write or clear. */
  written(from = 0): Uint8Array {
    return this.buffer.subarray(from, this.length)
  }

  clear(): void {
    this.length = 0
  }

  /** Appends what was written before. */
  append(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.buffer.set(bytes, this.length)
    this.length += bytes.length
  }

  write(kind: ColumnKind, value: ColumnValue): void {
    switch (kind) {
      case 'strings':
        this.strings(Array.isArray(value) ? value : [])
        break
      case 'uint64s':
        this.uint64s(Array.isArray(value) ? value : [])
        break
      default:
        if (kind.startsWith('nullable')) this.byte(0)
        this.writeBare(kind, value)
    }
  }

  /** A scalar without the byte that says that it is there, or one item of a list. */
  writeBare(kind: ColumnKind, value: ColumnValue): void {
    switch (kind) {
      case 'string':
      case 'strings':
        this.string(textOf(value))
        break
      case 'uint64':
      case 'uint64s':
        this.uint64(Number(value))
        break
      case 'uint32':
        this.reserve(4)
        this.length = this.buffer.writeUInt32LE(Number(value), this.length)
        break
      case 'int8':
        this.reserve(1)
        this.length = this.buffer.writeInt8(Number(value), this.length)
        break
      case 'hash':
        this.fixed(value)
        break
      case 'time':
      case 'nullable_time':
        this.time(textOf(value))
        break
      case 'nullable_int64':
        this.reserve(8)
        this.length = this.buffer.writeBigInt64LE(BigInt(Math.trunc(Number(value))), this.length)
        break
      case 'nullable_float64':
        this.reserve(8)
        this.length = this.buffer.writeDoubleLE(Number(value), this.length)
        break
      case 'nullable_bool':
        this.byte(value === true ? 1 : 0)
    }
  }

  /** How many items or bytes follow. */
  writeLength(count: number): void {
    this.reserve(10)
    this.varint(count)
  }

  /** What a place holds whose value is absent. */
  writeZeros(bytes: number): void {
    this.reserve(bytes)
    this.buffer.fill(0, this.length, this.length + bytes)
    this.length += bytes
  }

  /** What stands for an absent value: see {@link absentByte}. */
  writeAbsent(byte: number): void {
    if (this.length === this.buffer.length) this.reserve(1)
    this.buffer[this.length++] = byte
  }

  private string(text: string): void {
    // UTF-8 needs at most three bytes a UTF-16 code unit; short texts get their one-byte length afterwards.
    if (text.length <= 42) {
      this.reserve(1 + text.length * 3)
      // ASCII by hand is faster than the call.
      let at = 0
      for (let char = 0; at < text.length; at++) {
        char = text.charCodeAt(at)
        if (char >= 0x80) break
        this.buffer[this.length + 1 + at] = char
      }
      if (at === text.length) {
        this.buffer[this.length] = at
        this.length += 1 + at
        return
      }
      const written = this.buffer.write(text, this.length + 1)
      this.buffer[this.length] = written
      this.length += 1 + written
      return
    }
    const sizeBytes = Buffer.byteLength(text)
    this.reserve(10 + sizeBytes)
    this.varint(sizeBytes)
    this.length += this.buffer.write(text, this.length)
  }

  private strings(items: readonly unknown[]): void {
    this.reserve(10)
    this.varint(items.length)
    for (const item of items) this.string(String(item))
  }

  private uint64(value: number): void {
    this.reserve(8)
    this.buffer.writeUInt32LE(value % 2 ** 32, this.length)
    this.length = this.buffer.writeUInt32LE(Math.floor(value / 2 ** 32), this.length + 4)
  }

  private uint64s(items: readonly unknown[]): void {
    this.reserve(10)
    this.varint(items.length)
    for (const item of items) this.uint64(Number(item))
  }

  private fixed(value: ColumnValue): void {
    if (!(value instanceof Uint8Array)) throw new TypeError('a hash column takes bytes')
    this.reserve(value.length)
    this.buffer.set(value, this.length)
    this.length += value.length
  }

  /** Nanoseconds since 1970 as Int64, from the canonical form. */
  private time(text: string): void {
    const second = text.slice(0, 19)
    if (second !== this.lastSecond) {
      this.lastSecond = second
      this.lastSecondNanos = BigInt(Date.parse(`${second}Z`)) * 1_000_000n
    }
    const nanos = this.lastSecondNanos + BigInt(Number(text.slice(20, 29)))
    this.reserve(8)
    this.length = this.buffer.writeBigInt64LE(nanos, this.length)
  }

  private byte(value: number): void {
    this.reserve(1)
    this.buffer[this.length++] = value
  }

  /** LEB128, room already reserved. */
  private varint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.buffer[this.length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.buffer[this.length++] = rest
  }

  private reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.length + bytes))
    this.buffer.copy(grown, 0, 0, this.length)
    this.buffer = grown
  }
}

function textOf(value: ColumnValue): string {
  return typeof value === 'string' ? value : String(value)
}
