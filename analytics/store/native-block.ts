import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Column } from './event-columns.ts'
import { type ColumnValue, RowBinaryWriter } from './row-binary.ts'

/** Values of a row by the position of their column, in rising order; a column that is not named is absent. */
export interface SparseRow {
  readonly positions: readonly number[]
  readonly values: readonly ColumnValue[]
}

/** A block of rows as one insert takes it. */
export interface NativeBlock {
  /** Those in which at least one row has a value; the others hold their defaults. */
  readonly columns: readonly string[]
  readonly bytes: Uint8Array
}

/** Cells written before whoever waits for an answer gets his turn: about two milliseconds. */
const cellsATurn = 16_384

/**
 * Encodes rows in ClickHouse's Native format: column by column, without the columns that no row fills. An event fills
 * 30 of 140 columns, so this takes the engine half of the CPU of RowBinary, where each row names each absent value.
 *
 * Layout (ClickHouse docs, "Native"): number of columns and of rows as LEB128, then for each column its name, its type
 * and its values. Columns of few different values travel as dictionary and positions, which spares the engine to look
 * each value up.
 */
export async function encodeNativeBlock(
  columns: readonly Column[],
  rows: readonly SparseRow[],
): Promise<NativeBlock> {
  const cells: (ColumnValue | undefined)[][] = columns.map(() => [])
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at]
    if (row === undefined) continue
    const { positions, values } = row
    for (let i = 0; i < positions.length; i++) {
      const list = cells[positions[i] ?? 0]
      if (list === undefined) continue
      if (list.length === 0) list.length = rows.length
      list[at] = values[i]
    }
    if (at % 512 === 511) await nextTurn()
  }
  const used = columns.filter((_column, at) => (cells[at]?.length ?? 0) > 0)
  const writer = new RowBinaryWriter(rows.length * 512 + 65_536)
  writer.writeLength(used.length)
  writer.writeLength(rows.length)
  let written = 0
  for (const [at, column] of columns.entries()) {
    const list = cells[at]
    if (list === undefined || list.length === 0) continue
    writer.write('string', column.name)
    writer.write('string', column.type)
    writeColumn(writer, column, list)
    cells[at] = []
    written += rows.length
    if (written >= cellsATurn) {
      written = 0
      await nextTurn()
    }
  }
  return { columns: used.map(({ name }) => name), bytes: writer.written() }
}

type Cells = readonly (ColumnValue | undefined)[]

function writeColumn(writer: RowBinaryWriter, { type, kind }: Column, cells: Cells): void {
  switch (kind) {
    case 'string':
      if (type.startsWith('LowCardinality')) {
        writer.writeBare('uint64', dictionaryVersion)
        writeDictionary(writer, cells)
      } else {
        for (let at = 0; at < cells.length; at++) writer.writeBare(kind, cells[at] ?? '')
      }
      break
    case 'strings':
    case 'uint64s': {
      const few = type.includes('LowCardinality')
      if (few) writer.writeBare('uint64', dictionaryVersion)
      const items: ColumnValue[] = []
      for (let at = 0; at < cells.length; at++) {
        const list = cells[at]
        if (Array.isArray(list)) for (let i = 0; i < list.length; i++) items.push(list[i])
        writer.writeBare('uint64', items.length)
      }
      if (few) writeDictionary(writer, items)
      else for (let i = 0; i < items.length; i++) writer.writeBare(kind, items[i] ?? '')
      break
    }
    default: {
      const width = kind === 'nullable_bool' ? 1 : 8
      if (kind.startsWith('nullable')) {
        for (let at = 0; at < cells.length; at++)
          writer.writeAbsent(cells[at] === undefined ? 1 : 0)
      }
      for (let at = 0; at < cells.length; at++) {
        const value = cells[at]
        if (value === undefined) writer.writeZeros(width)
        else writer.writeBare(kind, value)
      }
    }
  }
}

/** SharedDictionariesWithAdditionalKeys, the only one that there is. */
const dictionaryVersion = 1
/** HasAdditionalKeysBit: the keys stand in this block. */
const keysFollow = 2 ** 9

/**
 * A LowCardinality column (SerializationLowCardinality.cpp): width of the positions, the keys, then a position a value,
 * of one, two or four bytes. The first key is the default.
 */
function writeDictionary(writer: RowBinaryWriter, values: Cells): void {
  if (values.length === 0) return
  const positions = new Uint32Array(values.length)
  const keys = new Map<string, number>([['', 0]])
  let last = ''
  let lastPosition = 0
  for (let at = 0; at < values.length; at++) {
    const value = values[at]
    const text = typeof value === 'string' ? value : ''
    // Neighbours are often equal.
    if (text !== last) {
      last = text
      lastPosition = keys.get(text) ?? keys.size
      if (lastPosition === keys.size) keys.set(text, lastPosition)
    }
    positions[at] = lastPosition
  }
  const widthLog2 = keys.size <= 2 ** 8 ? 0 : keys.size <= 2 ** 16 ? 1 : 2
  writer.writeBare('uint64', keysFollow + widthLog2)
  writer.writeBare('uint64', keys.size)
  for (const key of keys.keys()) writer.writeBare('string', key)
  writer.writeBare('uint64', values.length)
  const narrow = [Uint8Array, Uint16Array, Uint32Array][widthLog2] ?? Uint32Array
  const packed = narrow.from(positions)
  writer.append(new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength))
}
